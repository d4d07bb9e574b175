import * as tf from '@tensorflow/tfjs-core';
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { requireFinite } from '../../engine/finite.ts';
import { hostCopy } from '../../engine/host.ts';

/** The directions in which rows differ most, the strongest first. */
export interface Basis {
  /** `[dim]` */
  mean: Float32Array;
  /** Unit vectors, `[count][dim]`; the entry of each that is largest by magnitude is positive. */
  components: Float32Array[];
  /** Share of the whole variance that each has. */
  explained: number[];
}

/**
 * Principal components by the eigenvectors of the covariance. Needs a backend to be set.
 * @param rows `[n, dim]`
 */
export function principalComponents(rows: Float32Array, dim: number, count: number): Basis {
  const n = rows.length / dim;
  const [mean, covariance] = tf.tidy(() => {
    const x = tf.tensor2d(rows, [n, dim]);
    const centre = tf.mean(x, 0);
    const centred = tf.sub(x, centre);
    return [hostCopy(centre), hostCopy(tf.div(tf.matMul(centred, centred, true, false), Math.max(1, n - 1)))];
  });
  requireFinite(covariance!, 'The covariances of the features');
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(
    Matrix.from1DArray(dim, dim, [...covariance!]),
    { assumeSymmetric: true }, // of a symmetric matrix they come in rising order
  );
  const whole = realEigenvalues.reduce((sum, value) => sum + Math.max(0, value), 0);
  const last = Array.from({ length: Math.min(count, dim) }, (_, i) => dim - 1 - i);
  return {
    mean: mean!,
    components: last.map((column) => {
      const vector = Float32Array.from(eigenvectorMatrix.getColumn(column));
      const largest = vector.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
      return largest < 0 ? vector.map((v) => -v) : vector;
    }),
    explained: last.map((i) => (whole > 0 ? Math.max(0, realEigenvalues[i]!) / whole : 0)),
  };
}

/** Rows on a basis: `[n, count]`. */
export function projectRows(rows: Float32Array, { mean, components }: Basis): Float32Array {
  const dim = mean.length;
  const n = rows.length / dim;
  const out = new Float32Array(n * components.length);
  for (let i = 0; i < n; i++) {
    components.forEach((vector, c) => {
      let sum = 0;
      for (let d = 0; d < dim; d++) sum += (rows[i * dim + d]! - mean[d]!) * vector[d]!;
      out[i * components.length + c] = sum;
    });
  }
  return out;
}

/** Each column from its least to its greatest value as 0 to 1; a column that does not vary is a half. */
export function rescaleColumns(values: Float32Array, width: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let c = 0; c < width; c++) {
    let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (let i = c; i < values.length; i += width) {
      least = Math.min(least, values[i]!);
      most = Math.max(most, values[i]!);
    }
    for (let i = c; i < values.length; i += width) out[i] = most > least ? (values[i]! - least) / (most - least) : 0.5;
  }
  return out;
}
