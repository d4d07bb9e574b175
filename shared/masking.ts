import type { MaskConfig } from './config.ts';
import type { Uniform } from './random.ts';

export interface MaskShape {
  /** Patches along a side. */
  grid: number;
  /** Pixels. */
  patchSize: number;
  /** Pixels. */
  imageSize: number;
}

/** Which patches are hidden from the student: `[K]`, 1 = masked. At least one is masked, and at least one is not. */
export function makeMask(config: MaskConfig, shape: MaskShape, random: Uniform): Uint8Array {
  const K = shape.grid ** 2;
  const mask =
    config.kind === 'random_mps32'
      ? unitMask(config, shape, random)
      : config.kind === 'block'
        ? blockMask(config, shape.grid, random)
        : chosen(K, Math.trunc(config.ratio * K), random);
  const masked = mask.reduce((a, b) => a + b, 0);
  if (masked === 0) mask[int(random, K)] = 1;
  if (masked === K) mask[int(random, K)] = 0;
  return mask;
}

const int = (random: Uniform, n: number) => Math.floor(random.next() * n);
const between = (random: Uniform, low: number, high: number) => low + (high - low) * random.next();

/** `count` of `n` places, every choice equally likely. */
export function chosen(n: number, count: number, random: Uniform): Uint8Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  const mask = new Uint8Array(n);
  for (let i = 0; i < count; i++) {
    const j = i + int(random, n - i);
    [order[i], order[j]] = [order[j]!, order[i]!];
    mask[order[i]!] = 1;
  }
  return mask;
}

/** Squares of several patches, as many as the ratio asks for, rounded up (`MaskGenerator` of masking_generator.py, SimMIM's). */
function unitMask(config: MaskConfig, { grid, patchSize, imageSize }: MaskShape, random: Uniform): Uint8Array {
  const units = imageSize / config.unit;
  const scale = config.unit / patchSize;
  const coarse = chosen(units * units, Math.ceil(units * units * config.ratio), random);
  const mask = new Uint8Array(grid * grid);
  for (let y = 0; y < grid; y++) {
    for (let x = 0; x < grid; x++) mask[y * grid + x] = coarse[Math.floor(y / scale) * units + Math.floor(x / scale)]!;
  }
  return mask;
}

const MIN_ASPECT = 0.3;
const ATTEMPTS = 10;

/** BEiT's blocks (arXiv 2106.08254, algorithm 1; `MaskingGenerator` of masking_generator.py): their number differs per image. */
const blockMask = ({ ratio, block_min_patches, block_max_patches }: MaskConfig, grid: number, random: Uniform) =>
  blocks(grid, Math.trunc(ratio * grid * grid), { least: block_min_patches, most: block_max_patches }, random);

/**
 * Blocks until so many patches are masked, or until none fits: never more, often fewer.
 * @param wanted need not be whole
 * @param least area of a block; `most`: null for as many as are still wanted
 */
export function blocks(
  grid: number,
  wanted: number,
  { least, most: limit }: { least: number; most: number | null },
  random: Uniform,
): Uint8Array {
  const mask = new Uint8Array(grid * grid);
  let count = 0;
  while (count < wanted) {
    const most = Math.min(wanted - count, limit ?? wanted);
    const added = addBlock(mask, grid, least, most, random);
    if (added === 0) break;
    count += added;
  }
  return mask;
}

function addBlock(mask: Uint8Array, grid: number, least: number, most: number, random: Uniform): number {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const area = between(random, least, most);
    const aspect = Math.exp(between(random, Math.log(MIN_ASPECT), -Math.log(MIN_ASPECT)));
    const h = Math.round(Math.sqrt(area * aspect));
    const w = Math.round(Math.sqrt(area / aspect));
    if (w >= grid || h >= grid) continue;
    const top = int(random, grid - h + 1);
    const left = int(random, grid - w + 1);
    const fresh: number[] = [];
    for (let y = top; y < top + h; y++) {
      for (let x = left; x < left + w; x++) if (!mask[y * grid + x]) fresh.push(y * grid + x);
    }
    if (fresh.length === 0 || fresh.length > most) continue;
    for (const at of fresh) mask[at] = 1;
    return fresh.length;
  }
  return 0;
}
