import * as tf from '@tensorflow/tfjs-core';
import { encode } from '../../electron/engine/encoder.ts';
import type { Health, HealthFigure } from '../../electron/engine/health.ts';
import { all } from '../../electron/engine/layers/embed.ts';
import { patchRows } from '../../electron/engine/layers/tokens.ts';
import {
  PATCH_MEANING,
  PATCH_SETS,
  PatchTokens,
  PLACE_SHARE,
  patchFindings,
} from '../../electron/engine/patch-health.ts';
import { gridOf, patchesOf, type RunConfig } from '../../shared/config.ts';
import { type Finding, type HealthReport, imagesApart } from '../../shared/health.ts';
import { percent } from '../../shared/words.ts';
import { FEWEST_MATCHED, later, steadier } from './figures.ts';
import { matches, sharesOf } from './step.ts';

const byChance = ({ references }: Pick<HealthReport, 'references'>) => `by chance ${percent(references.one_of_all)}`;
const figures: readonly HealthFigure[] = [
  { key: 'mirrored', title: 'Patches found in the mirror image', words: percent, against: byChance },
  { key: 'same_place', title: 'Patches matched at their own place of it', words: percent, against: byChance },
  {
    key: 'distinct',
    title: 'Distinct matches',
    words: percent,
    against: ({ references }) => `one patch for all ${percent(references.one_of_all)}`,
  },
  PLACE_SHARE,
];

/**
 * Whether patches are matched by what they show: of an image and its mirror image it is known which patches belong together,
 * and but for a middle column none of them is at its own place.
 */
export const health: Health<RunConfig> = {
  sets: PATCH_SETS,
  figures,
  meanings: [
    ['Uniformity', 'Wang and Isola, arXiv 2005.10242.'],
    [
      'Mirror image',
      'The patches of an image, as the student sees it, are matched with those of its mirror image, as the teacher does, by the ' +
        'cosine of their tokens, as in training. Found are those whose match shows the same; matched at their own place are those ' +
        'whose match shows what lies opposite.',
    ],
    PATCH_MEANING,
  ],
  curves: 'Loss, and look-ups of crops and patches, by step',
  together: 1,

  measure({ model }) {
    const [grid, K] = [gridOf(model), patchesOf(model)];
    const tokens = new PatchTokens(K, model.embed_dim);
    let [images, mirrored, same, distinct] = [0, 0, 0, 0];
    return {
      add({ student, teacher }, batch) {
        const size = batch.masks.length;
        tokens.add(student, batch.images, size);
        tf.tidy(() => {
          const [seen, other] = [
            encode(student, all(batch.images)),
            encode(teacher!, all(mirror(batch.images, model.image_size))),
          ];
          const { places } = matches(patchRows(seen), patchRows(other));
          const shares = sharesOf(places, K);
          images += size;
          mirrored += places.filter((place, i) => place === opposite(i % K, grid)).length / K;
          same += shares.same_place * size;
          distinct += shares.distinct * size;
        });
      },
      result() {
        const { sets, figures: ofTokens, references } = tokens.result();
        return {
          sets,
          figures: { mirrored: mirrored / images, same_place: same / images, distinct: distinct / images, ...ofTokens },
          references: { one_of_all: 1 / K, ...references },
        };
      },
    };
  },

  findings,
};

/** The place of a patch in the mirror image. */
const opposite = (patch: number, grid: number) => patch - (patch % grid) + (grid - 1 - (patch % grid));

/** Images from right to left, `[batch, side, side, 3]`. */
function mirror(images: Float32Array, side: number): Float32Array {
  const out = new Float32Array(images.length);
  const pixels = images.length / 3;
  for (let i = 0; i < pixels; i++) out.set(images.subarray(3 * i, 3 * i + 3), 3 * opposite(i, side));
  return out;
}

/** Times as many as by chance, below which patches are not found again. */
const HARDLY = 2;

/** The thresholds are ours. */
function findings(report: HealthReport, config: RunConfig): Finding[] {
  const { trained, untrained, references } = report;
  const { mirrored, same_place, distinct } = trained.figures as Record<string, number>;
  const one = references.one_of_all!;
  const isLost = mirrored! < HARDLY * one;
  const byPlace = !isLost && same_place! > mirrored!;
  const isOne = distinct! < FEWEST_MATCHED * one;
  return [
    {
      level: isLost || byPlace ? 'bad' : 'good',
      title: isLost
        ? 'Patches are not found again'
        : byPlace
          ? 'Patches are matched by place'
          : 'Patches are matched by what they show',
      text:
        `In the mirror image ${percent(mirrored)} of them are matched with the patch that shows the same (untrained ` +
        `${percent(untrained.figures.mirrored)}, chance ${percent(one)}), and ${percent(same_place)} with the one ` +
        `at their own place (untrained ${percent(untrained.figures.same_place)}).${isLost || byPlace ? ` ${later(config)}` : ''}`,
    },
    {
      level: isOne ? 'bad' : 'good',
      title: isOne ? 'One patch is the match of all' : 'Patches have different matches',
      text:
        `${percent(distinct)} of an image's patches are the match of some (untrained ${percent(untrained.figures.distinct)}).` +
        `${isOne ? ` ${later(config)}` : ''}`,
    },
    imagesApart(report, steadier(config)),
    ...patchFindings(report, steadier(config)),
  ];
}
