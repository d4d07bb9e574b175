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
 * Standard deviation of each dimension over that of features that fill the sphere evenly (1 / √width), the largest
 * first (the variance term of VICReg, arXiv 2105.04906, looks at the same). @param variance `[width]`
 */
export const relativeDeviations = (variance: readonly number[]): number[] =>
  variance.map((v) => Math.sqrt(v * variance.length)).sort((a, b) => b - a);

/** A dimension that varies less than this share of the even sphere's is dead. */
export const DEAD = 0.1;
