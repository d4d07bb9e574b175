import { expect, test } from 'vitest';
import { bakeOffRows, damagedBakeOffs, summaryOf } from '../../electron/services/bakeoff/summary.ts';
import { tendBakeOffs } from '../../electron/services/bakeoff/work.ts';
import type { AskedBakeOff, BakeOffPlan } from '../../shared/bakeoff.ts';
import { behindItsBack, CONFIG, catchError, newStore } from './helpers.ts';

const asked = (dataset: number, name = 'which one'): AskedBakeOff => ({
  name,
  dataset,
  test_dataset: null,
  entries: [{ preset: 'small-cpu', changes: {} }],
  encoder: { image_size: 32, patch_size: 8, embed_dim: 16, depth: 1, num_heads: 1, mlp_ratio: 4 },
  budget: { kind: 'images', images: 100 },
  seeds: 2,
  tasks: ['knn'],
  supervised: true,
  pixels: true,
  finetune: null,
});
const PLAN: BakeOffPlan = {
  dataset: 'photos',
  test_dataset: 'photos',
  images: 2,
  entries: [],
  supervised_epochs: null,
  runs: 1,
  labelled_runs: 0,
  evaluations: 1,
  seconds: null,
  disk: 5,
  memory: null,
  notices: [],
};

function withRuns() {
  const { path, store, dataset, run } = newStore();
  const made = store.bakeOffs.create({ asked: asked(dataset.id), plan: PLAN });
  store.bakeOffs.addRun(made.id, { run_id: run.id, role: 'pretrain', entry: 0, seed: 1 });
  return { path, store, dataset, run, made };
}

test('it is found by id and by name, with what was asked, its plan, and its runs', () => {
  const { store, dataset, run, made } = withRuns();
  expect(store.bakeOffs.get('which one')).toEqual({
    id: made.id,
    name: 'which one',
    created_at: made.created_at,
    dataset_id: dataset.id,
    test_dataset_id: null,
    asked: asked(dataset.id),
    plan: PLAN,
    runs: [{ run_id: run.id, role: 'pretrain', entry: 0, seed: 1, is_tended: false }],
  });
  expect(catchError(() => store.bakeOffs.get('which two'))).toMatchObject({
    kind: 'not-found',
    message: 'There is no bake-off "which two".',
    why: 'Near: "which one".',
  });
  const again = () => store.bakeOffs.create({ asked: asked(dataset.id), plan: PLAN });
  expect(catchError(again)).toMatchObject({ kind: 'conflict' });
  const number = () => store.bakeOffs.create({ asked: asked(dataset.id, '12'), plan: PLAN });
  expect(catchError(number)).toMatchObject({ kind: 'bad-input' });
  expect(() => store.bakeOffs.addRun(made.id, { run_id: run.id, role: 'pretrain', entry: 0, seed: 1 })).toThrow();
});

test('a run is tended once it is finished, and once', () => {
  const { store, run, made } = withRuns();
  expect(store.bakeOffs.untended()).toEqual([]);
  store.runs.update(run.id, { status: 'finished' });
  expect(store.bakeOffs.untended()).toEqual([{ bake_off_id: made.id, run_id: run.id }]);
  store.bakeOffs.setTended(made.id, run.id, true);
  expect(store.bakeOffs.untended()).toEqual([]);
});

test('a deleted run leaves it; a deleted bake-off leaves its runs; a forgotten dataset leaves both', () => {
  const { store, dataset, run, made } = withRuns();
  store.runs.delete(run.id);
  expect(store.bakeOffs.get(made.id).runs).toEqual([]);
  store.datasets.delete(dataset.id);
  expect(store.bakeOffs.get(made.id)).toMatchObject({ dataset_id: null, asked: { dataset: dataset.id } });
  const other = withRuns();
  other.store.bakeOffs.delete(other.made.id);
  expect(other.store.bakeOffs.list()).toEqual([]);
  expect(other.store.runs.get(other.run.id).id).toBe(other.run.id);
  expect(catchError(() => other.store.bakeOffs.delete(other.made.id))).toMatchObject({ kind: 'not-found' });
});

test('one process at a time does its work itself', () => {
  const { store, made } = withRuns();
  expect(store.bakeOffs.isHeld(made.id)).toBe(false);
  const lock = store.bakeOffs.take(made.id)!;
  expect([store.bakeOffs.isHeld(made.id), store.bakeOffs.take(made.id)]).toEqual([true, null]);
  lock.remove();
  expect(store.bakeOffs.isHeld(made.id)).toBe(false);
});

test('windows see that there is another, and another run of one', () => {
  const { store, made } = withRuns();
  const before = store.lists().bakeoffs;
  const other = store.runs.create({ dataset_id: 1, preset: null, config: CONFIG, total_steps: 1, steps_per_epoch: 1 });
  store.bakeOffs.addRun(made.id, { run_id: other.id, role: 'pretrain', entry: 0, seed: 0 });
  expect(store.lists().bakeoffs).not.toBe(before);
});

test.each([
  ['plan', '{}'],
  ['asked', '{"name":'],
])('one whose %s is %s is named apart, and can be forgotten', (column, text) => {
  const { store, run, dataset, made, path } = withRuns();
  const other = store.bakeOffs.create({ asked: asked(dataset.id, 'another'), plan: PLAN });
  behindItsBack(path, (raw) => raw.prepare(`UPDATE bake_offs SET ${column} = ? WHERE id = ?`).run(text, made.id));
  expect(store.bakeOffs.list()).toEqual([other]);
  const why = expect.stringContaining(`Its column bake_offs.${column} is not`);
  expect(store.bakeOffs.damaged()).toMatchObject([{ id: made.id, name: made.name, error: { why } }]);
  expect(catchError(() => store.bakeOffs.get(made.id))).toMatchObject({ kind: 'bad-file', why });
  expect(bakeOffRows(store).map(({ id }) => id)).toEqual([other.id]);
  expect(damagedBakeOffs(store)).toEqual(store.bakeOffs.damaged());
  expect(store.bakeOffs.head(made.name)).toMatchObject({ id: made.id, runs: [{ run_id: run.id }] });
  // What it waits for ends, and it is not asked again and again.
  store.runs.update(run.id, { status: 'finished' });
  expect([tendBakeOffs(store), tendBakeOffs(store)]).toEqual([true, false]);
  expect(store.notices.list(run.id)).toHaveLength(1);
  store.bakeOffs.delete(made.id);
  expect([store.bakeOffs.damaged(), store.bakeOffs.list()]).toEqual([[], [other]]);
});

test('a run that is damaged hides neither its bake-off from the list, nor the page of that', () => {
  const { store, run, made, path } = withRuns();
  store.runs.update(run.id, { status: 'finished', step: 100 });
  behindItsBack(path, (raw) => raw.exec(`UPDATE runs SET runtime = '{}'`));
  expect(bakeOffRows(store)).toMatchObject([{ id: made.id, done: 1 }]);
  expect(damagedBakeOffs(store)).toEqual([]);
  const { runs, notices } = summaryOf(store, made.id);
  expect(runs).toMatchObject([{ name: run.name, status: 'finished', step: 100 }]);
  expect(notices).toEqual([expect.stringContaining('Its column runs.runtime is not')]);
});
