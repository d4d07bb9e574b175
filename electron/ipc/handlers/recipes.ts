import { METHODS } from '../../../methods/index.ts';
import type { RECIPES } from '../../../shared/contract/recipes.ts';
import { configFields } from '../../services/recipes/configuration.ts';
import { estimateCost } from '../../services/recipes/estimate.ts';
import { labPreview } from '../../services/recipes/lab.ts';
import { checkRecipe, configOf, listPresets, savePreset } from '../../services/recipes/presets.ts';
import type { Context, HandlersOf } from '../context.ts';
import { requireAnswering } from './answering.ts';

export function recipeHandlers(context: Context): HandlersOf<typeof RECIPES> {
  const { store, events, tasks } = context;
  const changed = () => events.emit({ type: 'presets' });
  return {
    'config.fields': () => Object.fromEntries(METHODS.map((method) => [method.name, configFields(method)])),
    'config.check': (recipe) => checkRecipe(store, recipe),
    'config.estimate': ({ dataset, ...recipe }) => {
      const config = configOf(store, recipe);
      const images = store.datasets.get(dataset).image_count;
      return tasks.start('estimate', 'Measuring what a run costs', ({ signal }) =>
        estimateCost(config, images, signal),
      );
    },
    'presets.list': () => listPresets(store),
    'presets.save': (recipe) => {
      const saved = savePreset(store, recipe);
      changed();
      return saved;
    },
    'presets.delete': ({ name }) => {
      store.presets.delete(name);
      changed();
      return {};
    },
    'lab.preview': async ({ images, draw, ...recipe }) => {
      const datasets = new Set(images.map((id) => store.images.get(id).dataset_id));
      for (const dataset of datasets) await requireAnswering(context, dataset);
      return labPreview(store, configOf(store, recipe), { images, draw });
    },
  };
}
