import { methodOf, PRESETS, parseRunConfig } from '../../../methods/index.ts';
import { patchesOf, type RunConfig } from '../../../shared/config.ts';
import type { ConfigCheck, PresetRow } from '../../../shared/contract/recipes.ts';
import { AppError } from '../../../shared/errors.ts';
import type { Preset } from '../../../shared/method.ts';
import { ratesAt } from '../../engine/schedule.ts';
import type { Store } from '../../store/store.ts';
import { maskedPatches, planNotices } from '../../trainer/plan-notices.ts';
import { countImages, stepsPerEpoch, totalSteps } from '../../trainer/training-images.ts';
import { checkConfig, differences, findPreset, withChanges } from './configuration.ts';
import { checkLenders, lendingNotices } from './lenders.ts';
import { checkpointBytes, parametersOf, requireMemory } from './memory-need.ts';

/** Recipes that the user saved. */
export const savedPresets = (store: Store): Preset[] =>
  store.presets.list().map(({ name, title, based_on, config }) => ({
    name,
    title,
    source: `Saved here, from ${based_on}`,
    meant_for: '',
    config,
  }));

export function listPresets(store: Store): PresetRow[] {
  const row = (preset: Preset, own: boolean): PresetRow => ({
    ...preset,
    config: parseRunConfig(preset.config),
    own,
  });
  return [...PRESETS.map((p) => row(p, false)), ...savedPresets(store).map((p) => row(p, true))];
}

interface Recipe {
  preset: string;
  changes: Readonly<Record<string, unknown>>;
}

/**
 * @throws AppError conflict for a name of the program's own, or of another that was saved unless `replace`; bad-input for
 *   values that cannot be used
 */
export function savePreset(
  store: Store,
  recipe: Recipe & { name: string; title: string; replace?: boolean },
): PresetRow {
  if (PRESETS.some((p) => p.name === recipe.name))
    throw new AppError('conflict', `"${recipe.name}" is a preset of the program.`, '', 'Choose another name.');
  if (!recipe.replace && store.presets.has(recipe.name)) {
    const what = `There is a preset named "${recipe.name}" already.`;
    throw new AppError('conflict', what, '', 'Choose another name, or replace it.', { exists: recipe.name });
  }
  store.presets.save({
    name: recipe.name,
    title: recipe.title,
    based_on: recipe.preset,
    config: configOf(store, recipe),
  });
  return listPresets(store).find((p) => p.name === recipe.name)!;
}

/** @throws AppError bad-input with the first problem */
export function configOf(store: Store, { preset, changes }: Recipe): RunConfig {
  const { config, problems } = checkConfig(withChanges(findPreset(preset, savedPresets(store)), changes));
  if (config) return config;
  const { key, message, next } = problems[0]!;
  throw new AppError('bad-input', `${key || 'The configuration'} cannot be used: ${message}.`, '', next);
}

/** Where a run's configuration differs from its preset; nothing where that is gone. */
export function differsFromPreset(store: Store, preset: string | null, config: RunConfig): ConfigCheck['differs'] {
  const found = [...PRESETS, ...savedPresets(store)].find((p) => p.name === preset);
  return found ? differences(parseRunConfig(found.config), config) : [];
}

const CURVE_POINTS = 200;

/** Every problem of a recipe, where it differs from its preset, and what follows for a dataset. */
export function checkRecipe(store: Store, recipe: Recipe & { dataset: number | null }): ConfigCheck {
  const preset = findPreset(recipe.preset, savedPresets(store));
  const { config, problems } = checkConfig(withChanges(preset, recipe.changes));
  if (!config) return { config, problems, differs: [], plan: null };
  const differs = differences(parseRunConfig(preset.config), config);
  if (recipe.dataset === null) return { config, problems, differs, plan: null };
  // What it takes over says how large it is.
  const lent = checkLenders(store, store.datasets.get(recipe.dataset), config);
  if (lent.problem) return { config: null, problems: [lent.problem], differs, plan: null };
  const plan = planOf(store, recipe.dataset, lent.config);
  // The form names the run that is taken over: only that one is not finished has to be said.
  const unfinished = lent.taken.filter(({ run }) => run.status !== 'finished');
  return {
    config: lent.config,
    problems,
    differs,
    plan: { ...plan, notices: [...lendingNotices({ ...lent, taken: unfinished }), ...plan.notices] },
  };
}

/** The problem that a run does not fit into memory, in the words in which starting it would be refused. */
function memoryNotice(config: RunConfig): string[] {
  try {
    requireMemory(config);
    return [];
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return [`${error.message} ${error.next}`];
  }
}

function planOf(store: Store, datasetId: number, config: RunConfig): NonNullable<ConfigCheck['plan']> {
  const dataset = store.datasets.get(datasetId);
  const images = countImages(store, dataset, config);
  const perEpoch = stepsPerEpoch(images, config);
  const steps = totalSteps(images, config);
  const parameters = parametersOf(config);
  const count = Math.min(CURVE_POINTS, steps);
  const at = Array.from({ length: count }, (_, i) => (count < 2 ? 0 : Math.round((i * (steps - 1)) / (count - 1))));
  const rates = at.map((step) => ratesAt(config, step, steps, perEpoch, methodOf(config).peakAfterWarmup));
  return {
    images,
    steps,
    steps_per_epoch: perEpoch,
    K: patchesOf(config.model),
    masked: maskedPatches(config),
    notices: [...planNotices(config, { images, steps, perEpoch }), ...memoryNotice(config)],
    parameters,
    checkpoint_bytes: checkpointBytes(config),
    curves: {
      step: at,
      lr: rates.map((r) => r.lr),
      weight_decay: rates.map((r) => r.weight_decay),
      momentum: rates.map((r) => r.momentum),
    },
  };
}
