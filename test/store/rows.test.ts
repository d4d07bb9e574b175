import { describe, expect, test } from 'vitest';
import type { FileLock } from '../../electron/store/file-lock.ts';
import type { EvaluationResult } from '../../shared/evaluation.ts';
import { evaluationResult } from '../harness/evaluation-result.ts';
import { CONFIG, catchError, image, metric, newStore, RUNTIME, state, TUNE } from './helpers.ts';

describe('datasets', () => {
  test('are found by id, digits and name; near names are said', () => {
    const { store, dataset } = newStore();
    expect(store.datasets.get(dataset.id)).toEqual(dataset);
    expect(store.datasets.get(String(dataset.id))).toEqual(dataset);
    expect(store.datasets.get('photos')).toEqual(dataset);
    expect(store.datasets.find('fotos')).toBeNull();
    expect(catchError(() => store.datasets.get('fotos'))).toMatchObject({ kind: 'not-found', why: 'Near: "photos".' });
    expect(catchError(() => store.datasets.get(99))).toMatchObject({ kind: 'not-found' });
    for (const [name, kind] of [
      ['photos', 'conflict'],
      ['12', 'bad-input'],
      [' ', 'bad-input'],
    ]) {
      expect(catchError(() => store.datasets.create({ name: name!, folders: [], labels: 'none' }))).toMatchObject({
        kind,
      });
    }
  });

  test('count their images, and cannot go while runs need them', () => {
    const { store, dataset, run } = newStore();
    store.images.upsertMany(dataset.id, [image('a'), image('b', { status: 'skipped', reason: 'empty' }), image('c')]);
    store.datasets.markScanned(dataset.id);
    const { image_count, skipped_count, scanned_at } = store.datasets.get('photos');
    expect([image_count, skipped_count]).toEqual([2, 1]);
    expect(scanned_at).toBeGreaterThan(0);
    expect(catchError(() => store.datasets.delete(dataset.id))).toMatchObject({ kind: 'conflict' });
    store.runs.delete(run.id);
    store.datasets.delete(dataset.id);
    expect([store.datasets.list(), store.images.count(dataset.id)]).toEqual([[], 0]);
  });
});

describe('images', () => {
  test('an update keeps the id and changes the rest', () => {
    const { store, dataset } = newStore();
    store.images.upsertMany(dataset.id, [image('a', { label: 'cat', mtime: 1234.567 }), image('b')]);
    const before = store.images.list(dataset.id);
    expect(before[0]).toEqual({
      ...image('a', { label: 'cat', mtime: 1234.567 }),
      id: before[0]!.id,
      dataset_id: dataset.id,
    });
    store.images.upsertMany(dataset.id, [
      image('a', { hash: 'new', status: 'skipped', reason: 'truncated', detail: 'x' }),
    ]);
    const after = store.images.list(dataset.id);
    expect(after[0]).toMatchObject({
      id: before[0]!.id,
      hash: 'new',
      status: 'skipped',
      reason: 'truncated',
      detail: 'x',
    });
    expect(after[1]).toEqual(before[1]);
  });

  test('come by folder and path over several pages, while the store is written', () => {
    const { store, dataset } = newStore();
    const paths = Array.from({ length: 4500 }, (_, i) => `p${String((i * 7919) % 4500).padStart(5, '0')}`);
    store.images.upsertMany(
      dataset.id,
      paths.map((p, i) => image(p, { folder: i % 2, status: i % 3 ? 'ok' : 'skipped' })),
    );
    const seen: string[] = [];
    for (const row of store.images.iterate(dataset.id)) {
      seen.push(`${row.folder}/${row.path}`);
      if (seen.length % 1000 === 0) store.images.upsertMany(dataset.id, [{ ...image(row.path), folder: row.folder }]);
    }
    expect(seen).toEqual(paths.map((p, i) => `${i % 2}/${p}`).sort());
    const ok = [...store.images.iterate(dataset.id, { status: 'ok' })];
    expect(ok).toEqual(store.images.list(dataset.id, { status: 'ok' }));
    expect(ok.length).toBe(store.images.count(dataset.id, 'ok'));
    expect(store.images.list(dataset.id, { status: 'ok', limit: 3, offset: 5 })).toEqual(ok.slice(5, 8));
  });

  test('are summed up by reason and label, and found by content', () => {
    const { store, dataset } = newStore();
    const skipped = (path: string, reason: 'empty' | 'truncated') =>
      image(path, { status: 'skipped', reason, label: 'cat' });
    store.images.upsertMany(dataset.id, [
      ...[skipped('a', 'empty'), skipped('b', 'truncated'), skipped('c', 'truncated')],
      ...[image('d', { label: 'dog' }), image('e', { label: 'cat' }), image('f', { label: 'dog' }), image('g')],
    ]);
    const reasons = [
      { reason: 'truncated', count: 2 },
      { reason: 'empty', count: 1 },
    ];
    expect(store.images.skipSummary(dataset.id)).toEqual(reasons);
    expect(store.images.labels(dataset.id)).toEqual([
      { label: 'cat', count: 1 },
      { label: 'dog', count: 2 },
    ]);
    const d = store.images.findByHash(dataset.id, 'hash of d')!;
    expect(d.path).toBe('d');
    store.images.markVanished([d.id]);
    expect(store.images.findByHash(dataset.id, 'hash of d')).toBeNull();
    expect(store.images.count(dataset.id, 'vanished')).toBe(1);
  });
});

describe('runs', () => {
  test('keep what is written, and have names of their own', () => {
    const { store, dataset, run } = newStore();
    expect(run).toMatchObject({ name: 'photos run', status: 'queued', config: CONFIG, step: 0, request: null });
    const error = { kind: 'diverged', what: 'a', why: 'b', next: 'c' } as const;
    store.runs.update(run.id, { status: 'failed', error, runtime: RUNTIME, step: 7, request: 'pause' });
    expect(store.runs.get('photos run')).toEqual({
      ...run,
      status: 'failed',
      error,
      runtime: RUNTIME,
      step: 7,
      request: 'pause',
    });
    store.runs.update(run.id, { error: null, request: null });
    expect(store.runs.get(run.id)).toMatchObject({ error: null, request: null, step: 7 });

    const same = { dataset_id: dataset.id, preset: 'p', config: CONFIG, total_steps: 1, steps_per_epoch: 1 };
    expect(store.runs.create(same).name).toBe('photos run 2');
    expect(store.runs.create({ ...same, dataset_id: null, name: 'weights' }).dataset_id).toBeNull();
    expect(catchError(() => store.runs.create({ ...same, name: 'weights' }))).toMatchObject({ kind: 'conflict' });
    expect(catchError(() => store.runs.update(run.id, { name: 'weights' }))).toMatchObject({ kind: 'conflict' });
    expect(store.runs.freeName('weights')).toBe('weights 2');
    expect(store.runs.list({ status: 'queued' }).map((r) => r.name)).toEqual(['photos run 2', 'weights']);
    expect(catchError(() => store.runs.update(99, { step: 1 }))).toMatchObject({ kind: 'not-found' });
  });

  test('are claimed by one process, for as long as it holds the lock', () => {
    const { store, run } = newStore();
    const lock = store.runs.claim(run.id, process.pid) as FileLock;
    expect(store.runs.get(run.id)).toMatchObject({ status: 'running', pid: process.pid });
    // Whatever number it has, and whatever the clock says.
    store.runs.update(run.id, { heartbeat: Date.now() - 1e9 });
    for (const pid of [process.pid, process.ppid, 1]) expect(store.runs.claim(run.id, pid)).toBe('held');
    lock.remove();
    store.runs.update(run.id, { heartbeat: Date.now() + 1e9 }); // a row that nobody brought up to date
    const next = store.runs.claim(run.id, process.ppid) as FileLock;
    store.runs.update(run.id, { status: 'paused', pid: null });
    expect(store.runs.claim(run.id, process.pid)).toBe('held');
    next.remove();
    expect(store.runs.claim(run.id, process.pid)).toBe('withdrawn');
  });

  test('that one process is about to start are not started by another', () => {
    const { store, run } = newStore();
    store.queue.put({ kind: 'run', id: run.id });
    const place = store.runs.reserve(run.id);
    expect(store.queue.order()).toEqual([]);
    expect(store.runs.held().map(({ id }) => id)).toEqual([run.id]);
    expect(catchError(() => store.runs.reserve(run.id))).toMatchObject({
      kind: 'conflict',
      message: expect.stringMatching(/being started/),
    });
    store.runs.recoverLost({ first: true });
    expect(store.runs.get(run.id)).toMatchObject({ status: 'queued', queue_position: null });
    const lock = store.runs.claim(run.id, process.pid) as FileLock;
    place.remove();
    expect(catchError(() => store.runs.reserve(run.id))).toMatchObject({
      kind: 'conflict',
      message: expect.stringMatching(/is running/),
    });
    lock.remove();
    store.runs.recoverLost();
    expect(store.runs.get(run.id)).toMatchObject({ status: 'interrupted', pid: null });
    store.runs.update(run.id, { status: 'finished' });
    expect(catchError(() => store.runs.reserve(run.id))).toMatchObject({
      kind: 'conflict',
      message: expect.stringMatching(/is finished/),
    });
  });

  test('that are queued without a place get one when a program starts, but for weights, which nobody trains', () => {
    const { store, run, dataset } = newStore();
    const made = { preset: null, config: CONFIG, total_steps: 1, steps_per_epoch: 1 };
    const weights = store.runs.create({ ...made, dataset_id: null });
    const waits = store.runs.create({ ...made, dataset_id: dataset.id });
    store.queue.put({ kind: 'run', id: waits.id });
    store.runs.recoverLost();
    expect(store.queue.order().map(({ id }) => id)).toEqual([waits.id]);
    store.runs.recoverLost({ first: true });
    expect(store.queue.order().map(({ id }) => id)).toEqual([waits.id, run.id]);
    expect(store.runs.get(weights.id).queue_position).toBeNull();
  });

  test('say their kind', () => {
    const { store, run, dataset } = newStore();
    const made = { preset: null, config: CONFIG, total_steps: 1, steps_per_epoch: 1 };
    const tuned = store.runs.create({ ...made, dataset_id: dataset.id, finetune: TUNE });
    const weights = store.runs.create({ ...made, dataset_id: null, total_steps: 0 });
    expect([run, tuned, weights].map(({ id }) => store.runs.get(id).kind)).toEqual([
      'pretrain',
      'finetune',
      'imported',
    ]);
  });

  test('that end in any way leave the queue', () => {
    const { store, run } = newStore();
    for (const status of ['paused', 'stopped', 'failed', 'interrupted', 'finished', 'running'] as const) {
      store.queue.put({ kind: 'run', id: run.id });
      expect(store.queue.order()).toHaveLength(status === 'paused' ? 1 : 0); // none that is not queued waits
      store.runs.update(run.id, { status });
      expect(store.runs.get(run.id).queue_position).toBeNull();
    }
  });
});

describe('metrics', () => {
  test('come back as they were, also where not a number', () => {
    const { store, run } = newStore();
    const rows = [
      metric(1),
      metric(2, { figures: { top1: 0, rank_student: 3.25, cosine_teacher: -0.5, 'of "any" name': null }, replaced: 2 }),
      metric(3, { loss: Number.NaN }),
    ];
    store.metrics.add(run.id, rows.slice(1));
    store.metrics.add(run.id, rows[0]!);
    expect(store.metrics.list(run.id)).toEqual(rows);
    expect(store.metrics.list(run.id, { from: 2, to: 2 })).toEqual([rows[1]]);
    expect(store.metrics.last(run.id)).toEqual(rows[2]);
    expect(store.metrics.deleteAfter(run.id, 1)).toBe(2);
    expect([store.metrics.count(run.id), store.metrics.last(99)]).toEqual([1, null]);
  });

  test('are sampled by means of neighbours', () => {
    const { store, run } = newStore();
    const rows = Array.from({ length: 1000 }, (_, i) =>
      metric(i + 1, {
        loss: i + 1,
        figures: { top1: i / 1000, none: null, ...(i % 50 ? {} : { rank: i }) },
        replaced: 1,
      }),
    );
    store.metrics.add(run.id, rows);
    const sampled = store.metrics.sampled(run.id, 10);
    expect(sampled.map((m) => m.step)).toEqual([100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]);
    expect(sampled[0]).toMatchObject({ loss: 50.5, replaced: 100 });
    expect(sampled[0]!.figures).toEqual({ top1: expect.closeTo(0.0495, 12), none: null, rank: 25 });
    expect(store.metrics.sampled(run.id, 2000)).toEqual(rows);
  });
});

test('evaluations outlive their checkpoint, and go with their run', () => {
  const { store, dataset, run } = newStore();
  const { id } = store.checkpoints.save(
    run.id,
    { step: 1, epoch: 0, loss: 1, config: CONFIG, state: {} },
    { student: state(1) },
  );
  const added = store.evaluations.add({
    checkpoint_id: id,
    dataset_id: dataset.id,
    task: 'knn',
    result: evaluationResult({ trained: { top1: 0.5 } }),
  });
  expect(store.evaluations.list({ checkpoint_id: id })).toEqual([added]);
  expect(added).toMatchObject({ checkpoint_id: id, task: 'knn', result: { trained: { top1: 0.5 } } });
  store.checkpoints.delete(id);
  expect(store.evaluations.list({ run_id: run.id })).toEqual([{ ...added, checkpoint_id: null }]);
  store.runs.delete(run.id);
  expect(store.evaluations.list()).toEqual([]);
});

test('what an older program left out of an evaluation has its default; one that says nothing is damage, in words', () => {
  const { store, dataset, run } = newStore();
  const { left_out: _, notices: __, ...older } = evaluationResult();
  const add = (result: object) =>
    store.evaluations.add({
      checkpoint_id: null,
      dataset_id: dataset.id,
      task: 'knn',
      result: result as EvaluationResult,
    });
  expect(add(older).result).toEqual(evaluationResult());
  expect(catchError(() => add({ top1: 0.5 }))).toMatchObject({
    kind: 'bad-file',
    why: expect.stringMatching(/evaluations\.result is not as this program writes it: task: /),
  });
  expect(store.evaluations.list()).toHaveLength(1);
  expect(store.runs.get(run.id)).toBeDefined();
});

test('fine-tunings of one group are one evaluation, also where their checkpoint was deleted', () => {
  const { store, dataset } = newStore();
  const of = (start: 'trained' | 'untrained', found: number[][]) =>
    evaluationResult({
      task: 'finetune',
      group: 'one',
      checkpoint: { id: null, run_id: null, step: 0 },
      trained: undefined,
      untrained: undefined,
      [start]: { accuracy: 0.5 },
      confusion: { classes: ['a', 'b'], [start]: found },
      runs: { [start]: { id: 7, name: start } },
    });
  const add = (result: EvaluationResult) =>
    store.evaluations.addToComparison('one', { checkpoint_id: null, dataset_id: dataset.id, task: 'finetune', result });
  add(
    of('untrained', [
      [1, 0],
      [0, 1],
    ]),
  );
  const { result } = add(
    of('trained', [
      [2, 0],
      [0, 2],
    ]),
  );
  expect(store.evaluations.list()).toHaveLength(1);
  expect(result).toMatchObject({
    checkpoint: { id: null, run_id: null, step: 0 },
    trained: { accuracy: 0.5 },
    untrained: { accuracy: 0.5 },
    confusion: {
      classes: ['a', 'b'],
      untrained: [
        [1, 0],
        [0, 1],
      ],
      trained: [
        [2, 0],
        [0, 2],
      ],
    },
    runs: { trained: { id: 7 }, untrained: { id: 7 } },
  });
});
