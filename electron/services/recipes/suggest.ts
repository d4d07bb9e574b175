import { BUDGETS } from '../../../shared/budgets.ts';
import type { RunConfig } from '../../../shared/config.ts';
import type { Dataset } from '../../../shared/dataset.ts';
import { AppError } from '../../../shared/errors.ts';
import {
  fitted,
  type ImageFacts,
  type Suggestion,
  seenWords,
  servingOf,
  suggestions,
  timeWords,
} from '../../../shared/suggestion.ts';
import { plural } from '../../../shared/words.ts';
import type { Store } from '../../store/store.ts';
import { methodIn, parseConfig, withChanges } from './configuration.ts';
import { estimateCost } from './estimate.ts';
import { listPresets } from './presets.ts';

/**
 * What to train on a dataset, for each budget of time, by its images and by this machine's speed, which is measured.
 * @throws AppError bad-input for a dataset without usable images
 */
export async function suggest(
  store: Store,
  dataset: Dataset,
  signal?: AbortSignal,
): Promise<{ facts: ImageFacts; list: (Suggestion & { config: RunConfig; sees: string })[] }> {
  const { width, height } = store.images.facts(dataset.id);
  if (!width || !height)
    throw new AppError(
      'bad-input',
      `${dataset.name} has no usable images.`,
      '',
      'Choose another dataset, or look at its files again.',
    );
  const facts = { images: dataset.image_count, width: width[1], height: height[1] };
  const presets = listPresets(store);
  const speeds: Record<string, number> = {};
  for (const preset of new Set(BUDGETS.map((budget) => servingOf(presets, budget)))) {
    if (!preset) continue;
    const config = parseConfig(withChanges(preset, fitted(preset, facts)));
    speeds[preset.name] = (await estimateCost(config, facts.images, signal)).images_per_s;
  }
  const list = suggestions(facts, presets, speeds).map((one) => {
    const config = parseConfig(withChanges(presets.find(({ name }) => name === one.preset)!, one.changes));
    return { ...one, config, sees: seenWords(facts, config) };
  });
  return { facts, list };
}

/** A suggestion in sentences. */
export const suggestionWords = ({
  minutes,
  budget,
  steps,
  config,
  why,
  sees,
}: Awaited<ReturnType<typeof suggest>>['list'][number]) =>
  `${methodIn(config).title}, ${plural(steps, 'step')} of ${config.train.batch_size} images, about ${timeWords(minutes ?? budget.minutes)}. ${why} ${sees}`;
