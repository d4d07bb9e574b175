import * as tf from '@tensorflow/tfjs-core';
import { compiledKernel, isCompiled } from './device.ts';

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

/**
 * One update of AdamW (arXiv 1711.05101, algorithm 2; the arithmetic of `torch.optim.AdamW`). The three tensors are
 * taken, and what stands in their place comes back; compiled, they are written to where they lie.
 */
export function adamW({ p, m, v }: Moments, gradient: tf.Tensor, n: AdamWNumbers): Moments {
  if (!isCompiled()) return adamWPlain({ p, m, v }, gradient, n);
  const numbers = tf.tensor1d([n.clip, n.keep, ...n.betas, n.correction, n.eps, n.rate]);
  compiledKernel('AdamW', 'fp32', [], [p, gradient, m, v, numbers], 0);
  numbers.dispose();
  return { p, m, v };
}

/** The same, operation by operation. */
export function adamWPlain(old: Moments, gradient: tf.Tensor, n: AdamWNumbers): Moments {
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

/** momentum * teacher + (1 - momentum) * student; `teacher` is taken. */
export function average(teacher: tf.Tensor, student: tf.Tensor, momentum: number): tf.Tensor {
  if (!isCompiled()) return averagePlain(teacher, student, momentum);
  const number = tf.tensor1d([momentum]);
  compiledKernel('Average', 'fp32', [], [teacher, student, number], 0);
  number.dispose();
  return teacher;
}

/** The same, operation by operation. */
export function averagePlain(teacher: tf.Tensor, student: tf.Tensor, momentum: number): tf.Tensor {
  const next = tf.tidy(() => tf.add(tf.mul(teacher, momentum), tf.mul(student, 1 - momentum)));
  teacher.dispose();
  return next;
}
