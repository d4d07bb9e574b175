import { createHash } from 'node:crypto';
import { UMAP } from 'umap-js';
import type { Checkpoint } from '../../../shared/checkpoint.ts';
import { patchesOf } from '../../../shared/config.ts';
import type { Input, MapView } from '../../../shared/contract/index.ts';
import type { ImageRow } from '../../../shared/dataset.ts';
import { AppError } from '../../../shared/errors.ts';
import type { MapFigures } from '../../../shared/feature-map.ts';
import { leftOutWords } from '../../../shared/left-out.ts';
import { stream } from '../../data/random.ts';
import { ImageReader } from '../../data/readable.ts';
import { concatenated } from '../../engine/health.ts';
import { FrozenNetwork } from '../../engine/inference.ts';
import type { MapKey } from '../../store/feature-maps.ts';
import { fileOf } from '../../store/image-file.ts';
import type { Store } from '../../store/store.ts';
import { untrainedState } from '../../trainer/training.ts';
import { extractFeatures, FeatureTable } from '../ground/features.ts';
import { mapFigures, nearestRows, normaliseRows } from './neighbours.ts';
import { principalComponents, projectRows } from './principal.ts';

/** Images on a map at most; of a larger dataset so many are taken evenly. */
export const MAP_LIMIT = 20_000;
const LEAST = 5;
/** UMAP's own defaults (arXiv 1802.03426), and a fixed seed. */
const NEIGHBOURS = 15;
const MIN_DISTANCE = 0.1;
const SEED = 20180209;
/** Unreadable images whose names are kept. */
const NAMED = 20;
/** Images whose neighbours among all are compared, for a map's figures. */
const SAMPLE = 2000;

type Ask = Input<'explore.map'>;

/** The images of a map and its name in the store. @throws AppError not-found */
export function mapSubject(
  store: Store,
  { checkpoint: id, dataset, part, untrained, pool }: Ask,
): { checkpoint: Checkpoint; rows: ImageRow[]; total: number; key: MapKey } {
  const checkpoint = store.checkpoints.get(id);
  const total = store.datasets.get(dataset).image_count;
  const rows = store.images.sample(dataset, MAP_LIMIT);
  const images = createHash('sha256')
    .update(`${untrained ? '' : checkpoint.created_at} ${rows.map((row) => `${row.id} ${row.hash}`)}`)
    .digest('hex');
  const key: MapKey = {
    run_id: checkpoint.run_id,
    checkpoint_id: untrained ? null : id,
    dataset_id: dataset,
    pool,
    images,
    network: untrained ? 'untrained' : part,
  };
  return { checkpoint, rows, total, key };
}

/** The map that was computed of these images, or null. Needs no engine. @throws AppError not-found */
export function storedMap(store: Store, ask: Ask): MapView | null {
  const { checkpoint, rows, key } = mapSubject(store, ask);
  const map = store.featureMaps.get(key);
  if (!map) return null;
  const byId = new Map(rows.map((row) => [row.id, row]));
  const shown = [...map.ids].map((id) => byId.get(id)!);
  const labels = [...new Set(shown.flatMap(({ label }) => label ?? []))].sort();
  const place = new Map(labels.map((label, i) => [label, i]));
  const round = (value: number) => Math.round(value * 1000) / 1000;
  return {
    ...map.result,
    step: ask.untrained ? 0 : checkpoint.step,
    created_at: map.created_at,
    ids: [...map.ids],
    hashes: shown.map(({ hash }) => hash.slice(0, 16)),
    paths: shown.map(({ path }) => path),
    x: Array.from(map.ids, (_, i) => round(map.places[2 * i]!)),
    y: Array.from(map.ids, (_, i) => round(map.places[2 * i + 1]!)),
    labels,
    label: shown.map(({ label }) => (label === null ? -1 : place.get(label)!)),
  };
}

/**
 * Features of a dataset's images, brought to two dimensions by UMAP, and kept. Needs a backend to be set.
 * @throws AppError not-found; bad-input where there are too few images
 */
export async function computeMap(
  store: Store,
  ask: Ask,
  onProgress: (done: number, total: number, phase: string) => void,
): Promise<{ images: number; figures: MapFigures }> {
  const { checkpoint, rows, total, key } = mapSubject(store, ask);
  const dim = checkpoint.config.model.embed_dim;
  const reader = new ImageReader();
  const all = await pooledFeatures(store, checkpoint, ask, rows, key, reader, (done) =>
    onProgress(done, rows.length, 'features'),
  );
  const readable = rows.flatMap((_, i) => (Number.isNaN(all[i * dim]!) ? [] : [i]));
  if (readable.length < LEAST) {
    const why = leftOutWords(reader.leftOut, rows.length) || `${readable.length} of its images can be read.`;
    throw new AppError('bad-input', `A map needs ${LEAST} images at least.`, why, 'Choose a dataset with more.');
  }
  const features = new Float32Array(readable.length * dim);
  readable.forEach((row, i) => {
    features.set(all.subarray(row * dim, (row + 1) * dim), i * dim);
  });
  normaliseRows(features, dim);
  const places = layOut(features, dim, onProgress);
  onProgress(0, 0, 'how far the map can be trusted');
  const figures = mapFigures(features, dim, places, NEIGHBOURS, SAMPLE);
  store.featureMaps.save(key, {
    places,
    ids: Int32Array.from(readable, (row) => rows[row]!.id),
    result: { total, unreadable: rows.length - readable.length, figures, left_out: reader.leftOut.slice(0, NAMED) },
  });
  return { images: readable.length, figures };
}

/** `[n, dim]`: the mean of each image's patch tokens, or its CLS token; NaN where it cannot be read. */
async function pooledFeatures(
  store: Store,
  { id, config }: Checkpoint,
  { part, untrained, pool }: Ask,
  rows: ImageRow[],
  key: MapKey,
  reader: ImageReader,
  onDone: (done: number) => void,
): Promise<Float32Array> {
  const { model, projector, augment } = config;
  const [dim, K] = [model.embed_dim, patchesOf(model)];
  const { folders } = store.datasets.get(key.dataset_id);
  const table = new FeatureTable(rows, 1, dim, reader, {
    parts: () => store.featureMaps.parts(key),
    save: (start, features) => store.featureMaps.savePart(key, start, features),
  });
  const network = new FrozenNetwork(
    model,
    projector,
    untrained ? untrainedState(config) : store.checkpoints.load(id, part),
  );
  const feature = (tokens: Float32Array) =>
    pool === 'cls' ? tokens.subarray(0, dim) : Float32Array.from({ length: dim }, (_, d) => meanOf(tokens, d, dim, K));
  const encode = (input: Float32Array, n: number) => {
    const tokens = network.tokens(input);
    const own = (i: number) => tokens.subarray(i * (K + 1) * dim, (i + 1) * (K + 1) * dim);
    return [concatenated(Array.from({ length: n }, (_, i) => feature(own(i))))];
  };
  try {
    await extractFeatures({
      images: rows,
      sink: table,
      reader,
      onDone,
      fileOf: (row) => fileOf({ folders }, row),
      encoder: { side: model.image_size, augment, encode },
    });
  } finally {
    network.dispose();
  }
  return table.columns[0]!;
}

/** One dimension over the K patches behind CLS. */
function meanOf(tokens: Float32Array, d: number, dim: number, K: number): number {
  let sum = 0;
  for (let patch = 1; patch <= K; patch++) sum += tokens[patch * dim + d]!;
  return sum / K;
}

/**
 * UMAP (McInnes, Healy and Melville, arXiv 1802.03426) on exact neighbours, begun from the first two principal
 * components: a random beginning tears apart what lies together. The same features give the same map.
 * @param features `[n, dim]`, of length one @returns `[n, 2]`
 */
export function layOut(
  features: Float32Array,
  dim: number,
  onProgress: (done: number, total: number, phase: string) => void,
): Float32Array {
  const n = features.length / dim;
  const k = Math.min(NEIGHBOURS, n - 1);
  const { indices, distances } = nearestRows(features, dim, k, (done) => onProgress(done, n, 'neighbours'));
  const random = stream(SEED, 0, 0, 'map');
  const umap = new UMAP({ nNeighbors: k, minDist: MIN_DISTANCE, random: () => random.next() });
  umap.setPrecomputedKNN(indices, distances);
  // With neighbours given it asks the rows for nothing but their number.
  const epochs = umap.initializeFit(indices);
  const start = projectRows(features, principalComponents(features, dim, 2));
  const widest = start.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-9);
  const places = umap.getEmbedding(); // what it works on, not a copy
  places.forEach((place, i) => {
    for (const c of [0, 1]) place[c] = (10 * start[2 * i + c]!) / widest + random.uniform(-1e-3, 1e-3);
  });
  for (let epoch = 0; epoch < epochs; epoch++) {
    umap.step();
    onProgress(epoch + 1, epochs, 'map');
  }
  return Float32Array.from(umap.getEmbedding().flat());
}
