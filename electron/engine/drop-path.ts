import type { Uniform } from '../../shared/random.ts';
import type { DropPath } from './encoder.ts';

/**
 * Stochastic depth as timm's `drop_path` draws it: a branch of an image is left out with a probability that rises with the block, from 0
 * to `last`, and is scaled up where it stays.
 */
export function drawDropPath(
  batch: number,
  { depth, last }: { depth: number; last: number },
  random: Uniform,
): DropPath {
  return Array.from({ length: 2 * depth }, (_, branch) => {
    const probability = depth > 1 ? (last * Math.floor(branch / 2)) / (depth - 1) : 0;
    if (probability === 0) return null;
    const kept = 1 - probability;
    return Float32Array.from({ length: batch }, () => (random.next() < kept ? 1 / kept : 0));
  });
}
