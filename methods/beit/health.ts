import * as tf from '@tensorflow/tfjs-core';
import { encode } from '../../electron/engine/encoder.ts';
import type { Health, HealthFigure } from '../../electron/engine/health.ts';
import { replace } from '../../electron/engine/layers/embed.ts';
import { linear } from '../../electron/engine/layers/linear.ts';
import { patchRows, someRows } from '../../electron/engine/layers/tokens.ts';
import {
  PATCH_MEANING,
  PATCH_SETS,
  PatchTokens,
  PLACE_SHARE,
  patchFindings,
} from '../../electron/engine/patch-health.ts';
import { patchesOf, type RunConfig } from '../../shared/config.ts';
import { type Finding, type HealthReport, imagesApart } from '../../shared/health.ts';
import { inUse, sharesOf } from '../../shared/statistics.ts';
import { percent } from '../../shared/words.ts';
import { idsOf } from '../tokenizer/borrowed.ts';
import { fewestCodes } from '../tokenizer/figures.ts';
import { shapeFor } from '../tokenizer/shape.ts';
import { ours } from './config.ts';
import { resized } from './explain.ts';
import { livelier } from './figures.ts';
import { forTokenizer, maskedRows, tokenFigures } from './step.ts';

const figures: readonly HealthFigure[] = [
  {
    key: 'accuracy',
    title: 'Tokens of hidden patches found',
    words: percent,
    against: ({ references }) => `by the most frequent token ${percent(references.frequent)}`,
  },
  {
    key: 'tokens',
    title: 'Tokens of the tokenizer in use',
    words: (value) => value!.toFixed(1),
    against: (report) => `of ${report.references.codes}; fewer than ${fewest(report).toFixed(0)} are a collapse`,
  },
  PLACE_SHARE,
];

/** A tokenizer's tokens are few where fewer than this are in use, as evenly; there are no more than patches. */
const fewest = ({ references }: HealthReport) => fewestCodes(references.codes!, references.patches!);

/** What the student says of hidden patches, and the tokenizer of all: whether anything is learned, and worth learning. */
export const health: Health<RunConfig> = {
  sets: PATCH_SETS,
  figures,
  meanings: [
    ['Uniformity', 'Wang and Isola, arXiv 2005.10242.'],
    [
      'Tokens found',
      'How often the likeliest token of a patch that the mask hides is the one that the tokenizer gives it. Always saying the ' +
        'most frequent token of these patches says nothing of an image. Bao et al., arXiv 2106.08254.',
    ],
    [
      'Tokens in use',
      'exp of the entropy of how often the tokenizer gives each: so many equally frequent ones would have this entropy. The tokenizer does not ' +
        'change in training.',
    ],
    PATCH_MEANING,
  ],
  curves: 'Loss, and tokens found, by step',
  together: 1,

  measure(config) {
    const { model, tokenizer, augment } = ours(config);
    const K = patchesOf(model);
    const shape = shapeFor(model, tokenizer);
    const patches = new PatchTokens(K, model.embed_dim);
    const given: number[] = [];
    const labels: number[] = [];
    let right = 0;
    return {
      add({ student }, { images, masks }) {
        const size = masks.length;
        patches.add(student, images, size);
        const mask = Float32Array.from({ length: size * K }, (_, at) => masks[Math.floor(at / K)]![at % K]!);
        const small = resized(images, model.image_size, shape.image_size);
        let ids: Int32Array = new Int32Array();
        tf.tidy(() => {
          ids = idsOf(student, forTokenizer(small, augment), shape);
        });
        for (const id of ids) given.push(id);
        const masked = maskedRows(mask);
        if (masked.length === 0) return;
        const own = masked.map((row) => ids[row]!);
        tf.tidy(() => {
          const tokens = patchRows(encode(student, replace(images, mask)));
          const said = linear(student, 'lm_head', someRows(tokens, masked));
          right += tokenFigures(said.tensor, own, shape.codes).accuracy * own.length;
        });
        labels.push(...own);
      },
      result() {
        const ofPatches = patches.result();
        return {
          sets: ofPatches.sets,
          figures: { accuracy: right / labels.length, tokens: inUse(given), ...ofPatches.figures },
          references: {
            frequent: Math.max(0, ...sharesOf(labels)),
            codes: shape.codes,
            patches: given.length,
            ...ofPatches.references,
          },
        };
      },
    };
  },

  findings,
};

function findings(report: HealthReport, config: RunConfig): Finding[] {
  const { trained, untrained, references } = report;
  const [accuracy, before] = [trained.figures.accuracy!, untrained.figures.accuracy!];
  const isLearned = accuracy > references.frequent! && accuracy > before;
  const tokens = trained.figures.tokens!;
  const areFew = tokens < fewest(report);
  return [
    {
      level: isLearned ? 'good' : 'bad',
      title: isLearned ? 'Tokens of hidden patches are found' : 'Tokens of hidden patches are not found',
      text:
        `The likeliest token is the right one for ${percent(accuracy)} of the hidden patches; of the untrained network for ` +
        `${percent(before)}, and always saying the most frequent one gives ${percent(references.frequent)}.` +
        `${isLearned ? '' : ` ${livelier(config)}`}`,
    },
    {
      level: areFew ? 'bad' : 'good',
      title: areFew ? 'The tokenizer gives few tokens' : 'The tokenizer gives many tokens',
      text:
        `As many of its ${references.codes} tokens are in use as ${tokens.toFixed(1)} would be evenly; fewer than ` +
        `${fewest(report).toFixed(0)} are a collapse.${areFew ? ' Train another tokenizer, and look at its perplexity.' : ''}`,
    },
    imagesApart(report, livelier(config)),
    ...patchFindings(report, livelier(config)),
  ];
}
