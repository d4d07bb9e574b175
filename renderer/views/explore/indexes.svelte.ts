import type { Input } from '../../../shared/contract/index.ts';
import type { RetrievalIndex } from '../../../shared/retrieval.ts';
import { call } from '../../api.ts';
import { resource } from '../../state/resource.svelte.ts';
import type { ExploreProps } from '../../widgets/explore.ts';

type Spec = Input<'retrieval.build'>;

interface Asked<F extends string> extends Pick<ExploreProps, 'checkpoint' | 'checkpoints' | 'datasets'> {
  /** The dataset that is searched. */
  searched: number;
  feature: F;
}

/**
 * Indexes of one dataset's features by a run's networks. Call it while a component is made.
 * @param asked may read state
 */
export function indexesOf<F extends string>(asked: () => Asked<F>) {
  const list = resource(() => call('retrieval.indexes', {}), ['indexes']);
  const detail = resource(() => call('datasets.get', { id: asked().searched }), ['datasets']);
  /** The untrained network is the run's, so an index of it serves every checkpoint. */
  const find = (part: Spec['part']): RetrievalIndex | undefined => {
    const { checkpoint, checkpoints, searched, feature } = asked();
    return list.value?.find(
      (one) =>
        (part === 'untrained'
          ? checkpoints.some(({ id }) => id === one.checkpoint_id)
          : one.checkpoint_id === checkpoint) &&
        one.dataset_id === searched &&
        one.part === part &&
        one.feature === feature &&
        one.max_images === 0,
    );
  };
  return {
    get isKnown() {
      return list.value !== undefined;
    },
    /** Of the dataset: answers can be kept to one. */
    get classes(): readonly string[] {
      return detail.value?.labels_count.map(({ label }) => label) ?? [];
    },
    /** How many an index should hold. */
    get images(): number {
      const { datasets, searched } = asked();
      return datasets.find(({ id }) => id === searched)?.image_count ?? 0;
    },
    of: find,
    /** What is built, or asked. */
    specOf: (part: Spec['part']): Spec & { feature: F } => {
      const { checkpoint, searched, feature } = asked();
      return { checkpoint: find(part)?.checkpoint_id ?? checkpoint, dataset: searched, part, feature, max_images: 0 };
    },
  };
}
