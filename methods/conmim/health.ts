import * as tf from '@tensorflow/tfjs-core';
import {
  alignment,
  concatenated,
  type Health,
  type HealthFigure,
  placeShare,
  placeShareByChance,
} from '../../electron/engine/health.ts';
import { hostCopy } from '../../electron/engine/host.ts';
import { patchesOf, type RunConfig } from '../../shared/config.ts';
import { HIGH_COSINE } from '../../shared/figures.ts';
import { dimensionsInUse, type Finding, type HealthReport, imagesApart } from '../../shared/health.ts';
import { percent } from '../../shared/words.ts';
import { ours } from './config.ts';
import { lookup } from './contrast.ts';
import { collapseOf, contentful, leastRank, livelier, steadier } from './figures.ts';
import { joined, queriesAndKeys } from './lookups.ts';

const figures: readonly HealthFigure[] = [
  {
    key: 'alignment',
    title: 'Alignment of queries and keys',
    words: (value) => value!.toFixed(3),
    against: () => '0 the same, 2 nothing in common',
  },
  {
    key: 'top1',
    title: 'Look-ups, top-1',
    words: percent,
    against: ({ references }) => `guessing ${percent(references.chance)}`,
  },
  { key: 'control', title: "Look-ups, another image's keys", words: percent, against: () => 'position alone' },
  {
    key: 'position_shortcut',
    title: 'Position shortcut score',
    words: percent,
    against: () => 'share of the gain over guessing',
  },
  {
    key: 'place_share',
    title: 'Variance of keys explained by place',
    words: percent,
    against: ({ references }) => `by chance ${percent(references.place_share_chance)}`,
  },
];

/** The teacher's keys and the student's queries: whether they collapse, and whether look-ups are more than position. */
export const health: Health<RunConfig> = {
  sets: [{ key: 'keys', title: 'keys' }],
  figures,
  meanings: [
    ['Alignment, uniformity', 'Wang and Isola, arXiv 2005.10242.'],
    [
      'Position shortcut score',
      "The share of the look-ups' gain over guessing that is left when the same queries are asked for another image's keys.",
    ],
    [
      'Keys and queries',
      'Keys are the features of the teacher for all patches of the full image, queries those of the student at masked ' +
        'patches; both see the middle square of an image, not augmented, on the statistics of the batch. Images are the ' +
        'mean of the student’s patch tokens. Yi et al., arXiv 2205.09616.',
    ],
  ],
  curves: 'Loss, and look-ups beside their control, by step',
  together: 2,

  measure(config) {
    const { contrast, projector } = ours(config);
    const [K, { out }] = [patchesOf(config.model), projector];
    const all: Float32Array[] = [];
    const pairs = { queries: [] as Float32Array[], keys: [] as Float32Array[] };
    const sum = { top1: 0, control: 0, images: 0 };
    return {
      add({ student, teacher }, batch) {
        const asked = queriesAndKeys({ student, teacher: teacher! }, batch, ours(config));
        const mask = joined(batch.masks);
        const found = lookup(asked.queries, asked.keys, mask, { ...contrast, dictionary: 'image' });
        const [queries, keys] = [hostCopy(asked.queries), hostCopy(asked.keys)];
        tf.dispose([asked.queries, asked.keys]);
        const size = batch.masks.length;
        sum.top1 += found.top1 * size;
        sum.control += (found.top1_control ?? 0) * size;
        sum.images += size;
        all.push(keys);
        mask.forEach((masked, patch) => {
          if (!masked) return;
          pairs.queries.push(queries.subarray(patch * out, (patch + 1) * out));
          pairs.keys.push(keys.subarray(patch * out, (patch + 1) * out));
        });
      },
      result() {
        const keys = concatenated(all);
        const chance = 1 / K;
        const [top1, control] = [sum.top1 / sum.images, sum.control / sum.images];
        return {
          sets: { keys: { features: keys, width: out } },
          figures: {
            alignment: alignment(concatenated(pairs.queries), concatenated(pairs.keys), out),
            top1,
            control,
            position_shortcut: positionShortcut(top1, control, chance),
            place_share: placeShare(keys, K, out),
          },
          references: { chance, place_share_chance: placeShareByChance(sum.images, K) },
        };
      },
    };
  },

  findings,
};

/**
 * Share of the look-ups' gain over guessing that is left when another image's keys are asked, and so is position alone:
 * 0 for none of it, 1 for all. Null where there is no gain.
 * @param top1 @param control @param chance shares of look-ups
 */
export function positionShortcut(top1: number, control: number, chance: number): number | null {
  if (top1 - chance < 0.005) return null;
  return Math.min(1, Math.max(0, (control - chance) / (top1 - chance)));
}

/** Look-ups that are more position than this are a short cut. */
const SHORTCUT = 0.7;

function findings(report: HealthReport, config: RunConfig): Finding[] {
  const { K, references, trained, untrained } = report;
  const [keys, before] = [trained.sets.keys!, untrained.sets.keys!];
  const of = trained.figures as Record<string, number>;
  const beforeOf = untrained.figures as Record<string, number>;
  const least = leastRank(keys.width, keys.rows);
  const collapsed = collapseOf(keys) !== null;
  const gain = of.top1! - beforeOf.top1!;
  const shortcut = trained.figures.position_shortcut;
  const beside = `${percent(of.top1)}, of the untrained network ${percent(beforeOf.top1)}, of guessing ${percent(references.chance)} (1 of ${K})`;
  return [
    {
      level: collapsed ? 'bad' : 'good',
      title: collapsed ? 'The keys have collapsed' : 'The keys have not collapsed',
      text:
        `They use ${keys.rank.toFixed(2)} of ${keys.width} directions (untrained ${before.rank.toFixed(1)}), and ` +
        `two of them have a mean cosine of ${keys.cosine.toFixed(2)} (untrained ${before.cosine.toFixed(2)}). ` +
        `Fewer than ${least.toFixed(2)} directions, or a cosine above ${HIGH_COSINE.spread}, is a ` +
        `collapse.${collapsed ? ` ${steadier(config)}` : ''}`,
    },
    dimensionsInUse(report, 'keys', 'keys', 'A smaller projector.out would do as well.'),
    imagesApart(report, steadier(config)),
    {
      level: gain > 0.01 ? 'good' : 'bad',
      title: gain > 0.01 ? 'Look-ups have been learned' : 'Look-ups have not been learned',
      text: `The right key is found for ${beside}.${gain > 0.01 ? '' : ` ${livelier(config)}`}`,
    },
    shortcut == null
      ? {
          level: 'note',
          title: 'Position cannot be judged',
          text: 'Look-ups are no better than guessing, so no part of them is position.',
        }
      : {
          level: shortcut > SHORTCUT ? 'bad' : 'good',
          title: `${percent(shortcut)} of what look-ups gain over guessing is position alone`,
          text:
            `Asked for another image's keys, the same queries still find the right place ${percent(of.control)} of the ` +
            `time. Above ${percent(SHORTCUT)} the network mostly knows where a patch is, and little of what it ` +
            `shows.${shortcut > SHORTCUT ? ` ${contentful(config)}` : ''}`,
        },
    {
      level: of.place_share! > 0.5 ? 'bad' : 'note',
      title: `The place of a patch explains ${percent(of.place_share)} of the variance of its key`,
      text:
        `Of the untrained network ${percent(beforeOf.place_share)}; keys that know nothing of their place have about ` +
        `${percent(references.place_share_chance)} by chance.`,
    },
    {
      level: 'note',
      title: `Alignment ${of.alignment!.toFixed(3)}, uniformity ${keys.uniformity.toFixed(2)}`,
      text:
        `Untrained: ${beforeOf.alignment!.toFixed(3)} and ${before.uniformity.toFixed(2)}. Alignment is how far ` +
        'queries are from their keys (0 is the best, 2 has nothing in common), uniformity how evenly keys lie (0 is all ' +
        'in one point, lower is more even). Good features have both low; a collapse has the first at 0 and the second at ' +
        '0.',
    },
  ];
}
