import type * as tf from '@tensorflow/tfjs-core';
import { AppError } from '../../shared/errors.ts';
import { hostCopy } from './host.ts';

/**
 * Refuses NaN and infinity. Every comparison with NaN is false, so it would rank first and belong to no class: a figure made
 * of it would look sound.
 * @param what they are, at the start of a sentence, in the plural
 * @throws AppError diverged
 */
export function requireFinite(values: Float32Array, what: string): Float32Array {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i]!)) throw notFinite(what);
  return values;
}

/** The same of a tensor, which stays where it is. */
export function requireFiniteTensor<T extends tf.Tensor>(x: T, what: string): T {
  requireFinite(hostCopy(x), what); // on the host: shaders may assume that no number is NaN
  return x;
}

const notFinite = (what: string) =>
  new AppError(
    'diverged',
    `${what} are not finite numbers, so no figure can be made of them.`,
    'The weights hold NaN or infinity, or values so large that products of them overflow.',
    'Choose an earlier checkpoint, or import weights that are whole.',
  );
