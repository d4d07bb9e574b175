import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type OpenProgram, openProgram } from '../../electron/ipc/program.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { createFineTunings, queueFineTunings } from '../../electron/services/runs/fine-tune.ts';
import { createReserved, deleteRun, requestRun, startRun } from '../../electron/services/runs/runs.ts';
import type { FileLock } from '../../electron/store/file-lock.ts';
import { databaseIn } from '../../electron/store/home.ts';
import { Store } from '../../electron/store/store.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { behindItsBack } from '../store/helpers.ts';
import { callerOf, wait } from './calls.ts';

let home: string;
let store: Store; // as the command line's
const programs: OpenProgram[] = [];
const open = async () => {
  const program = await openProgram({ home, shell: { kind: 'browser', reveal: () => false } });
  programs.push(program);
  return program;
};
const CONFIG = runConfigSchema.parse({
  model: { image_size: 32, patch_size: 8, embed_dim: 16, depth: 1, num_heads: 1 },
  mask: { unit: 8 },
  projector: { hidden: 16, out: 8 },
  train: { batch_size: 2, epochs: 1 },
});
const config = (steps: number) => ({ ...CONFIG, train: { ...CONFIG.train, steps } });

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'runs-queue-'));
  store = Store.open(databaseIn(home));
  const folder = join(home, 'pictures');
  for (const label of ['a', 'b']) {
    mkdirSync(join(folder, label), { recursive: true });
    for (let i = 0; i < 6; i++) {
      const noise = Uint8Array.from({ length: 36 * 36 * 3 }, (_, at) => (at * (i + 7) + label.charCodeAt(0)) % 251);
      const image = sharp(Buffer.from(noise), { raw: { width: 36, height: 36, channels: 3 } });
      await image.png().toFile(join(folder, label, `${i}.png`));
    }
  }
  await importDataset(store, { name: 'pictures', folders: [folder], labels: 'folders' });
});
afterEach(async () => {
  for (const program of programs.splice(0)) await program.close('stop');
  store.close();
  rmSync(home, { recursive: true });
});

const row = (id: number) => store.runs.get(id);
const made = (steps: number) => {
  const { run, place } = createReserved(store, { dataset: 'pictures', config: config(steps), preset: null });
  return { id: run.id, place };
};
/** A run that waits in the queue. */
function queued(steps = 3): number {
  const { id, place } = made(steps);
  place.remove();
  store.queue.put({ kind: 'run', id });
  return id;
}
const dead = (place: FileLock) => place.release(); // as the system does for a process that is killed

test('two programs on one home train one run at a time', async () => {
  const ids = [1, 2, 3, 4].map(() => queued());
  await Promise.all([open(), open()]);
  let most = 0;
  await wait(() => {
    most = Math.max(most, store.runs.held().length);
    return ids.every((id) => row(id).status === 'finished');
  });
  expect(most).toBe(1);
});

test('what a program was about to start when it died is started by the next, or by one that is open', async () => {
  const first = made(3);
  dead(first.place);
  expect(row(first.id)).toMatchObject({ status: 'queued', queue_position: null });
  await open();
  await wait(() => row(first.id).status === 'finished');
  const second = made(3);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  expect(row(second.id).status).toBe('queued'); // another process has it
  dead(second.place);
  await wait(() => row(second.id).status === 'finished');
});

test('a program that is killed while it starts runs leaves none behind', async () => {
  for (const delay of [0, 40, 160]) {
    const child = fork(join(import.meta.dirname, 'queue-child.ts'), [home]);
    await once(child, 'message');
    const id = queued(2);
    await wait(() => row(id).queue_position === null);
    await new Promise((resolve) => setTimeout(resolve, delay));
    child.kill('SIGKILL');
    await once(child, 'close');
    const program = await open();
    // Where its trainer had begun, that pauses or finishes; else it is in the queue again.
    await wait(() => ['finished', 'paused', 'interrupted'].includes(row(id).status));
    await program.close('stop');
    programs.pop();
  }
});

test('what was paused or stopped, by whichever way, is not trained when a program opens', async () => {
  const [paused, stopped, finished] = [queued(), queued(), queued()];
  requestRun(store, paused, 'pause');
  requestRun(store, stopped, 'stop');
  store.runs.update(finished, { status: 'finished' });
  const last = queued();
  await open();
  await wait(() => row(last).status === 'finished');
  expect([paused, stopped].map((id) => [row(id).status, row(id).step])).toEqual([
    ['paused', 0],
    ['stopped', 0],
  ]);
  expect(store.queue.order()).toEqual([]);
});

test('one that is stopped while its process starts is not trained', async () => {
  const { id, place } = made(100_000);
  const handle = startRun(store, store.path, id, () => {}, place);
  requestRun(store, id, 'stop');
  expect(await handle.ended).toMatchObject({ status: 'stopped', step: 0, error: null });
  expect(row(id)).toMatchObject({ status: 'stopped', step: 0, pid: null });
});

test('whether a run is trained is known by its lock, and not by the number of a process', async () => {
  const { id, place } = made(100_000);
  const handle = startRun(store, store.path, id, () => {}, place);
  await wait(() => row(id).step > 2);
  // Seen from another container: there is no such process, or it is somebody else.
  for (const pid of [2 ** 22 + 1, process.pid, 1, null]) {
    store.runs.update(id, { pid, heartbeat: 1 });
    store.runs.recoverLost();
    expect(row(id).status).toBe('running');
    expect(() => store.runs.reserve(id)).toThrow('is running');
    expect(() => deleteRun(store, id)).toThrow('is running');
  }
  const program = await open();
  await expect(callerOf(() => program)('runs.resume', { id })).rejects.toMatchObject({ kind: 'conflict' });
  process.kill(handle.pid, 'SIGKILL');
  expect(await handle.ended).toMatchObject({ status: 'interrupted' });
  // Another process has its number by now, and wrote lately: it is gone all the same.
  store.runs.update(id, { status: 'running', pid: process.pid, heartbeat: Date.now() });
  await wait(() => row(id).status === 'interrupted');
  const again = startRun(store, store.path, id, () => {});
  await wait(() => row(id).status === 'running');
  requestRun(store, id, 'pause');
  expect(await again.ended).toMatchObject({ status: 'paused', error: null });
});

test('several that start one run at once: one trains, the others are told', async () => {
  const { id, place } = made(100_000);
  place.remove();
  const tries = await Promise.allSettled([1, 2, 3].map(async () => startRun(store, store.path, id, () => {})));
  const started = tries.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  expect(started).toHaveLength(1);
  for (const one of tries)
    if (one.status === 'rejected')
      expect(one.reason).toMatchObject({ kind: 'conflict', message: expect.stringContaining('being started') });
  await wait(() => row(id).status === 'running');
  requestRun(store, id, 'stop');
  expect((await started[0]!.ended).status).toBe('stopped');
});

test('fine-tunings of one command are left to it by a program that is open, which goes on after the last', async () => {
  const first = queued(3);
  const program = await open();
  await wait(() => row(first).status === 'finished');
  const asked = {
    checkpoint: store.checkpoints.latest(first)!.id,
    part: 'student' as const,
    dataset: 'pictures',
    settings: { epochs: 1, batch_size: 2 },
  };
  const [runs, places] = store.atomically(() => {
    const all = createFineTunings(store, asked);
    return [all, all.map(({ id }) => store.runs.reserve(id))] as const;
  });
  const waits = queued();
  for (const [i, { id }] of runs.entries()) {
    await new Promise((resolve) => setTimeout(resolve, 900)); // the program looks at the queue twice meanwhile
    expect(row(waits).status).toBe('queued');
    expect(await startRun(store, store.path, id, () => {}, places[i]).ended).toMatchObject({ status: 'finished' });
  }
  await wait(() => row(waits).status === 'finished');
  await program.close('stop');
  programs.pop();
  // Into the queue all at once: a program never sees a part of them.
  expect(queueFineTunings(store, asked).map(({ id }) => row(id).queue_position)).not.toContain(null);
});

test('where a fine-tuning that waited in the queue fails, the next goes on by itself', async () => {
  const first = queued(3);
  await open();
  await wait(() => row(first).status === 'finished');
  // What the first begins from is damaged; the untrained network needs none of it.
  behindItsBack(store.path, (raw) => raw.exec('UPDATE tensors SET data = zeroblob(length(data))'));
  const [trained, untrained] = queueFineTunings(store, {
    checkpoint: store.checkpoints.latest(first)!.id,
    part: 'student',
    dataset: 'pictures',
    settings: { epochs: 1, batch_size: 2 },
  });
  await wait(() => row(untrained!.id).status === 'finished');
  expect(row(trained!.id)).toMatchObject({ status: 'failed', error: { kind: 'bad-file' } });
});
