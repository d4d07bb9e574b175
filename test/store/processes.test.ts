import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import Database from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import { Store } from '../../electron/store/store.ts';
import type { TensorPart } from '../../shared/checkpoint.ts';
import type { StateDict } from '../../shared/tensors.ts';
import { newStore } from './helpers.ts';

const script = new URL('./writer.ts', import.meta.url).pathname;

/** A Node process that writes to a store (writer.ts). */
function writer(...args: string[]): ChildProcess {
  const child = spawn(process.execPath, ['--experimental-strip-types', '--no-warnings', script, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

const PARTS: TensorPart[] = ['student', 'teacher', 'exp_avg', 'exp_avg_sq'];
const hashOf = (load: (part: TensorPart) => StateDict) => {
  const hash = createHash('sha256');
  for (const part of PARTS) for (const { data } of load(part).values()) hash.update(data);
  return hash.digest('hex');
};

test('a process killed while it saves checkpoints leaves whole ones only', { timeout: 60_000 }, async () => {
  const { store, run, path } = newStore();
  let saved = 0;
  for (let round = 0; round < 6; round++) {
    const child = writer('checkpoints', path, String(run.id), String(1 + round * 1000));
    await once(child.stdout!, 'data'); // it saved its first
    await new Promise((resolve) => setTimeout(resolve, 40 + Math.random() * 150));
    child.kill('SIGKILL');
    await once(child, 'exit');

    const raw = new Database(path);
    expect(raw.pragma('integrity_check', { simple: true })).toBe('ok');
    expect(raw.pragma('foreign_key_check')).toEqual([]);
    raw.close();
    const other = Store.open(path);
    const list = other.checkpoints.list(run.id);
    expect(list.length).toBeGreaterThan(saved);
    saved = list.length;
    for (const { id, step } of list) {
      const { state } = other.checkpoints.get(id);
      expect(hashOf((part) => other.checkpoints.load(id, part))).toBe(state.content);
      expect(other.metrics.list(run.id, { from: step, to: step })).toHaveLength(1);
    }
    expect(other.runs.get(run.id).step).toBe(list.at(-1)!.step);
    expect(other.metrics.count(run.id)).toBe(saved);
    other.close();
  }
  store.checkpoints.delete(store.checkpoints.list(run.id)[0]!.id);
});

test('processes that write at once all succeed', { timeout: 60_000 }, async () => {
  const { store, run, path } = newStore();
  const children = [1, 2, 3].map((i) => writer('metrics', path, String(run.id), String(i * 1_000_000)));
  const codes = children.map((child) => once(child, 'exit'));
  for (let i = 0; i < 100; i++) {
    store.runs.update(run.id, { heartbeat: i });
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect((await Promise.all(codes)).map(([code]) => code)).toEqual([0, 0, 0]);
  expect(store.metrics.count(run.id)).toBe(3 * 200);
  expect(store.runs.get(run.id).heartbeat).toBe(99);
});

test('processes that open a new file at once agree on it', { timeout: 60_000 }, async () => {
  const path = `${newStore().path}.new`;
  const codes = [1, 2, 3, 4].map((i) => once(writer('create', path, '0', String(i)), 'exit'));
  expect((await Promise.all(codes)).map(([code]) => code)).toEqual([0, 0, 0, 0]);
  const store = Store.open(path);
  expect(store.datasets.list().length).toBe(4);
  store.close();
  const raw = new Database(path);
  expect(raw.pragma('auto_vacuum', { simple: true })).toBe(2);
  raw.close();
});
