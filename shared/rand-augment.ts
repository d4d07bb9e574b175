/** RandAugment (arXiv 1909.13719) as timm has it, by the words that name it there: `rand-m9-mstd0.5-inc1`. */
export interface RandAugment {
  /** Of each operation, 0 to 10. */
  magnitude: number;
  /** Operations that are drawn for an image; each is then done with probability one half. */
  layers: number;
  /** Standard deviation of the magnitude; 0 for none. */
  std: number;
  /** Whether every operation changes an image more as the magnitude rises. */
  increasing: boolean;
}

/** Of the published run_class_finetuning.py (`aa`). */
export const PUBLISHED_AA = 'rand-m9-mstd0.5-inc1';
const WORDS = /^rand(?:-(?:m(?:\d|10)|n[1-9]\d?|mstd\d+(?:\.\d+)?|inc[01]))*$/;

export const isRandAugment = (text: string): boolean => text === 'none' || WORDS.test(text);

/** Null for `none`. What is not said is as in timm: magnitude 10, two operations, no deviation. */
export function parseRandAugment(text: string): RandAugment | null {
  if (text === 'none') return null;
  const value = (name: string) => new RegExp(`-${name}(\\d[\\d.]*)`).exec(text)?.[1];
  return {
    magnitude: Number(value('m') ?? 10),
    layers: Number(value('n') ?? 2),
    std: Number(value('mstd') ?? 0),
    increasing: value('inc') === '1',
  };
}
