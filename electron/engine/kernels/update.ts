import * as tf from '@tensorflow/tfjs-core';
import { compiledKernel, int, isCompiled } from './device.ts';

/** A parameter and its moments, of one shape. */
export interface Moments {
  p: tf.Tensor;
  m: tf.Tensor;
  v: tf.Tensor;
}

/** The numbers of one update, with its corrections of bias worked out. */
export interface AdamWNumbers {
  /** Factor of the gradient. */
  clip: number;
  /** Factor of the parameter: 1 - lr * weight decay. */
  keep: number;
  betas: readonly [number, number];
  /** 1 / sqrt(1 - beta2^t). */
  correction: number;
  eps: number;
  /** lr / (1 - beta1^t). */
  rate: number;
}

/** A parameter with its gradient and the numbers of its update. */
export interface Update extends Moments {
  gradient: tf.Tensor;
  numbers: AdamWNumbers;
}

/**
 * One update of AdamW (arXiv 1711.05101, algorithm 2; the arithmetic of `torch.optim.AdamW`) of parameters, all at once.
 * Disposes of all tensors but the gradients, and returns what replaces them; compiled, it writes into them and returns the
 * same.
 */
export function adamW(updates: readonly Update[]): Moments[] {
  if (!isCompiled()) return updates.map(adamWPlain);
  const rows = updates.map(({ numbers: n }) => [n.clip, n.keep, ...n.betas, n.correction, n.eps, n.rate]);
  const numbers = tf.tensor2d(rows);
  const lists = (['p', 'gradient', 'm', 'v'] as const).flatMap((key) => updates.map((update) => update[key]));
  compiledKernel('AdamW', null, [int('count', updates.length)], [...lists, numbers], 0);
  numbers.dispose();
  return updates.map(({ p, m, v }) => ({ p, m, v }));
}

/** The same, operation by operation. */
export function adamWPlain({ gradient, numbers: n, ...old }: Update): Moments {
  const next = tf.tidy(() => {
    const [b1, b2] = n.betas;
    const g = n.clip === 1 ? gradient : tf.mul(gradient, n.clip);
    const m = tf.add(tf.mul(old.m, b1), tf.mul(g, 1 - b1));
    const v = tf.add(tf.mul(old.v, b2), tf.mul(tf.square(g), 1 - b2));
    const denominator = tf.add(tf.mul(tf.sqrt(v), n.correction), n.eps);
    return { p: tf.sub(tf.mul(old.p, n.keep), tf.mul(tf.div(m, denominator), n.rate)), m, v };
  });
  tf.dispose([old.p, old.m, old.v]);
  return next;
}

/** momentum * teacher + (1 - momentum) * student, of as many tensors each. Disposes of `teachers`. */
export function average(
  teachers: readonly tf.Tensor[],
  students: readonly tf.Tensor[],
  momentum: number,
): readonly tf.Tensor[] {
  if (!isCompiled()) return averagePlain(teachers, students, momentum);
  const number = tf.tensor1d([momentum]);
  compiledKernel('Average', null, [int('count', teachers.length)], [...teachers, ...students, number], 0);
  number.dispose();
  return teachers;
}

/** The same, operation by operation. */
export const averagePlain = (
  teachers: readonly tf.Tensor[],
  students: readonly tf.Tensor[],
  momentum: number,
): tf.Tensor[] =>
  teachers.map((teacher, i) => {
    const next = tf.tidy(() => tf.add(tf.mul(teacher, momentum), tf.mul(students[i]!, 1 - momentum)));
    teacher.dispose();
    return next;
  });
