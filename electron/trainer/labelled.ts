import { createHash } from 'node:crypto';
import type { Dataset, ImageRow } from '../../shared/dataset.ts';
import { AppError } from '../../shared/errors.ts';
import { splitWords } from '../../shared/labels.ts';
import { plural } from '../../shared/words.ts';
import type { ImageReader, Readable } from '../data/readable.ts';
import { fileOf } from '../store/image-file.ts';
import type { Store } from '../store/store.ts';

/** An image and its class, the folder that it lies in. */
export interface LabelledImage extends Readable {
  /** Empty for none. */
  label: string;
  /** SHA-256 of its content. */
  hash: string;
}

export interface LabelledSplit {
  train: readonly LabelledImage[];
  test: readonly LabelledImage[];
  /** Of the training images, in the order of a classifier's outputs. */
  classes: string[];
  /** What a person should know of it: images that are left out, folders that hardly are classes. */
  notices: string[];
  /** Contents that are a test because their class had no other. */
  lone: string[];
}

/**
 * How a fifth of each class is chosen. A run that was begun keeps the contents that were its test (`lone`); a run of an older
 * program took those with the lowest hashes (`rank`), and goes on with them.
 */
export type SplitRule = 'threshold' | 'rank' | { lone: readonly string[] };

/** Share of images that are kept for the test, by hash of the content: the same in every evaluation. */
const TEST_SHARE = 0.2;
/** Names that a sentence gives. */
const NAMED = 3;

/** A dataset's usable images that `keep` takes. */
export function usableImages(
  store: Store,
  name: string | number,
  keep: (image: ImageRow) => boolean = () => true,
): LabelledImage[] {
  const dataset = store.datasets.get(name);
  const found: LabelledImage[] = [];
  for (const image of store.images.iterate(dataset.id, { status: 'ok' })) {
    const { id, path, hash, label } = image;
    if (keep(image)) found.push({ id, path, hash, label: label ?? '', file: fileOf(dataset, image) });
  }
  return found;
}

/** An order that has nothing to do with folders or names, and stays where others are added. */
export const inOrderOfContent = <I extends Pick<LabelledImage, 'hash'>>(images: readonly I[]): I[] =>
  images.toSorted((a, b) => (a.hash < b.hash ? -1 : a.hash > b.hash ? 1 : 0));

/**
 * Training and test images with their classes: those of two datasets, or about a fifth of each class for the test. No
 * content is on both sides.
 * @throws AppError bad-input where there are fewer than two classes, no test images are left, or they have a class of their own
 */
export function splitLabelled(
  store: Store,
  name: string | number,
  testName: string | number | null = null,
  rule: SplitRule = 'threshold',
): LabelledSplit {
  const dataset = store.datasets.get(name);
  const images = usableImages(store, dataset.id);
  const all = images.filter(({ label }) => label !== '');
  const labels = [...new Set(all.map(({ label }) => label))].sort();
  requireClasses(dataset, labels);
  const split =
    testName === null ? fixedFifth(all, labels, rule) : besides(all, labels, store.datasets.get(testName), store);
  const split_names = splitWords(labels);
  const loose = images.length - all.length;
  return {
    ...split,
    notices: [
      ...(split_names ? [split_names] : []),
      ...split.notices,
      ...(loose > 0
        ? [
            `${plural(loose, 'image lies', 'images lie')} in no class folder and ${loose === 1 ? 'is' : 'are'} left out.`,
          ]
        : []),
      ...conflictNotices(store, dataset.id),
    ],
  };
}

const named = (names: readonly string[]) =>
  `${names.slice(0, NAMED).join(', ')}${names.length > NAMED ? `, and ${names.length - NAMED} more` : ''}`;

function requireClasses({ labels: from }: Dataset, labels: readonly string[]): void {
  if (labels.length >= 2) return;
  const what =
    labels.length === 0 ? 'The dataset has no class folders.' : 'An evaluation by class needs at least two classes.';
  const why = labels.length === 1 ? `All images are of "${labels[0]}".` : '';
  const next =
    from === 'folders'
      ? 'A class is a folder directly below the imported one: import a folder with one folder a class.'
      : 'Import the dataset with --labels folders, one folder a class.';
  throw new AppError('bad-input', what, why, next);
}

/**
 * About a fifth of each class, by a threshold on a hash of the content: an image that was trained on does not become a
 * test when others are added, as the lowest fifth by rank would. Of a class with no image below the threshold
 * the lowest is the test; a class with no image above it cannot be trained, and is left out.
 */
function fixedFifth(all: readonly LabelledImage[], labels: readonly string[], rule: SplitRule): LabelledSplit {
  const split = {
    train: [] as LabelledImage[],
    test: [] as LabelledImage[],
    classes: [] as string[],
    lone: [] as string[],
  };
  const outside: string[] = [];
  const members = Map.groupBy(all, ({ label }) => label);
  for (const label of labels) {
    const sorted = members
      .get(label)!
      .map((image) => ({ image, order: createHash('sha256').update(`split ${image.hash}`).digest('hex') }))
      .sort((a, b) => (a.order < b.order ? -1 : 1));
    const isTest = testOf(sorted, rule);
    const train = sorted.filter((one, i) => !isTest(one, i)).map(({ image }) => image);
    const test = sorted.filter(isTest).map(({ image }) => image);
    // A single image is on neither side, whichever rule counts: or a class would come and go with the rule.
    if (train.length === 0 || (rule !== 'rank' && sorted.length < 2)) {
      outside.push(label);
      continue;
    }
    if (rule === 'threshold' && test.length === 1 && !isBelow(sorted[0]!.order)) split.lone.push(test[0]!.hash);
    split.classes.push(label);
    split.train.push(...train);
    split.test.push(...test);
  }
  if (split.classes.length < 2 || split.test.length === 0) {
    throw new AppError(
      'bad-input',
      split.classes.length === 0
        ? 'No class has images to train on and to test on.'
        : 'Fewer than two classes have images to train on and to test on.',
      `A class needs at least two images; ${named(outside.map((label) => `"${label}" has ${members.get(label)!.length}`))}.`,
      'Put more images into the class folders and import them again, or name test images of their own.',
    );
  }
  const notices = outside.map((label) => {
    const n = members.get(label)!.length;
    const why = n === 1 ? 'a class needs one to train on and another to test on' : 'all of them would be test images';
    return `Class "${label}" is left out with its ${plural(n, 'image')}: ${why}.`;
  });
  return { ...split, notices };
}

const isBelow = (order: string) => Number.parseInt(order.slice(0, 8), 16) / 2 ** 32 < TEST_SHARE;

/** Which of a class's images are a test. @param sorted by order */
function testOf(
  sorted: readonly { image: LabelledImage; order: string }[],
  rule: SplitRule,
): (one: (typeof sorted)[number], place: number) => boolean {
  if (rule === 'rank') {
    const held = sorted.length < 2 ? 0 : Math.max(1, Math.round(sorted.length * TEST_SHARE)); // a single one is trained on
    return (_, place) => place < held;
  }
  if (rule !== 'threshold') return ({ image, order }) => isBelow(order) || rule.lone.includes(image.hash);
  return ({ order }, place) => place === 0 || isBelow(order);
}

/** Another dataset's images as the test, without those that are trained on. */
function besides(train: readonly LabelledImage[], classes: string[], dataset: Dataset, store: Store): LabelledSplit {
  const all = usableImages(store, dataset.id).filter(({ label }) => label !== '');
  const known = new Set(train.map(({ hash }) => hash));
  const test = all.filter(({ hash }) => !known.has(hash));
  const both = all.filter(({ hash }) => known.has(hash));
  if (all.length === 0) requireClasses(dataset, []);
  if (test.length === 0) {
    throw new AppError(
      'bad-input',
      `All ${all.length} test images are training images too.`,
      'They have the same content, so that a test would only show what was learned by heart.',
      'Name other test images, or none: about a fifth of each class is then kept for the test.',
    );
  }
  const unknown = test.find(({ label }) => !classes.includes(label));
  if (unknown) {
    const next = `Classes are ${named(classes.map((label) => `"${label}"`))}. Import test images of the same classes.`;
    throw new AppError(
      'bad-input',
      `Class "${unknown.label}" of the test images is not among the training images.`,
      '',
      next,
    );
  }
  const notices =
    both.length === 0
      ? []
      : [
          `${both.length} of ${all.length} test images ` +
            `${both.length === 1 ? 'is a training image' : 'are training images'} too, with the same content ` +
            `(${named(both.map(({ path }) => path))}), and left out of the test.`,
        ];
  return { train, test, classes, notices, lone: [] };
}

/** Files of one content in folders of several classes: the first by path counts, the others are left out. */
function conflictNotices(store: Store, id: number): string[] {
  const conflicts = store.images.labelConflicts(id);
  const [first] = conflicts;
  if (!first) return [];
  const what = `${plural(conflicts.length, 'file is equal to one', 'files are equal to files')} of another class`;
  return [
    `${what}: ${first.path} is the same as ${first.first}. The class of the first counts ("${first.first_label}").`,
  ];
}

/** What is said of a dataset's class folders, as soon as it is imported. */
export function labelNotices(store: Store, { id }: Pick<Dataset, 'id'>): string[] {
  const labels = store.images.labels(id).map(({ label }) => label);
  return [splitWords(labels), ...conflictNotices(store, id)].filter(Boolean);
}

/** A split without what cannot be read. @throws AppError bad-input where nothing is left to test */
export function withoutUnread(split: LabelledSplit, reader: ImageReader): LabelledSplit {
  const left = (images: readonly LabelledImage[]) => images.filter((image) => !reader.has(image));
  const train = left(split.train);
  const known = new Set(train.map(({ label }) => label));
  const classes = split.classes.filter((label) => known.has(label));
  const test = left(split.test).filter(({ label }) => known.has(label));
  if (classes.length < 2 || test.length === 0) {
    const why = `${reader.leftOut.length} of ${split.train.length + split.test.length} cannot be read; the first is ${reader.leftOut[0]!.path}.`;
    throw new AppError('bad-input', 'Too few images can be read.', why, 'Check the folder, and import it again.');
  }
  const lost = split.classes.filter((label) => !known.has(label));
  const notices = lost.map((label) => `Class "${label}" is left out: none of its training images can be read.`);
  return { ...split, train, test, classes, notices: [...split.notices, ...notices] };
}

/** Classes as numbers: `[images]`. */
export const classIndices = (images: readonly LabelledImage[], classes: readonly string[]): Int32Array => {
  const places = new Map(classes.map((name, i) => [name, i]));
  return Int32Array.from(images, ({ label }) => places.get(label)!);
};

/** The accuracy of always answering the most frequent class of the test. */
export function chanceOf(images: readonly LabelledImage[]): number {
  const counts = Map.groupBy(images, ({ label }) => label);
  return Math.max(...[...counts.values()].map((same) => same.length)) / images.length;
}
