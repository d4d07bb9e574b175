import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type OpenProgram, openProgram } from '../../electron/ipc/program.ts';
import { METHODS } from '../../methods/index.ts';
import type { AskedBakeOff } from '../../shared/bakeoff.ts';
import { makeImages } from '../e2e/harness.ts';
import { callerOf, wait } from './calls.ts';

let home: string;
let program: OpenProgram;
const open = async () => {
  program = await openProgram({ home, shell: { kind: 'browser', reveal: () => false } });
};
beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'bake-off-'));
  await open();
});
afterEach(async () => {
  await program.close('stop');
  rmSync(home, { recursive: true });
});
const call = callerOf(() => program);
const ended = async (id: string) => {
  await wait(async () => (await call('tasks.list', {})).find((one) => one.id === id)!.ended_at !== null);
  return (await call('tasks.list', {})).find((one) => one.id === id)!;
};

async function dataset(): Promise<number> {
  await makeImages(join(home, 'pictures'), 24);
  const input = { name: 'pictures', folders: [join(home, 'pictures')], labels: 'folders' as const };
  expect((await ended((await call('datasets.import', input)).task)).status).toBe('done');
  return (await call('datasets.list', {}))[0]!.id;
}
const asked = (id: number, change: Partial<AskedBakeOff> = {}): AskedBakeOff => ({
  name: 'which',
  dataset: id,
  test_dataset: null,
  seeds: 1,
  tasks: ['knn'],
  finetune: null,
  entries: METHODS.slice(0, 2).map(({ defaultPreset }) => ({
    preset: defaultPreset,
    changes: { 'train.batch_size': 4 },
  })),
  encoder: { image_size: 32, patch_size: 8, embed_dim: 16, depth: 1, num_heads: 2, mlp_ratio: 2 },
  budget: { kind: 'images', images: 12 },
  supervised: true,
  pixels: true,
  ...change,
});

test('from start to the whole table, though the program is closed in between', async () => {
  const id = await dataset();
  const plan = await call('bakeoffs.check', { asked: asked(id), costs: [] });
  expect(plan.entries.map(({ steps }) => steps)).toEqual([3, 3]);
  const made = await call('bakeoffs.start', { asked: asked(id), costs: [] });
  const state = async () => (await call('bakeoffs.get', made)).state;
  await wait(async () => (await call('bakeoffs.get', made)).done > 0);
  expect(await state()).toBe('going');
  await program.close('pause');
  await open();
  // What was worked at when the program closed waits for a person; the rest has gone on by itself.
  await wait(async () => (await state()) !== 'going');
  if ((await state()) === 'halted') await call('bakeoffs.continue', made);
  await wait(async () => (await state()) === 'finished');
  const { rows, done, total, failed } = await call('bakeoffs.get', made);
  expect([done, total, failed]).toEqual([5, 5, []]); // two pretrainings, two evaluations, one training with labels
  const known = rows.map(({ kind, cells }) => [
    kind,
    ...Object.keys(cells).filter((key) => /^(knn mean_pooled|finetune accuracy|memory)$/.test(key)),
  ]);
  expect(known).toEqual([
    ['method', 'knn mean_pooled', 'memory'],
    ['method', 'knn mean_pooled', 'memory'],
    ['untrained', 'knn mean_pooled'], // each start has its own
    ['untrained', 'knn mean_pooled'],
    ['supervised', 'finetune accuracy'],
    ['pixels', 'knn mean_pooled'],
  ]);
  expect(rows[0]!.cells.memory!.spread.mean).toBeGreaterThan(50e6);
  expect((await call('bakeoffs.report', made)).html).toContain('(single seed)');
  expect(await call('bakeoffs.list', {})).toMatchObject([{ name: 'which', state: 'finished' }]);
  await call('bakeoffs.delete', made);
  expect(await call('bakeoffs.list', {})).toEqual([]);
  expect((await call('runs.list', {})).length).toBe(3);
});

test('a budget of minutes is measured first, and is then planned', async () => {
  const id = await dataset();
  const timed = asked(id, { budget: { kind: 'minutes', minutes: 0.5 } });
  await expect(call('bakeoffs.start', { asked: timed, costs: [] })).rejects.toMatchObject({ kind: 'bad-input' });
  const { result } = await ended((await call('bakeoffs.measure', { asked: timed })).task);
  const costs = result as {
    images_per_s: number;
    flops_per_image: number | null;
    peak_memory: number;
    warning: null;
  }[];
  expect(costs).toHaveLength(2);
  const plan = await call('bakeoffs.check', { asked: timed, costs });
  for (const [i, { steps }] of plan.entries.entries())
    expect(steps).toBe(Math.round((30 * costs[i]!.images_per_s) / 4));
  expect(plan.seconds).toBeGreaterThan(60);
});

test('a run that is taken out of the queue halts it, and going on finishes it', async () => {
  const id = await dataset();
  const made = await call('bakeoffs.start', { asked: asked(id, { tasks: [], supervised: false }), costs: [] });
  await call('runs.pause', { id: (await call('bakeoffs.get', made)).runs[1]!.run_id });
  await wait(async () => (await call('bakeoffs.get', made)).state === 'halted');
  await call('bakeoffs.continue', made);
  await wait(async () => (await call('bakeoffs.get', made)).state === 'finished');
});
