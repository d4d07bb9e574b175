import type { CommonConfig, Refuse } from './config.ts';
import type { Sign } from './method.ts';
import type { Metric } from './run.ts';

/** What follows from a queue of earlier keys (MoCo, arXiv 1911.05722), whose length is the setting `contrast.queue`. */

type Train = Pick<CommonConfig['train'], 'batch_size' | 'accumulation'>;

/** That a queue holds whole batches. */
export function checkQueue(length: number, { batch_size }: Train, refuse: Refuse): void {
  if (length % batch_size === 0) return;
  const nearest = Math.max(1, Math.round(length / batch_size)) * batch_size;
  refuse(
    ['contrast', 'queue'],
    `must be a multiple of train.batch_size (${batch_size}), so that it holds whole batches; nearest: ${nearest}`,
  );
}

/** Steps until a queue holds no random key any more: until then a loss rises. */
export const filledAt = (length: number, { batch_size, accumulation }: Train): number =>
  Math.ceil(length / (batch_size * accumulation));

/** @param images that a run trains on */
export function queueNotices(length: number, { accumulation }: Train, images?: number): string[] {
  const said: string[] = [];
  if (accumulation > 1)
    said.push(
      `The keys of a step's ${accumulation} micro-batches come into the queue one after the other, so that later ones are ` +
        'compared with those of earlier ones.',
    );
  if (images !== undefined && length >= images)
    said.push(
      `The queue holds ${length} keys, and there are ${images} images: an image meets its own earlier keys among those that ` +
        'it is to be told from. A contrast.queue of half the images or less does not.',
    );
  return said;
}

/** That a run's queue still has keys of no image. */
export function queueFilling(metrics: readonly Metric[], filled: number): Sign[] {
  const last = metrics.at(-1);
  if (!last || last.step >= filled) return [];
  return [
    {
      word: 'queue filling',
      kind: 'queue-filling',
      level: 'note',
      text: `The queue still has random keys, which are easily told apart: it is full at step ${filled}, and the loss rises until then.`,
      advice: 'Judge the loss from then on. A smaller contrast.queue fills sooner.',
    },
  ];
}
