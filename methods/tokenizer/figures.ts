import { patchesOf, type RunConfig } from '../../shared/config.ts';
import { LAST_STEPS, meanOf, rateCauses } from '../../shared/figures.ts';
import type { Account, Chance, Chart, Figure, Sign } from '../../shared/method.ts';
import type { Metric } from '../../shared/run.ts';
import { percent } from '../../shared/words.ts';
import { ours } from './config.ts';

/** Steps that a codebook gets before it is judged. */
const PATIENCE = 100;
/** Share of the codes that could be in use, of which as many are as evenly at least, or a codebook has collapsed. */
const LEAST_SHARE = 1 / 8;

/** Fewer codes than these in use, as evenly, are a collapse. @param cells that codes were given to: no more can be in use */
export const fewestCodes = (codes: number, cells: number): number => LEAST_SHARE * Math.min(codes, cells);

/** For a step: codes are counted in each micro-batch. */
const fewestOf = (config: RunConfig): number =>
  fewestCodes(ours(config).codebook.codes, config.train.batch_size * patchesOf(config.model));

const figures: readonly Figure[] = [
  {
    key: 'squared',
    title: 'Reconstruction error',
    scale: 'plain',
    unit: 'mean square, -1 to 1',
    isMain: true,
    about: 'How far the picture that is drawn of codes is from the one that they were read from',
  },
  {
    key: 'perplexity',
    title: 'Perplexity of codes',
    scale: 'plain',
    unit: 'codes',
    isMain: true,
    about: 'How many codes would be used if all that are were used as often: exp of the entropy of a batch',
  },
  {
    key: 'used',
    title: 'Codes in use',
    scale: 'share',
    unit: '% of codes',
    isMain: true,
    about: 'Share of the codes that something fell on in the last 20 steps; the rest is dead',
  },
  {
    key: 'revived',
    title: 'Codes moved',
    scale: 'plain',
    unit: 'codes a step',
    isMain: false,
    about: 'Dead codes that were moved to where something is; it should fall to 0',
  },
  {
    key: 'commitment',
    title: 'Commitment',
    scale: 'plain',
    unit: 'mean square',
    isMain: false,
    about:
      'How far what the encoder says is from its code; rising while pixels stay means that it runs away from the codes',
  },
  {
    key: 'pixel',
    title: 'Pixels',
    scale: 'plain',
    unit: '',
    isMain: false,
    about: 'The part of the loss that compares pixels',
  },
  {
    key: 'perceptual',
    title: 'Perceptual difference',
    scale: 'plain',
    unit: 'squared distance',
    isMain: false,
    about:
      'How differently the frozen network sees both pictures, summed over its blocks; 0 where they are not compared by it',
  },
];

const charts: readonly Chart[] = [
  {
    title: 'Loss',
    unit: 'pixels, commitment and features',
    mayBeLog: true,
    lines: [
      { key: 'loss', label: 'loss', colour: 0 },
      { key: 'pixel', label: 'pixels', colour: 3 },
      { key: 'commitment', label: 'commitment', colour: 1, dash: 1 },
      { key: 'perceptual', label: 'features', colour: 2, dash: 1 },
    ],
  },
  {
    title: 'Reconstruction error',
    unit: 'mean square of pixels from -1 to 1',
    mayBeLog: true,
    lines: [{ key: 'squared', label: 'reconstruction', colour: 0 }],
  },
  {
    title: 'Codes',
    unit: 'codes',
    lines: [
      { key: 'perplexity', label: 'perplexity', colour: 0 },
      { key: 'revived', label: 'moved, a step', colour: 1, dash: 1 },
    ],
    references: (_, config) => {
      const { codes } = ours(config).codebook;
      const fewest = fewestOf(config);
      return [
        { label: `${codes}, all alike`, value: codes },
        { label: `${fewest.toFixed(0)}: fewer is a collapse`, value: fewest },
      ];
    },
  },
];

/** What a network gives that has learned nothing depends on the images: their own mean square. */
const chance = (): Chance => ({ loss: Number.NaN, words: 'grey pictures', figures: {} });

function alarm(metrics: readonly Metric[], config: RunConfig): Sign | null {
  const last = metrics.slice(-LAST_STEPS);
  if (last.length < LAST_STEPS || last.at(-1)!.step <= PATIENCE) return null;
  const { codes } = ours(config).codebook;
  const [perplexity, used] = [meanOf(last, 'perplexity'), meanOf(last, 'used')];
  const fewest = fewestOf(config);
  if (perplexity >= fewest) return null;
  return {
    word: 'codebook collapsed',
    kind: 'collapsed',
    level: 'alarm',
    trouble: 'collapsed',
    text:
      `The codebook has collapsed: of ${codes} codes as many are used as ${perplexity.toFixed(1)} would be evenly ` +
      `(fewer than ${fewest.toFixed(0)} are a collapse); something fell on ${percent(used)} of them lately. ` +
      'Tokens of such a codebook say little, and a student learns them within minutes.',
    advice: moreCodes(config),
  };
}

/** What to do where few codes are in use. */
export function moreCodes(config: RunConfig): string {
  const { train, optimizer } = config;
  const { codes, revive_after } = ours(config).codebook;
  return revive_after === null
    ? 'Move codes that nothing falls on: codebook.revive_after=20. Then train it anew.'
    : `Try fewer codes (codebook.codes, now ${codes}), more images in a batch (train.batch_size, now ` +
        `${train.batch_size}), or a lower optimizer.lr (now ${optimizer.lr}).`;
}

/** What a step of a tokenizer says, and what it is held against. */
export const account: Account = {
  figures,
  charts,
  chance,
  health: 'Reconstruction error, codes in use, effective rank and uniformity',
  alarm: ({ metrics }, config) => alarm(metrics, config),
  isNotForFeatures: 'A tokenizer is for its codes, not for features of images.',
  causes(trouble, config) {
    const rate = rateCauses(config, 'published');
    if (trouble !== 'collapsed' || ours(config).codebook.revive_after !== null) return rate;
    const dead = 'codebook.revive_after is null, so that codes nothing falls on stay where they are';
    return [{ why: dead, todo: 'set it to 20', changes: { 'codebook.revive_after': 20 } }, ...rate];
  },
  notes(metrics) {
    const [first, last] = [metrics.slice(0, LAST_STEPS), metrics.slice(-LAST_STEPS)];
    if (metrics.length < 3 * PATIENCE) return [];
    const [before, now] = [meanOf(first, 'squared'), meanOf(last, 'squared')];
    if (!(now > before / 2)) return [];
    return [
      {
        word: 'blurred',
        kind: 'blurred',
        level: 'note',
        text: `Its pictures are still far from the images: the error is ${now.toPrecision(2)}, after ${before.toPrecision(2)} in the first steps.`,
        advice: 'Train it longer, or with smaller patches; tokens that lose the image are poor targets.',
      },
    ];
  },
};
