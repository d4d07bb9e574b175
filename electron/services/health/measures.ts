/** Signs of collapse and of short cuts that `featureHealth` does not give. Features are rows of unit length. */

/**
 * Standard deviation of each dimension over that of features that fill the sphere evenly (1 / √width), the largest
 * first (the variance term of VICReg, arXiv 2105.04906, looks at the same). @param variance `[width]`
 */
export const relativeDeviations = (variance: readonly number[]): number[] =>
  variance.map((v) => Math.sqrt(v * variance.length)).sort((a, b) => b - a);

/** A dimension that varies less than this share of the even sphere's is dead. */
export const DEAD = 0.1;
