import { EigenvalueDecomposition, Matrix } from 'ml-matrix';

/** Signs of collapse in a set of features. */
export interface FeatureHealth {
  /** exp of the entropy of the singular values (Roy and Vetterli, EUSIPCO 2007): how many directions are in use. */
  rank: number;
  /** Mean cosine of two different features: 1 where all are one. */
  cosine: number;
  /** Singular values of the centred features over the root of their number, `[width]`, the largest first. */
  singular: number[];
  /** Variance of each dimension, `[width]`. */
  variance: number[];
}

/** At most so many rows are used: enough for the figures, and the cost stays small beside a step. */
const MOST_ROWS = 4096;

/** @param features rows of unit length, `[n, width]`, row-major */
export function featureHealth(features: Float32Array, width: number): FeatureHealth {
  const all = features.length / width;
  const stride = Math.max(1, Math.floor(all / MOST_ROWS));
  const gram = new Float64Array(width * width); // sum of x x^T
  const sum = new Float64Array(width);
  let n = 0;
  for (let row = 0; row < all; row += stride, n++) {
    const at = row * width;
    for (let i = 0; i < width; i++) {
      const xi = features[at + i]!;
      sum[i]! += xi;
      for (let j = 0; j <= i; j++) gram[i * width + j]! += xi * features[at + j]!;
    }
  }
  // Of a step that diverges: the loss says it, and no decomposition of NaN comes to an end.
  if (!gram.every(Number.isFinite)) {
    const none = () => Array<number>(width).fill(Number.NaN);
    return { rank: Number.NaN, cosine: Number.NaN, singular: none(), variance: none() };
  }
  const covariance = Matrix.zeros(width, width);
  for (let i = 0; i < width; i++) {
    for (let j = 0; j <= i; j++) {
      const value = gram[i * width + j]! / n - (sum[i]! / n) * (sum[j]! / n);
      covariance.set(i, j, value);
      covariance.set(j, i, value);
    }
  }
  const eigenvalues = new EigenvalueDecomposition(covariance, { assumeSymmetric: true }).realEigenvalues;
  const singular = eigenvalues.map((e) => Math.sqrt(Math.max(0, e))).sort((a, b) => b - a);
  const total = singular.reduce((a, b) => a + b, 0);
  const entropy =
    total > 1e-12 ? -singular.map((s) => s / total).reduce((a, p) => a + (p > 1e-12 ? p * Math.log(p) : 0), 0) : 0;
  const squared = sum.reduce((a, s) => a + s * s, 0);
  return {
    rank: Math.exp(entropy),
    cosine: n > 1 ? (squared - n) / (n * (n - 1)) : 1,
    singular,
    variance: covariance.diagonal().map((v) => Math.max(0, v)),
  };
}
