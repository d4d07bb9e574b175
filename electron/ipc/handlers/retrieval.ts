import type { RETRIEVAL } from '../../../shared/contract/retrieval.ts';
import { requireAnswering } from '../../services/datasets/answering.ts';
import { indexDeletion } from '../../services/retrieval/deletion.ts';
import { startIndex, startTravel } from '../../services/retrieval/tasks.ts';
import type { Context, HandlersOf } from '../context.ts';
import { shownIndexes } from './shown.ts';

export function retrievalHandlers(context: Context): HandlersOf<typeof RETRIEVAL> {
  const { store, explore, deletions } = context;
  const ofImage = (image: number) => requireAnswering(context, store.images.get(image).dataset_id);
  return {
    'retrieval.indexes': () => shownIndexes({ store, deletions }),
    'retrieval.build': (input) => startIndex(context, input),
    'retrieval.search': async (input) => {
      await ofImage(input.image);
      return explore.retrieve(input);
    },
    'alike.search': async (input) => {
      if ('image' in input.of) await ofImage(input.of.image);
      return explore.alike(input);
    },
    'retrieval.delete': ({ id }) => deletions.add(indexDeletion(context, id)),
    'travel.build': (input) => startTravel(context, input),
    'travel.ask': async (input) => {
      await ofImage(input.image);
      return explore.travel(input);
    },
  };
}
