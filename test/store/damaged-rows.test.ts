import { expect, test } from 'vitest';
import { listEach } from '../../electron/services/ground/list-each.ts';
import { deleteRun } from '../../electron/services/runs/runs.ts';
import type { Store } from '../../electron/store/store.ts';
import { behindItsBack, CONFIG, catchError, metric, newStore } from './helpers.ts';

const anotherRun = (store: Store, dataset_id: number) =>
  store.runs.create({ dataset_id, preset: null, config: CONFIG, total_steps: 1, steps_per_epoch: 1 });

/** What can be wrong with a run's row, and what is said of it. */
const FAULTS: [column: string, text: string, said: RegExp][] = [
  ['tags', 'null', /^Its column runs\.tags is not .+ array/],
  ['runtime', '{}', /^Its column runs\.runtime is not .+: name: /],
  ['config', '{"model":', /^Its column runs\.config is not .+JSON/],
  ['config', '{"method":{"name":"of-tomorrow"}}', /^Its column runs\.config is not .+has no method "of-tomorrow"/],
  ['finetune', '{"group":"g"', /^Its column runs\.finetune is not .+JSON/],
  ['error', '[]', /^Its column runs\.error is not .+object/],
];

test.each(FAULTS)('a run whose %s is %s is named apart, and hinders no other', (column, text, said) => {
  const { store, path, dataset, run } = newStore();
  const other = anotherRun(store, dataset.id);
  behindItsBack(path, (raw) => raw.prepare(`UPDATE runs SET ${column} = ? WHERE id = ?`).run(text, run.id));
  expect(store.runs.list()).toEqual([other]);
  const why = expect.stringMatching(said);
  expect(store.runs.damaged()).toMatchObject([{ id: run.id, name: 'photos run', error: { kind: 'bad-file', why } }]);
  expect([...store.unreadable()]).toMatchObject([{ why, column: `runs.${column}` }]);
  expect(catchError(() => store.runs.get(run.id))).toMatchObject({ kind: 'bad-file', why });
  expect(store.runs.head('photos run')).toMatchObject({ id: run.id, status: 'queued', total_steps: 100 });
  expect(store.runs.heads().map(({ id }) => id)).toEqual([run.id, other.id]);
  // It is still a run: trained by nobody, in nobody's queue, and its name is taken.
  store.runs.update(run.id, { status: 'running', pid: 1 });
  expect(store.runs.held()).toEqual([]);
  store.runs.recoverLost();
  expect(store.runs.head(run.id)).toMatchObject({ status: 'interrupted', pid: null });
  expect(catchError(() => store.runs.update(other.id, { name: 'photos run' }))).toMatchObject({ kind: 'conflict' });
  deleteRun(store, run.id);
  expect([store.runs.damaged(), store.runs.list()]).toEqual([[], [other]]);
});

test('a run whose figures are damaged is named where they are listed', () => {
  const { store, path, dataset, run } = newStore();
  const other = anotherRun(store, dataset.id);
  for (const { id } of [run, other]) store.metrics.add(id, [metric(1), metric(2)]);
  const figures = listEach(store.runs, ({ id }) => [id, store.metrics.last(id)!.step]);
  expect(figures).toEqual({
    rows: [
      [run.id, 2],
      [other.id, 2],
    ],
    damaged: [],
  });
  for (const text of ['[]', '{"top1":']) {
    behindItsBack(path, (raw) => raw.prepare('UPDATE metrics SET figures = ? WHERE run_id = ?').run(text, run.id));
    const read = [
      ({ id }: { id: number }) => store.metrics.last(id),
      ({ id }: { id: number }) => store.metrics.lastWith(id, ['top1', 'top5']),
    ];
    for (const of of read.slice(0, text === '[]' ? 1 : 2)) {
      const { rows, damaged } = listEach(store.runs, of);
      expect(rows).toHaveLength(1);
      const why = expect.stringContaining('Its column metrics.figures is not');
      expect(damaged).toMatchObject([{ id: run.id, name: run.name, error: { why } }]);
      expect(damaged[0]!.error.what).toContain(`step 2 of run ${run.id}`);
    }
  }
  expect([...store.unreadable()]).toHaveLength(2);
  deleteRun(store, run.id);
  expect([...store.unreadable()]).toEqual([]);
});

test('an evaluation of the queue that cannot be read has failed, and can be taken out', () => {
  const { store, path, dataset, run } = newStore();
  const { id: checkpoint_id } = store.checkpoints.save(
    run.id,
    { step: 1, epoch: 0, loss: null, config: CONFIG, state: {} },
    {},
  );
  const asked = {
    checkpoint_id,
    dataset_id: dataset.id,
    test_dataset_id: null,
    task: 'knn' as const,
    options: { k: 5 },
  };
  const [bad, sound] = [store.queuedEvaluations.add(asked), store.queuedEvaluations.add(asked)];
  behindItsBack(path, (raw) => raw.prepare(`UPDATE queued_evaluations SET options = '7' WHERE id = ?`).run(bad.id));
  const why = expect.stringContaining('Its column queued_evaluations.options is not');
  expect(store.queuedEvaluations.list()).toMatchObject([
    { id: bad.id, error: { kind: 'bad-file', why } },
    { id: sound.id, error: null, options: { k: 5 } },
  ]);
  expect(store.queuedEvaluations.claim(bad.id, process.pid)).toBeNull();
  const lock = store.queuedEvaluations.claim(sound.id, process.pid);
  expect(lock).not.toBeNull();
  lock!.remove();
  expect([...store.unreadable()]).toMatchObject([{ why }]);
  store.queuedEvaluations.remove(bad.id);
  expect(store.queuedEvaluations.list().map(({ id }) => id)).toEqual([sound.id]);
});

test('a preset that cannot be read is left out; its name is taken until another is saved by it', () => {
  const { store, path } = newStore();
  const preset = { title: 't', based_on: 'b', config: CONFIG };
  for (const name of ['one', 'two']) store.presets.save({ ...preset, name });
  behindItsBack(path, (raw) => raw.exec(`UPDATE presets SET config = '[]' WHERE name = 'one'`));
  expect(store.presets.list().map(({ name }) => name)).toEqual(['two']);
  expect([store.presets.has('one'), store.presets.has('three')]).toEqual([true, false]);
  expect([...store.unreadable()].map(({ column }) => column)).toEqual(['presets.config']);
  store.presets.save({ ...preset, name: 'one' });
  expect(
    store.presets
      .list()
      .map(({ name }) => name)
      .sort(),
  ).toEqual(['one', 'two']);
});
