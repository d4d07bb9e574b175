/** The path of a line through points in `[0, 1]²`, drawn in a box of pixels; y grows upwards. */
export function linePath(x: readonly number[], y: readonly number[], width: number, height: number): string {
  return x
    .map((at, i) => `${i === 0 ? 'M' : 'L'}${(at * width).toFixed(1)} ${((1 - y[i]!) * height).toFixed(1)}`)
    .join('');
}

/** Index of the value nearest to `at`; values rise. */
export function nearest(values: readonly number[], at: number): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (Math.abs(values[i]! - at) < Math.abs(values[best]! - at)) best = i;
  return best;
}

/** Probabilities of similarities at a temperature (arXiv 2205.09616, eq. 3). */
export function softmax(similarities: readonly number[], temperature: number): number[] {
  const most = Math.max(...similarities);
  const weights = similarities.map((s) => Math.exp((s - most) / temperature));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => w / sum);
}
