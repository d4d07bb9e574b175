import { patchesOf, type RunConfig } from '../../shared/config.ts';
import { toReport } from '../../shared/errors.ts';
import { ConMIM } from '../engine/conmim.ts';
import { Store } from '../store/store.ts';
import { loadBackend } from '../trainer/backend.ts';
import { untrainedState } from '../trainer/training.ts';
import { exportEmbeddings } from './embeddings/embeddings.ts';
import { evaluate } from './evaluation.ts';
import { exportEncoder } from './export/export.ts';
import { writeHealthReport } from './health/report.ts';
import type { Job, JobMessage, Measured } from './jobs.ts';
import { computeProbes } from './probe-strip.ts';
import { PatchIndexes } from './retrieval/patch-index.ts';
import { buildTravel } from './retrieval/travel.ts';
import { doctor } from './runtime.ts';

/**
 * A process for one piece of work that needs the engine: native code that crashes, or memory that runs out, ends this
 * and nothing else, and cancelling is ending it.
 */
const say = (message: JobMessage) => process.send!(message);

async function work(job: Job): Promise<unknown> {
  const onProgress = (done: number, total: number, phase: string) => say({ type: 'progress', done, total, phase });
  switch (job.kind) {
    case 'estimate':
      await loadBackend();
      return measure(job.config, job.batch);
    case 'doctor':
      return doctor(job.home);
    case 'export': {
      const store = Store.open(job.database);
      try {
        return exportEncoder(store, job.options);
      } finally {
        store.close();
      }
    }
    case 'evaluate':
    case 'embeddings':
    case 'health':
    case 'index':
    case 'travel':
    case 'probes': {
      await loadBackend();
      const store = Store.open(job.database);
      try {
        if (job.kind === 'health') return await writeHealthReport(store, job.options, { onProgress });
        if (job.kind === 'embeddings') return await exportEmbeddings(store, job.options, { onProgress });
        if (job.kind === 'index') return await new PatchIndexes(store).build(job.spec, { onProgress });
        if (job.kind === 'travel') return await buildTravel(store, new PatchIndexes(store), job.input, { onProgress });
        return job.kind === 'probes'
          ? await computeProbes(store, job.run, onProgress)
          : await evaluate(store, { ...job.options, onProgress });
      } finally {
        store.close();
      }
    }
  }
}

/** Training steps on random images: what they cost. */
function measure(config: RunConfig, batch: number): Measured {
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
  return { images_per_s: batch / Math.min(...times), peak_memory: process.resourceUsage().maxRSS * 1024 };
}

process.once('message', (job: Job) => {
  void work(job)
    .then(
      (value): JobMessage => ({ type: 'result', value }),
      (error): JobMessage => ({ type: 'error', error: toReport(error) }),
    )
    .then((message) => process.send!(message, () => process.exit()));
});
// Whoever asked is gone: nobody waits for the answer.
process.once('disconnect', () => process.exit());
