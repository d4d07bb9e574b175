import { chanceOf, methodOf } from '../../../methods/index.ts';
import { lookupsOf } from '../../../methods/lookups.ts';
import type { Checkpoint } from '../../../shared/checkpoint.ts';
import { patchesOf, type RunConfig } from '../../../shared/config.ts';
import { AppError } from '../../../shared/errors.ts';
import type { Scored, Scores } from '../../../shared/evaluation.ts';
import { leftOutWords } from '../../../shared/left-out.ts';
import { onReadable } from '../../data/readable.ts';
import type { LookupNetworks } from '../../engine/lookups.ts';
import type { Store } from '../../store/store.ts';
import { wholeNetwork } from '../ground/networks.ts';
import { batchOf, heldOutImages, inBatches } from './batches.ts';
import type { Contestant } from './contestants.ts';
import type { EvaluateOptions } from './types.ts';

/** Images that are asked together at least: the control asks for another one's keys, and BatchNorm needs company. */
const LEAST = 2;

/** Look-ups of networks on images that they did not train on, where the run kept some. */
export async function evaluateLookups(
  store: Store,
  networks: readonly Contestant[],
  options: EvaluateOptions,
): Promise<Scored> {
  const [{ checkpoint, config }] = networks as [Contestant];
  const { settings } = await lookupsOf(checkpoint); // says why there are none
  const { images, own } = heldOutImages(store, checkpoint, options.testDataset ?? options.dataset);
  if (images.length < LEAST)
    throw new AppError(
      'bad-input',
      'A look-up on held-out images needs at least two of them.',
      '',
      'Name a dataset with more images.',
    );
  const chances: Partial<Record<Contestant['start'], number>> = {};
  const { value, leftOut } = await onReadable(async (reader) => {
    const scores: Scored['scores'] = {};
    let asked = 0;
    for (const [i, { start, checkpoint, config, load }] of networks.entries()) {
      if (!hasLookups(checkpoint)) continue; // imported weights without a projector have no keys to look among
      const lookups = await lookupsOf(checkpoint);
      const pair: LookupNetworks = {
        student: wholeNetwork(config, load('student')),
        teacher: wholeNetwork(config, load('teacher')),
      };
      const sum: Record<string, number> = {};
      let seen = 0;
      try {
        for await (const batch of inBatches(config, images, reader, LEAST)) {
          options.signal?.throwIfAborted();
          const size = batch.masks.length;
          for (const [key, share] of Object.entries(lookups.score(pair, batch, config)))
            sum[key] = (sum[key] ?? 0) + share * size;
          seen += size;
          options.onProgress?.(i * images.length + seen, networks.length * images.length, `${start} network`);
        }
      } finally {
        pair.student.dispose();
        pair.teacher.dispose();
      }
      if (seen === 0) throw noneRead(reader.leftOut);
      reader.settle();
      asked ||= seen;
      scores[start] = Object.fromEntries(Object.entries(sum).map(([key, value]) => [key, value / seen])) as Scores;
      chances[start] = chanceIn(config);
    }
    return { scores, asked };
  });
  return {
    train_images: 0,
    test_images: value.asked,
    classes: null,
    chance: chances.trained!,
    scores: value.scores,
    left_out: leftOut,
    notices: [leftOutWords(leftOut, images.length)].filter(Boolean),
    settings: {
      K: patchesOf(config.model),
      held_out: own,
      views: 'middle square, not augmented',
      ...settings(config, batchOf(config)),
      // Another model may have another K.
      ...(chances.official !== undefined && { chance_official: chances.official }),
    },
  };
}

/** What guessing finds. */
const chanceIn = (config: RunConfig) => chanceOf({ config }, { batch: batchOf(config) }).figures.top1!;

/** Whether a checkpoint's networks can be asked for look-ups. */
const hasLookups = ({ config, lacks }: Checkpoint) => methodOf(config).lookups !== null && lacks.length === 0;

function noneRead(leftOut: readonly { path: string }[]): AppError {
  const [first] = leftOut;
  const why = first ? `${leftOut.length} cannot be read; the first is ${first.path}.` : '';
  return new AppError('bad-input', 'Look-ups need two images that can be read.', why, 'Check the folder.');
}
