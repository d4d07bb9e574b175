import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { putInPlace, writeTogether, writeWhole } from '../../electron/files/files.ts';
import { makeFolder, requireOutput, requireOutputFolder } from '../../electron/files/outputs.ts';
import type { AppError } from '../../shared/errors.ts';
import { catchError, scratch } from '../store/helpers.ts';

const PNG = { endings: ['.png'], replace: false };
const refusal = (text: string, rules: Parameters<typeof requireOutput>[1] = PNG) =>
  catchError(() => requireOutput(text, rules)) as AppError | null;

test('a name is free, ends as it should, and its folder can be written to', () => {
  const folder = scratch();
  const free = join(folder, 'new.png');
  expect(requireOutput(free, PNG)).toBe(free);
  expect(requireOutput(join(folder, 'NEW.PNG'), PNG)).toBe(join(folder, 'NEW.PNG'));
  expect(existsSync(free)).toBe(false);

  writeFileSync(free, 'mine');
  expect(refusal(free)).toMatchObject({ kind: 'conflict', exists: free, next: expect.stringContaining('--force') });
  expect(requireOutput(free, { ...PNG, replace: true })).toBe(free);
  for (const [text, words] of [
    ['', 'empty'],
    [join(folder, 'new.jpg'), '.png'],
    [join(folder, 'png'), '.png'],
    [join(folder, '.png'), '.png'],
    [join(folder, 'missing', 'a.png'), 'There is no folder'],
    [join(free, 'a.png'), 'no folder'],
    [join(folder, 'nul\0.png'), 'NUL'],
    [join(folder, `${'x'.repeat(252)}.png`), '256 bytes'],
    [join(folder, `${'ü'.repeat(126)}.png`), '256 bytes'],
    [join(folder, ...Array.from({ length: 30 }, () => 'y'.repeat(200)), 'a.png'), ''],
  ]) {
    const error = refusal(text!)!;
    expect(error, text).toMatchObject({ kind: 'bad-input' });
    expect(`${error.message} ${error.why} ${error.next}`, text).toContain(words);
  }
});

test('a folder that is made where it is missing: below one that can be written to, and never for ever', () => {
  const folder = scratch();
  const makes = { ...PNG, makesFolder: true };
  const path = join(folder, 'a', 'b', 'x.png');
  expect(requireOutput(path, makes)).toBe(path);
  expect(existsSync(join(folder, 'a'))).toBe(false);
  makeFolder(join(folder, 'a', 'b'));
  makeFolder(join(folder, 'a', 'b'));
  expect(existsSync(join(folder, 'a', 'b'))).toBe(true);
  writeFileSync(join(folder, 'file'), 'mine');
  expect(refusal(join(folder, 'file', 'b', 'x.png'), makes)).toMatchObject({ kind: 'bad-input' });
  expect(catchError(() => makeFolder(join(folder, 'file', 'b')))).toMatchObject({ kind: 'bad-input' });
  // Node's own, told to make all of them, goes round for ever here.
  if (existsSync('/proc/self'))
    expect(catchError(() => makeFolder('/proc/nope/a'))).toMatchObject({ kind: 'bad-input' });
});

test('what goes beside it must be free too; a folder or a device is never written over', () => {
  const folder = scratch();
  const path = join(folder, 'a.png');
  const beside = [join(folder, 'a.csv')];
  writeFileSync(beside[0]!, 'mine');
  expect(refusal(path, { ...PNG, beside })).toMatchObject({ kind: 'conflict', exists: beside[0] });
  mkdirSync(path);
  expect(refusal(path, { ...PNG, replace: true })).toMatchObject({ kind: 'bad-input' });
  expect(refusal('/dev/null', { endings: ['null'], replace: true })).toMatchObject({ kind: 'bad-input' });
});

test.skipIf(process.platform === 'win32')(
  'a link counts as there, wherever it leads; a pipe is not written over',
  () => {
    const folder = scratch();
    const path = join(folder, 'a.png');
    symlinkSync(join(folder, 'nowhere'), path);
    expect(refusal(path)).toMatchObject({ kind: 'conflict' });
    const pipe = join(folder, 'p.png');
    spawnSync('mkfifo', [pipe]);
    expect(refusal(pipe, { ...PNG, replace: true })).toMatchObject({ kind: 'bad-input' });
  },
);

test('a folder that is filled: made where it is not there, and nothing in it is written over', () => {
  const folder = scratch();
  const target = join(folder, 'new', 'deep');
  expect(requireOutputFolder(target, ['a'], { replace: false })).toBe(target);
  expect(existsSync(join(folder, 'new'))).toBe(false);
  writeFileSync(join(folder, 'a'), 'mine');
  const ask = (path: string, replace = false) => catchError(() => requireOutputFolder(path, ['a'], { replace }));
  expect(ask(folder)).toMatchObject({ kind: 'conflict', exists: join(folder, 'a') });
  expect(ask(folder, true)).toBeNull();
  expect(ask(join(folder, 'a'))).toMatchObject({ kind: 'bad-input' });
  expect(ask(join(folder, 'a', 'b'))).toMatchObject({ kind: 'bad-input' });
  expect(ask('')).toMatchObject({ kind: 'bad-input' });
});

test('a file that came while another was being made stays, and nothing half is left', () => {
  const folder = scratch();
  const [one, two] = [join(folder, 'one'), join(folder, 'two')];
  const keep = { replace: false };
  function* late(): Generator<Uint8Array> {
    yield Buffer.from('new');
    writeFileSync(two, 'mine');
  }
  expect(catchError(() => writeWhole(two, late(), keep))).toMatchObject({ kind: 'conflict', exists: two });
  const both = [
    { path: one, chunks: [Buffer.from('new')] },
    { path: two, chunks: [Buffer.from('new')] },
  ];
  expect(catchError(() => writeTogether(both, keep))).toMatchObject({ kind: 'conflict' });
  expect(readdirSync(folder)).toEqual(['two']);
  expect(readFileSync(two, 'utf8')).toBe('mine');
  writeWhole(two, [Buffer.from('new')], { replace: true });
  expect(readFileSync(two, 'utf8')).toBe('new');

  writeFileSync(one, 'whole');
  expect(catchError(() => putInPlace(one, two, keep))).toMatchObject({ kind: 'conflict' });
  putInPlace(one, join(folder, 'three'), keep);
  expect(readdirSync(folder).sort()).toEqual(['three', 'two']);
});

test('the longest name that a disk takes can be written', () => {
  const folder = scratch();
  for (const name of [`${'x'.repeat(251)}.png`, `${'ü'.repeat(125)}x.png`]) {
    writeWhole(requireOutput(join(folder, name), PNG), [Buffer.from('new')], { replace: false });
    expect(readdirSync(folder)).toContain(name);
  }
  expect(readdirSync(folder)).toHaveLength(2);
});
