import * as tf from '@tensorflow/tfjs-core';
import type { MapFigures } from '../../../shared/feature-map.ts';
import { hostCopy } from '../../engine/host.ts';

/** Rows that are compared with all others at a time. */
const BLOCK = 256;
/** Cosines that differ by less are equal but for rounding. */
const ALIKE = 1e-6;

/** Rows of length one, in place: distances between them order as cosine does. @param rows `[n, dim]` */
export function normaliseRows(rows: Float32Array, dim: number): Float32Array {
  for (let at = 0; at < rows.length; at += dim) {
    const row = rows.subarray(at, at + dim);
    const length = Math.sqrt(row.reduce((sum, v) => sum + v * v, 0)) || 1;
    for (let d = 0; d < dim; d++) row[d]! /= length;
  }
  return rows;
}

/**
 * The nearest of each row among all, itself first: exact, in blocks. Needs a backend to be set.
 * @param rows `[n, dim]`, of length one
 * @param k so many, the row itself included
 * @returns indices, and Euclidean distances
 */
export function nearestRows(
  rows: Float32Array,
  dim: number,
  k: number,
  onProgress: (done: number) => void = () => {},
): { indices: number[][]; distances: number[][] } {
  const n = rows.length / dim;
  const all = tf.tensor2d(rows, [n, dim]);
  const [indices, distances]: [number[][], number[][]] = [[], []];
  for (let at = 0; at < n; at += BLOCK) {
    const size = Math.min(BLOCK, n - at);
    const [near, like] = tf.tidy(() => {
      const found = tf.topk(tf.matMul(tf.slice(all, [at, 0], [size, dim]), all, false, true), k);
      return [found.indices.dataSync().slice(), hostCopy(found.values)];
    });
    for (let i = 0; i < size; i++) {
      // Equal images are as near as the row is to itself, and may stand before it.
      const others = Array.from(near.subarray(i * k, (i + 1) * k), (j, place) => [j, like[i * k + place]!] as const)
        .filter(([j]) => j !== at + i)
        .slice(0, k - 1);
      indices.push([at + i, ...others.map(([j]) => j)]);
      distances.push([0, ...others.map(([, cosine]) => Math.sqrt(Math.max(0, 2 - 2 * cosine)))]);
    }
    onProgress(at + size);
  }
  all.dispose();
  return { indices, distances };
}

/**
 * How far neighbours on a map are neighbours by features: trustworthiness (Venna and Kaski, Neighborhood preservation
 * in nonlinear projection methods, 2001) and the share of neighbours that are kept. Needs a backend to be set.
 * @param rows `[n, dim]`, of length one
 * @param places `[n, 2]`
 * @param most so many rows, evenly, are asked
 */
export function mapFigures(rows: Float32Array, dim: number, places: Float32Array, k: number, most: number): MapFigures {
  const n = rows.length / dim;
  const used = Math.min(k, Math.floor((n - 1) / 2)); // trustworthiness is defined for fewer than half
  const sample = Math.min(n, most);
  const asked = Int32Array.from({ length: sample }, (_, i) => Math.floor((i * n) / sample));
  const all = tf.tensor2d(rows, [n, dim]);
  let [penalty, kept] = [0, 0];
  for (let at = 0; at < sample; at += BLOCK) {
    const some = asked.subarray(at, at + BLOCK);
    const like = tf.tidy(() => hostCopy(tf.matMul(tf.gather(all, tf.tensor1d(some, 'int32')), all, false, true)));
    some.forEach((row, i) => {
      const own = like.subarray(i * n, (i + 1) * n);
      for (const near of nearestOnMap(places, row, used)) {
        // Of images that are alike the middle rank: where all are, no neighbour is nearer than another.
        let rank = 1;
        for (let j = 0; j < n; j++) {
          if (j === row || j === near) continue;
          const closer = own[j]! - own[near]!;
          if (closer > ALIKE) rank++;
          else if (closer >= -ALIKE) rank += 0.5;
        }
        penalty += Math.max(0, rank - used);
        if (rank <= used) kept++;
      }
    });
  }
  all.dispose();
  return {
    k: used,
    n,
    sample,
    trustworthiness: 1 - (2 * penalty) / (sample * used * (2 * n - 3 * used - 1)),
    kept: kept / (sample * used),
  };
}

/** The k nearest of a place, without itself, the nearest first. */
function nearestOnMap(places: Float32Array, row: number, k: number): number[] {
  const best: [number, number][] = []; // distance squared, index
  const [x, y] = [places[2 * row]!, places[2 * row + 1]!];
  for (let j = 0; j < places.length / 2; j++) {
    if (j === row) continue;
    const far = (places[2 * j]! - x) ** 2 + (places[2 * j + 1]! - y) ** 2;
    if (best.length === k && far >= best.at(-1)![0]) continue;
    let place = best.length;
    while (place > 0 && best[place - 1]![0] > far) place--;
    best.splice(place, 0, [far, j]);
    if (best.length > k) best.pop();
  }
  return best.map(([, j]) => j);
}
