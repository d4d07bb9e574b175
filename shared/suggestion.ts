import { BUDGETS, type Budget } from './budgets.ts';
import type { RunConfig } from './config.ts';
import type { Preset } from './method.ts';
import { count, fixed } from './words.ts';

/** Runs that are suggested for a folder of images: how long, at which size, by which preset. What was measured is in docs/small-data.md. */

/** Fewer steps taught nothing on any set that was tried. */
export const LEAST_STEPS = 1500;
const LARGEST_BATCH = 64;
/** Of these a run has about so many checkpoints, at each of which its features are looked at. */
const CHECKPOINTS = 10;

/** Of a dataset: width and height are medians, pixels. */
export interface ImageFacts {
  images: number;
  width: number;
  height: number;
}

export interface Suggestion {
  budget: Budget;
  preset: string;
  /** Why this preset, as a sentence. */
  why: string;
  /** Over the preset, by dotted key. */
  changes: Record<string, number>;
  steps: number;
  /** On this machine; null until its speed is known. */
  minutes: number | null;
}

type Ready = Omit<Preset, 'config'> & { config: RunConfig };

/** Side of the network's input by the shorter side of the images, pixels: no more than they have, and no more than two cores do. */
function sideFor({ width, height }: ImageFacts): number {
  const shorter = Math.min(width, height);
  if (shorter < 48) return 32;
  return shorter < 160 ? 64 : 128;
}

/** Largest power of two that a batch of different images may have. */
const batchFor = (images: number): number =>
  Math.min(LARGEST_BATCH, 2 ** Math.max(1, Math.floor(Math.log2(Math.max(2, images)))));

/** Settings that follow from the images: there are as many patches at each size, so steps take about as long. */
export function fitted({ config }: Pick<Ready, 'config'>, facts: ImageFacts): Record<string, number> {
  const scale = sideFor(facts) / config.model.image_size;
  const unit = config.mask && 'unit' in config.mask ? Number(config.mask.unit) : null;
  return {
    'model.image_size': config.model.image_size * scale,
    'model.patch_size': config.model.patch_size * scale,
    ...(unit !== null && { 'mask.unit': unit * scale }),
    'train.batch_size': batchFor(facts.images),
  };
}

/** The preset that serves a budget. */
export const servingOf = (presets: readonly Ready[], budget: Budget): Ready | undefined =>
  presets.find(({ serves }) => serves?.budgets.includes(budget.key));

/**
 * A run for each budget.
 * @param speeds images a second by preset, with what `fitted` gives; missing until it is measured
 */
export function suggestions(
  facts: ImageFacts,
  presets: readonly Ready[],
  speeds: Readonly<Record<string, number>>,
): Suggestion[] {
  return BUDGETS.flatMap((budget) => {
    const preset = servingOf(presets, budget);
    if (!preset) return [];
    const changes = fitted(preset, facts);
    const speed = speeds[preset.name];
    const images = speed === undefined ? 0 : budget.minutes * 60 * speed;
    // A machine that is too slow for that many steps takes them on half of the images.
    const whole = changes['train.batch_size']!;
    const batch = speed !== undefined && images < LEAST_STEPS * whole ? Math.min(whole, LARGEST_BATCH / 2) : whole;
    const steps = Math.max(LEAST_STEPS, 100 * Math.floor(images / batch / 100));
    return {
      budget,
      preset: preset.name,
      why: preset.serves!.why,
      changes: {
        ...changes,
        'train.batch_size': batch,
        'train.steps': steps,
        'checkpoint.every_steps': Math.max(50, 50 * Math.round(steps / CHECKPOINTS / 50)),
      },
      steps,
      minutes: speed === undefined ? null : (steps * batch) / speed / 60,
    };
  });
}

/** "40 min", "8 h": what a budget or a suggestion takes. */
export const timeWords = (minutes: number): string =>
  minutes < 90 ? `${Math.max(1, Math.round(minutes))} min` : `${fixed(minutes / 60, minutes % 60 < 3 ? 0 : 1)} h`;

/** What the network sees of an image, as a sentence. */
export function seenWords({ width, height }: ImageFacts, { model, augment }: RunConfig): string {
  const [least, most] = augment.crop_scale;
  const side = (share: number) => Math.sqrt(share * width * height);
  const across = side((least + most) / 2);
  const shorter = Math.min(width, height);
  // Something of a size that such images show: a tenth of their height or less.
  const thing = shorter >= 300 ? 40 : Math.max(4, Math.round(shorter / 10));
  const becomes = (thing * model.image_size) / across;
  return (
    `The network sees crops of ${count(Math.round(side(least)))} to ${count(Math.round(side(most)))} px across, at ` +
    `${model.image_size} x ${model.image_size}: what is ${thing} px wide in an image becomes ${fixed(becomes, becomes < 10 ? 1 : 0)} px.`
  );
}
