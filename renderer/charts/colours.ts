/** Viridis (Smith and van der Walt, CC0), eleven of its colours: even to the eye, and to one that confuses red and green. */
const VIRIDIS = [
  [68, 1, 84],
  [72, 36, 117],
  [65, 68, 135],
  [53, 95, 141],
  [42, 120, 142],
  [33, 145, 140],
  [34, 168, 132],
  [68, 191, 112],
  [122, 209, 81],
  [189, 223, 38],
  [253, 231, 37],
] as const;

/** A share, 0 to 1, as a CSS colour. */
export function viridis(share: number): string {
  const at = Math.max(0, Math.min(1, share)) * (VIRIDIS.length - 1);
  const low = VIRIDIS[Math.floor(at)]!;
  const high = VIRIDIS[Math.ceil(at)]!;
  const mixed = low.map((value, i) => Math.round(value + (high[i]! - value) * (at % 1)));
  return `rgb(${mixed.join(' ')})`;
}

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
