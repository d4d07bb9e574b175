import { augmentSchema, patchesOf } from '../../../shared/config.ts';
import { AppError } from '../../../shared/errors.ts';
import type { Scored, Scores } from '../../../shared/evaluation.ts';
import { leftOutWords } from '../../../shared/left-out.ts';
import type { ViewSpec } from '../../../shared/method.ts';
import { normalisePixels, stack } from '../../data/centre.ts';
import { decodeImage } from '../../data/decode.ts';
import { stream } from '../../data/random.ts';
import { type ImageReader, onReadable } from '../../data/readable.ts';
import { applyViews, drawViews } from '../../data/views.ts';
import { alignment, concatenated, toUnitRows } from '../../engine/health.ts';
import { FrozenNetwork } from '../../engine/inference.ts';
import { poolTokens } from '../../engine/pooled.ts';
import type { Store } from '../../store/store.ts';
import { inOrderOfContent } from '../../trainer/labelled.ts';
import { alphaReq, lidar, rankMe, uniformity } from '../../trainer/spectrum.ts';
import { type Asked, heldOutImages } from './batches.ts';
import type { Contestant } from './contestants.ts';
import type { EvaluateOptions } from './types.ts';

/** Images that are looked at, and views of each: LiDAR's paper takes 50 views of 1,000, which takes hours on a processor. */
export const MOST_IMAGES = 256;
export const VIEWS_OF_IMAGE = 8;
/** Fewer images make no spectrum. */
const LEAST = 16;
/** Seed of the views: fixed, so that networks are shown the same. */
const VIEW_SEED = 20220519;
/**
 * Crop and colours of the views: the program's defaults, whatever the run trained with. Views of its own would make the
 * figures of two methods incomparable.
 */
const AUGMENT = augmentSchema.parse({});

/**
 * Figures of frozen features that need no labels, on several views of images: RankMe, alpha-ReQ and uniformity on the first
 * view of each, LiDAR and alignment on all.
 * @throws AppError bad-input where there are too few images
 */
export async function evaluateWithoutLabels(
  store: Store,
  networks: readonly Contestant[],
  options: EvaluateOptions,
): Promise<Scored> {
  const [{ checkpoint }] = networks as [Contestant];
  const { images: all, own } = heldOutImages(store, checkpoint, options.testDataset ?? options.dataset);
  const images = inOrderOfContent(all).slice(0, MOST_IMAGES);
  const { value, leftOut } = await onReadable(async (reader) => {
    const scores: Scored['scores'] = {};
    let seen = 0;
    for (const [i, network] of networks.entries()) {
      const found = await features(network, images, reader, options.signal, (done) =>
        options.onProgress?.(i * images.length + done, networks.length * images.length, `${network.start} network`),
      );
      reader.settle();
      seen = found.images;
      if (seen < LEAST)
        throw new AppError(
          'bad-input',
          `Figures without labels need ${LEAST} images at least; ${seen} can be read here.`,
          leftOutWords(reader.leftOut, images.length),
          'Name a dataset with more images.',
        );
      const width = network.config.model.embed_dim;
      scores[network.start] = { ...figuresOf(found.mean, width), ...suffixed(figuresOf(found.cls, width)) };
    }
    return { scores, seen };
  });
  return {
    train_images: 0,
    test_images: value.seen,
    classes: null,
    chance: null,
    scores: value.scores,
    left_out: leftOut,
    notices: [leftOutWords(leftOut, images.length)].filter(Boolean),
    settings: { views: VIEWS_OF_IMAGE, held_out: own, augment: AUGMENT, features: 'mean of patch tokens, and CLS' },
  };
}

const suffixed = (scores: Scores): Scores =>
  Object.fromEntries(Object.entries(scores).map(([key, value]) => [`${key}_of_cls`, value]));

/** @param features `[images * VIEWS_OF_IMAGE, width]`, the views of an image together */
function figuresOf(features: Float32Array, width: number): Scores {
  const images = features.length / (width * VIEWS_OF_IMAGE);
  const view = (v: number) => {
    const rows = Array.from({ length: images }, (_, i) => {
      const at = (i * VIEWS_OF_IMAGE + v) * width;
      return features.subarray(at, at + width);
    });
    return concatenated(rows);
  };
  const [first, second] = [view(0), view(1)];
  const [one, two] = [toUnitRows(first.slice(), width), toUnitRows(second, width)];
  return {
    rankme: rankMe(first, width),
    lidar: lidar(features, width, VIEWS_OF_IMAGE),
    alpha_req: alphaReq(first, width),
    uniformity: uniformity(one, width),
    alignment: alignment(one, two, width),
  };
}

/** CLS and mean of the patch tokens of every view of the images that can be read: `[images * VIEWS_OF_IMAGE, width]` each. */
async function features(
  { config, load }: Contestant,
  images: readonly Asked[],
  reader: ImageReader,
  signal: AbortSignal | undefined,
  onDone: (images: number) => void,
) {
  const { model, augment } = config;
  const network = new FrozenNetwork(model, null, load('student'));
  const parts = { cls: [] as Float32Array[], mean: [] as Float32Array[] };
  let done = 0;
  try {
    for (const image of images) {
      signal?.throwIfAborted();
      const [read] = await reader.read([image], (file) => viewsOf(file, image, model.image_size));
      onDone(++done);
      if (!read) continue;
      const input = stack(read.value.map((pixels) => normalisePixels(pixels, augment)));
      const { cls, mean } = poolTokens(network.tokens(input), VIEWS_OF_IMAGE, patchesOf(model), model.embed_dim);
      parts.cls.push(cls);
      parts.mean.push(mean);
    }
  } finally {
    network.dispose();
  }
  return { images: parts.cls.length, cls: concatenated(parts.cls), mean: concatenated(parts.mean) };
}

/** The same views of an image for every network: RGB, `[side * side * 3]` each. */
async function viewsOf(file: string, { hash }: Asked, side: number): Promise<Uint8Array[]> {
  const image = await decodeImage(file);
  const specs = Array.from(
    { length: VIEWS_OF_IMAGE },
    (_, v): ViewSpec => ({
      name: `view ${v}`,
      title: '',
      side,
      geometry: `geometry ${v}`,
      colours: 'strong',
      isMasked: false,
    }),
  );
  const draws = drawViews(image.width, image.height, AUGMENT, specs, (purpose) =>
    stream(VIEW_SEED, 0, hash, `figures without labels ${purpose}`),
  );
  const views = applyViews(image, draws, AUGMENT);
  return specs.map(({ name }) => views[name]!);
}
