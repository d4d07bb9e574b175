import type { LeftOut } from './left-out.ts';

/** Health of a checkpoint's networks: signs of collapse and of short cuts, beside the untrained network. */

/** Figures of a set of features of unit length. */
export interface SetHealth {
  width: number;
  /** Features that were looked at. */
  rows: number;
  rank: number;
  cosine: number;
  uniformity: number;
  /** Dimensions that vary less than a tenth of what an even spread has. */
  dead: number;
  /** `[width]`, the largest first. */
  singular: number[];
  deviations: number[];
}

export interface NetworkHealth {
  /** Those of the method, and of images: the student's mean-pooled patch tokens, which k-NN and probes take. */
  sets: { [key: string]: SetHealth; images: SetHealth };
  /** Of the method; null where one means nothing. */
  figures: Record<string, number | null>;
}

export interface HealthReport {
  checkpoint: { id: number; run_id: number; step: number };
  run: string;
  dataset: string;
  images: number;
  held_out: boolean;
  /** Of those that were to be looked at, the ones that could not be read. */
  left_out: LeftOut[];
  K: number;
  /** What the method's figures are held against. */
  references: Record<string, number>;
  trained: NetworkHealth;
  untrained: NetworkHealth;
}

/** A sentence or two on one sign: the figure, what it means, and what to do where it is bad. */
export interface Finding {
  level: 'good' | 'note' | 'bad';
  title: string;
  text: string;
}

/** A report as `--json` has it: sets and figures side by side. */
export function flatHealth({ references, trained, untrained, ...report }: HealthReport) {
  const flat = ({ sets: { images, ...own }, figures }: NetworkHealth) => ({ ...own, images, ...figures });
  return { ...report, ...references, trained: flat(trained), untrained: flat(untrained) };
}

/** Features that are one but for rounding, or lie on a line. @param high mean cosine above which they are one, if that is less */
export const areAlike = ({ cosine, rank }: SetHealth, high = 1 - 1e-5) => cosine > high || rank < 1.5;

const SAYS_NOTHING =
  ' To the untrained network they are as much alike: the figures say nothing of what was learned. ' +
  'Look at the images, or choose others.';

/** Whether images are told apart. @param advice what to do where they are not */
export function imagesApart({ trained, untrained }: HealthReport, advice: string): Finding {
  const [images, before] = [trained.sets.images, untrained.sets.images];
  const alike = areAlike(images);
  const bothAlike = alike && areAlike(before);
  return {
    level: alike ? 'bad' : 'good',
    title: bothAlike
      ? 'The images are all alike'
      : alike
        ? 'The network sees all images alike'
        : 'The network tells images apart',
    text:
      `Two images have a mean cosine of ${images.cosine.toFixed(4)} (untrained ${before.cosine.toFixed(4)}), ` +
      `and they use ${images.rank.toFixed(1)} directions (untrained ` +
      `${before.rank.toFixed(1)}).${bothAlike ? SAYS_NOTHING : alike && advice ? ` ${advice}` : ''}`,
  };
}

/**
 * Whether a set of features differs. @param title what they are called, in the plural @param one what they are of @param high as
 * `areAlike`, where an alarm of the run judges them by it too @param advice what to do where they do not
 */
export function toldApart(
  { trained, untrained }: HealthReport,
  { set, title, one, high }: { set: string; title: string; one: string; high?: number },
  advice: string,
): Finding {
  const [of, before] = [trained.sets[set]!, untrained.sets[set]!];
  const alike = areAlike(of, high);
  return {
    level: alike ? 'bad' : 'good',
    title: alike ? `The encoder sees all ${one} alike` : `The encoder tells ${one} apart`,
    text:
      `Their ${title} use ${of.rank.toFixed(1)} of ${of.width} directions (untrained ${before.rank.toFixed(1)}), and ` +
      `two of them have a mean cosine of ${of.cosine.toFixed(3)} (untrained ` +
      `${before.cosine.toFixed(3)}).${alike && advice ? ` ${advice}` : ''}`,
  };
}

/** How many dimensions of a set vary. @param title what its features are called, in the plural @param advice where most do not */
export function dimensionsInUse(
  { trained, untrained }: HealthReport,
  key: string,
  title: string,
  advice = '',
): Finding {
  const { dead, width } = trained.sets[key]!;
  const most = dead > width / 2;
  return {
    level: dead === 0 ? 'good' : most ? 'bad' : 'note',
    title:
      dead === 0
        ? `Every dimension of the ${title} is in use`
        : `${dead} of ${width} dimensions of the ${title} are dead`,
    text:
      "A dimension is dead where it varies less than a tenth of what an even spread has; of the untrained network's " +
      `there are ${untrained.sets[key]!.dead}.${most && advice ? ` ${advice}` : ''}`,
  };
}
