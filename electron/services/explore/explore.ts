import { lookupsOf } from '../../../methods/lookups.ts';
import type { Checkpoint } from '../../../shared/checkpoint.ts';
import { gridOf } from '../../../shared/config.ts';
import type { Input, LookupAccuracy, LookupView } from '../../../shared/contract/index.ts';
import { AppError } from '../../../shared/errors.ts';
import { leftOutWords } from '../../../shared/left-out.ts';
import { ImageReader } from '../../data/readable.ts';
import type { LookupNetworks } from '../../engine/lookups.ts';
import { fileOf } from '../../store/image-file.ts';
import type { Store } from '../../store/store.ts';
import { inOrderOfContent, usableImages } from '../../trainer/labelled.ts';
import { readableBatches } from '../evaluation/batches.ts';
import { type NetworkName, Networks } from '../ground/networks.ts';
import { centrePixels, normalisePixels, pictureUrl, stack } from '../ground/pictures.ts';
import { maskFrom, maskOfImage } from './mask.ts';
import { companyOf } from './probe-strip.ts';

const BATCH = 32;

/** Look-ups of masked patches, of one image and over many; a method answers. Checkpoints that were asked lately stay loaded. */
export class Explorer {
  readonly #store: Store;
  readonly #networks: Networks;

  constructor(store: Store, networks = new Networks(store)) {
    this.#store = store;
    this.#networks = networks;
  }

  #pair(checkpoint: Checkpoint, isUntrained: boolean): LookupNetworks {
    const of = (name: NetworkName) => this.#networks.whole(checkpoint, isUntrained ? 'untrained' : name);
    return { student: of('student'), teacher: of('teacher') };
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
    const images = stack(pixels.map((p) => normalisePixels(p, config.augment)));
    const masks = pixels.map((_, i) => (i === 0 ? own : maskFrom(config, null, i)));
    const lookups = await lookupsOf(checkpoint);
    const { temperature, answers, how } = lookups.view(this.#pair(checkpoint, isUntrained), { images, masks }, config);
    return {
      grid: gridOf(config.model),
      picture: await pictureUrl(pixels[0]!, side),
      path: row.path,
      step: isUntrained ? 0 : checkpoint.step,
      temperature,
      mask: [...own].map(Boolean),
      answers,
      how,
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
    const tally = (await lookupsOf(checkpoint)).tally(config);
    const reader = new ImageReader();
    const { model } = config;
    let seen = 0;
    for await (const batch of readableBatches(images, BATCH, reader, (file) => centrePixels(file, model.image_size))) {
      if (batch.length < 2) break; // BatchNorm and the control need company
      const pixels = batch.map(({ value }) => value);
      const asked = {
        images: stack(pixels.map((p) => normalisePixels(p, config.augment))),
        masks: batch.map(({ image }) => maskOfImage(config, image.hash)),
      };
      const networks = { trained: this.#pair(checkpoint, false), untrained: this.#pair(checkpoint, true) };
      tally.add(networks, asked, pixels);
      seen += batch.length;
      onProgress(seen, images.length, 'images');
    }
    if (seen === 0) {
      const why = leftOutWords(reader.leftOut, images.length);
      throw new AppError('bad-input', 'Look-ups need two images that can be read.', why, 'Check the folder.');
    }
    return { grid: gridOf(model), images: seen, left_out: reader.leftOut, ...tally.result() };
  }
}
