import * as tf from '@tensorflow/tfjs-core';
import { hostTidy } from './host.ts';

/** Rows that are compared at once. */
const CHUNK = 16_384;

/** For each row its most similar centre. @param rows `[n, width]` @param centres `[lists, width]` */
export function nearestCentre(rows: Float32Array, centres: tf.Tensor2D): Int32Array {
  const width = centres.shape[1];
  const out = new Int32Array(rows.length / width);
  for (let at = 0; at < out.length; at += CHUNK) {
    const some = rows.subarray(at * width, Math.min(rows.length, (at + CHUNK) * width));
    const nearest = hostTidy(() =>
      tf.argMax(tf.matMul(tf.tensor2d(some, [some.length / width, width]), centres, false, true), 1),
    );
    out.set(nearest, at);
  }
  return out;
}

export interface KMeansOptions {
  lists: number;
  width: number;
  iterations: number;
  /** Uniform numbers in [0, 1) for a turn (0: for the start). Each turn has its own, so a resumed one draws the same. */
  randomOf: (turn: number) => () => number;
  /** State to resume from: the arguments of the last `onTurn`. */
  from?: { turn: number; centres: Float32Array } | null;
  /** Called before each turn with the turns that are done and their centres; what it throws ends the work. */
  onTurn?: ((turn: number, centres: Float32Array) => void | Promise<void>) | undefined;
}

/**
 * Spherical k-means (Dhillon and Modha, 2001): centres of unit length, similarity by cosine. A centre that is
 * nearest to no row is moved to a random one.
 * @param rows `[n, width]`, each of unit length, n >= lists @returns `[lists, width]`
 */
export async function kMeans(
  rows: Float32Array,
  { lists, width, iterations, randomOf, from = null, onTurn }: KMeansOptions,
): Promise<Float32Array> {
  const n = rows.length / width;
  const row = (i: number) => rows.subarray(i * width, (i + 1) * width);
  const centres = from ? from.centres.slice() : new Float32Array(lists * width);
  if (!from) {
    const random = randomOf(0);
    const start = Int32Array.from({ length: n }, (_, i) => i);
    for (let list = 0; list < lists; list++) {
      const other = list + Math.floor(random() * (n - list));
      [start[list], start[other]] = [start[other]!, start[list]!];
      centres.set(row(start[list]!), list * width);
    }
  }
  for (let turn = from?.turn ?? 0; turn < iterations; turn++) {
    await onTurn?.(turn, centres);
    const random = randomOf(turn + 1);
    const now = tf.tensor2d(centres, [lists, width]);
    const nearest = nearestCentre(rows, now);
    now.dispose();
    const counts = new Int32Array(lists);
    const sums = hostTidy(() => {
      let total: tf.Tensor = tf.zeros([lists, width]);
      for (let at = 0; at < n; at += CHUNK) {
        const some = rows.subarray(at * width, Math.min(rows.length, (at + CHUNK) * width));
        const part = tf.tidy(() =>
          tf.unsortedSegmentSum(
            tf.tensor2d(some, [some.length / width, width]),
            tf.tensor1d(nearest.subarray(at, at + CHUNK), 'int32'),
            lists,
          ),
        );
        const next = tf.add(total, part);
        tf.dispose([total, part]);
        total = next;
      }
      return total;
    });
    for (const list of nearest) counts[list]!++;
    for (let list = 0; list < lists; list++) {
      const sum = counts[list] === 0 ? row(Math.floor(random() * n)) : sums.subarray(list * width, (list + 1) * width);
      const length = Math.hypot(...sum) || 1;
      for (let d = 0; d < width; d++) centres[list * width + d] = sum[d]! / length;
    }
  }
  return centres;
}
