import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type OpenProgram, openProgram } from '../../electron/ipc/program.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { createRun } from '../../electron/services/runs/runs.ts';
import { databaseIn } from '../../electron/store/home.ts';
import { Store } from '../../electron/store/store.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { makeImages } from '../e2e/harness.ts';
import { behindItsBack, metric } from '../store/helpers.ts';
import { callerOf, wait } from './calls.ts';

let home: string;
let store: Store; // as the command line's
let program: OpenProgram | null = null;
const call = callerOf(() => program!);
const open = async () => {
  program = await openProgram({ home, shell: { kind: 'browser', reveal: () => false } });
};
const config = runConfigSchema.parse({
  model: { image_size: 32, patch_size: 8, embed_dim: 16, depth: 1, num_heads: 1 },
  mask: { unit: 8 },
  projector: { hidden: 16, out: 8 },
  train: { batch_size: 2, steps: 2 },
});

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'damaged-'));
  store = Store.open(databaseIn(home));
  await makeImages(join(home, 'pictures'), 12);
  await importDataset(store, { name: 'pictures', folders: [join(home, 'pictures')], labels: 'folders' });
});
afterEach(async () => {
  await program?.close('stop');
  program = null;
  store.close();
  rmSync(home, { recursive: true });
});

function waiting(name: string): number {
  const { id } = createRun(store, { dataset: 'pictures', config, preset: null, name });
  store.queue.put({ kind: 'run', id });
  return id;
}
const damage = (id: number, column: string, text: string) =>
  behindItsBack(store.path, (raw) => raw.prepare(`UPDATE runs SET ${column} = ? WHERE id = ?`).run(text, id));

test('a damaged run whose turn has come fails, and the queue goes on', async () => {
  const [bad, sound] = [waiting('bad'), waiting('sound')];
  damage(bad, 'config', '{"model":');
  await open();
  await wait(() => store.runs.head(sound).status === 'finished');
  expect(store.runs.head(bad)).toMatchObject({ status: 'failed', queue_position: null });
});

test('a run that is damaged while the program is open is listed apart, and is deleted there, with undo', async () => {
  const [bad, sound] = [waiting('bad'), waiting('sound')];
  for (const id of [bad, sound]) store.runs.update(id, { status: 'finished' });
  await open();
  expect(await call('runs.damaged', {})).toEqual([]);
  const told: string[] = [];
  program!.listen(({ event }) => told.push(event.type));
  damage(bad, 'tags', 'null');
  await wait(() => told.includes('runs'));
  const why = expect.stringContaining('Its column runs.tags is not');
  const listed = [{ id: bad, name: 'bad', error: { why } }];
  expect((await call('runs.list', {})).map(({ id }) => id)).toEqual([sound]);
  expect(await call('runs.damaged', {})).toMatchObject(listed);
  await expect(call('runs.get', { id: bad })).rejects.toMatchObject({ kind: 'bad-file', why });
  expect(await call('runs.get', { id: sound })).toMatchObject({ name: 'sound' });
  expect((await call('runtime.storage', {})).runs).toEqual([]);
  const { undo, what } = await call('runs.delete', { ids: [bad] });
  expect(what).toBe('Run "bad" is deleted, with its checkpoints.');
  expect(await call('runs.damaged', {})).toEqual([]);
  await call('undo.restore', { undo });
  expect(await call('runs.damaged', {})).toMatchObject(listed);
  await call('runs.delete', { ids: [bad] });
  await program!.close('stop');
  program = null;
  expect(store.runs.heads().map(({ id }) => id)).toEqual([sound]);
});

test('figures that are damaged name their run, and the others are listed', async () => {
  const [bad, sound] = [waiting('bad'), waiting('sound')];
  for (const id of [bad, sound]) {
    store.runs.update(id, { status: 'finished' });
    store.metrics.add(id, [metric(1)]);
  }
  behindItsBack(store.path, (raw) => raw.exec(`UPDATE metrics SET figures = '[]' WHERE run_id = ${bad}`));
  await open();
  expect((await call('runs.list', {})).map(({ id }) => id)).toEqual([sound]);
  const why = expect.stringContaining('Its column metrics.figures is not');
  expect(await call('runs.damaged', {})).toMatchObject([{ id: bad, name: 'bad', error: { why } }]);
  await call('runs.delete', { ids: [bad] });
  expect(await call('runs.damaged', {})).toEqual([]);
});
