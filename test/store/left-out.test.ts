import { expect, test } from 'vitest';
import { newStore } from './helpers.ts';

test('what an import left out is kept with the dataset', () => {
  const { store, dataset } = newStore();
  expect(dataset.left_out).toBeNull();
  const none = { count: 0, paths: [] };
  const left = {
    kinds: [{ kind: '.txt', count: 2 }],
    closed: { count: 1, paths: ['/a/x'] },
    system: none,
    hidden: none,
    own: none,
    special: none,
    broken: none,
  };
  store.datasets.markScanned(dataset.id, left);
  expect(store.datasets.list()[0]!.left_out).toEqual(left);
});
