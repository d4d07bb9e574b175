import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { methodOf } from '../../methods/index.ts';
import type { RunConfig } from '../../shared/config.ts';
import type { ImportedWeights, Input, SizeCost } from '../../shared/contract/index.ts';
import { AppError } from '../../shared/errors.ts';
import { measureSizes } from '../bench/step.ts';
import { answer } from '../processes/answer.ts';
import type { Progress } from '../processes/asked-process.ts';
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
import type { Jobs } from '../services/ground/jobs.ts';
import { showHealth, writeHealthReport } from '../services/health/report.ts';
import { doctor } from '../services/machine/doctor.ts';
import { PatchIndexes } from '../services/retrieval/patch-index.ts';
import { buildTravel } from '../services/retrieval/travel.ts';
import { quickCheck } from '../store/check.ts';
import { Store } from '../store/store.ts';

/**
 * A process for one piece of work: native code that crashes, or memory that runs out, ends this
 * and nothing else, and cancelling is ending it.
 */
answer<Jobs>({
  estimate: async ({ config, sizes }) => {
    await loadBackend();
    return measure(config, sizes);
  },
  doctor: ({ home }) => doctor(home),
  check: ({ database }) => quickCheck(database),
  export: ({ database, options }) => withStore(database, (store) => exportEncoder(store, options)),
  'import-weights': ({ database, input }) => withStore(database, (store) => read(store, input)),
  'export-weights': ({ database, options: { checkpoint, file, part, replace } }) =>
    withStore(database, (store) => {
      exportWeights(store, checkpoint, file, part, { replace });
      return { path: file, bytes: statSync(file).size };
    }),
  import: ({ database, options }, onProgress) =>
    withStore(database, (store) => importDataset(store, { ...options, onProgress: scanned(onProgress) })),
  rescan: ({ database, dataset }, onProgress) =>
    withStore(database, (store) => rescan(store, store.datasets.get(dataset), { onProgress: scanned(onProgress) })),
  prepare: ({ database, options }, onProgress) =>
    withStore(database, (store) => prepareDataset(store, { ...options, onProgress })),
  evaluate: ({ database, options }, onProgress) =>
    withEngine(database, (store) => evaluateInTurn(store, { ...options, onProgress })),
  health: ({ database, options }, onProgress) =>
    withEngine(database, (store) => writeHealthReport(store, options, { onProgress })),
  'health-page': ({ database, options }, onProgress) =>
    withEngine(database, (store) => showHealth(store, options, onProgress)),
  embeddings: ({ database, options }, onProgress) =>
    withEngine(database, (store) => exportEmbeddings(store, options, { onProgress })),
  index: ({ database, spec }, onProgress) =>
    withEngine(database, (store) => new PatchIndexes(store).build(spec, { onProgress })),
  travel: ({ database, input }, onProgress) =>
    withEngine(database, (store) => buildTravel(store, new PatchIndexes(store), input, { onProgress })),
  map: ({ database, input }, onProgress) => withEngine(database, (store) => computeMap(store, input, onProgress)),
  probes: ({ database, run }, onProgress) => withEngine(database, (store) => computeProbes(store, run, onProgress)),
});

async function withStore<T>(database: string, work: (store: Store) => T | Promise<T>): Promise<T> {
  const store = Store.open(database);
  try {
    return await work(store);
  } finally {
    store.close();
  }
}

async function withEngine<T>(database: string, work: (store: Store) => T | Promise<T>): Promise<T> {
  await loadBackend();
  return withStore(database, work);
}

const scanned =
  (onProgress: Progress) =>
  ({ phase, found, done, total, perSecond, current }: ImportProgress) =>
    phase === 'finding'
      ? onProgress(found, 0, 'looking for files')
      : onProgress(done, total, `${Math.round(perSecond)} files/s${current ? `, ${basename(current)}` : ''}`);

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

async function read(store: Store, { file, name, method, settings }: Input<'weights.import'>): Promise<ImportedWeights> {
  const options = { name: name ?? undefined, method: method ?? undefined, settings };
  const { checkpoint, notes, ignored } = await importWeights(store, file, options);
  return { run: checkpoint.run_id, method: methodOf(checkpoint.config).title, notes, ignored };
}

/** Training steps on random images: what they cost. */
function measure(config: RunConfig, sizes: readonly number[]): SizeCost[] {
  const { precision } = choosePrecision(config.train.mixed_precision);
  return measureSizes(config, sizes, 2, engineOptions(config, precision));
}
