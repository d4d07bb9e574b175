import type { RunConfig } from '../../shared/config.ts';
import type { Storage } from '../engine/kernels/device.ts';
import type { EngineOptions } from '../engine/trainer.ts';
import { timeProducts } from '../engine/trial.ts';

/** Sixteen bits must be so much faster in a product before `auto` takes them. */
const WORTH = 1.2;

/**
 * How a run computes, by its settings and by what this machine does faster. Needs a backend to be set.
 * @param time of a product, milliseconds, or null where there is none of that kind
 */
export function choosePrecision(
  mode: RunConfig['train']['mixed_precision'],
  time: (storage: Storage) => number | null = timeProducts,
): { precision: Storage; why: string } {
  if (mode === 'off') return { precision: 'fp32', why: 'It was set.' };
  const [full, bf16] = [time('fp32'), time('bf16')];
  // A device without bf16 of its own (CUDA before Ampere) refuses it, or is far faster in fp16.
  const fp16 = bf16 === null || (mode === 'auto' && full !== null && bf16 * WORTH > full) ? time('fp16') : null;
  const found: [Storage, number | null][] = [
    ['bf16', bf16],
    ['fp16', fp16],
  ];
  for (const [precision, ms] of found) {
    if (ms === null) continue;
    const words = `a product takes ${ms.toFixed(1)} ms in ${precision}, ${full!.toFixed(1)} ms in fp32`;
    if (mode === 'on') return { precision, why: `It was set; here ${words}.` };
    if (full! > WORTH * ms) return { precision, why: `Here ${words}.` };
  }
  if (mode === 'on') return { precision: 'fp32', why: 'This backend has no 16-bit products.' };
  return { precision: 'fp32', why: 'Products of 16 bits are not faster here.' };
}

/** Settings of a configuration that change how a step is computed. */
export const engineOptions = (config: RunConfig, precision: Storage): EngineOptions => ({
  precision,
  recompute: config.train.recompute,
});
