import type { AugmentConfig } from '../../shared/config.ts';
import { compiledImaging } from './imaging.ts';

/** A table of network inputs for each byte of each channel, `[3, 256]`: byte / 255, minus mean, over standard deviation. */
export function normaliseTables({ mean, std }: Pick<AugmentConfig, 'mean' | 'std'>): Float32Array {
  return Float32Array.from({ length: 3 * 256 }, (_, i) => ((i & 255) / 255 - mean[i >> 8]!) / std[i >> 8]!);
}

/** RGB bytes through the tables, into as many floats. */
export function normalise(rgb: Uint8Array, tables: Float32Array, out: Float32Array): void {
  const compiled = compiledImaging();
  if (compiled) {
    compiled.normalise(rgb, tables, out);
    return;
  }
  for (let i = 0; i < rgb.length; i += 3) {
    out[i] = tables[rgb[i]!]!;
    out[i + 1] = tables[256 + rgb[i + 1]!]!;
    out[i + 2] = tables[512 + rgb[i + 2]!]!;
  }
}
