import { statSync } from 'node:fs';
import { basename } from 'node:path';
import type { RunConfig } from '../../shared/config.ts';
import type { ImportedWeights, Input } from '../../shared/contract/index.ts';
import { AppError, toReport } from '../../shared/errors.ts';
import { measureSizes } from '../bench/step.ts';
import { loadBackend } from '../runtime/backend.ts';
import { choosePrecision, engineOptions } from '../runtime/precision.ts';
import { type ImportProgress, importDataset, rescan } from '../services/datasets/datasets.ts';
import { prepareDataset } from '../services/datasets/prepare.ts';
import { exportEmbeddings } from '../services/embeddings/embeddings.ts';
import { evaluate } from '../services/evaluation/evaluation.ts';
import type { EvaluateOptions } from '../services/evaluation/types.ts';
import { computeMap } from '../services/explore/feature-map.ts';
import { computeProbes } from '../services/explore/probe-strip.ts';
import { exportEncoder } from '../services/export/export.ts';
import { exportWeights, importWeights } from '../services/export/weights.ts';
import type { Job, JobMessage } from '../services/ground/jobs.ts';
import { writeHealthReport } from '../services/health/report.ts';
import { doctor } from '../services/machine/doctor.ts';
import type { SizeCost } from '../services/recipes/estimate.ts';
import { PatchIndexes } from '../services/retrieval/patch-index.ts';
import { buildTravel } from '../services/retrieval/travel.ts';
import { quickCheck } from '../store/check.ts';
import { Store } from '../store/store.ts';

/**
 * A process for one piece of work: native code that crashes, or memory that runs out, ends this
 * and nothing else, and cancelling is ending it.
 */
const say = (message: JobMessage) => process.send!(message);

async function work(job: Job): Promise<unknown> {
  const onProgress = (done: number, total: number, phase: string) => say({ type: 'progress', done, total, phase });
  switch (job.kind) {
    case 'estimate':
      await loadBackend();
      return measure(job.config, job.sizes);
    case 'doctor':
      return doctor(job.home);
    case 'check':
      return quickCheck(job.database);
    case 'export':
    case 'import-weights': {
      const store = Store.open(job.database);
      try {
        return job.kind === 'export' ? exportEncoder(store, job.options) : read(store, job.input);
      } finally {
        store.close();
      }
    }
    case 'import':
    case 'rescan':
    case 'prepare':
    case 'export-weights':
      return withoutEngine(job, onProgress);
    case 'evaluate':
    case 'embeddings':
    case 'health':
    case 'index':
    case 'travel':
    case 'map':
    case 'probes': {
      await loadBackend();
      const store = Store.open(job.database);
      try {
        if (job.kind === 'health') return await writeHealthReport(store, job.options, { onProgress });
        if (job.kind === 'embeddings') return await exportEmbeddings(store, job.options, { onProgress });
        if (job.kind === 'index') return await new PatchIndexes(store).build(job.spec, { onProgress });
        if (job.kind === 'map') return await computeMap(store, job.input, onProgress);
        if (job.kind === 'travel') return await buildTravel(store, new PatchIndexes(store), job.input, { onProgress });
        return job.kind === 'probes'
          ? await computeProbes(store, job.run, onProgress)
          : await evaluateInTurn(store, { ...job.options, onProgress });
      } finally {
        store.close();
      }
    }
  }
}

async function withoutEngine(
  job: Extract<Job, { kind: 'import' | 'rescan' | 'prepare' | 'export-weights' }>,
  onProgress: (done: number, total: number, phase: string) => void,
): Promise<unknown> {
  const store = Store.open(job.database);
  const scanned = ({ phase, found, done, total, perSecond, current }: ImportProgress) =>
    phase === 'finding'
      ? onProgress(found, 0, 'looking for files')
      : onProgress(done, total, `${Math.round(perSecond)} files/s${current ? `, ${basename(current)}` : ''}`);
  try {
    if (job.kind === 'import') return await importDataset(store, { ...job.options, onProgress: scanned });
    if (job.kind === 'rescan') return await rescan(store, store.datasets.get(job.dataset), { onProgress: scanned });
    if (job.kind === 'prepare') return await prepareDataset(store, { ...job.options, onProgress });
    const { checkpoint, file, part, replace } = job.options;
    exportWeights(store, checkpoint, file, part, { replace });
    return { path: file, bytes: statSync(file).size };
  } finally {
    store.close();
  }
}

async function evaluateInTurn(store: Store, options: EvaluateOptions & { queued: number }) {
  const { queuedEvaluations } = store;
  const id = options.queued;
  const lock = queuedEvaluations.claim(id, process.pid);
  if (lock === null)
    throw new AppError('conflict', 'Another process computes just now.', '', 'It is begun once that has ended.');
  try {
    return await evaluate(store, options);
  } finally {
    lock.remove();
  }
}

function read(store: Store, { file, name, heads }: Input<'weights.import'>): ImportedWeights {
  const settings: Record<string, Record<string, unknown>> = heads === null ? {} : { model: { num_heads: heads } };
  const { checkpoint, notes, ignored } = importWeights(store, file, name ?? undefined, settings);
  return { run: checkpoint.run_id, notes, ignored };
}

/** Training steps on random images: what they cost. */
function measure(config: RunConfig, sizes: readonly number[]): SizeCost[] {
  const { precision } = choosePrecision(config.train.mixed_precision);
  return measureSizes(config, sizes, 2, engineOptions(config, precision));
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
