import { createHash } from 'node:crypto';
import { requireLookups, requireMask } from '../../../methods/index.ts';
import { lookupsOf } from '../../../methods/lookups.ts';
import { gridOf } from '../../../shared/config.ts';
import type { ProbeStrip } from '../../../shared/contract/explore.ts';
import type { ImageRow } from '../../../shared/dataset.ts';
import { AppError } from '../../../shared/errors.ts';
import { leftOutWords } from '../../../shared/left-out.ts';
import type { Run } from '../../../shared/run.ts';
import { stream } from '../../data/random.ts';
import { ImageReader } from '../../data/readable.ts';
import { fileOf } from '../../store/image-file.ts';
import type { Store } from '../../store/store.ts';
import { untrainedState } from '../../trainer/training.ts';
import { readableBatches } from '../evaluation/batches.ts';
import { wholeNetwork } from '../ground/networks.ts';
import { centrePixels, normalisePixels, pictureUrl, stack } from '../ground/pictures.ts';

/** Images that are shown; so many more keep them company, for BatchNorm takes a batch's statistics. */
const SHOWN = 4;
const ASKED = 16;
/** Fixed, so that every checkpoint and every run on the same data is asked the same. */
const SEED = 20230501;

interface Probe {
  rows: ImageRow[];
  /** `[side, side, 3]` each. */
  pixels: Uint8Array[];
  masks: Uint8Array[];
  /** Names what is asked. */
  key: string;
}

/** Images that keep another company in a batch: fixed, so that it is always the same. @returns their pixels */
export async function companyOf(store: Store, run: Run, without: number): Promise<Uint8Array[]> {
  const { rows, pixels } = await probesOf(store, run);
  return pixels.filter((_, i) => rows[i]!.id !== without).slice(0, ASKED - 1);
}

/**
 * The fixed images of a run and their masks; in place of one that cannot be read any more stands the next.
 * @throws AppError not-found for weights without a dataset, and where no image can be read
 */
async function probesOf(store: Store, run: Run): Promise<Probe> {
  if (run.dataset_id === null)
    throw new AppError('not-found', 'These weights were imported and have no dataset to take images from.');
  const dataset = store.datasets.get(run.dataset_id);
  const rank = (image: ImageRow) => createHash('sha256').update(`${SEED} ${image.hash}`).digest('hex');
  // By content, so that images that are added later change the choice as little as can be.
  const rows: (readonly [string, ImageRow])[] = [];
  for (const image of store.images.iterate(dataset.id, { status: 'ok' })) rows.push([rank(image), image]);
  requireLookups({ config: run.config, lacks: [] });
  const { model } = run.config;
  const candidates = rows
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, image]) => ({ ...image, file: fileOf(dataset, image) }));
  const reader = new ImageReader();
  const read = (file: string) => centrePixels(file, model.image_size);
  const first = await readableBatches(candidates, ASKED, reader, read).next();
  const chosen = first.done ? [] : first.value;
  if (chosen.length === 0) {
    const why = leftOutWords(reader.leftOut, candidates.length);
    throw new AppError('not-found', `No image of "${dataset.name}" can be read.`, why, 'Check its folders.');
  }
  return {
    rows: chosen.map(({ image }) => image),
    pixels: chosen.map(({ value }) => value),
    masks: chosen.map(({ image }) =>
      requireMask(run.config, stream(SEED, 0, Number.parseInt(image.hash.slice(0, 8), 16), 'probe')),
    ),
    key: createHash('sha256')
      .update(chosen.map(({ image }) => image.hash).join())
      .digest('hex'),
  };
}

/** What is known of the strip without computing. */
export async function probeStrip(store: Store, runId: number): Promise<ProbeStrip> {
  const run = store.runs.get(runId);
  const probe = await probesOf(store, run);
  const answers = store.probes.list(runId, probe.key);
  const checkpoints = new Map(store.checkpoints.list(runId).map((c) => [c.step, c.id]));
  const side = run.config.model.image_size;
  const images = await Promise.all(
    probe.rows.slice(0, SHOWN).map(async (image, i) => {
      return {
        image: image.id,
        path: image.path,
        picture: await pictureUrl(probe.pixels[i]!, side),
        mask: [...probe.masks[i]!].map(Boolean),
      };
    }),
  );
  const steps = [...new Set([0, ...answers.keys(), ...checkpoints.keys()])].sort((a, b) => a - b);
  return {
    grid: gridOf(run.config.model),
    images,
    columns: steps.map((step) => ({
      checkpoint: checkpoints.get(step) ?? null,
      step,
      answers: answers.get(step) ?? null,
    })),
  };
}

/** Asks every checkpoint, and the untrained network, what was not asked yet. Needs a backend to be set. */
export async function computeProbes(
  store: Store,
  runId: number,
  onProgress: (done: number, total: number, phase: string) => void,
): Promise<{ computed: number }> {
  const run = store.runs.get(runId);
  const probe = await probesOf(store, run);
  const known = store.probes.list(runId, probe.key);
  const wanted = [
    ...(known.has(0) ? [] : [{ step: 0, id: null }]),
    ...store.checkpoints.list(runId).filter(({ step }) => !known.has(step)),
  ];
  const lookups = await lookupsOf({ config: run.config, lacks: [] });
  const images = stack(probe.pixels.map((p) => normalisePixels(p, run.config.augment)));
  for (const [i, { step, id }] of wanted.entries()) {
    onProgress(i, wanted.length, step === 0 ? 'the untrained network' : `step ${step}`);
    const untrained = id === null ? untrainedState(run.config) : null;
    const student = wholeNetwork(run.config, untrained ?? store.checkpoints.load(id!, 'student'));
    const teacher = wholeNetwork(run.config, untrained ?? store.checkpoints.load(id!, 'teacher'));
    try {
      const answers = lookups.answers({ student, teacher }, { images, masks: probe.masks }, run.config).slice(0, SHOWN);
      const kept = answers.map((of) => of.map(({ patch, best, rank }) => ({ patch, best, rank })));
      store.probes.save(runId, step, probe.key, kept);
    } finally {
      student.dispose();
      teacher.dispose();
    }
  }
  onProgress(wanted.length, wanted.length, 'done');
  return { computed: wanted.length };
}
