import { fork } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import sharp from 'sharp';
import { afterAll, afterEach, expect, test } from 'vitest';
import { type OpenProgram, openProgram } from '../../electron/ipc/program.ts';
import { databaseIn } from '../../electron/store/home.ts';
import { Store } from '../../electron/store/store.ts';
import type { AppEvent } from '../../shared/contract/events.ts';
import type { Task } from '../../shared/contract/tasks.ts';
import { isAlive } from '../processes.ts';
import { callerOf, wait } from './calls.ts';

let home: string;
let program: OpenProgram;
const heard: AppEvent[] = [];
const open = async () => {
  heard.length = 0;
  program = await openProgram({ home, shell: { kind: 'browser', reveal: () => false } });
  program.listen(({ event }) => heard.push(structuredClone(event)));
};
/** Homes that tests begin with copies of, by how many images they have; the images stay with them. */
const begun = new Map<number, { home: string; ids: { dataset: number; run: number; checkpoint: number } }>();
afterEach(async () => {
  await program.close('stop');
  if (![...begun.values()].some((one) => one.home === home)) rmSync(home, { recursive: true });
});
afterAll(() => {
  for (const one of begun.values()) rmSync(one.home, { recursive: true });
});

const call = callerOf(() => program);
const task = async (id: string): Promise<Task> => (await call('tasks.list', {})).find((one) => one.id === id)!;
const status = async (id: string) => (await task(id))?.status;
/** Asks the database beside the program, as another process does. */
function stored<T>(ask: (store: Store) => T): T {
  const store = Store.open(databaseIn(home));
  try {
    return ask(store);
  } finally {
    store.close();
  }
}

/** Opens a home of its own, with `learn(count)` done. */
async function learned(count: 24 | 600) {
  if (!begun.has(count)) {
    home = mkdtempSync(join(tmpdir(), 'queue-'));
    await open();
    const ids = await learn(count);
    await program.close('stop');
    begun.set(count, { home, ids });
  }
  const { home: from, ids } = begun.get(count)!;
  home = mkdtempSync(join(tmpdir(), 'queue-'));
  cpSync(from, home, { recursive: true, filter: (path) => path !== join(from, 'pictures') });
  await open();
  return ids;
}
/** Coloured noise in two folders, imported, and a run of a second on it. */
async function learn(count: number) {
  const folder = join(home, 'pictures');
  for (const label of ['a', 'b']) mkdirSync(join(folder, label), { recursive: true });
  for (let i = 0; i < count; i++) {
    const pixels = Buffer.from(Uint8Array.from({ length: 40 * 36 * 3 }, (_, at) => (at * (i + 7) + i) % 251));
    pixels.set([i % 256, Math.floor(i / 256)]); // no two files are equal
    const image = sharp(pixels, { raw: { width: 40, height: 36, channels: 3 } });
    await image.png().toFile(join(folder, i % 2 ? 'a' : 'b', `${i}.png`));
  }
  const { task: importing } = await call('datasets.import', { name: 'pictures', folders: [folder], labels: 'folders' });
  await wait(async () => (await status(importing)) === 'done');
  const [dataset] = await call('datasets.list', {});
  const [run] = await call('runs.create', { ...recipe(4), dataset: dataset!.id, name: 'short', grid: [] });
  await wait(async () => (await call('runs.get', { id: run!.id })).status === 'finished');
  const { checkpoints } = await call('runs.get', { id: run!.id });
  return { dataset: dataset!.id, run: run!.id, checkpoint: checkpoints.at(-1)!.id };
}
const recipe = (steps: number) => ({
  preset: 'small-cpu',
  changes: {
    'model.image_size': 32,
    'model.embed_dim': 16,
    'model.depth': 1,
    'model.num_heads': 1,
    'projector.hidden': 16,
    'projector.out': 8,
    'train.batch_size': 2,
    'train.steps': steps,
  },
});
const asked = { test_dataset: null, k: 5, official: true };
const queue = () => stored((store) => store.queue.order().map(({ kind, id }) => `${kind} ${id}`));
const item = (id: string) => ({ kind: 'evaluation' as const, id: Number(id.split('-')[1]) });

test('evaluations wait for a training and for one another, in the order that is shown; one that waits is canceled', async () => {
  const { dataset, run, checkpoint } = await learned(24);
  const evaluate = async (kind: 'knn' | 'fewshot' | 'lookup') =>
    (await call('evaluations.start', { ...asked, checkpoint, dataset, task: kind })).task;
  const [long] = await call('runs.create', { ...recipe(100_000), dataset, name: 'long', grid: [] });
  await wait(async () => (await call('runs.get', { id: long!.id })).status === 'running');
  const [knn, fewshot, lookup] = [await evaluate('knn'), await evaluate('fewshot'), await evaluate('lookup')];
  const [last] = await call('runs.create', { ...recipe(3), dataset, name: 'last', grid: [] });
  const names = [knn, fewshot, lookup].map((id) => `evaluation ${item(id).id}`);
  expect(queue()).toEqual([...names, `run ${last!.id}`]);
  expect(await task(knn)).toMatchObject({ status: 'waiting', title: 'k-NN of short, step 4', cancelable: true });

  await call('queue.move', { item: item(lookup), before: item(knn) });
  await call('queue.move', { item: { kind: 'run', id: last!.id }, before: item(fewshot) });
  expect(queue()).toEqual([names[2], names[0], `run ${last!.id}`, names[1]]);
  expect((await task(lookup)).queued!.position).toBeLessThan((await task(knn)).queued!.position!);
  await call('tasks.cancel', { id: knn });
  await wait(async () => (await status(knn)) === 'canceled');
  expect(queue()).toEqual([names[2], `run ${last!.id}`, names[1]]);
  await expect(call('queue.move', { item: item(knn), before: null })).rejects.toMatchObject({ kind: 'not-found' });
  await expect(call('queue.move', { item: { kind: 'run', id: run }, before: null })).rejects.toMatchObject({
    kind: 'conflict',
  });
  expect(await status(lookup)).toBe('waiting');

  await call('runs.stop', { id: long!.id });
  let most = 0;
  await wait(async () => {
    const busy = stored(({ runs, queuedEvaluations }) => [
      ...runs.list({ status: 'running' }),
      ...queuedEvaluations.list().filter(({ pid }) => pid !== null),
    ]);
    most = Math.max(most, busy.length);
    return (await status(fewshot)) === 'done';
  });
  expect(most).toBe(1);
  expect(await status(lookup)).toBe('done');
  // What began, in order: the run between the two.
  const began = heard.flatMap((event) => {
    if (event.type === 'task' && event.task.queued && event.task.status === 'running') return [event.task.id];
    return event.type === 'run' && event.run.id === last!.id && event.run.status === 'running' ? ['last'] : [];
  });
  expect([...new Set(began)]).toEqual([lookup, 'last', fewshot]);
  expect((await call('runs.get', { id: run })).evaluations.map((one) => one.task)).toEqual(['lookup', 'fewshot']);
  expect(stored((store) => store.queuedEvaluations.list())).toEqual([]);
});

test('a program that is killed finds its evaluations again: the one that was worked at goes on, then the one that waited', async () => {
  const { dataset, run, checkpoint } = await learned(600);
  await program.close('stop');
  const child = fork(join(import.meta.dirname, 'queue-child.ts'), [home]);
  await once(child, 'message');
  // As the command line puts them there.
  const [knn, fewshot] = stored(({ queuedEvaluations }) =>
    (['knn', 'fewshot'] as const).map((kind) =>
      queuedEvaluations.add({
        checkpoint_id: checkpoint,
        dataset_id: dataset,
        test_dataset_id: null,
        task: kind,
        options: { k: 5 },
      }),
    ),
  );
  const db = new Database(databaseIn(home));
  const parts = () => db.prepare('SELECT count(*) FROM evaluation_features').pluck().get() as number;
  await wait(() => parts() >= 2);
  child.kill('SIGKILL');
  await once(child, 'close');
  const { pid, begun } = stored((store) => store.queuedEvaluations.get(knn!.id));
  expect(begun).toBe(1);
  await wait(() => !isAlive(pid!)); // nobody waits for its answer
  expect(stored((store) => store.evaluations.list())).toEqual([]);
  const kept = parts();
  db.close();
  expect(kept).toBeGreaterThanOrEqual(2);

  await open();
  const tasks = [`evaluation-${knn!.id}`, `evaluation-${fewshot!.id}`] as const;
  await wait(async () => (await status(tasks[1])) === 'done');
  const told = heard.flatMap((event) => (event.type === 'task' ? [event.task] : []));
  expect(told.find(({ id }) => id === tasks[0])!.phase).toBe('cut short before: goes on with its features');
  // 128 images to a part; the first progress is of the images behind them.
  const first = told.find(({ id, done }) => id === tasks[0] && done > 0)!;
  expect(first.done).toBeGreaterThan(2 * 128);
  const ends = told.filter((one) => one.status === 'done').map(({ id }) => id);
  expect(ends).toEqual(tasks);

  // The same figures as without an interruption.
  const { task: again } = await call('evaluations.start', { ...asked, checkpoint, dataset, task: 'knn' });
  await wait(async () => (await status(again)) === 'done');
  const [resumed, other, whole] = (await call('runs.get', { id: run })).evaluations;
  expect(other!.task).toBe('fewshot');
  expect(resumed!.result).toEqual(whole!.result);
});

test('closing puts what is worked at back to the front; what it has counts', async () => {
  const { dataset, checkpoint } = await learned(600);
  const { task: knn } = await call('evaluations.start', { ...asked, checkpoint, dataset, task: 'knn' });
  const { task: lookup } = await call('evaluations.start', { ...asked, checkpoint, dataset, task: 'lookup' });
  await wait(async () => (await task(knn)).done > 128);
  await program.close('stop');
  expect(queue()).toEqual([`evaluation ${item(knn).id}`, `evaluation ${item(lookup).id}`]);
  expect(stored((store) => store.queuedEvaluations.get(item(knn).id))).toMatchObject({
    begun: 1,
    deaths: 0,
    pid: null,
  });
  await open();
  // Canceled while it is worked at: the next one begins.
  await wait(async () => (await status(knn)) === 'running');
  await call('tasks.cancel', { id: knn });
  await wait(async () => (await status(lookup)) === 'done');
  expect(await task(knn)).toMatchObject({ status: 'canceled', error: { kind: 'canceled' } });
  expect((await call('evaluations.list', { run: null })).map((one) => one.task)).toEqual(['lookup']);
});

test('one that fails says why, also after a restart, until it is dismissed', async () => {
  const { dataset, checkpoint } = await learned(24);
  const [long] = await call('runs.create', { ...recipe(100_000), dataset, name: 'long', grid: [] });
  await wait(async () => (await call('runs.get', { id: long!.id })).status === 'running');
  const { task: knn } = await call('evaluations.start', { ...asked, checkpoint, dataset, task: 'knn' });
  await expect(call('checkpoints.delete', { id: checkpoint })).rejects.toMatchObject({ kind: 'conflict' });
  const raw = new Database(databaseIn(home)); // an older program did not ask
  raw.pragma('foreign_keys = ON');
  raw.prepare('DELETE FROM checkpoints WHERE id = ?').run(checkpoint);
  raw.close();
  await call('runs.stop', { id: long!.id });
  await wait(async () => (await status(knn)) === 'failed');
  const { error } = await task(knn);
  expect(error).toMatchObject({ kind: 'not-found', what: expect.stringContaining(`${checkpoint}`) });
  await program.close('stop');
  await open();
  await wait(async () => (await status(knn)) === 'failed');
  expect((await task(knn)).error).toEqual(error);
  await call('tasks.dismiss', { id: knn });
  await program.close('stop');
  await open();
  expect(await call('tasks.list', {})).toEqual([]);
  expect(await program.call('evaluations.start', { ...asked, checkpoint, dataset, task: 'knn' })).toMatchObject({
    ok: false,
    error: { kind: 'not-found' },
  });
});

test('another process’s evaluation is seen, holds the device, and is canceled from here', async () => {
  const { dataset, checkpoint } = await learned(600);
  const child = fork(join(import.meta.dirname, 'queue-child.ts'), [home]);
  await once(child, 'message');
  try {
    const { task: first } = await call('evaluations.start', { ...asked, checkpoint, dataset, task: 'knn' });
    await wait(async () => (await status(first)) === 'running');
    await program.close('stop'); // back to the front: the other one takes it
    await wait(() => stored((store) => store.queuedEvaluations.get(item(first).id).pid !== null));
    await open();
    expect(await task(first)).toMatchObject({ status: 'running', phase: 'in another process of the program' });
    const { task: second } = await call('evaluations.start', { ...asked, checkpoint, dataset, task: 'lookup' });
    await new Promise((r) => setTimeout(r, 200));
    const both = stored((store) => store.queuedEvaluations.list().filter(({ pid }) => pid !== null));
    expect(both.map(({ id }) => id)).toEqual([item(first).id]);
    await call('tasks.cancel', { id: first });
    await wait(async () => (await status(second)) === 'done');
    expect(await status(first)).toBe('canceled');
    expect((await call('evaluations.list', { run: null })).map((one) => one.task)).toEqual(['lookup']);
  } finally {
    child.kill('SIGKILL');
    await once(child, 'close');
  }
});
