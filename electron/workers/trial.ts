import { parseRunConfig } from '../../methods/index.ts';
import type { BackendName, TrialResult } from '../../shared/backends.ts';
import type { RunConfig } from '../../shared/config.ts';
import { median, timeSteps } from '../bench/step.ts';
import { answer } from '../processes/answer.ts';
import type { Progress } from '../processes/asked-process.ts';
import { loadBackend } from '../runtime/backend.ts';
import type { TrialQuestions } from '../services/machine/backend-trial.ts';

/**
 * A process that tries one backend: whole training steps of a small network on noise. It reports after every part, so that
 * one that hangs is noticed.
 */
const BATCH = 8;
/** Seconds of timed steps, and how many they may be. */
const SECONDS = 2;
const MOST_STEPS = 20;
const config: RunConfig = parseRunConfig({
  model: { embed_dim: 192, depth: 2, num_heads: 3, image_size: 64, patch_size: 8 },
  projector: { hidden: 512 },
  mask: { kind: 'uniform' },
});

async function trial(name: BackendName, onProgress: Progress): Promise<Omit<TrialResult, 'name'>> {
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  const { device } = await loadBackend(name);
  const load_s = seconds();
  onProgress(0, MOST_STEPS, 'loaded');
  const [second] = timeSteps(config, BATCH, 1).seconds as [number];
  const first_step_s = seconds() - load_s - second;
  onProgress(1, MOST_STEPS, 'first step');
  const more = Math.min(MOST_STEPS, Math.floor(SECONDS / second) - 1); // one more warms up
  const times = more > 0 ? timeSteps(config, BATCH, more).seconds : [second];
  return { device, images_per_s: BATCH / median(times), load_s, first_step_s, steps: times.length, why: '' };
}

answer<TrialQuestions>({ trial });
