import { gridOf } from '../../../shared/config.ts';
import type { Input, RetrievalView, TravelStation, TravelView } from '../../../shared/contract/index.ts';
import { regrid } from '../../../shared/patches.ts';
import type { RetrievalSpec } from '../../../shared/retrieval.ts';
import { compareAnswers, nearestStop } from '../../../shared/travel.ts';
import type { Store } from '../../store/store.ts';
import type { PatchIndexes } from './patch-index.ts';
import type { BuildOptions } from './vector-builder.ts';

type Route = Pick<Input<'travel.build'>, 'checkpoints' | 'dataset' | 'part' | 'feature' | 'max_images'>;

/** For each run that is visited: its untrained network, then its checkpoints, in the order given. */
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

/** The same patch at every station: what is nearest there, how that has changed, and how it is in the first run. */
export async function travel(
  store: Store,
  indexes: PatchIndexes,
  { image, patches, k, ...route }: Input<'travel.ask'>,
): Promise<TravelView> {
  const { run_id: first, config } = store.checkpoints.get(route.checkpoints[0]!);
  const grid = gridOf(config.model);
  const pictures: TravelView['pictures'] = {};
  const asked: (Omit<TravelStation, 'results' | 'overlap' | 'beside'> & {
    answers: RetrievalView['results'] | null;
  })[] = [];
  for (const spec of stationsOf(store, route)) {
    const { run_id, step, config: own } = store.checkpoints.get(spec.checkpoint_id);
    const isUntrained = spec.part === 'untrained';
    const head = {
      checkpoint: spec.checkpoint_id,
      run: run_id,
      name: store.runs.get(run_id).name,
      step: isUntrained ? 0 : step,
      is_untrained: isUntrained,
      grid: gridOf(own.model),
    };
    const isBuilt = store.retrieval.find(spec)?.is_ready === true;
    const region = regrid(patches, grid, head.grid);
    const view = isBuilt ? await indexes.search({ spec, image, patches: region, k, sameImage: false }) : null;
    for (const one of view?.results ?? []) pictures[one.image] = one.picture;
    asked.push({ ...head, answers: view?.results ?? null });
  }
  const stations = asked.map(({ answers, ...head }, i): TravelStation => {
    if (!answers) return { ...head, results: null, overlap: null, beside: null };
    const last = asked.slice(0, i).findLast((one) => one.run === head.run && one.answers !== null);
    const before = compareAnswers(last?.answers ?? null, answers);
    const firsts = asked.filter((one) => one.run === first && one.answers !== null);
    const other = head.run === first ? undefined : nearestStop(firsts, head);
    const beside = compareAnswers(other?.grid === head.grid ? other.answers : null, answers);
    return {
      ...head,
      results: answers.map(({ image: id, path, patch, score }, n) => ({
        image: id,
        path,
        patch,
        score,
        rank_before: before.ranks[n]!,
        rank_beside: beside.ranks[n]!,
      })),
      overlap: before.overlap,
      beside: other
        ? { checkpoint: other.checkpoint, step: other.step, is_untrained: other.is_untrained, overlap: beside.overlap }
        : null,
    };
  });
  return { grid, ...(await indexes.pictureOf(image, config)), pictures, stations };
}
