import { lookupsIn } from '../../../methods/index.ts';
import type { Checkpoint } from '../../../shared/checkpoint.ts';
import { gridOf, patchesOf, type RunConfig } from '../../../shared/config.ts';
import type { Input, LookupAccuracy, LookupView } from '../../../shared/contract/index.ts';
import { AppError } from '../../../shared/errors.ts';
import { leftOutWords } from '../../../shared/left-out.ts';
import { ImageReader } from '../../data/readable.ts';
import { fileOf } from '../../store/image-file.ts';
import type { Store } from '../../store/store.ts';
import { usableImages } from '../../trainer/labelled.ts';
import { inOrderOfContent, readableBatches } from '../evaluation/lookups.ts';
import { type NetworkName, Networks } from '../ground/networks.ts';
import { centrePixels, normalisePixels, pictureUrl, stack } from '../ground/pictures.ts';
import { type LookupAnswers, LookupPair } from './lookups.ts';
import { maskFrom, maskOfImage } from './mask.ts';
import { companyOf } from './probe-strip.ts';

const TEN_THOUSANDTHS = 10_000;
const BATCH = 32;

/** Checkpoints that were asked lately stay loaded: the next patch is answered at once. */
export class Explorer {
  readonly #store: Store;
  readonly #networks: Networks;

  constructor(store: Store, networks = new Networks(store)) {
    this.#store = store;
    this.#networks = networks;
  }

  #pair(checkpoint: Checkpoint, isUntrained: boolean): LookupPair {
    const of = (name: NetworkName) => this.#networks.of(checkpoint, isUntrained ? 'untrained' : name);
    return new LookupPair(lookupsIn(checkpoint), { student: of('student'), teacher: of('teacher') });
  }

  /** @throws AppError not-found, bad-input for a mask of another size */
  async lookup({
    checkpoint: id,
    image,
    mask,
    draw,
    untrained: isUntrained,
  }: Input<'explore.lookup'>): Promise<LookupView> {
    const checkpoint = this.#store.checkpoints.get(id);
    const { config } = checkpoint;
    const run = this.#store.runs.get(checkpoint.run_id);
    const row = this.#store.images.get(image);
    const dataset = this.#store.datasets.get(row.dataset_id);
    const own = maskFrom(config, mask, draw);
    const side = config.model.image_size;
    const company = run.kind === 'imported' ? [] : await companyOf(this.#store, run, image);
    const pixels = [await centrePixels(fileOf(dataset, row), side), ...company];
    const input = stack(pixels.map((p) => normalisePixels(p, config.augment)));
    const masks = pixels.map((_, i) => (i === 0 ? own : maskFrom(config, null, i)));
    const answers = this.#pair(checkpoint, isUntrained).ask(input, masks);
    return {
      grid: gridOf(config.model),
      picture: await pictureUrl(pixels[0]!, side),
      path: row.path,
      step: isUntrained ? 0 : checkpoint.step,
      temperature: lookupsIn(checkpoint).contrast.temperature,
      mask: [...own].map(Boolean),
      answers: [...own.keys()].flatMap((patch) => (own[patch] ? [answerOf(answers, patch)] : [])),
      how:
        company.length > 0
          ? `The image's middle square; BatchNorm's statistics are of it and ${company.length} fixed images of the run's ` +
            'data. The control asks for the keys of the first of these.'
          : "The image's middle square alone: BatchNorm's statistics are of its own patches, and there is no control.",
    };
  }

  /** Over many images: where look-ups are right, and on what. */
  async accuracy(
    { checkpoint: id, dataset, images: most }: Input<'explore.accuracy'>,
    onProgress: (done: number, total: number, phase: string) => void,
  ): Promise<LookupAccuracy> {
    const checkpoint = this.#store.checkpoints.get(id);
    const { config } = checkpoint;
    // In a fixed order, but not that of folders: the control's other image is to be one of any class.
    const images = inOrderOfContent(usableImages(this.#store, dataset)).slice(0, most);
    if (images.length < 2) throw new AppError('bad-input', 'Look-ups need two images at least, for their control.');
    const reader = new ImageReader();
    const { model } = config;
    const K = patchesOf(model);
    const tally = new Tally(K);
    const before = { right: 0, control: 0, n: 0 };
    let seen = 0;
    for await (const batch of readableBatches(images, BATCH, reader, (file) => centrePixels(file, model.image_size))) {
      if (batch.length < 2) break; // BatchNorm and the control need company
      const pixels = batch.map(({ value }) => value);
      const input = stack(pixels.map((p) => normalisePixels(p, config.augment)));
      const masks = batch.map(({ image }) => maskOfImage(config, image.hash));
      const trained = this.#pair(checkpoint, false).ask(input, masks);
      const start = this.#pair(checkpoint, true).ask(input, masks);
      masks.forEach((mask, i) => {
        for (let patch = 0; patch < K; patch++) {
          if (!mask[patch]) continue;
          const query = i * K + patch;
          tally.add(
            patch,
            richness(pixels[i]!, model, patch),
            trained.ranks[query] === 0,
            trained.controlRanks[query] === 0,
          );
          before.n++;
          if (start.ranks[query] === 0) before.right++;
          if (start.controlRanks[query] === 0) before.control++;
        }
      });
      seen += batch.length;
      onProgress(seen, images.length, 'images');
    }
    if (seen === 0) {
      const why = leftOutWords(reader.leftOut, images.length);
      throw new AppError('bad-input', 'Look-ups need two images that can be read.', why, 'Check the folder.');
    }
    return {
      grid: gridOf(model),
      images: seen,
      left_out: reader.leftOut,
      ...tally.result(),
      untrained: { top1: before.right / before.n, control: before.control / before.n },
    };
  }
}

/** A look-up as the window has it. @param query place in `[batch, K]` */
export function answerOf(
  { K, chances, ranks, controlRanks }: LookupAnswers,
  query: number,
): LookupView['answers'][number] {
  const own = [...chances.subarray(query * K, (query + 1) * K)];
  const order = [...own.keys()].sort((a, b) => own[b]! - own[a]!);
  return {
    patch: query % K,
    rank: 1 + ranks[query]!,
    control_rank: 1 + controlRanks[query]!,
    top5: order.slice(0, 5),
    chances: own.map((p) => Math.round(p * TEN_THOUSANDTHS)),
    entropy: own.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0),
  };
}

/** Standard deviation of a patch's brightness, 0 to 255: how much happens in it. */
function richness(rgb: Uint8Array, { image_size: side, patch_size: size }: RunConfig['model'], patch: number): number {
  const grid = side / size;
  const [x0, y0] = [(patch % grid) * size, Math.floor(patch / grid) * size];
  let [sum, squares] = [0, 0];
  for (let y = y0; y < y0 + size; y++) {
    for (let x = x0; x < x0 + size; x++) {
      const at = (y * side + x) * 3;
      const value = 0.299 * rgb[at]! + 0.587 * rgb[at + 1]! + 0.114 * rgb[at + 2]!;
      sum += value;
      squares += value * value;
    }
  }
  const n = size * size;
  return Math.sqrt(Math.max(0, squares / n - (sum / n) ** 2));
}

class Tally {
  readonly #places: { right: number; control: number; n: number }[];
  readonly #all: { richness: number; right: boolean; control: boolean }[] = [];

  constructor(K: number) {
    this.#places = Array.from({ length: K }, () => ({ right: 0, control: 0, n: 0 }));
  }

  add(patch: number, richness: number, right: boolean, control: boolean): void {
    const place = this.#places[patch]!;
    place.n++;
    if (right) place.right++;
    if (control) place.control++;
    this.#all.push({ richness, right, control });
  }

  result(): Pick<LookupAccuracy, 'places' | 'content' | 'trained'> {
    const sorted = this.#all.sort((a, b) => a.richness - b.richness);
    const share = (some: typeof sorted, key: 'right' | 'control') =>
      some.filter((one) => one[key]).length / some.length;
    const quarter = (q: number) =>
      sorted.slice(Math.floor((q * sorted.length) / 4), Math.floor(((q + 1) * sorted.length) / 4));
    return {
      places: this.#places.map(({ right, control, n }) => ({
        top1: n > 0 ? right / n : null,
        control: n > 0 ? control / n : null,
        n,
      })),
      content: [0, 1, 2, 3].map(quarter).flatMap((some) =>
        some.length === 0
          ? []
          : [
              {
                from: some[0]!.richness,
                to: some.at(-1)!.richness,
                top1: share(some, 'right'),
                control: share(some, 'control'),
                n: some.length,
              },
            ],
      ),
      trained: { top1: share(sorted, 'right'), control: share(sorted, 'control') },
    };
  }
}
