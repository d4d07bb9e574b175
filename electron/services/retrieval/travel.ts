import type { RetrievalSpec } from '../../../shared/domain.ts';
import type { Input, TravelView } from '../../../shared/ipc.ts';
import type { Store } from '../../store/store.ts';
import type { PatchIndexes } from './patch-index.ts';
import type { BuildOptions } from './vector-builder.ts';

type Route = Pick<Input<'travel.build'>, 'checkpoints' | 'dataset' | 'part' | 'feature' | 'max_images'>;

/** The untrained network of each run that is visited, then its checkpoints, in the order given. */
export function stationsOf(store: Store, { checkpoints, dataset, part, feature, max_images }: Route): RetrievalSpec[] {
  const common = { dataset_id: dataset, feature, max_images };
  const seen = new Set<number>();
  return checkpoints.flatMap((checkpoint_id) => {
    const { run_id } = store.checkpoints.get(checkpoint_id);
    const own: RetrievalSpec = { ...common, checkpoint_id, part };
    if (seen.has(run_id)) return [own];
    seen.add(run_id);
    return [{ ...common, checkpoint_id, part: 'untrained' as const }, own];
  });
}

/** Makes every station searchable; those that are stay as they are. */
export async function buildTravel(
  store: Store,
  indexes: PatchIndexes,
  route: Route,
  { signal, onProgress }: BuildOptions = {},
): Promise<{ built: number }> {
  const missing = stationsOf(store, route).filter((spec) => !store.retrieval.find(spec)?.is_ready);
  for (const [i, spec] of missing.entries()) {
    signal?.throwIfAborted();
    await indexes.build(spec, {
      signal,
      onProgress: (done, total) =>
        onProgress?.(i * total + done, missing.length * total, `checkpoint ${i + 1} of ${missing.length}`),
    });
  }
  return { built: missing.length };
}

/** The same patch at every station: what is nearest there, and how that has changed. */
export async function travel(
  store: Store,
  indexes: PatchIndexes,
  { image, patches, k, ...route }: Input<'travel.ask'>,
): Promise<TravelView> {
  const stations: TravelView['stations'] = [];
  const pictures: TravelView['pictures'] = {};
  let found: Pick<TravelView, 'grid' | 'picture' | 'path'> | null = null;
  const keyOf = (one: { image: number; patch: number }) => `${one.image} ${one.patch}`;
  for (const spec of stationsOf(store, route)) {
    const { run_id, step } = store.checkpoints.get(spec.checkpoint_id);
    const isUntrained = spec.part === 'untrained';
    const station = { checkpoint: spec.checkpoint_id, run: run_id, name: store.runs.get(run_id).name };
    const head = { ...station, step: isUntrained ? 0 : step, is_untrained: isUntrained };
    if (!store.retrieval.find(spec)?.is_ready) {
      stations.push({ ...head, results: null, overlap: null });
      continue;
    }
    const view = await indexes.search({ spec, image, patches, k, sameImage: false });
    found ??= view;
    for (const one of view.results) pictures[one.image] = one.picture;
    const before = stations.findLast((one) => one.run === run_id && one.results)?.results ?? null;
    const ranks = new Map(before?.map((one, i) => [keyOf(one), i + 1]));
    const results = view.results.map(({ image: id, path, patch, score }) => ({
      ...{ image: id, path, patch, score },
      rank_before: ranks.get(`${id} ${patch}`) ?? null,
    }));
    const kept = results.filter(({ rank_before }) => rank_before !== null).length;
    stations.push({ ...head, results, overlap: before && results.length > 0 ? kept / results.length : null });
  }
  return { grid: found?.grid ?? 0, picture: found?.picture ?? '', path: found?.path ?? '', pictures, stations };
}
