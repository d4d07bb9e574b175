import type { Context } from '../context.ts';

/** Indexes that no deletion has hidden. */
export const shownIndexes = ({ store, deletions }: Pick<Context, 'store' | 'deletions'>) =>
  store.retrieval.list().filter(({ id }) => !deletions.isHidden('index', id));

/** Sets of prepared images that no deletion has hidden. */
export const shownPrepared = ({ store, deletions }: Pick<Context, 'store' | 'deletions'>) =>
  store.prepared.list().filter(({ id }) => !deletions.isHidden('prepared', id));
