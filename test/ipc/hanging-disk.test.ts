import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import sharp from 'sharp';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type OpenProgram, openProgram } from '../../electron/ipc/program.ts';
import { Outside } from '../../electron/services/ground/outside.ts';
import type { TaskKind, TaskRef } from '../../shared/contract/started.ts';
import type { TaskOf } from '../../shared/contract/tasks.ts';
import { callerOf, wait } from './calls.ts';

/** The program, with a folder called DEAD whose disk never answers while the file `dead` is there. */
let folder: string;
let program: OpenProgram;
const call = callerOf(() => program);
const dead = () => join(folder, 'DEAD');
const sound = () => join(folder, 'sound');

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hanging-'));
  for (const [i, at] of [dead(), sound()].entries()) {
    mkdirSync(at);
    for (let n = 0; n < 12; n++)
      await sharp({ create: { width: 40 + n, height: 40, channels: 3, background: { r: 20 * n, g: 90 * i, b: 9 } } })
        .png()
        .toFile(join(at, `${n}.png`));
  }
  const worker = pathToFileURL(join(import.meta.dirname, '../../out/electron/workers/outside.js')).href;
  const stuck = join(folder, 'stuck.mjs');
  writeFileSync(
    stuck,
    `import { existsSync } from 'node:fs';
     const on = process.on.bind(process);
     process.on = (name, listener) => on(name, name !== 'message' ? listener : (asked) => {
       if (!(asked.input.path.includes('DEAD') && existsSync(${JSON.stringify(join(folder, 'dead'))}))) listener(asked);
     });
     await import(${JSON.stringify(worker)});`,
  );
  const outside = new Outside({ program: stuck, patience: { look: 2000, content: 2000, list: 2000, make: 2000 } });
  program = await openProgram({ home: join(folder, 'home'), shell: { kind: 'browser', reveal: () => true }, outside });
});
afterEach(async () => {
  await program.close('stop');
  rmSync(folder, { recursive: true });
});

const ended = async <K extends TaskKind>({ task: id }: TaskRef<K>): Promise<TaskOf<K>> => {
  const find = async () => (await call('tasks.list', {})).find((task) => task.id === id)!;
  await wait(async () => (await find()).status !== 'running');
  return (await find()) as TaskOf<K>;
};
const load = async (name: string, from: string) => {
  const { result, error } = await ended(await call('datasets.import', { name, folders: [from] }));
  expect(error).toBeNull();
  return result!.dataset;
};

test('a disk that hangs is said where it is asked for, and everything else goes on', async () => {
  const [first, second] = [await load('dead', dead()), await load('sound', sound())];
  const query = { status: null, label: null, reason: null, search: '', sort: 'path', descending: false } as const;
  const ids = async (dataset: number) =>
    (await call('images.page', { dataset, offset: 0, limit: 20, ...query })).images.map(({ id }) => id);
  const [lost, there] = [await ids(first), await ids(second)];
  writeFileSync(join(folder, 'dead'), '');

  // As a window does that shows both.
  const pictures = Promise.all(lost.flatMap((id) => [program.media(`thumb/${id}`), program.media(`image/${id}`)]));
  const rows = await call('datasets.list', {});
  expect(rows.map(({ name, missing_why }) => [name, missing_why]).sort()).toEqual([
    ['dead', 'silent'],
    ['sound', null],
  ]);
  expect(rows.find(({ name }) => name === 'dead')!.missing_folder).toBe(dead());
  expect((await program.media(`thumb/${there[0]!}`)).status).toBe(200);
  expect((await pictures).every(({ status }) => status === 404)).toBe(true);

  const silent = { kind: 'not-found', message: expect.stringContaining('does not answer') };
  await expect(call('folders.list', { path: dead() })).rejects.toMatchObject(silent);
  await expect(call('images.reveal', { id: lost[0]! })).rejects.toMatchObject(silent);
  for (const started of [
    await call('datasets.rescan', { id: first }),
    await call('datasets.import', { name: 'again', folders: [join(dead(), 'below')] }),
    await call('prepared.start', { dataset: first, size: 32 }),
  ])
    expect(await ended(started)).toMatchObject({
      status: 'failed',
      error: { what: expect.stringContaining('does not answer') },
    });
  const preview = { dataset: second, preset: 'small-cpu', changes: {}, draw: 0 };
  await expect(call('lab.preview', { ...preview, images: lost.slice(0, 2) })).rejects.toMatchObject(silent);
  expect(await call('lab.preview', { ...preview, images: there.slice(0, 2) })).toHaveLength(2);
  expect((await call('folders.list', { path: sound() })).images).toBe(12);
  expect((await ended(await call('datasets.rescan', { id: second }))).status).toBe('done');

  rmSync(join(folder, 'dead'));
  await wait(async () => (await call('datasets.get', { id: first })).missing_why === null);
  expect((await ended(await call('datasets.rescan', { id: first }))).status).toBe('done');
  expect((await program.media(`thumb/${lost[0]!}`)).status).toBe(200);
});

test('a folder that is gone, or that nobody may look into, is told from one that hangs', async () => {
  const id = await load('sound', sound());
  cpSync(sound(), join(folder, 'moved'), { recursive: true });
  rmSync(sound(), { recursive: true });
  expect(await call('datasets.get', { id })).toMatchObject({ missing_folder: sound(), missing_why: 'gone' });
  const odd = { ...(await call('datasets.get', { id })) };
  expect(odd.missing_why).toBe('gone');
  for (const path of ['/proc/1/root/x\0y', 'x'.repeat(5000), join(folder, 'moved', '0.png')])
    await expect(call('folders.list', { path }), path).rejects.toMatchObject({
      kind: expect.stringMatching(/bad-input|not-found/),
    });
});

test('folders that cannot be made are refused by every export, and leave nothing', async () => {
  await load('sound', sound());
  for (const bad of ['/proc/exports/a', '/proc/nope', join(sound(), '0.png'), join(sound(), '0.png', 'below')]) {
    const outputs = new Outside();
    await expect(outputs.output(join(bad, 'a.csv'), { endings: ['.csv'], replace: false }), bad).rejects.toMatchObject({
      kind: 'bad-input',
    });
    outputs.close();
  }
  expect(readdirSync(sound())).toHaveLength(12);
  expect(existsSync('/proc/exports')).toBe(false);
});
