import type { EXPLORE } from '../../../shared/contract/explore.ts';
import { requireAnswering } from '../../services/datasets/answering.ts';
import { storedMap } from '../../services/explore/feature-map.ts';
import { probeStrip } from '../../services/explore/probe-strip.ts';
import { startAccuracy, startMap, startProbes } from '../../services/explore/tasks.ts';
import type { Context, HandlersOf } from '../context.ts';

export function exploreHandlers(context: Context): HandlersOf<typeof EXPLORE> {
  const { store, explore } = context;
  const ofImage = (image: number) => requireAnswering(context, store.images.get(image).dataset_id);
  return {
    'probes.get': ({ id }) => probeStrip(store, id),
    'probes.compute': ({ id }) => startProbes(context, id),
    'explore.lookup': async (input) => {
      await ofImage(input.image);
      return explore.lookup(input);
    },
    'explore.explain': async (input) => {
      await ofImage(input.image);
      return explore.explain(input);
    },
    'explore.groups': async (input) => {
      await requireAnswering(context, input.dataset);
      return explore.groups(input);
    },
    'explore.accuracy': (input) => startAccuracy(context, input),
    'explore.colours': async (input) => {
      await requireAnswering(context, input.dataset);
      return explore.colours(input);
    },
    'explore.attention': async (input) => {
      await ofImage(input.image);
      return explore.attention(input);
    },
    'explore.map': (input) => storedMap(store, input),
    'explore.map-compute': (input) => startMap(context, input),
  };
}
