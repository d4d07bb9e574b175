import { patchesOf, type RunConfig } from '../../shared/config.ts';
import { toReport } from '../../shared/errors.ts';
import { ConMIM } from '../engine/conmim.ts';
import { loadBackend } from '../trainer/backend.ts';
import { untrainedState } from '../trainer/training.ts';
import type { Measured } from './estimate.ts';

/** Measures training steps on random images, and says what they cost. */
process.once('message', async ({ config, batch }: { config: RunConfig; batch: number }) => {
  let answer: Measured;
  try {
    await loadBackend();
    const state = untrainedState(config);
    const engine = new ConMIM(config, state, state);
    const noise = () =>
      Float32Array.from({ length: batch * config.model.image_size ** 2 * 3 }, () => 2 * Math.random() - 1);
    const K = patchesOf(config.model);
    const mask = Float32Array.from({ length: batch * K }, (_, i) => (i % 4 === 0 ? 0 : 1));
    const micro = { student: noise(), teacher: noise(), mask };
    const rates = { lr: 1e-6, weight_decay: 0, momentum: 0.99 };
    engine.step([micro], rates); // kernels are compiled for their shapes at first use
    const times = [1, 2].map(() => {
      const began = performance.now();
      engine.step([micro], rates);
      return (performance.now() - began) / 1000;
    });
    answer = { ok: true, images_per_s: batch / Math.min(...times), peak_memory: process.resourceUsage().maxRSS * 1024 };
  } catch (error) {
    answer = { ok: false, error: toReport(error) };
  }
  process.send!(answer, () => process.disconnect());
});
