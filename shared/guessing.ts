import { patchesOf, type RunConfig } from './config.ts';
import type { LookupConfig } from './method.ts';

/** What guessing gives, to compare figures with. */
export interface Guessing {
  /** Keys that a query chooses among, or classes of a fine-tuning. */
  among: number;
  /** The same in letters: `K`, `K·B`, or the number of classes. */
  symbol: string;
  /** Share that is right. */
  top1: number;
  top5: number;
  /** Nats: ln of `among`. */
  loss: number;
  /** Share of the control that is right: it is always asked among the keys of one image. Null for a fine-tuning. */
  control: number | null;
}

/**
 * Guessing of a run. A query chooses among the K patches of its own image, or of every image of its micro-batch where the
 * dictionary is the batch; an image among the classes of a fine-tuning.
 * @param batch images that are asked at once, where that is not the micro-batch of training
 */
export function guessingOf(
  {
    config,
    finetune = null,
  }: {
    config: Pick<RunConfig, 'model' | 'train'>;
    finetune?: { classes: readonly string[] } | null;
  },
  batch = config.train.batch_size,
): Guessing {
  const K = patchesOf(config.model);
  const isBatch = (config as Partial<LookupConfig>).contrast?.dictionary === 'batch';
  const among = finetune ? Math.max(1, finetune.classes.length) : isBatch ? K * batch : K;
  return {
    among,
    symbol: finetune ? String(among) : isBatch ? 'K·B' : 'K',
    top1: 1 / among,
    top5: Math.min(1, 5 / among),
    loss: Math.log(among),
    control: finetune ? null : 1 / K,
  };
}

/** `ln K`, `ln(K·B)`, `ln 4`. */
export const lossWords = ({ symbol }: Guessing) => (symbol.includes('·') ? `ln(${symbol})` : `ln ${symbol}`);
