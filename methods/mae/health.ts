import * as tf from '@tensorflow/tfjs-core';
import { requireFinite } from '../../electron/engine/finite.ts';
import type { Health, HealthFigure } from '../../electron/engine/health.ts';
import {
  PATCH_MEANING,
  PATCH_SETS,
  PatchTokens,
  PLACE_SHARE,
  patchFindings,
} from '../../electron/engine/patch-health.ts';
import { patchesOf, type RunConfig } from '../../shared/config.ts';
import { AS_GUESSED } from '../../shared/figures.ts';
import { type Finding, type HealthReport, imagesApart } from '../../shared/health.ts';
import { fixed, percent } from '../../shared/words.ts';
import { ours } from './config.ts';
import { LEAST_SPREAD, livelier } from './figures.ts';
import { keptOf, reconstruct, spread, target } from './step.ts';

const words = (value: number | null | undefined) => fixed(value, 3);
const figures: readonly HealthFigure[] = [
  {
    key: 'error',
    title: 'Mean square error of hidden patches',
    words,
    against: ({ references }) => `zero for every pixel ${words(references.nothing)}`,
  },
  {
    key: 'spread',
    title: 'Spread of reconstructions over images',
    words,
    against: ({ references }) => `of the true pixels ${words(references.true_spread)}`,
  },
  PLACE_SHARE,
];

/** Reconstructions of hidden patches, and the encoder's tokens: whether anything is learned, and not the same for all images. */
export const health: Health<RunConfig> = {
  sets: PATCH_SETS,
  figures,
  meanings: [
    ['Uniformity', 'Wang and Isola, arXiv 2005.10242.'],
    [
      'Mean square error',
      'Over the patches that the mask hides, of pixels as the loss takes them. Zero for every pixel says nothing of an ' +
        'image: where patches are normalised that is each patch’s own mean. He et al., arXiv 2111.06377.',
    ],
    [
      'Spread',
      'How far what is drawn at a place differs from image to image, over images in which it is hidden. Near 0 the decoder ' +
        'ignores what the encoder saw. Blurred reconstructions have less than the true pixels.',
    ],
    PATCH_MEANING,
  ],
  curves: 'Loss, and spread of predictions over images, by step',
  together: 1,

  measure(config) {
    const [K, width] = [patchesOf(config.model), config.model.embed_dim];
    const tokens = new PatchTokens(K, width);
    const [errors, nothing, drawn, truth] = [new Mean(), new Mean(), new Mean(), new Mean()];
    return {
      add({ student }, { images, masks }) {
        const size = masks.length;
        tokens.add(student, images, size);
        const mask = Float32Array.from({ length: size * K }, (_, at) => masks[Math.floor(at / K)]![at % K]!);
        tf.tidy(() => {
          const said = reconstruct(student, images, keptOf(mask, K), ours(config)).tensor;
          const wanted = target(images, ours(config)).tensor;
          const hidden = tf.tensor2d(mask, [size, K]);
          const over = (square: tf.Tensor) => {
            const [value] = tf.div(tf.sum(tf.mul(tf.mean(square, -1), hidden)), tf.sum(hidden)).dataSync();
            return value!;
          };
          errors.add(over(tf.squaredDifference(said, wanted)), size);
          nothing.add(over(tf.square(wanted)), size);
          drawn.add(spread(said, mask), size);
          truth.add(spread(wanted, mask), size);
        });
      },
      result() {
        requireFinite(Float32Array.of(errors.value ?? Number.NaN), 'The reconstructions');
        const ofPatches = tokens.result();
        const trueSpread = truth.value;
        return {
          sets: ofPatches.sets,
          figures: { error: errors.value, spread: drawn.value, ...ofPatches.figures },
          references: {
            nothing: nothing.value!,
            ...(trueSpread !== null && { true_spread: trueSpread }),
            ...ofPatches.references,
          },
        };
      },
    };
  },

  findings,
};

/** A mean over batches, each with the weight of its images; null of none. */
class Mean {
  #sum = 0;
  #weight = 0;

  add(value: number | null, weight: number): void {
    if (value === null) return;
    this.#sum += value * weight;
    this.#weight += weight;
  }

  get value(): number | null {
    return this.#weight > 0 ? this.#sum / this.#weight : null;
  }
}

function findings(report: HealthReport, config: RunConfig): Finding[] {
  const { trained, untrained, references } = report;
  const [error, untrainedError] = [trained.figures.error!, untrained.figures.error!];
  const { spread: drawn } = trained.figures;
  const isLearned = error < AS_GUESSED * Math.min(references.nothing!, untrainedError);
  const sameForAll = drawn !== null && drawn! < LEAST_SPREAD;
  return [
    {
      level: isLearned ? 'good' : 'bad',
      title: isLearned ? 'Hidden patches are reconstructed' : 'Hidden patches are not reconstructed',
      text:
        `Their mean square error is ${words(error)}; of the untrained network ${words(untrainedError)}, of zero for every ` +
        `pixel ${words(references.nothing)}. Nothing is learned where it is not below ${percent(AS_GUESSED)} of ` +
        `both.${isLearned ? '' : ` ${livelier(config)}`}`,
    },
    drawn == null
      ? {
          level: 'note',
          title: 'Whether reconstructions differ cannot be judged',
          text: 'No place is hidden in two images of a batch.',
        }
      : {
          level: sameForAll ? 'bad' : 'good',
          title: sameForAll ? 'All images are drawn alike' : 'Reconstructions differ from image to image',
          text:
            `What is drawn at a place has a spread of ${words(drawn)} over images (untrained ` +
            `${words(untrained.figures.spread)}, true pixels ${words(references.true_spread)}). Below ` +
            `${LEAST_SPREAD} the decoder ignores what the encoder saw.${sameForAll ? ` ${livelier(config)}` : ''}`,
        },
    imagesApart(report, livelier(config)),
    ...patchFindings(report, livelier(config)),
  ];
}
