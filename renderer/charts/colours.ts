import { viridisRgb } from '../../shared/colours.ts';

/** A share, 0 to 1, as a CSS colour. */
export const viridis = (share: number): string => `rgb(${viridisRgb(share).join(' ')})`;

/** Of things that have no order, as codes: neighbours in number get colours that lie far apart. Null for none. */
export const colourOfNumber = (number: number | null | undefined): string | null =>
  number == null ? null : `oklch(0.7 0.13 ${((number * 137.508) % 360).toFixed(0)})`;

/**
 * Probabilities at another softmax temperature: softmax(logits / to) from softmax(logits / from), whose logarithms are
 * the logits but for a constant.
 */
export function retemper(chances: readonly number[], from: number, to: number): number[] {
  const logs = chances.map((p) => (Math.log(Math.max(p, 1e-12)) * from) / to);
  const most = Math.max(...logs);
  const raised = logs.map((l) => Math.exp(l - most));
  const sum = raised.reduce((a, b) => a + b, 0);
  return raised.map((e) => e / sum);
}
