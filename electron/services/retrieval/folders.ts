import { existsSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Input } from '../../../shared/contract/index.ts';
import type { RetrievalSpec } from '../../../shared/retrieval.ts';
import type { Store } from '../../store/store.ts';

const all = (store: Store) => join(dirname(store.path), 'indexes');

/** Where the files of an index are. */
export const indexFolder = (store: Store, id: number): string => join(all(store), String(id));

/** Removes files of indexes that are gone, or that went with their checkpoint or dataset. */
export function sweepIndexes(store: Store): void {
  if (!existsSync(all(store))) return;
  const known = new Set(store.retrieval.list().map(({ id }) => String(id)));
  for (const name of readdirSync(all(store)))
    if (!known.has(name)) rmSync(join(all(store), name), { recursive: true, force: true });
}

/** Removes an index and its files. @throws AppError not-found */
export function deleteIndex(store: Store, id: number): void {
  store.retrieval.get(id);
  store.retrieval.delete(id);
  sweepIndexes(store);
}

/** What an index was made of, in a window's words. */
export const specOf = ({
  checkpoint,
  dataset,
  part,
  feature,
  max_images,
}: Input<'retrieval.build'>): RetrievalSpec => ({
  checkpoint_id: checkpoint,
  dataset_id: dataset,
  part,
  feature,
  max_images,
});
