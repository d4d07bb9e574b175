import * as tf from '@tensorflow/tfjs-core';
import type { RunConfig } from '../../shared/config.ts';
import { HIGH_COSINE } from '../../shared/figures.ts';
import { type Finding, type HealthReport, imagesApart, toldApart } from '../../shared/health.ts';
import { inUse, sharesOf } from '../../shared/statistics.ts';
import { fixed, percent } from '../../shared/words.ts';
import { encode } from './encoder.ts';
import { requireFinite } from './finite.ts';
import { alignment, concatenated, type Health, type HealthFigure, type HealthNetworks } from './health.ts';
import { hostTidy } from './host.ts';
import { all, type Images, imageTensor } from './layers/embed.ts';
import { clsRows, type Tokens, unit } from './layers/tokens.ts';

/**
 * What health reports of methods share that learn from whole images: whether two crops of an image are still found to be of
 * one, into how many groups images fall, and whether the CLS tokens differ, which their heads stand on.
 */

/** Share of a side that each of two crops has: they have half of it in common. */
const CROP = 0.75;
/** Images find their other crop at least so many times as often as by guessing, or they do not find it. */
const BY_GUESSING = 3;
/** Fewer groups than this, as evenly, are a collapse. */
export const FEWEST_GROUPS = 2;

/**
 * Two crops of each image: from the upper left, and mirrored from the lower right. Colours stay: a report asks what is left
 * of an image's own, not what a training's augmentation allows.
 * @param images `[batch, side, side, 3]`
 */
export function overlappingCrops(images: Images, side: number): [Float32Array, Float32Array] {
  const crop = (from: number, isMirrored: boolean) =>
    hostTidy(() => {
      const whole = imageTensor(images, side);
      const [n] = whole.shape;
      const box = [from, from, from + CROP, from + CROP];
      const boxes = tf.tile(tf.tensor2d([box]), [n, 1]) as tf.Tensor2D;
      const part = tf.image.cropAndResize(whole, boxes, tf.range(0, n, 1, 'int32') as tf.Tensor1D, [side, side]);
      return isMirrored ? tf.reverse(part, 2) : part;
    });
  return [crop(0, false), crop(1 - CROP, true)];
}

/** What a method's head makes of crops: rows of unit length, `[images, width]`. */
export interface CropHeads {
  /** Of what asks, and of what is looked for: student and teacher, or one network twice. */
  query(networks: HealthNetworks, images: Images): Tokens;
  key(networks: HealthNetworks, images: Images): Tokens;
}

/** What images are sorted into: prototypes, classes. */
export interface Groups {
  /** Before the keys of its figures. */
  key: string;
  /** In the plural, small. */
  title: string;
  /** Title of the figure that counts groups in use. */
  inUse: string;
  /** What each image is given, `[images, groups]`: the greatest is its own. */
  scores(networks: HealthNetworks, images: Images, config: RunConfig): tf.Tensor2D;
}

const oneDigit = (value: number | null) => fixed(value, 1);
const threeDigits = (value: number | null) => fixed(value, 3);

const CROP_FIGURES: readonly HealthFigure[] = [
  {
    key: 'found',
    title: 'Images that find their other crop',
    words: percent,
    against: ({ references }) => `guessing ${percent(references.found_chance)}`,
  },
  {
    key: 'alignment',
    title: 'Alignment of two crops',
    words: threeDigits,
    against: () => '0 the same, 2 nothing in common',
  },
];

const CROP_MEANINGS: readonly (readonly [term: string, text: string])[] = [
  ['Alignment, uniformity', 'Wang and Isola, arXiv 2005.10242.'],
  [
    'Crops',
    'Two of each image, three quarters of a side each: from the upper left, and mirrored from the lower right. Colours are not ' +
      'changed, so that they are easier than those of a training. A crop is found where it is nearer than that of every other image.',
  ],
  ['CLS tokens', 'After the last LayerNorm, of the middle square of an image, not augmented.'],
];

/** What a method's health report has of its own, beside what all of crops have. */
export interface CropHealth {
  heads(config: RunConfig): CropHeads;
  /** Where images fall to groups. */
  groups?: Groups;
  meanings: Health<RunConfig>['meanings'];
  curves: string;
  /** What to do where a figure is bad. */
  advice(config: RunConfig): string;
}

/** The health report of a method of crops. */
export function cropHealth({ heads, groups, meanings, curves, advice }: CropHealth): Health<RunConfig> {
  return {
    sets: [
      { key: 'cls', title: 'CLS tokens' },
      { key: 'keys', title: 'keys' },
    ],
    figures: [...(groups ? groupFigures(groups) : []), ...CROP_FIGURES],
    meanings: [...CROP_MEANINGS, ...meanings],
    curves,
    together: 1,
    measure(config) {
      const rows = new CropRows(heads(config));
      const counts = groups ? new GroupCounts(groups, config) : null;
      return {
        add(networks, { images }) {
          const crops = overlappingCrops(images, config.model.image_size);
          rows.add(networks, images, crops);
          counts?.add(networks, images, crops);
        },
        result() {
          const [found, used] = [rows.result(), counts?.result()];
          return {
            sets: found.sets,
            figures: { ...used?.figures, ...found.figures },
            references: { ...used?.references, ...found.references },
          };
        },
      };
    },
    findings: (report, config) => [
      ...(groups ? groupFindings(report, groups, advice(config)) : []),
      ...cropFindings(report, advice(config)),
    ],
  };
}

type Crops = readonly [first: Float32Array, second: Float32Array];

/** CLS tokens of images, and what the head makes of their crops. */
class CropRows {
  readonly #heads: CropHeads;
  readonly #rows: Record<'cls' | 'queries' | 'keys', Float32Array[]> = { cls: [], queries: [], keys: [] };
  readonly #width = { cls: 0, queries: 0, keys: 0 };

  constructor(heads: CropHeads) {
    this.#heads = heads;
  }

  add(networks: HealthNetworks, images: Images, [first, second]: Crops): void {
    this.#push('cls', () => unit(clsRows(encode(networks.student, all(images)))));
    this.#push('queries', () => this.#heads.query(networks, first));
    this.#push('keys', () => this.#heads.key(networks, second));
  }

  #push(what: 'cls' | 'queries' | 'keys', rowsOf: () => Tokens): void {
    const rows = hostTidy(() => {
      const { tensor } = rowsOf();
      this.#width[what] = tensor.shape[1];
      return tensor;
    });
    this.#rows[what].push(rows);
  }

  /** @throws AppError diverged */
  result() {
    const [queries, keys] = [concatenated(this.#rows.queries), concatenated(this.#rows.keys)];
    requireFinite(keys, 'The features of the head');
    const width = this.#width.keys;
    return {
      sets: {
        cls: { features: concatenated(this.#rows.cls), width: this.#width.cls },
        keys: { features: keys, width },
      },
      figures: { found: foundShare(queries, keys, width), alignment: alignment(queries, keys, width) },
      references: { found_chance: width / keys.length },
    };
  }
}

/** Share of queries whose own key is nearer than every other; a tie counts against it. @param queries @param keys `[n, width]` */
export function foundShare(queries: Float32Array, keys: Float32Array, width: number): number {
  const n = keys.length / width;
  const cosine = (i: number, j: number) => {
    let sum = 0;
    for (let d = 0; d < width; d++) sum += queries[i * width + d]! * keys[j * width + d]!;
    return sum;
  };
  let found = 0;
  for (let i = 0; i < n; i++) {
    const own = cosine(i, i);
    let isFirst = true;
    for (let j = 0; j < n && isFirst; j++) isFirst = j === i || cosine(i, j) < own;
    if (isFirst) found++;
  }
  return found / n;
}

/** What crops and CLS tokens say. @param advice what to do where they are bad */
export function cropFindings(report: HealthReport, advice: string): Finding[] {
  const { trained, untrained, references, images } = report;
  const [found, before] = [trained.figures.found!, untrained.figures.found!];
  const guessing = references.found_chance!;
  const isGuess = found < BY_GUESSING * guessing;
  const level = isGuess ? 'bad' : found > before ? 'good' : 'note';
  return [
    {
      level,
      title: {
        bad: 'Crops of one image are not found',
        good: 'Crops of one image are found',
        note: 'Crops of one image are found no more often than before training',
      }[level],
      text:
        `Of ${images} images ${percent(found)} find their other crop (untrained ${percent(before)}, guessing ` +
        `${percent(guessing)}). Below ${BY_GUESSING} times of guessing nothing is found.${isGuess ? ` ${advice}` : ''}`,
    },
    imagesApart(report, advice),
    toldApart(
      report,
      { set: 'cls', title: 'CLS tokens', one: 'images by their CLS tokens', high: HIGH_COSINE.unspread },
      advice,
    ),
  ];
}

const groupFigures = ({ key, inUse }: Groups): readonly HealthFigure[] => [
  {
    key: `${key}_in_use`,
    title: inUse,
    words: oneDigit,
    against: ({ references }) => `${references[`${key}_most`]} at most, 1 collapsed`,
  },
  {
    key: `${key}_agreement`,
    title: `Crops with the same of the ${inUse.toLowerCase()}`,
    words: percent,
    against: ({ trained }) => `by their frequency alone ${percent(trained.figures[`${key}_by_frequency`])}`,
  },
];

/** Into which groups images fall, and whether both crops of one fall into the same. */
export class GroupCounts {
  readonly #groups: Groups;
  readonly #config: RunConfig;
  readonly #own: number[] = [];
  #same = 0;
  #of = 0;

  constructor(groups: Groups, config: RunConfig) {
    this.#groups = groups;
    this.#config = config;
  }

  add(networks: HealthNetworks, images: Images, crops: Crops): void {
    const [first, second] = crops.map((some) => this.#best(networks, some));
    this.#own.push(...this.#best(networks, images));
    this.#same += first!.filter((group, i) => group === second![i]).length;
  }

  #best(networks: HealthNetworks, images: Images): number[] {
    const best = hostTidy(() => {
      const scores = this.#groups.scores(networks, images, this.#config);
      this.#of = scores.shape[1];
      return tf.cast(tf.argMax(scores, 1), 'float32');
    });
    return [...best];
  }

  result(): { figures: Record<string, number>; references: Record<string, number> } {
    const { key } = this.#groups;
    const n = this.#own.length;
    const shares = sharesOf(this.#own);
    return {
      figures: {
        [`${key}_in_use`]: inUse(this.#own),
        [`${key}_agreement`]: this.#same / n,
        [`${key}_by_frequency`]: shares.reduce((sum, share) => sum + share ** 2, 0),
      },
      references: { [`${key}_most`]: Math.min(n, this.#of) },
    };
  }
}

/** What groups say. @param advice what to do where they are bad */
export function groupFindings(
  { trained, untrained, references }: HealthReport,
  { key, title }: Pick<Groups, 'key' | 'title'>,
  advice: string,
): Finding[] {
  const of = (figures: Record<string, number | null>, what: string) => figures[`${key}_${what}`]!;
  const [inUse, before] = [of(trained.figures, 'in_use'), of(untrained.figures, 'in_use')];
  const isOne = inUse < FEWEST_GROUPS;
  const [agreement, byFrequency] = [of(trained.figures, 'agreement'), of(trained.figures, 'by_frequency')];
  const agrees = agreement > byFrequency && !isOne;
  return [
    {
      level: isOne ? 'bad' : 'good',
      title: isOne ? `Nearly all images fall to one of the ${title}` : `Images fall to several ${title}`,
      text:
        `As many ${title} are in use as ${inUse.toFixed(1)} would be evenly, of ${references[`${key}_most`]} at most ` +
        `(untrained ${before.toFixed(1)}). Fewer than ${FEWEST_GROUPS} are a collapse.${isOne ? ` ${advice}` : ''}`,
    },
    {
      level: agrees ? 'good' : 'bad',
      title: agrees ? 'Both crops of an image fall together' : 'Crops of an image fall together by chance alone',
      text:
        `Of ${percent(agreement)} of the images both crops fall to the same; as frequent as the ${title} are, ` +
        `${percent(byFrequency)} would by chance (untrained ${percent(of(untrained.figures, 'agreement'))}).${agrees ? '' : ` ${advice}`}`,
    },
  ];
}
