import { METHODS } from '../../../methods/index.ts';
import type { RECIPES } from '../../../shared/contract/recipes.ts';
import { requireAnswering } from '../../services/datasets/answering.ts';
import { configFields } from '../../services/recipes/configuration.ts';
import { labPreview } from '../../services/recipes/lab.ts';
import { checkRecipe, configOf, listPresets, savePreset } from '../../services/recipes/presets.ts';
import { startEstimate } from '../../services/recipes/tasks.ts';
import type { Context, HandlersOf } from '../context.ts';

export function recipeHandlers(context: Context): HandlersOf<typeof RECIPES> {
  const { store, events } = context;
  const changed = () => events.emit({ type: 'presets' });
  return {
    'config.fields': () => Object.fromEntries(METHODS.map((method) => [method.name, configFields(method)])),
    'config.check': (recipe) => checkRecipe(store, recipe),
    'config.estimate': (input) => startEstimate(context, input),
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
