import * as tf from '@tensorflow/tfjs-core';
import { requireFinite } from '../../electron/engine/finite.ts';
import {
  concatenated,
  type Health,
  type HealthFigure,
  placeShare,
  placeShareByChance,
  toUnitRows,
} from '../../electron/engine/health.ts';
import { tokensOf } from '../../electron/engine/inference.ts';
import { patchesOf, type RunConfig } from '../../shared/config.ts';
import { areAlike, dimensionsInUse, type Finding, type HealthReport, imagesApart } from '../../shared/health.ts';
import { percent } from '../../shared/words.ts';
import { ours } from './config.ts';
import { LEAST_SPREAD, livelier, NOT_LEARNED } from './figures.ts';
import { keptOf, reconstruct, spread, target } from './step.ts';

const fixed = (value: number | null) => (value === null ? 'not measured' : value.toFixed(3));
const figures: readonly HealthFigure[] = [
  {
    ...{ key: 'error', title: 'Mean square error of hidden patches', words: fixed },
    against: ({ references }) => `zero for every pixel ${fixed(references.nothing!)}`,
  },
  {
    ...{ key: 'spread', title: 'Spread of reconstructions over images', words: fixed },
    against: ({ references }) => `of the true pixels ${fixed(references.true_spread ?? null)}`,
  },
  {
    ...{ key: 'place_share', title: 'Variance of patch tokens explained by place', words: percent },
    against: ({ references }) => `by chance ${percent(references.place_share_chance)}`,
  },
];

/** Reconstructions of hidden patches, and the encoder's tokens: whether anything is learned, and not the same for all images. */
export const health: Health<RunConfig> = {
  sets: [{ key: 'patches', title: 'patch tokens' }],
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
    [
      'Patch tokens and images',
      'Tokens of all patches after the last block, of images of which nothing is hidden; images are their mean. The network ' +
        'sees the middle square, not augmented.',
    ],
  ],
  curves: 'Loss, and spread of predictions over images, by step',
  together: 1,

  measure(config) {
    const [K, width] = [patchesOf(config.model), config.model.embed_dim];
    const tokens: Float32Array[] = [];
    const [errors, nothing, drawn, truth] = [new Mean(), new Mean(), new Mean(), new Mean()];
    return {
      add({ student }, { images, masks }) {
        const size = masks.length;
        const all = tokensOf(student, images);
        for (let i = 0; i < size; i++) {
          const from = (i * (K + 1) + 1) * width; // without CLS
          tokens.push(toUnitRows(all.slice(from, from + K * width), width));
        }
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
        const features = concatenated(tokens);
        const trueSpread = truth.value;
        return {
          sets: { patches: { features, width } },
          figures: { error: errors.value, spread: drawn.value, place_share: placeShare(features, K, width) },
          references: {
            nothing: nothing.value!,
            ...(trueSpread !== null && { true_spread: trueSpread }),
            place_share_chance: placeShareByChance(tokens.length, K),
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
  const [tokens, before] = [trained.sets.patches!, untrained.sets.patches!];
  const alike = areAlike(tokens);
  const [error, untrainedError] = [trained.figures.error!, untrained.figures.error!];
  const { spread: drawn, place_share } = trained.figures;
  const isLearned = error < NOT_LEARNED * Math.min(references.nothing!, untrainedError);
  const sameForAll = drawn !== null && drawn! < LEAST_SPREAD;
  return [
    {
      level: isLearned ? 'good' : 'bad',
      title: isLearned ? 'Hidden patches are reconstructed' : 'Hidden patches are not reconstructed',
      text:
        `Their mean square error is ${fixed(error)}; of the untrained network ${fixed(untrainedError)}, of zero for every ` +
        `pixel ${fixed(references.nothing!)}. Nothing is learned where it is not below ${percent(NOT_LEARNED)} of ` +
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
            `What is drawn at a place has a spread of ${fixed(drawn)} over images (untrained ` +
            `${fixed(untrained.figures.spread ?? null)}, true pixels ${fixed(references.true_spread ?? null)}). Below ` +
            `${LEAST_SPREAD} the decoder ignores what the encoder saw.${sameForAll ? ` ${livelier(config)}` : ''}`,
        },
    imagesApart(report, livelier(config)),
    {
      level: alike ? 'bad' : 'good',
      title: alike ? 'The encoder sees all patches alike' : 'The encoder tells patches apart',
      text:
        `Their tokens use ${tokens.rank.toFixed(1)} of ${tokens.width} directions (untrained ${before.rank.toFixed(1)}), and ` +
        `two of them have a mean cosine of ${tokens.cosine.toFixed(3)} (untrained ` +
        `${before.cosine.toFixed(3)}).${alike ? ` ${livelier(config)}` : ''}`,
    },
    dimensionsInUse(report, 'patches', 'patch tokens'),
    {
      level: 'note',
      title: `The place of a patch explains ${percent(place_share)} of the variance of its token`,
      text:
        `Of the untrained network ${percent(untrained.figures.place_share)}; tokens that know nothing of their place have ` +
        `about ${percent(references.place_share_chance)} by chance.`,
    },
  ];
}
