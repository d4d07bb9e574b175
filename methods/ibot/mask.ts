import { blocks, chosen, type MaskShape } from '../../shared/masking.ts';
import type { Uniform } from '../../shared/random.ts';
import type { IBOTRunConfig } from './config.ts';

/** Blocks have this share of a side at least, squared. */
const LEAST_SIDE = 1 / 3;

/** Which patches of a large crop are hidden, `[K]`, 1 = masked: of some crops none (`ImageFolderMask` of loader.py). */
export function makeMask(
  { mask }: Pick<IBOTRunConfig, 'mask'>,
  { grid }: Pick<MaskShape, 'grid'>,
  random: Uniform,
): Uint8Array {
  const share = mask.ratio + mask.ratio_var * (2 * random.next() - 1);
  const K = grid ** 2;
  if (random.next() < mask.unmasked) return new Uint8Array(K);
  if (mask.kind === 'random') return chosen(K, Math.floor(share * K), random);
  return blockMask(grid, share, random);
}

/** Blocks of a third of a side squared at least. @param share of patches that are wanted; the number is no whole one */
export const blockMask = (grid: number, share: number, random: Uniform): Uint8Array =>
  blocks(grid, share * grid * grid, { least: Math.floor(grid * LEAST_SIDE) ** 2, most: null }, random);
