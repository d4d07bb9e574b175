import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Outside } from '../../electron/services/ground/outside.ts';

let folder: string;
let outside: Outside;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'outside-'));
  outside = new Outside();
});
afterEach(() => {
  outside.close();
  rmSync(folder, { recursive: true });
});

describe('what a person names is looked at in another process', () => {
  test('files, folders, links, pipes, devices, and nothing at all', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, 'content');
    symlinkSync(file, join(folder, 'link'));
    symlinkSync(join(folder, 'nowhere'), join(folder, 'dangling'));
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    const kind = async (path: string) => (await outside.look(path)).kind;
    expect(await kind(folder)).toBe('folder');
    expect(await outside.look(file)).toMatchObject({ kind: 'file', bytes: 7 });
    expect(await kind(join(folder, 'link'))).toBe('file');
    expect(await kind(join(folder, 'pipe'))).toBe('other');
    expect(await kind('/dev/zero')).toBe('other');
    for (const none of ['dangling', 'not there', 'file/below', 'a/b/c'])
      expect(await kind(join(folder, none))).toBe('none');
    await expect(outside.look(join(folder, 'n\0ul'))).rejects.toMatchObject({ kind: 'bad-input' });
    await expect(outside.look(join(folder, 'x'.repeat(5000)))).rejects.toMatchObject({ kind: 'bad-input' });
  });

  test('content has its hash, and a mark that changes with the file; pipes and devices are not read', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, Buffer.alloc(3_000_000, 7));
    const read = await outside.content(file);
    expect(read!.hash).toBe(createHash('sha256').update(readFileSync(file)).digest('hex'));
    expect((await outside.look(file)).mark).toBe(read!.mark);
    writeFileSync(file, Buffer.alloc(3_000_000, 8));
    expect((await outside.look(file)).mark).not.toBe(read!.mark);
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    for (const none of [join(folder, 'pipe'), '/dev/zero', folder, join(folder, 'none')])
      expect(await outside.content(none), none).toBeNull();
  });

  test('folders are made with those above them; where none can be, that is said and nothing loops', async () => {
    const deep = join(folder, 'a', 'b', 'c');
    await outside.make(deep);
    await outside.make(deep);
    expect(statSync(deep).isDirectory()).toBe(true);
    writeFileSync(join(folder, 'file'), '');
    for (const not of [
      join(folder, 'file'),
      join(folder, 'file', 'below'),
      '/proc/exports/a',
      '/proc/nope',
      '/proc/a/b/c',
    ])
      await expect(outside.make(not), not).rejects.toMatchObject({
        kind: 'bad-input',
        message: `${not} cannot be made.`,
      });
    expect(existsSync('/proc/nope')).toBe(false);
  });
});

/** A process that never answers for paths with HANG in them, as one does whose disk is gone. */
const stuck = () => {
  const program = join(folder, 'stuck.mjs');
  writeFileSync(
    program,
    `process.on('message', ({ id, input: { path } }) => {
       const value = { kind: 'folder', pid: process.pid };
       if (!path.includes('HANG')) process.send({ type: 'result', id, value });
     });
     process.once('disconnect', () => process.exit());
     process.send({ type: 'ready' });`,
  );
  outside.close();
  outside = new Outside({ program, patience: { look: 1500 } });
};

describe('a folder that hangs', () => {
  test('is an error of its own call; what else was asked is answered, and soon it is not waited for again', async () => {
    stuck();
    const first = (await outside.look('/sound')) as unknown as { pid: number };
    const hanging = outside.look('/HANG/file', '/HANG');
    // As many as there would be threads, and all of these hang, too.
    const more = Array.from({ length: 100 }, (_, i) => outside.look(`/HANG/file ${i}`, '/HANG'));
    const answers = Promise.allSettled([hanging, ...more]);
    const beside = Promise.all(Array.from({ length: 20 }, (_, i) => outside.look(`/sound/${i}`)));
    await expect(hanging).rejects.toMatchObject({ kind: 'not-found', message: '/HANG does not answer.' });
    expect((await answers).every(({ status }) => status === 'rejected')).toBe(true);
    expect((await beside).every(({ kind }) => kind === 'folder')).toBe(true);
    const started = performance.now();
    await expect(outside.look('/HANG/other')).rejects.toMatchObject({ message: '/HANG does not answer.' });
    expect(performance.now() - started).toBeLessThan(1400);
    const second = (await outside.look('/HANGING is another, and /sound', '/sound').catch(() => null)) as unknown;
    expect(second).toBeNull();
    expect(((await outside.look('/other')) as unknown as { pid: number }).pid).not.toBe(first.pid);
  });

  test('a process that cannot be started, or breaks, is an error of what was asked', async () => {
    outside.close();
    outside = new Outside({ program: join(folder, 'none.mjs') });
    await expect(outside.look(folder)).rejects.toMatchObject({
      kind: 'trainer-died',
      message: 'The process that looks at folders ended without a word.',
    });
    await expect(outside.look(folder)).rejects.toMatchObject({
      kind: 'trainer-died',
      message: 'The process that looks at folders ended without a word.',
    });
  });
});

test('after closing nothing is asked any more', async () => {
  outside.close();
  await expect(outside.look(folder)).rejects.toMatchObject({ kind: 'canceled' });
  mkdirSync(join(folder, 'still here'));
});
