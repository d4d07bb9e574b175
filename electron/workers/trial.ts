import type { BackendName } from '../../shared/backends.ts';
import { type RunConfig, runConfigSchema } from '../../shared/config.ts';
import { AppError } from '../../shared/errors.ts';
import { median, timeSteps } from '../bench/step.ts';
import { loadBackend } from '../runtime/backend.ts';
import type { TrialMessage } from '../services/machine/backend-trial.ts';

/**
 * A process that tries the backend that its first argument names: whole training steps of a small network on noise.
 * After every part it says what is known so far.
 */
const BATCH = 8;
/** Seconds of timed steps, and how many they may be. */
const SECONDS = 2;
const MOST_STEPS = 20;
const config: RunConfig = runConfigSchema.parse({
  model: { embed_dim: 192, depth: 2, num_heads: 3, image_size: 64, patch_size: 8 },
  projector: { hidden: 512 },
  mask: { kind: 'uniform' },
});

const say = (message: TrialMessage) => new Promise<void>((resolve) => process.send!(message, () => resolve()));

async function trial(name: BackendName): Promise<void> {
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  const { device } = await loadBackend(name);
  const load_s = seconds();
  const figures = { device, images_per_s: null, load_s, first_step_s: null, steps: 0, why: '' };
  await say({ type: 'figures', value: figures });
  const [second] = timeSteps(config, BATCH, 1) as [number];
  const first_step_s = seconds() - load_s - second;
  const tell = (times: number[]) => {
    const value = { ...figures, first_step_s, images_per_s: BATCH / median(times), steps: times.length };
    return say({ type: 'figures', value });
  };
  await tell([second]);
  const more = Math.min(MOST_STEPS, Math.floor(SECONDS / second) - 1); // one more warms up
  if (more > 0) await tell(timeSteps(config, BATCH, more));
}

const whyOf = (error: unknown) =>
  error instanceof AppError ? error.why || error.message : ((error as Error).message.split('\n')[0] ?? '');

void trial(process.argv[2] as BackendName)
  .then(
    () => say({ type: 'end' }),
    (error) => say({ type: 'fault', why: whyOf(error) }),
  )
  .then(() => process.exit());
// Whoever asked is gone: nobody waits for the answer.
process.once('disconnect', () => process.exit());
