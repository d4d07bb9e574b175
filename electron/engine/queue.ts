import type { Uniform } from '../../shared/random.ts';
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
