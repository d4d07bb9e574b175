import * as tf from '@tensorflow/tfjs-core';
import type { Network } from './network.ts';
import type { QueueNames } from './queue.ts';

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
