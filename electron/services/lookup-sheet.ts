import * as tf from '@tensorflow/tfjs-core';
import { gridOf, patchesOf, type RunConfig } from '../../shared/config.ts';
import type { StateDict } from '../../shared/domain.ts';
import { makeMask } from '../../shared/masking.ts';
import { stream } from '../data/random.ts';
import { dictionaryLogits, lookupRanks } from '../engine/contrast.ts';
import { hostCopy } from '../engine/host.ts';
import { FrozenNetwork } from '../engine/inference.ts';
import { type ContactRow, contactSheet } from './contact-sheet.ts';
import { centrePixels, normalisePixels, stack } from './images.ts';

export interface SheetOptions {
  config: RunConfig;
  student: StateDict;
  teacher: StateDict;
  images: { path: string; title: string }[];
  /** So many of them are drawn; the others are company for BatchNorm. */
  rows: number;
  seed: number;
  caption: string;
  out: string;
}

/** Draws masked patches of images with the answers that the student's queries found among the teacher's keys. */
export async function drawLookups(options: SheetOptions): Promise<void> {
  const { config, images } = options;
  const { image_size: side, patch_size } = config.model;
  const [grid, K] = [gridOf(config.model), patchesOf(config.model)];
  const pixels = await Promise.all(images.map((image) => centrePixels(image.path, side)));
  const input = stack(pixels.map((p) => normalisePixels(p, config.augment)));
  const masks = images.map((_, i) =>
    makeMask(config.mask, { grid, patchSize: patch_size, imageSize: side }, stream(options.seed, 0, i, 'sheet mask')),
  );
  const mask = new Float32Array(images.length * K);
  masks.forEach((m, i) => {
    mask.set(m, i * K);
  });
  const networks = [options.student, options.teacher].map(
    (state) => new FrozenNetwork(config.model, config.projector, state),
  );
  const within = { ...config.contrast, dictionary: 'image' } as const;
  const queries = networks[0]!.features(input, mask, 'batch');
  const keys = networks[1]!.features(input, null, 'batch');
  const [ranks, chances] = tf.tidy(() => [
    hostCopy(lookupRanks(queries, keys, within)),
    hostCopy(tf.softmax(dictionaryLogits(queries, keys, within))),
  ]);
  tf.dispose([queries, keys]);
  for (const network of networks) network.dispose();
  const rows: ContactRow[] = images.slice(0, options.rows).map((image, i) => ({
    title: image.title,
    student: pixels[i]!,
    teacher: pixels[i]!,
    size: side,
    grid,
    mask: masks[i]!,
    answers: [...masks[i]!.keys()].flatMap((patch) => {
      if (!masks[i]![patch]) return [];
      const own = chances!.subarray((i * K + patch) * K, (i * K + patch + 1) * K);
      const answer = own.indexOf(Math.max(...own));
      return [{ patch, answer, probability: own[answer]!, rank: 1 + ranks![i * K + patch]! }];
    }),
  }));
  await contactSheet(rows, options.out, { caption: options.caption });
}
