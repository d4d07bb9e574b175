import { collapseOf, contentful, HIGH_COSINE, leastRank, livelier, steadier } from '../../../methods/conmim/figures.ts';
import type { RunConfig } from '../../../shared/config.ts';
import { percent } from '../../../shared/words.ts';
import type { HealthReport, SetHealth } from './health.ts';

/** A sentence or two on one sign: the figure, what it means, and what to do where it is bad. */
export interface Finding {
  level: 'good' | 'note' | 'bad';
  title: string;
  text: string;
}

/** Look-ups that are more position than this are a short cut. */
const SHORTCUT = 0.7;

/** Images whose features are one but for rounding, or lie on a line. */
const areAlike = ({ cosine, rank }: SetHealth) => cosine > 1 - 1e-5 || rank < 1.5;

const SAYS_NOTHING =
  ' To the untrained network they are as much alike: the figures say nothing of what was learned. ' +
  'Look at the images, or choose others.';

/** What the figures say, in words; the thresholds are ours, and stand in the sentences. */
export function findingsOf(
  { trained, untrained, chance, K, place_share_chance }: HealthReport,
  config: RunConfig,
): Finding[] {
  const { keys, images } = trained;
  const alike = areAlike(images);
  const bothAlike = alike && areAlike(untrained.images);
  const least = leastRank(keys.width, keys.rows);
  const collapsed = collapseOf(keys) !== null;
  const gain = trained.top1 - untrained.top1;
  const shortcut = trained.position_shortcut;
  const beside = `${percent(trained.top1)}, of the untrained network ${percent(untrained.top1)}, of guessing ${percent(chance)} (1 of ${K})`;
  return [
    {
      level: collapsed ? 'bad' : 'good',
      title: collapsed ? 'The keys have collapsed' : 'The keys have not collapsed',
      text:
        `They use ${keys.rank.toFixed(2)} of ${keys.width} directions (untrained ${untrained.keys.rank.toFixed(1)}), and ` +
        `two of them have a mean cosine of ${keys.cosine.toFixed(2)} (untrained ${untrained.keys.cosine.toFixed(2)}). ` +
        `Fewer than ${least.toFixed(2)} directions, or a cosine above ${HIGH_COSINE}, is a ` +
        `collapse.${collapsed ? ` ${steadier(config)}` : ''}`,
    },
    {
      level: keys.dead === 0 ? 'good' : keys.dead > keys.width / 2 ? 'bad' : 'note',
      title:
        keys.dead === 0
          ? 'Every dimension of the keys is in use'
          : `${keys.dead} of ${keys.width} dimensions of the keys are dead`,
      text:
        "A dimension is dead where it varies less than a tenth of what an even spread has; of the untrained network's " +
        'there are ' +
        `${untrained.keys.dead}.${keys.dead > keys.width / 2 ? ' A smaller projector.out would do as well.' : ''}`,
    },
    {
      level: alike ? 'bad' : 'good',
      title: bothAlike
        ? 'The images are all alike'
        : alike
          ? 'The network sees all images alike'
          : 'The network tells images apart',
      text:
        `Two images have a mean cosine of ${images.cosine.toFixed(4)} (untrained ${untrained.images.cosine.toFixed(4)}), ` +
        `and they use ${images.rank.toFixed(1)} directions (untrained ` +
        `${untrained.images.rank.toFixed(1)}).${bothAlike ? SAYS_NOTHING : alike ? ` ${steadier(config)}` : ''}`,
    },
    {
      level: gain > 0.01 ? 'good' : 'bad',
      title: gain > 0.01 ? 'Look-ups have been learned' : 'Look-ups have not been learned',
      text: `The right key is found for ${beside}.${gain > 0.01 ? '' : ` ${livelier(config)}`}`,
    },
    shortcut === null
      ? {
          level: 'note',
          title: 'Position cannot be judged',
          text: 'Look-ups are no better than guessing, so no part of them is position.',
        }
      : {
          level: shortcut > SHORTCUT ? 'bad' : 'good',
          title: `${percent(shortcut)} of what look-ups gain over guessing is position alone`,
          text:
            `Asked for another image's keys, the same queries still find the right place ${percent(trained.control)} of the ` +
            `time. Above ${percent(SHORTCUT)} the network mostly knows where a patch is, and little of what it ` +
            `shows.${shortcut > SHORTCUT ? ` ${contentful(config)}` : ''}`,
        },
    {
      level: trained.place_share > 0.5 ? 'bad' : 'note',
      title: `The place of a patch explains ${percent(trained.place_share)} of the variance of its key`,
      text:
        `Of the untrained network ${percent(untrained.place_share)}; keys that know nothing of their place have about ` +
        `${percent(place_share_chance)} by chance.`,
    },
    {
      level: 'note',
      title: `Alignment ${trained.alignment.toFixed(3)}, uniformity ${keys.uniformity.toFixed(2)}`,
      text:
        `Untrained: ${untrained.alignment.toFixed(3)} and ${untrained.keys.uniformity.toFixed(2)}. Alignment is how far ` +
        'queries are from their keys (0 is the best, 2 has nothing in common), uniformity how evenly keys lie (0 is all ' +
        'in one point, lower is more even). Good features have both low; a collapse has the first at 0 and the second at ' +
        '0.',
    },
  ];
}
