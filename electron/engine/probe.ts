import * as tf from '@tensorflow/tfjs-core';
import { requireFinite, requireFiniteTensor } from './finite.ts';
import { AdamW } from './optimizers/adamw.ts';
import { sizeOf } from './parameters.ts';
import type { ParameterSpec } from './specs.ts';
import { Gradients, Weights } from './weights.ts';

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
 * as in MAE's linear probe, arXiv 2111.06377), softmax regression by AdamW on all rows at once, cosine rate.
 * @returns the class that is found for each test row
 */
export function linearPredictions(
  train: LabelledFeatures,
  test: LabelledFeatures,
  classes: number,
  options: LinearProbeOptions,
): Int32Array {
  const parameters: ParameterSpec[] = [
    { name: 'weight', shape: [train.width, classes], decay: true, init: { kind: 'constant', value: 0 } },
    { name: 'bias', shape: [classes], decay: false, init: { kind: 'constant', value: 0 } },
  ];
  const zeros = { get: (name: string) => zerosOf(parameters.find((spec) => spec.name === name)!) };
  const weights = new Weights(parameters, zeros);
  const optimizer = new AdamW({ betas: [0.9, 0.999], eps: 1e-8 }, parameters);
  const matrix = (f: LabelledFeatures) => tf.tensor2d(f.features, [f.labels.length, f.width]);
  const [mean, scale] = tf.tidy(() => {
    const moments = tf.moments(matrix(train), 0);
    return [moments.mean, tf.rsqrt(tf.add(moments.variance, 1e-6))];
  }) as [tf.Tensor, tf.Tensor];
  const standard = (f: LabelledFeatures): tf.Tensor2D => tf.tidy(() => tf.mul(tf.sub(matrix(f), mean), scale));
  const logits = (x: tf.Tensor2D) => tf.add(tf.matMul(x, weights.get('weight') as tf.Tensor2D), weights.get('bias'));
  const x = standard(train);
  const target = tf.tidy(() => tf.cast(tf.oneHot(tf.tensor1d(train.labels, 'int32'), classes), 'float32'));
  try {
    for (let step = 0; step < options.steps; step++) {
      const rate = 0.5 * options.lr * (1 + Math.cos((Math.PI * step) / options.steps));
      const gradients = new Gradients();
      // The gradient of softmax regression, written out: (softmax(x W + b) - y) / n.
      const [ofWeight, ofBias] = tf.tidy(() => {
        const residual: tf.Tensor2D = tf.div(tf.sub(tf.softmax(logits(x)), target), train.labels.length);
        return [tf.matMul(x, residual, true), tf.sum(residual, 0)];
      }) as [tf.Tensor, tf.Tensor];
      gradients.add('weight', ofWeight);
      gradients.add('bias', ofBias);
      optimizer.update(weights, gradients, 1, rate, options.weightDecay);
    }
    const answers = tf.tidy(() =>
      tf.argMax(requireFiniteTensor(logits(standard(test)), 'The answers of the linear probe'), -1),
    );
    const found = answers.dataSync() as Int32Array;
    answers.dispose();
    return found.slice();
  } finally {
    tf.dispose([mean, scale, x, target]);
    optimizer.dispose();
    weights.dispose();
  }
}

const zerosOf = ({ shape }: ParameterSpec) => ({ shape, data: new Float32Array(sizeOf(shape)) });

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
