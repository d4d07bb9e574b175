import * as tf from '@tensorflow/tfjs-core';
import { requireFinite, requireFiniteTensor } from './finite.ts';

/** Features of labelled images: `[n, width]` row-major, and a class index each. */
export interface LabelledFeatures {
  features: Float32Array;
  labels: Int32Array;
  width: number;
}

/** Rows of unit length: `[n, width]`. */
const unitRows = ({ features, width }: LabelledFeatures): tf.Tensor2D => {
  const x = tf.tensor2d(features, [features.length / width, width]);
  return tf.div(x, tf.maximum(tf.norm(x, 2, -1, true), 1e-12));
};

/** Test rows that are compared at once. */
const CHUNK = 512;

/**
 * Nearest neighbours by cosine, votes weighted by exp(similarity / 0.07) (Wu et al., arXiv 1805.01978; as in DINO).
 * @returns the class that is found for each test row
 */
export function knnPredictions(
  train: LabelledFeatures,
  test: LabelledFeatures,
  classes: number,
  k: number,
  temperature = 0.07,
): Int32Array {
  const neighbours = Math.min(k, train.labels.length);
  const found = new Int32Array(test.labels.length);
  tf.tidy(() => {
    const bank = unitRows(train);
    const queries = unitRows(test);
    for (let at = 0; at < test.labels.length; at += CHUNK) {
      const rows = Math.min(CHUNK, test.labels.length - at);
      const { values, indices } = tf.tidy(() => {
        const similarity = tf.matMul(tf.slice(queries, [at, 0], [rows, -1]), bank, false, true);
        return tf.topk(similarity, neighbours) as unknown as { values: tf.Tensor2D; indices: tf.Tensor2D };
      });
      const [similarities, nearest] = [values.dataSync() as Float32Array, indices.dataSync()];
      requireFinite(similarities, 'The similarities of images');
      for (let row = 0; row < rows; row++) {
        const votes = new Float64Array(classes);
        for (let i = row * neighbours; i < (row + 1) * neighbours; i++) {
          votes[train.labels[nearest[i]!]!]! += Math.exp(similarities[i]! / temperature);
        }
        found[at + row] = votes.indexOf(Math.max(...votes));
      }
    }
  });
  return found;
}

export interface LinearProbeOptions {
  steps: number;
  lr: number;
  weightDecay: number;
}

/**
 * A linear classifier on frozen features: each dimension standardised by the training rows (a BatchNorm without scale,
 * as in MAE's linear probe, arXiv 2111.06377), softmax regression by Adam on all rows at once, cosine rate.
 * @returns the class that is found for each test row
 */
export function linearPredictions(
  train: LabelledFeatures,
  test: LabelledFeatures,
  classes: number,
  options: LinearProbeOptions,
): Int32Array {
  const answers = tf.tidy(() => {
    const matrix = (f: LabelledFeatures) => tf.tensor2d(f.features, [f.labels.length, f.width]);
    const { mean, variance } = tf.moments(matrix(train), 0);
    const scale = tf.rsqrt(tf.add(variance, 1e-6));
    const standard = (f: LabelledFeatures): tf.Tensor2D => tf.mul(tf.sub(matrix(f), mean), scale);
    const x = standard(train);
    const target = tf.cast(tf.oneHot(tf.tensor1d(train.labels, 'int32'), classes), 'float32');
    let state = [tf.zeros([train.width, classes]), tf.zeros([classes])].map((p) => ({
      p,
      m: tf.zerosLike(p),
      v: tf.zerosLike(p),
    }));
    for (let step = 0; step < options.steps; step++) {
      const rate = 0.5 * options.lr * (1 + Math.cos((Math.PI * step) / options.steps));
      const next = tf.tidy(() => {
        const [w, b] = state.map((s) => s.p) as [tf.Tensor2D, tf.Tensor1D];
        // The gradient of softmax regression, written out: (softmax(x W + b) - y) / n.
        const residual = tf.div(tf.sub(tf.softmax(tf.add(tf.matMul(x, w), b)), target), train.labels.length);
        const gradients = [tf.matMul(x, residual as tf.Tensor2D, true), tf.sum(residual, 0)];
        return state.flatMap(({ p, m, v }, i) => {
          const g = gradients[i]!;
          const m2 = tf.add(tf.mul(m, 0.9), tf.mul(g, 0.1));
          const v2 = tf.add(tf.mul(v, 0.999), tf.mul(tf.square(g), 0.001));
          const [c1, c2] = [1 - 0.9 ** (step + 1), 1 - 0.999 ** (step + 1)];
          const move = tf.div(tf.div(m2, c1), tf.add(tf.sqrt(tf.div(v2, c2)), 1e-8));
          const decay = i === 0 ? rate * options.weightDecay : 0;
          return [tf.sub(tf.mul(p, 1 - decay), tf.mul(move, rate)), m2, v2];
        });
      });
      tf.dispose(state.flatMap((s) => [s.p, s.m, s.v]));
      state = state.map((_, i) => ({ p: next[3 * i]!, m: next[3 * i + 1]!, v: next[3 * i + 2]! }));
    }
    const logits = tf.add(tf.matMul(standard(test), state[0]!.p as tf.Tensor2D), state[1]!.p);
    return tf.argMax(requireFiniteTensor(logits, 'The answers of the linear probe'), -1);
  });
  const found = answers.dataSync() as Int32Array;
  answers.dispose();
  return found.slice();
}

/** Share of rows whose class is found. */
export function accuracyOf(found: Int32Array, truth: Int32Array): number {
  return found.reduce((n, label, i) => n + (label === truth[i] ? 1 : 0), 0) / truth.length;
}

/** How often each class (row) was taken for each (column). */
export function confusionOf(found: Int32Array, truth: Int32Array, classes: number): number[][] {
  const matrix = Array.from({ length: classes }, () => Array<number>(classes).fill(0));
  truth.forEach((label, i) => {
    matrix[label]![found[i]!]!++;
  });
  return matrix;
}
