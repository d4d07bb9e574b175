/** Signs of collapse and of short cuts that `featureHealth` does not give. Features are rows of unit length. */

/** Rows that are compared pair by pair, spread over all. */
const MOST_PAIRED = 1500;

/**
 * Uniformity (Wang and Isola, arXiv 2005.10242): log of the mean over pairs of exp(-2 |x - y|²). 0 where all features
 * are one; the lower, the more evenly they lie on the sphere (-4 is the limit for many dimensions).
 * @param features `[n, width]`, row-major
 */
export function uniformity(features: Float32Array, width: number): number {
  const all = features.length / width;
  const rows = Math.min(all, MOST_PAIRED);
  const row = (i: number) => Math.floor((i * all) / rows) * width;
  let sum = 0;
  for (let i = 1; i < rows; i++) {
    for (let j = 0; j < i; j++) {
      const [a, b] = [row(i), row(j)];
      let dot = 0;
      for (let d = 0; d < width; d++) dot += features[a + d]! * features[b + d]!;
      sum += Math.exp(-2 * (2 - 2 * dot)); // |x - y|² of unit rows
    }
  }
  return Math.log(sum / ((rows * (rows - 1)) / 2));
}

/**
 * Alignment (Wang and Isola): mean of |query - key|² over positive pairs; 0 where each query is its key, 2 where they
 * have nothing in common. @param queries @param keys `[n, width]` each, row by row a pair
 */
export function alignment(queries: Float32Array, keys: Float32Array, width: number): number {
  let sum = 0;
  for (let i = 0; i < queries.length; i++) sum += (queries[i]! - keys[i]!) ** 2;
  return sum / (queries.length / width);
}

/**
 * Share of the look-ups' gain over guessing that is left when another image's keys are asked, and so is position alone:
 * 0 for none of it, 1 for all. Null where there is no gain.
 * @param top1 @param control @param chance shares of look-ups
 */
export function positionShortcut(top1: number, control: number, chance: number): number | null {
  if (top1 - chance < 0.005) return null;
  return Math.min(1, Math.max(0, (control - chance) / (top1 - chance)));
}

/**
 * Share of the variance of keys that their place explains (eta squared: variance of the places' means over all): 1 where
 * a key says where it is and nothing else. By chance alone it is about (K - 1) / (n - 1) of n keys.
 * @param keys `[images * K, width]`, the patches of an image together
 */
export function placeShare(keys: Float32Array, K: number, width: number): number {
  const images = keys.length / (K * width);
  const means = new Float64Array(K * width);
  const mean = new Float64Array(width);
  keys.forEach((value, i) => {
    means[i % (K * width)]! += value / images;
    mean[i % width]! += value / (images * K);
  });
  let [between, total] = [0, 0];
  for (let i = 0; i < K * width; i++) between += (means[i]! - mean[i % width]!) ** 2 * images;
  keys.forEach((value, i) => {
    total += (value - mean[i % width]!) ** 2;
  });
  return total > 1e-12 ? between / total : 1;
}

/**
 * Standard deviation of each dimension over that of features that fill the sphere evenly (1 / √width), the largest
 * first (the variance term of VICReg, arXiv 2105.04906, looks at the same). @param variance `[width]`
 */
export const relativeDeviations = (variance: readonly number[]): number[] =>
  variance.map((v) => Math.sqrt(v * variance.length)).sort((a, b) => b - a);

/** A dimension that varies less than this share of the even sphere's is dead. */
export const DEAD = 0.1;

/** Rows scaled to length one, in place. */
export function toUnitRows(features: Float32Array, width: number): Float32Array {
  for (let at = 0; at < features.length; at += width) {
    let squared = 0;
    for (let d = at; d < at + width; d++) squared += features[d]! ** 2;
    const scale = 1 / Math.max(1e-12, Math.sqrt(squared));
    for (let d = at; d < at + width; d++) features[d]! *= scale;
  }
  return features;
}
