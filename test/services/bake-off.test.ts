import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { FrozenNetwork } from '../../electron/engine/inference.ts';
import { countProducts } from '../../electron/engine/profile.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { bakeOffPage } from '../../electron/services/bakeoff/page.ts';
import { configOfSeed, encoderFlops, planBakeOff } from '../../electron/services/bakeoff/plan.ts';
import { bakeOffRows, summaryOf } from '../../electron/services/bakeoff/summary.ts';
import { continueBakeOff, createBakeOff, tendBakeOffs } from '../../electron/services/bakeoff/work.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { lendersOf } from '../../electron/services/recipes/lenders.ts';
import { deleteRun } from '../../electron/services/runs/runs.ts';
import { Store } from '../../electron/store/store.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { METHODS, methodOf, parseRunConfig } from '../../methods/index.ts';
import type { AskedBakeOff, BakeOff, BakeOffRun, BakeOffTask, EntryCost } from '../../shared/bakeoff.ts';
import { intervalOf, shownIn } from '../../shared/bakeoff-words.ts';
import type { Scores } from '../../shared/evaluation.ts';
import { makeImages } from '../e2e/harness.ts';
import { behindItsBack, catchError, metric, RUNTIME } from '../store/helpers.ts';

// What of a bake-off needs no training: its runs end here as if they had been trained.

const IMAGES = 24;
let folder: string;
let store: Store;
beforeAll(async () => {
  await loadBackend();
});
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'bake-off-'));
  store = Store.open(join(folder, 'workbench.sqlite'));
  await makeImages(join(folder, 'pictures'), IMAGES);
  await importDataset(store, { name: 'pictures', folders: [join(folder, 'pictures')], labels: 'folders' });
});
afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

const TWO = METHODS.slice(0, 2);
const asked = (change: Partial<AskedBakeOff> = {}): AskedBakeOff => ({
  name: 'which',
  dataset: 1,
  test_dataset: null,
  seeds: 3,
  tasks: ['knn', 'linear'],
  finetune: null,
  entries: TWO.map(({ defaultPreset }) => ({ preset: defaultPreset, changes: { 'train.batch_size': 4 } })),
  encoder: { image_size: 32, patch_size: 8, embed_dim: 16, depth: 1, num_heads: 2, mlp_ratio: 4 },
  budget: { kind: 'images', images: 400 },
  supervised: true,
  pixels: true,
  ...change,
});
const cost = (images_per_s: number, flops_per_image: number | null = 1e6): EntryCost => ({
  images_per_s,
  flops_per_image,
  peak_memory: 1e9,
  warning: null,
});

/** As a trainer leaves a run that it has finished. */
function finish(id: number, speed = 20) {
  const run = store.runs.get(id);
  const { config, total_steps: step } = run;
  store.checkpoints.save(
    id,
    {
      step,
      epoch: 1,
      loss: null,
      config,
      state: {},
      metrics: [metric(step, { figures: {}, images_per_s: speed })],
    },
    { student: untrainedState(config), ...(methodOf(config).hasTeacher && { teacher: untrainedState(config) }) },
  );
  store.runs.update(id, { status: 'finished', step, runtime: { ...RUNTIME, peak_memory: 5e8 } });
}

/** As an evaluation stores it. */
function evaluated(bakeOff: BakeOff, run: number, task: BakeOffTask, trained: number, more: object = {}) {
  const { id, step } = store.checkpoints.latest(run)!;
  const scores = (mean_pooled: number): Scores => ({ mean_pooled, cls: mean_pooled / 2 });
  store.evaluations.add({
    checkpoint_id: id,
    dataset_id: 1,
    task,
    result: {
      task,
      checkpoint: { id, run_id: run, step },
      dataset: 'pictures',
      test_dataset: bakeOff.plan.test_dataset,
      train_images: 20,
      test_images: 4,
      classes: 2,
      chance: 0.5,
      left_out: [],
      notices: [],
      settings: {},
      trained: scores(trained),
      untrained: scores(0.3),
      ...more,
    },
  });
}
const pretrainings = (id: number) => store.bakeOffs.get(id).runs.filter(({ role }) => role === 'pretrain');
const order = () => store.queue.order().map(({ kind, id }) => `${kind} ${id}`);

test('every method gets the same encoder, images and evaluations; what else it has is its preset’s', () => {
  const plan = planBakeOff(store, asked());
  expect(plan.entries.map(({ title }) => title)).toEqual(TWO.map(({ title }) => title));
  for (const { config, steps, images } of plan.entries) {
    expect(config.model).toMatchObject(asked().encoder);
    expect([steps, images, config.train.steps]).toEqual([100, 400, 100]);
    expect(config.checkpoint).toMatchObject({ keep_last: 1, keep_best: false });
  }
  expect(plan).toMatchObject({ runs: 6, labelled_runs: 3, evaluations: 12, seconds: null, memory: null });
  // 22 images to train on: the budget's 400 are eighteen epochs.
  expect(plan.supervised_epochs).toBe(18);
  expect(plan.notices.join(' ')).toContain('Pretraining sees the test images too');
  expect(configOfSeed(plan, 1, 2).train).toMatchObject({ seed: 2, steps: 100, batch_size: 4 });
});

test('what methods take over is trained first, once for all of them, and is there when it goes on', () => {
  const borrowing = METHODS.filter(({ name, borrows }) => borrows?.(parseRunConfig({ method: { name } })).length);
  const entries = [...TWO, ...borrowing].map(({ defaultPreset }) => ({ preset: defaultPreset, changes: {} }));
  const wanted = asked({ entries, seeds: 2, supervised: false, pixels: false });
  const before = planBakeOff(store, wanted);
  expect(before.notices.filter((text) => text.includes('is trained first, as a run of its own'))).not.toEqual([]);
  expect(store.runs.list()).toEqual([]); // a plan makes nothing

  const bakeOff = createBakeOff(store, wanted, []);
  const own = new Set(bakeOff.runs.map(({ run_id }) => run_id));
  const lenders = store.runs.list().filter(({ id }) => !own.has(id));
  // One for each thing that is taken over, however many take it: what is compared has no say in it.
  const presets = lenders.map(({ preset }) => preset);
  expect(new Set(presets).size).toBe(presets.length);
  expect(lenders.length).toBeLessThan(2 * borrowing.length);
  for (const { method, config } of bakeOff.plan.entries) {
    const named = lendersOf(store, config);
    expect(named.length > 0, method).toBe(borrowing.some(({ name }) => name === method));
    for (const { id } of named) expect(own.has(id)).toBe(false);
  }
  expect(bakeOff.plan.notices.join(' ')).not.toContain('as a run of its own');

  continueBakeOff(store, bakeOff.id);
  const first = order().slice(0, lenders.length);
  expect([...first].sort()).toEqual(lenders.map(({ id }) => `run ${id}`).sort());
  expect(order()).toHaveLength(lenders.length + own.size);
  // One that was trained, and one that failed: the first is left, the second is tried again.
  const [done, failed] = first.map((one) => Number(one.split(' ')[1]));
  store.runs.update(done!, { status: 'finished', queue_position: null });
  store.runs.update(failed!, { status: 'failed', queue_position: null });
  continueBakeOff(store, bakeOff.id);
  expect(order()).toContain(`run ${failed}`);
  expect(order()).not.toContain(`run ${done}`);
});

test('what a method takes over stays until the bake-off has ended, and where it is gone the others go on', () => {
  const borrowing = METHODS.find(({ name, borrows }) => borrows?.(parseRunConfig({ method: { name } })).length)!;
  const entries = [TWO[0]!, borrowing].map(({ defaultPreset }) => ({ preset: defaultPreset, changes: {} }));
  const wanted = asked({ entries, seeds: 1, supervised: false, pixels: false });
  const bakeOff = createBakeOff(store, wanted, []);
  const [alone, borrower] = bakeOff.runs.map(({ run_id }) => run_id) as [number, number];
  const [lender] = lendersOf(store, store.runs.get(borrower).config);
  const refusal = {
    kind: 'conflict',
    why: `By bake-off 1 "which", run ${borrower} "which: ${borrowing.title}, seed 0" (queued).`,
  };
  expect(catchError(() => deleteRun(store, lender!.id))).toMatchObject(refusal);
  // Also while its own runs are gone or have failed: they are made, and tried, again.
  store.runs.update(borrower, { status: 'failed' });
  expect(catchError(() => deleteRun(store, lender!.id))).toMatchObject({ why: 'By bake-off 1 "which".' });
  // A bake-off of an older program, which let it go.
  store.runs.delete(lender!.id);
  store.runs.update(alone, { status: 'paused' });
  continueBakeOff(store, bakeOff.id);
  expect(order()).toEqual([`run ${alone}`, `run ${borrower}`]);
});

test('what was taken over by a bake-off that has ended, or is forgotten, may go', () => {
  const borrowing = METHODS.find(({ name, borrows }) => borrows?.(parseRunConfig({ method: { name } })).length)!;
  const wanted = asked({ entries: [{ preset: borrowing.defaultPreset, changes: {} }], seeds: 1 });
  const ended = createBakeOff(store, wanted, []);
  const [{ run_id }] = ended.runs as [BakeOffRun];
  const [lender] = lendersOf(store, store.runs.get(run_id).config);
  store.runs.update(lender!.id, { status: 'finished' });
  const forgotten = createBakeOff(store, { ...wanted, name: 'later' }, []);
  expect(forgotten.plan.notices.join(' ')).toContain(`that of run ${lender!.id} "${lender!.name}".`);
  finish(run_id); // it keeps what it took over in its own checkpoints
  store.runs.update(forgotten.runs[0]!.run_id, { status: 'stopped' });
  expect(catchError(() => deleteRun(store, lender!.id))).toMatchObject({ why: 'By bake-off 2 "later".' });
  store.bakeOffs.delete(forgotten.id);
  deleteRun(store, lender!.id);
  expect(store.runs.has(lender!.id)).toBe(false);
});

test('an unfinished run that is taken over is trained to its end first, and that is said', () => {
  const borrowing = METHODS.find(({ name, borrows }) => borrows?.(parseRunConfig({ method: { name } })).length)!;
  const wanted = asked({ entries: [{ preset: borrowing.defaultPreset, changes: {} }], seeds: 1 });
  const [lender] = lendersOf(store, store.runs.get(createBakeOff(store, wanted, []).runs[0]!.run_id).config);
  store.runs.update(lender!.id, { status: 'paused', step: 1 });
  const { notices } = planBakeOff(store, { ...wanted, name: 'later' });
  expect(notices[0]).toBe(
    `The tokenizer is that of run ${lender!.id} "${lender!.name}", ` +
      `which is trained to its end first: ${(lender!.total_steps - 1).toLocaleString('en')} steps are left.`,
  );
  expect(notices[1]).toBe('What is trained first is counted neither in the budget nor in the time.');
});

test('a warm-up is at most a fifth of a run', () => {
  const [first] = planBakeOff(store, asked({ budget: { kind: 'images', images: 40 } })).entries;
  expect(first!.steps).toBe(10);
  expect(first!.config.optimizer.warmup_steps).toBe(2);
});

test('minutes and products of matrices become steps by what was measured, and nothing begins before', () => {
  const minutes = asked({ budget: { kind: 'minutes', minutes: 2 } });
  expect(planBakeOff(store, minutes).entries.map(({ steps }) => steps)).toEqual([null, null]);
  expect(catchError(() => createBakeOff(store, minutes, []))).toMatchObject({
    message: 'The methods have not been measured yet.',
  });
  expect(store.bakeOffs.list()).toEqual([]);
  const costs = [cost(10), cost(40)];
  const timed = planBakeOff(store, minutes, costs);
  expect(timed.entries.map(({ steps }) => steps)).toEqual([300, 1200]); // 120 s by images/s by four images
  const flops = asked({ budget: { kind: 'flops', flops: 8e9 } });
  const counted = planBakeOff(store, flops, [cost(10, 1e7), cost(10, 2e6)]);
  expect(counted.entries.map(({ steps }) => steps)).toEqual([200, 1000]);
  expect(catchError(() => planBakeOff(store, flops, [cost(1, null), cost(1)]))).toMatchObject({ kind: 'bad-input' });
  // Three seeds of two methods, two minutes each, are the least.
  expect(timed.seconds!).toBeGreaterThan(720);
  expect(timed.memory).toBe(1e9);
});

test('the products of an encoder are what TensorFlow is asked for', () => {
  const { config } = planBakeOff(store, asked()).entries[0]!;
  const network = new FrozenNetwork(config.model, config.projector, untrainedState(config));
  const counted = countProducts(() => network.tokens(new Float32Array(2 * 32 * 32 * 3)));
  expect(counted).toBe(2 * encoderFlops(config.model));
  network.dispose();
});

test('an entry that cannot be used is named, and so is a dataset without classes', () => {
  const wrong = asked({ encoder: { ...asked().encoder, num_heads: 3 } });
  expect(catchError(() => planBakeOff(store, wrong))).toMatchObject({
    message: expect.stringContaining(`${TWO[0]!.title}: model.embed_dim cannot be used`),
  });
  expect(catchError(() => planBakeOff(store, asked({ dataset: 99 })))).toMatchObject({ kind: 'not-found' });
});

test('runs are named, tagged, and in the queue a seed after the other', () => {
  const { id } = createBakeOff(store, asked(), []);
  expect(order()).toEqual([]); // nobody has asked to start them
  continueBakeOff(store, id);
  const runs = pretrainings(id);
  expect(runs.map(({ entry, seed }) => [seed, entry])).toEqual(
    [0, 1, 2].flatMap((seed) => [0, 1].map((e) => [seed, e])),
  );
  expect(order()).toEqual(runs.map(({ run_id }) => `run ${run_id}`));
  const first = store.runs.get(runs[0]!.run_id);
  expect(first).toMatchObject({ name: `which: ${TWO[0]!.title}, seed 0`, tags: ['bake-off', 'which'] });
  expect(bakeOffRows(store)).toMatchObject([{ id, name: 'which', state: 'going', done: 0, total: 21 }]);
});

test('what follows from a finished run comes before what waits, and once', () => {
  const { id } = createBakeOff(store, asked({ finetune: 2 }), []);
  continueBakeOff(store, id);
  const [first, second] = pretrainings(id) as [BakeOffRun, BakeOffRun];
  finish(first.run_id);
  tendBakeOffs(store);
  const evaluations = store.queuedEvaluations.list();
  expect(evaluations.map(({ run_id, task, options }) => [run_id, task, options.pixels])).toEqual([
    [first.run_id, 'knn', true],
    [first.run_id, 'linear', true],
  ]);
  const labelled = store.bakeOffs.get(id).runs.filter(({ role }) => role !== 'pretrain');
  expect(labelled.map(({ role }) => role)).toEqual(['finetune', 'supervised']);
  const starts = labelled.map(({ run_id }) => store.runs.get(run_id).finetune);
  expect(starts).toMatchObject([
    { start: 'trained', settings: { epochs: 2, seed: 0 } },
    { start: 'untrained', settings: { epochs: 18, seed: 0 } },
  ]);
  const front = [...evaluations.map((one) => `evaluation ${one.id}`), ...labelled.map((one) => `run ${one.run_id}`)];
  expect(order().slice(0, 5)).toEqual([...front, `run ${second.run_id}`]);
  tendBakeOffs(store);
  expect(store.queuedEvaluations.list()).toHaveLength(2);
  // Of the second method neither pixels nor the training from scratch are asked again.
  finish(second.run_id);
  tendBakeOffs(store);
  expect(store.queuedEvaluations.list().map(({ options }) => options.pixels ?? false)).toEqual([
    true,
    true,
    false,
    false,
  ]);
  expect(store.bakeOffs.get(id).runs.filter(({ role }) => role === 'supervised')).toHaveLength(1);
});

test('a program that was closed meanwhile finds what follows; one that works at it itself is left alone', () => {
  const { id } = createBakeOff(store, asked(), []);
  const [first] = pretrainings(id);
  finish(first!.run_id);
  const lock = store.bakeOffs.take(id)!;
  expect(tendBakeOffs(store)).toBe(false);
  lock.remove();
  store.close();
  store = Store.open(join(folder, 'workbench.sqlite'));
  expect(tendBakeOffs(store)).toBe(true);
  expect(store.queuedEvaluations.list()).toHaveLength(2);
});

test('going on makes deleted runs again, and asks again for what failed', () => {
  const { id } = createBakeOff(store, asked(), []);
  continueBakeOff(store, id);
  const [first, second] = pretrainings(id) as [BakeOffRun, BakeOffRun];
  finish(first.run_id);
  tendBakeOffs(store);
  const [knn] = store.queuedEvaluations.list();
  store.queuedEvaluations.fail(knn!.id, { kind: 'internal', what: 'It broke.', why: '', next: '' });
  expect(summaryOf(store, id).failed).toMatchObject([{ what: 'It broke.' }]);
  store.runs.delete(second.run_id);
  continueBakeOff(store, id);
  expect(pretrainings(id)).toHaveLength(6);
  expect(store.queuedEvaluations.list().map(({ task, error }) => [task, error])).toEqual([
    ['linear', null],
    ['knn', null],
  ]);
});

test('what cannot follow is said with the run, and stops nothing', () => {
  const { id } = createBakeOff(store, asked(), []);
  const [first] = pretrainings(id) as [BakeOffRun];
  finish(first.run_id);
  for (const image of store.images.iterate(1, { status: 'ok' }))
    if (image.label === 'class-1')
      behindItsBack(store.path, (db) => db.prepare('DELETE FROM images WHERE id = ?').run(image.id));
  tendBakeOffs(store);
  expect(store.bakeOffs.untended()).toEqual([]);
  expect(store.notices.list(first.run_id).at(-1)!.text).toContain('Its bake-off asks nothing more of it');
  expect(store.queuedEvaluations.list()).toEqual([]);
});

/** Two methods, three seeds: the second is better with each. */
function judged() {
  const bakeOff = createBakeOff(store, asked({ supervised: false }), [cost(10), cost(20)]);
  const values = [
    [0.5, 0.6, 0.55],
    [0.7, 0.62, 0.66],
  ];
  for (const { run_id, entry, seed } of pretrainings(bakeOff.id)) {
    finish(run_id, [20, 40][entry]);
    const pixels = entry === 0 && seed === 0 ? { pixels: { mean_pooled: 0.41 } } : {};
    evaluated(bakeOff, run_id, 'knn', values[entry]![seed]!, pixels);
  }
  return bakeOff;
}

test('the table: mean, deviation and interval of each method, beside the untrained network and pixels', () => {
  const { id } = judged();
  const { rows, columns, pairs, findings, state, done, total } = summaryOf(store, id);
  expect(rows.map(({ kind }) => kind)).toEqual(['method', 'method', 'untrained', 'pixels']);
  const cell = (row: number, key = 'knn mean_pooled') => rows[row]!.cells[key];
  expect(cell(0)!.spread).toMatchObject({ n: 3, mean: expect.closeTo(0.55, 9), sd: expect.closeTo(0.05, 9) });
  // 0.55 ± 4.302652729749462 · 0.05 / √3
  expect(cell(0)!.spread.interval).toEqual([expect.closeTo(0.4257931, 6), expect.closeTo(0.6742069, 6)]);
  expect(cell(2)!.spread).toMatchObject({ n: 3, mean: expect.closeTo(0.3, 9), sd: expect.closeTo(0, 9) });
  expect(cell(3)).toMatchObject({ values: [{ seed: null, value: 0.41 }], spread: { n: 1, sd: null } });
  expect(cell(1, 'images_per_s')!.spread.mean).toBeCloseTo(40, 9);
  expect(cell(1, 'memory')!.spread.mean).toBe(5e8);
  expect(cell(0, 'linear mean_pooled')).toBeUndefined();
  expect(columns.filter(({ isMain }) => isMain).map(({ title }) => title)).toEqual([
    'k-NN, mean of patch tokens',
    'Linear probe, mean of patch tokens',
    'Images/s',
    'Memory',
  ]);
  const [pair] = pairs;
  expect(pair).toMatchObject({ a: TWO[0]!.title, b: TWO[1]!.title, p: 0.25, isTold: false });
  expect(pair!.differences).toEqual([expect.closeTo(-0.2, 9), expect.closeTo(-0.02, 9), expect.closeTo(-0.11, 9)]);
  expect(pair!.words).toContain('Three seeds cannot tell these two apart');
  expect(findings[0]).toBe(
    `k-NN, mean of patch tokens: ${TWO[1]!.title} is highest, 66.0 %, 36.0 points above the same network untrained. ` +
      `Three seeds cannot tell it apart from ${TWO[0]!.title}.`,
  );
  expect([state, done, total]).toEqual(['going', 12, 18]);
});

test('methods that begin as different networks have an untrained row each, and are held against their own', () => {
  const bakeOff = createBakeOff(store, asked({ supervised: false, pixels: false, tasks: ['knn'] }), []);
  for (const { run_id, entry } of pretrainings(bakeOff.id)) {
    finish(run_id);
    const untrained = { mean_pooled: [0.3, 0.2][entry]!, cls: [0.3, 0.2][entry]! };
    evaluated(bakeOff, run_id, 'knn', [0.35, 0.31][entry]!, { untrained });
  }
  const { rows, pairs, findings } = summaryOf(store, bakeOff.id);
  const [first, second] = TWO.map(({ title }) => title);
  expect(rows.map(({ title, cells }) => [title, cells['knn mean_pooled']!.spread.mean.toFixed(2)])).toEqual([
    [first, '0.35'],
    [second, '0.31'],
    [`Untrained: ${first}`, '0.30'],
    [`Untrained: ${second}`, '0.20'],
  ]);
  expect(pairs.map(({ a, b }) => [a, b])).toEqual([
    [first, second],
    [first, `Untrained: ${first}`],
    [second, `Untrained: ${second}`],
  ]);
  expect(findings[0]).toContain(`${first} is highest, 35.0 %, 5.0 points above the same network untrained.`);
});

/** A bake-off of which each run has figures without labels: 3 directions of the first method, 5 of the second. */
function withoutLabels(change: Partial<AskedBakeOff> = {}) {
  const bakeOff = createBakeOff(store, asked({ supervised: false, tasks: ['labelfree'], ...change }), []);
  for (const { run_id, entry } of pretrainings(bakeOff.id)) {
    finish(run_id);
    const scores = (rankme: number) => ({ rankme, lidar: 2, alpha_req: 1, uniformity: -1.5, alignment: 0.25 });
    const figures = { trained: scores([3, 5][entry]!), untrained: scores(2), classes: null, chance: null };
    evaluated(bakeOff, run_id, 'labelfree', 0, figures);
  }
  return bakeOff;
}

test('figures without labels are columns that judge nothing, and are below zero where they are', () => {
  const { columns, rows, pairs, findings, notices, state } = summaryOf(store, withoutLabels().id);
  const [main, others] = [true, false].map((isMain) => columns.filter((one) => one.isMain === isMain));
  expect(main!.map(({ title }) => title)).toEqual(['RankMe', 'LiDAR', 'Images/s', 'Memory']);
  expect(others!.map(({ title }) => title)).toEqual(['alpha-ReQ', 'Uniformity', 'Alignment of two views']);
  expect(rows.map(({ kind, cells }) => [kind, cells['labelfree rankme']?.spread.mean])).toEqual([
    ['method', 3],
    ['method', 5],
    ['untrained', 2],
    ['pixels', undefined],
  ]);
  expect(pairs).toEqual([]);
  expect(findings[0]).toContain('Without classes nothing here says which method suits these images');
  expect(findings[1]).toContain(`${TWO[1]!.title} use the most directions, 5.`);
  expect(notices.join(' ')).not.toContain('test images');
  expect(state).toBe('finished');
  const [column, cell] = [others![1]!, rows[0]!.cells['labelfree uniformity']!];
  expect([shownIn(column, cell.spread.mean), intervalOf(column, cell)]).toEqual(['-1.5', '-1.5 to -1.5']);
});

test('images without classes can be compared by figures without labels', async () => {
  await importDataset(store, { name: 'plain', folders: [join(folder, 'pictures')], labels: 'none' });
  const plain = asked({ dataset: 2, supervised: false, pixels: false, tasks: ['labelfree'] });
  const { evaluations, notices, seconds } = planBakeOff(store, plain, [cost(10), cost(40)]);
  expect([evaluations, notices.join(' ').includes('Pretraining sees the test images')]).toEqual([6, false]);
  // 24 images in eight views each, by two networks of six runs; other evaluations cost nothing here.
  const without = planBakeOff(store, { ...plain, tasks: [] }, [cost(10), cost(40)]);
  const rate = (1e6 * 10 + 1e6 * 40) / 2;
  const flops = 6 * 2 * 24 * 8 * encoderFlops(without.entries[0]!.config.model);
  expect(seconds! - without.seconds!).toBeCloseTo(6 * 3 + flops / rate, 6); // and 3 s of each process
  expect(catchError(() => planBakeOff(store, { ...plain, tasks: ['knn'] }))).toMatchObject({ kind: 'bad-input' });
});

test('pixels are not asked for figures without labels', () => {
  const { id } = createBakeOff(store, asked({ supervised: false, tasks: ['labelfree'] }), []);
  finish(pretrainings(id)[0]!.run_id);
  tendBakeOffs(store);
  expect(store.queuedEvaluations.list().map(({ task, options }) => [task, options.pixels])).toEqual([
    ['labelfree', false],
  ]);
});

test('another evaluation of the run, on other images or of an earlier step, does not count', () => {
  const bakeOff = judged();
  const before = summaryOf(store, bakeOff.id).rows;
  const [{ run_id }] = pretrainings(bakeOff.id) as [BakeOffRun];
  evaluated({ ...bakeOff, plan: { ...bakeOff.plan, test_dataset: 'others' } }, run_id, 'knn', 0.99);
  evaluated(bakeOff, run_id, 'linear', 0.99, { checkpoint: { id: null, run_id, step: 3 } });
  expect(summaryOf(store, bakeOff.id).rows).toEqual(before);
});

test('the report is one document that needs nothing beside it, and names no folder', () => {
  const { id } = judged();
  const html = bakeOffPage(summaryOf(store, id));
  for (const text of [
    'Bake-off which',
    '55.0 % ± 5.0 %',
    'Three seeds cannot tell',
    'Raw pixels',
    'no seed',
    '42.6 % to 67.4 %',
  ])
    expect(html).toContain(text);
  expect(html).not.toContain(folder);
  expect(html).not.toMatch(/(src|href)=|url\(|@import|<script/);
  expect(html.match(/<svg/g)).toHaveLength(1); // of the linear probe nothing is known
});

test('names cannot break the report', () => {
  const name = '<script>alert(1)</script> & "quotes"';
  const { id } = createBakeOff(store, asked({ name }), []);
  const html = bakeOffPage(summaryOf(store, id));
  expect(html).not.toContain('<script');
  expect(html).toContain('&lt;script&gt;');
  expect(html).toContain('Nothing has been evaluated yet.');
});
