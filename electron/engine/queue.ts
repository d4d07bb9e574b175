import * as tf from '@tensorflow/tfjs-core';
import type { Uniform } from '../../shared/random.ts';
import type { Network } from './network.ts';
import { fillNormal } from './parameters.ts';
import type { BufferSpec } from './specs.ts';

/** Keys that were made in earlier steps, first in, first out (MoCo, arXiv 1911.05722, section 3.2): a buffer and its pointer. */
export interface QueueNames {
  /** Of the buffer `[width, length]`, a key a column. */
  queue: string;
  /** Of the buffer `[1]`: the column that the next key goes to. Several queues may share one. */
  pointer: string;
}

/** A queue as it starts: random columns of unit length. */
export const queueBuffer = (name: string, width: number, length: number): BufferSpec => ({
  name,
  shape: [width, length],
  value: (random) => unitColumns(width, length, random),
});

export const pointerBuffer = (name: string): BufferSpec => ({ name, shape: [1], value: 0 });

function unitColumns(width: number, length: number, random: Uniform): Float32Array {
  const data = fillNormal(new Float32Array(width * length), 1, 1, random, () => true);
  for (let column = 0; column < length; column++) {
    let square = 0;
    for (let row = 0; row < width; row++) square += data[row * length + column]! ** 2;
    for (let row = 0; row < width; row++) data[row * length + column]! /= Math.sqrt(square);
  }
  return data;
}

/**
 * Writes keys over the oldest of a queue. The pointer stays: `advance` moves it, once all queues that share it have theirs.
 * @param keys `[rows, width]`; they stay the caller's
 * @throws RangeError where the queue does not hold a whole number of such batches
 */
export function enqueue(network: Network, { queue, pointer }: QueueNames, keys: tf.Tensor2D): void {
  const [width, length] = network.buffer(queue).shape as [number, number];
  const rows = keys.shape[0];
  if (length % rows !== 0) throw new RangeError(`a queue of ${length} does not hold whole batches of ${rows}`);
  const at = network.buffer(pointer).dataSync()[0]!;
  network.updateBuffer(queue, (old) => {
    const part = (from: number, to: number) => tf.slice(old as tf.Tensor2D, [0, from], [width, to - from]);
    return tf.concat([part(0, at), tf.transpose(keys), part(at + rows, length)], 1);
  });
}

/** Moves the pointer on by the rows that were written, round the queue's end. */
export function advance(network: Network, { queue, pointer }: QueueNames, rows: number): void {
  const length = network.buffer(queue).shape[1]!;
  network.updateBuffer(pointer, (old) => tf.tensor1d([(old.dataSync()[0]! + rows) % length]));
}
