import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { patchesOf, type RunConfig } from '../../shared/config.ts';
import { AppError, type ErrorReport, fromReport } from '../../shared/errors.ts';
import { parameterSpecs, sizeOf } from '../engine/parameters.ts';
import { stepsPerEpoch } from '../trainer/training.ts';

export interface Cost {
  /** Whole run. */
  seconds: number;
  images_per_s: number;
  /** Bytes of the measured process. */
  peak_memory: number;
  checkpoint_bytes: number;
  steps: number;
  /** What was measured, in words. */
  how: string;
}

/** Micro-batches are measured with at most so many patches of all images together, so that a large model ends too. */
const MOST_PATCHES = 4096;

/** What the measuring process answers. */
export type Measured = { ok: true; images_per_s: number; peak_memory: number } | { ok: false; error: ErrorReport };

/** Time, memory and disk of a run on this machine, from a few measured steps on random images in a process of its own. */
export async function estimateCost(config: RunConfig, images: number): Promise<Cost> {
  const batch = Math.max(2, Math.min(config.train.batch_size, Math.floor(MOST_PATCHES / patchesOf(config.model))));
  const worker = fileURLToPath(
    new URL(import.meta.url.endsWith('.ts') ? './estimate-worker.ts' : './estimate-worker.js', import.meta.url),
  );
  const child = fork(worker, [], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  const measured = await new Promise<Measured>((resolve, reject) => {
    child.once('message', (message) => resolve(message as Measured));
    child.once('error', reject);
    child.once('close', (code, signal) =>
      reject(
        new AppError(
          'trainer-died',
          'The measuring process ended without a word.',
          `${signal ?? `Exit code ${code}`}; too little memory does this.`,
          'Choose a smaller model or batch.',
        ),
      ),
    );
    child.send({ config, batch });
  });
  if (!measured.ok) throw fromReport(measured.error);
  const perEpoch = stepsPerEpoch(images, config);
  const steps = config.train.steps ?? config.train.epochs * perEpoch;
  const size = parameterSpecs(config.model, config.projector).reduce((sum, s) => sum + sizeOf(s.shape), 0);
  return {
    seconds: (steps * config.train.batch_size * config.train.accumulation) / measured.images_per_s,
    images_per_s: measured.images_per_s,
    peak_memory: measured.peak_memory,
    checkpoint_bytes: 4 * 4 * size, // student, teacher and two moments, float32
    steps,
    how: `estimated from 2 measured steps of ${batch} images after a warm-up step, without the loader`,
  };
}
