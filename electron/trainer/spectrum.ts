import { EigenvalueDecomposition, Matrix } from 'ml-matrix';

/**
 * Figures of features that need no labels, and that papers propose in place of a linear probe. How well they tell which
 * network is better is measured in docs/methods.md, also where they do not.
 */

/** Added to shares of a spectrum, so that a direction that is not used counts nearly nothing (both papers). */
const EPS = 1e-7;

/** exp of the entropy of a spectrum: how many directions it spreads over. */
function effectiveRank(values: readonly number[]): number {
  const total = values.reduce((sum, v) => sum + Math.abs(v), 0);
  if (!(total > 0)) return Number.NaN;
  const entropy = values.reduce((sum, v) => {
    const p = Math.abs(v) / total + EPS;
    return sum - p * Math.log(p);
  }, 0);
  return Math.exp(entropy);
}

/**
 * RankMe (Garrido et al., arXiv 2210.02885, eq. 1): effective rank of the features as they are, not centred. Between 1 and
 * the smaller of n and width.
 * @param features `[n, width]`, row-major
 */
export function rankMe(features: Float32Array, width: number): number {
  const n = features.length / width;
  const values = eigenvalues(secondMoment(features, width, null));
  // Of fewer rows than dimensions only n singular values exist.
  return effectiveRank(values.slice(0, Math.min(n, width)).map((v) => Math.sqrt(Math.max(0, v))));
}

/** Ranks of the eigenvalues that a line is fitted to, from 1: the first ten are the data's own (Stringer et al., 2019). */
const FITTED = { from: 11, to: 100 };
/** Fewer eigenvalues than this make no line. */
const LEAST_FITTED = 8;

/**
 * alpha-ReQ (Agrawal et al., NeurIPS 2022): the exponent by which the eigenvalues of the features' covariance fall,
 * lambda_j ~ j^-alpha, fitted in logarithms with weights 1 / j. Near 1 is best in the paper; far above, few directions carry
 * everything; far below, noise does. Null where there are too few eigenvalues.
 * @param features `[n, width]`, row-major
 */
export function alphaReq(features: Float32Array, width: number): number | null {
  const n = features.length / width;
  const values = eigenvalues(secondMoment(features, width, meanOf(features, width)));
  const least = values[0]! * 1e-9; // below, an eigenvalue is rounding
  const known = values.slice(0, Math.min(width, n - 1)).filter((v) => v > least);
  const to = Math.min(FITTED.to, known.length);
  if (to - FITTED.from + 1 < LEAST_FITTED) return null;
  const sum = { w: 0, x: 0, y: 0, xx: 0, xy: 0 };
  for (let j = FITTED.from; j <= to; j++) {
    const [w, x, y] = [1 / j, -Math.log(j), Math.log(known[j - 1]!)];
    sum.w += w;
    sum.x += w * x;
    sum.y += w * y;
    sum.xx += w * x * x;
    sum.xy += w * x * y;
  }
  return (sum.w * sum.xy - sum.x * sum.y) / (sum.w * sum.xx - sum.x ** 2);
}

/** Added to the covariance within images, so that it can be inverted (the paper's delta). */
const DELTA = 1e-4;

/**
 * LiDAR (Thilak et al., arXiv 2312.04000, section 4): the effective rank of what tells images apart, where views of one
 * image count as one. Sigma_w^-1/2 Sigma_b Sigma_w^-1/2, with the covariances between images' means and within images.
 * @param features `[images * views, width]`, row-major, the views of an image together
 * @param views of an image: two at least; the paper takes 50 of 1,000 images
 */
export function lidar(features: Float32Array, width: number, views: number): number {
  const images = features.length / (width * views);
  const means = new Float32Array(images * width);
  const apart = new Float32Array(features.length);
  for (let i = 0; i < images; i++) {
    for (let d = 0; d < width; d++) {
      let sum = 0;
      for (let v = 0; v < views; v++) sum += features[(i * views + v) * width + d]!;
      means[i * width + d] = sum / views;
      for (let v = 0; v < views; v++) {
        const at = (i * views + v) * width + d;
        apart[at] = features[at]! - sum / views;
      }
    }
  }
  const between = secondMoment(means, width, meanOf(means, width));
  const within = secondMoment(apart, width, null);
  for (let d = 0; d < width; d++) within.set(d, d, within.get(d, d) + DELTA);
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(within, { assumeSymmetric: true });
  const scale = Matrix.diag(realEigenvalues.map((v) => 1 / Math.sqrt(v)));
  // The same eigenvalues as with Sigma_w^-1/2 on both sides: the two differ by a rotation.
  const white = scale.mmul(eigenvectorMatrix.transpose());
  const values = eigenvalues(white.mmul(between).mmul(white.transpose()));
  return effectiveRank(values.slice(0, Math.min(images - 1, width)).map((v) => Math.max(0, v)));
}

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

const eigenvalues = (symmetric: Matrix): number[] =>
  new EigenvalueDecomposition(symmetric, { assumeSymmetric: true }).realEigenvalues.sort((a, b) => b - a);

function meanOf(features: Float32Array, width: number): Float64Array {
  const mean = new Float64Array(width);
  const n = features.length / width;
  features.forEach((v, i) => {
    mean[i % width]! += v / n;
  });
  return mean;
}

/** Mean of x x^T over rows, less a mean where one is given: `[width, width]`. */
function secondMoment(features: Float32Array, width: number, mean: Float64Array | null): Matrix {
  const n = features.length / width;
  const sums = new Float64Array(width * width);
  const row = new Float64Array(width);
  for (let at = 0; at < features.length; at += width) {
    for (let d = 0; d < width; d++) row[d] = features[at + d]! - (mean?.[d] ?? 0);
    for (let i = 0; i < width; i++) {
      const xi = row[i]!;
      for (let j = 0; j <= i; j++) sums[i * width + j]! += xi * row[j]!;
    }
  }
  const moment = Matrix.zeros(width, width);
  for (let i = 0; i < width; i++) {
    for (let j = 0; j <= i; j++) {
      moment.set(i, j, sums[i * width + j]! / n);
      moment.set(j, i, sums[i * width + j]! / n);
    }
  }
  return moment;
}
