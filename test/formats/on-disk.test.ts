import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openSource } from '../../electron/files/files.ts';
import { namedFile, namedFolder } from '../../electron/files/on-disk.ts';
import { requireOutput, requireOutputFolder } from '../../electron/files/outputs.ts';
import { writeSafetensors } from '../../electron/formats/safetensors.ts';
import { readWeights } from '../../electron/services/export/weights-file.ts';
import type { AppError } from '../../shared/errors.ts';
import { catchError, scratch } from '../store/helpers.ts';

// Elsewhere a file system takes only names that are text.
const areBytes = process.platform === 'linux';
const inBytes = (path: string) => Buffer.from(path, 'latin1');

test.skipIf(!areBytes)('a folder whose name has lost its bytes on the way is known', () => {
  const root = scratch();
  const make = (name: string) => mkdirSync(inBytes(join(root, name)), { recursive: true });
  make('caf\xe9/deep\xff');
  make('two\xe9');
  make('two\xe8');
  expect(namedFolder(join(root, 'caf\ufffd'))).toBe(join(root, 'caf\\xe9'));
  expect(namedFolder(join(root, 'caf\ufffd/deep\ufffd'))).toBe(join(root, 'caf\\xe9/deep\\xff'));
  expect(namedFolder(join(root, 'two\ufffd'))).toBe(join(root, 'two\ufffd'));
  mkdirSync(join(root, 'caf\ufffd'));
  expect(namedFolder(join(root, 'caf\ufffd'))).toBe(join(root, 'caf\ufffd'));
});

test.skipIf(!areBytes)('a file is read whose name, or whose folder’s, is not UTF-8', async () => {
  const root = scratch();
  writeSafetensors(join(root, 'w.safetensors'), new Map([['a', { shape: [1], data: Float32Array.of(7) }]]));
  mkdirSync(inBytes(join(root, 'caf\xe9')));
  renameSync(join(root, 'w.safetensors'), inBytes(join(root, 'caf\xe9', 'w\xe9.safetensors')));
  // As an argument of a shell has it, as a listing of the window has it, and as a person types what is shown.
  for (const name of ['caf\ufffd/w\ufffd.safetensors', 'caf\\xe9/w\\xe9.safetensors', 'caf\ufffd/w\\xe9.safetensors']) {
    expect((await readWeights(join(root, name))).tensors.get('a')!.data, name).toEqual(Float32Array.of(7));
    expect(namedFile(join(root, name))).toBe(join(root, 'caf\\xe9/w\\xe9.safetensors'));
  }
  // One that could be either of two is none.
  writeFileSync(inBytes(join(root, 'caf\xe9', 'w\xe8.safetensors')), '');
  const two = catchError(() => openSource(join(root, 'caf\ufffd/w\ufffd.safetensors')));
  expect(two).toMatchObject({ kind: 'not-found', next: expect.stringContaining('UTF-8') });
  // A backslash in a name is itself.
  writeFileSync(join(root, 'x\\x41.bin'), 'four');
  const source = openSource(join(root, 'x\\x41.bin'));
  expect([source.size, source.name]).toEqual([4, join(root, 'x\\x41.bin')]);
  source.close();
});

test.skipIf(!areBytes)('a name that has lost its bytes is not written to, and it is said why', () => {
  const root = scratch();
  const rules = { endings: ['.png'], replace: false };
  for (const refuse of [
    () => requireOutput(join(root, 'caf\ufffd.png'), rules),
    () => requireOutput(join(root, 'caf\ufffd', 'a.png'), rules),
    () => requireOutput(join(root, 'caf\ufffd', 'a.png'), { ...rules, makesFolder: true }),
    () => requireOutputFolder(join(root, 'caf\ufffd'), [], { replace: false }),
  ]) {
    const error = catchError(refuse) as AppError;
    expect(error).toMatchObject({ kind: 'bad-input', why: expect.stringContaining('not UTF-8') });
    expect(error.next).toContain('another name');
  }
  // One that is there is called so.
  mkdirSync(join(root, 'caf\ufffd'));
  expect(requireOutput(join(root, 'caf\ufffd', 'a.png'), rules)).toBe(join(root, 'caf\ufffd', 'a.png'));
});
