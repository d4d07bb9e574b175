import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { ImageRow } from '../../shared/domain.ts';
import { AppError } from '../../shared/errors.ts';
import type { Store } from '../store/store.ts';

/** Images by class folder: entry by entry. */
export interface Labelled {
  ids: number[];
  paths: string[];
  labels: string[];
  /** SHA-256 of each content. */
  hashes: string[];
}

export interface LabelledSplit {
  train: Labelled;
  test: Labelled;
  /** Of the training images, in the order of a classifier's outputs. */
  classes: string[];
}

/** Share of each class that is kept for the test, by hash of the content: the same in every evaluation. */
const TEST_SHARE = 0.2;
const IMPORT = 'Import the dataset with --labels folders, one folder a class.';

/** A dataset's usable images that `keep` takes; without a class their label is empty. */
export function usableImages(store: Store, name: string | number, keep: (image: ImageRow) => boolean) {
  const dataset = store.datasets.get(name);
  const found: Labelled = { ids: [], paths: [], labels: [], hashes: [] };
  for (const image of store.images.iterate(dataset.id, { status: 'ok' })) {
    if (!keep(image)) continue;
    found.ids.push(image.id);
    found.paths.push(join(dataset.folders[image.folder]!, image.path));
    found.labels.push(image.label ?? '');
    found.hashes.push(image.hash);
  }
  return found;
}

/**
 * Training and test images with their classes: those of two datasets, or a fixed fifth of each class for the test.
 * @throws AppError bad-input where there are fewer than two classes, or the test images have one of their own
 */
export function splitLabelled(
  store: Store,
  dataset: string | number,
  testDataset: string | number | null = null,
): LabelledSplit {
  const labelled = (image: ImageRow) => image.label !== null;
  const all = usableImages(store, dataset, labelled);
  const classes = [...new Set(all.labels)].sort();
  if (classes.length === 0) throw new AppError('bad-input', 'The dataset has no class folders.', '', IMPORT);
  if (classes.length < 2)
    throw new AppError('bad-input', 'An evaluation by class needs at least two classes.', '', IMPORT);
  const { train, test } =
    testDataset === null ? fixedFifth(all, classes) : { train: all, test: usableImages(store, testDataset, labelled) };
  if (test.paths.length === 0) throw new AppError('bad-input', 'There is no labelled image to test on.', '', IMPORT);
  const unknown = test.labels.find((label) => !classes.includes(label));
  if (unknown !== undefined)
    throw new AppError('bad-input', `Class "${unknown}" of the test images is not among the training images.`);
  return { train, test, classes };
}

function fixedFifth(all: Labelled, classes: readonly string[]) {
  const empty = (): Labelled => ({ ids: [], paths: [], labels: [], hashes: [] });
  const parts = { train: empty(), test: empty() };
  const members = Map.groupBy(all.labels.keys(), (i) => all.labels[i]!);
  const order = (i: number) => createHash('sha256').update(`split ${all.hashes[i]}`).digest('hex');
  for (const label of classes) {
    const sorted = members
      .get(label)!
      .map((i) => [order(i), i] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    const held = Math.max(1, Math.round(sorted.length * TEST_SHARE));
    for (const [n, [, i]] of sorted.entries()) {
      if (sorted.length < 2 && n < held) continue; // a single image cannot be on both sides
      const part = n < held ? parts.test : parts.train;
      part.ids.push(all.ids[i]!);
      part.paths.push(all.paths[i]!);
      part.labels.push(label);
      part.hashes.push(all.hashes[i]!);
    }
  }
  return parts;
}

/** Classes as numbers: `[images]`. */
export const classIndices = ({ labels }: Labelled, classes: readonly string[]): Int32Array => {
  const places = new Map(classes.map((name, i) => [name, i]));
  return Int32Array.from(labels, (label) => places.get(label)!);
};

/** What always saying the most frequent class of the test gives. */
export function chanceOf({ labels }: Labelled): number {
  const counts = Map.groupBy(labels, (label) => label);
  return Math.max(...[...counts.values()].map((same) => same.length)) / labels.length;
}
