import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSource, writeWhole } from '../../electron/files/files.ts';
import { keyFault } from '../../electron/formats/json-keys.ts';
import { parsePickle } from '../../electron/formats/pickle.ts';
import { readPth } from '../../electron/formats/pth.ts';
import { readSafetensors, writeSafetensors } from '../../electron/formats/safetensors.ts';
import { AppError } from '../../shared/errors.ts';
import { refusal } from '../harness/refusal.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hostile-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Either it is read, or it is refused in words. */
const readOrRefuse = (act: () => unknown): boolean => {
  try {
    act();
    return true;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    expect(error.kind).toMatch(/^(bad-file|not-found)$/);
    expect(error.message.length + error.why.length).toBeLessThan(2000);
    return false;
  }
};

/** A file with some of its bytes changed, a piece cut out, or one put in twice. */
const mutations = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('set' as const), at: fc.nat(), value: fc.nat(255) }),
    fc.record({ kind: fc.constant('cut' as const), at: fc.nat(), length: fc.nat(300) }),
    fc.record({ kind: fc.constant('repeat' as const), at: fc.nat(), length: fc.nat(300) }),
    fc.record({ kind: fc.constant('end' as const), at: fc.nat() }),
  ),
  { minLength: 1, maxLength: 8 },
);
type Mutations = typeof mutations extends fc.Arbitrary<infer T> ? T : never;

function mutated(bytes: Buffer, changes: Mutations): Buffer {
  let out = Buffer.from(bytes);
  for (const change of changes) {
    const at = out.length > 0 ? change.at % out.length : 0;
    if (change.kind === 'set') out[at] = change.value;
    else if (change.kind === 'end') out = out.subarray(0, at);
    else {
      const [head, tail] = [out.subarray(0, at), out.subarray(at + change.length)];
      const piece = out.subarray(at, at + change.length);
      out = Buffer.concat(change.kind === 'cut' ? [head, tail] : [head, piece, piece, tail]);
    }
  }
  return out;
}

describe('a safetensors file', () => {
  const withHeader = (header: string | Buffer) => {
    const bytes = Buffer.from(header);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(bytes.length));
    return Buffer.concat([length, bytes]);
  };

  test('that was changed anywhere is read or refused in words', () => {
    const path = join(folder, 'a.safetensors');
    writeSafetensors(
      path,
      new Map([
        ['w', { shape: [3], data: new Float32Array(3) }],
        ['ü"\\', { shape: [], data: new Float32Array(1) }],
      ]),
      { a: 'b' },
    );
    const sound = readFileSync(path);
    fc.assert(
      fc.property(mutations, (changes) => void readOrRefuse(() => readSafetensors(mutated(sound, changes)))),
      { numRuns: 2000 },
    );
  });

  test('with a key, a text or a nesting of tens of megabytes is refused, or read', { timeout: 120_000 }, () => {
    const long = 'k'.repeat(16_000_000);
    expect(refusal(() => readSafetensors(withHeader(`{"${long}":1}`))).kind).toBe('bad-file');
    expect(refusal(() => readSafetensors(withHeader(`{"a":"${long}"}`))).kind).toBe('bad-file');
    expect(refusal(() => readSafetensors(withHeader(`{"${long}":1,"${long}":1}`))).why.length).toBeLessThan(500);
    expect(readSafetensors(withHeader(`{"__metadata__":{"a":"${long}"}}`)).metadata.a).toBe(long);
    expect(refusal(() => readSafetensors(withHeader('['.repeat(10_000_000)))).why).toContain('nested too deeply');
    expect(refusal(() => readSafetensors(withHeader(`{"a":${'{"a":'.repeat(10_000_000)}`))).why).toContain(
      'nested too deeply',
    );
  });

  test('of more tensors than any model has is refused before they are made', { timeout: 60_000 }, () => {
    const many = Array.from(
      { length: 1_200_000 },
      (_, i) => `"t${i}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`,
    );
    const header = Buffer.from(`{${many.join(',')}}`);
    many.length = 0;
    expect(refusal(() => readSafetensors(withHeader(header))).why).toContain('keys');
  });

  test('keys are told apart as JSON.parse does, whatever they hold', () => {
    const most = { keys: 1000, depth: 100 };
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        expect(keyFault(JSON.stringify(value), most)).toBeNull();
        expect(keyFault(JSON.stringify(value, null, 2), most)).toBeNull();
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.jsonValue(), (key, value) => {
        const [k, v] = [JSON.stringify(key), JSON.stringify(value)];
        expect(keyFault(`{"x":[{${k} : ${v},\n${k}\t:1}]}`, most)).toEqual({ repeated: key });
        // The same key escaped otherwise.
        const escaped = `"${[...Array(key.length).keys()].map((i) => `\\u${key.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')}"`;
        expect(keyFault(`{${k}:1,${escaped}:2}`, most)).toEqual({ repeated: key });
      }),
    );
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('"', '\\', '{', '}', '[', ']', ':', ',', 'a', ' ') }),
        (text) => void keyFault(text, most),
      ),
    );
  });
});

describe('a pickle', () => {
  const opcodes = (body: string, count: number) =>
    Buffer.concat([Buffer.from('\x80\x02', 'latin1'), Buffer.alloc(count, body), Buffer.from('.')]);

  test.each([
    ['dicts', '}'],
    ['sets', '\x8f'],
    ['lists', ']'],
    ['marks', '('],
    ['lists in lists', ']\x85'],
  ])('of tens of millions of %s is refused before they fill the memory', (_, body) => {
    const before = process.memoryUsage().rss;
    expect(refusal(() => parsePickle(opcodes(Buffer.from(body, 'latin1').toString('latin1'), 30_000_000))).kind).toBe(
      'bad-file',
    );
    expect(process.memoryUsage().rss - before).toBeLessThan(1.5e9);
  });

  test('that names a class by nested lists is refused', () => {
    const nested = Buffer.concat([
      Buffer.from('\x80\x04', 'latin1'),
      Buffer.alloc(200_000, ']'),
      Buffer.alloc(199_999, 'a'),
      Buffer.from('\x8c\x01x\x93.', 'latin1'),
    ]);
    expect(refusal(() => parsePickle(nested)).why).toContain('name is not text');
  });

  test('that was changed anywhere is read or refused in words', async () => {
    const sound = readFileSync(new URL('../fixtures/abspos/checkpoint-0.pth', import.meta.url));
    const path = join(folder, 'a.pth');
    let read = 0;
    // Most changes hit the numbers; the archive's directory and the pickle are at both ends.
    const near = fc.tuple(fc.boolean(), mutations).map(([isHead, changes]) =>
      changes.map((change) => ({
        ...change,
        at: isHead ? change.at % 20_000 : sound.length - 1 - (change.at % 20_000),
      })),
    );
    await fc.assert(
      fc.asyncProperty(near, async (changes) => {
        writeFileSync(path, mutated(sound, changes));
        const error: unknown = await readPth(path).then(
          () => null,
          (thrown) => thrown,
        );
        const isRead = readOrRefuse(() => {
          if (error !== null) throw error;
        });
        if (isRead) read++;
      }),
      { numRuns: 300 },
    );
    expect(read).toBeLessThan(300);
  });
});

test.skipIf(process.platform === 'win32')('a pipe is no file, and is not waited for', async () => {
  const pipe = join(folder, 'pipe.safetensors');
  expect(spawnSync('mkfifo', [pipe]).status).toBe(0);
  for (const read of [
    () => readSafetensors(pipe),
    () => openSource(pipe),
    () => openSource('/dev/zero'),
    () => openSource(folder),
  ])
    expect(refusal(read)).toMatchObject({ kind: 'bad-file', message: expect.stringContaining('is not a file') });
  await expect(readPth(pipe)).rejects.toMatchObject({
    kind: 'bad-file',
    message: expect.stringContaining('not a file'),
  });
  expect(refusal(() => openSource(join(folder, 'none')))).toMatchObject({ kind: 'not-found' });
});

test('what a killed process left half written is removed by the next one that writes there, and by no other', {
  timeout: 60_000,
}, async () => {
  const target = join(folder, 'a.safetensors');
  const code = `
    import { writeWhole } from ${JSON.stringify(new URL('../../electron/files/files.ts', import.meta.url).href)};
    function* chunks() {
      yield Buffer.alloc(1000);
      console.log('writing');
      for (;;) {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
        yield Buffer.alloc(1);
      }
    }
    writeWhole(${JSON.stringify(target)}, chunks());`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const parts = () => readdirSync(folder).filter((name) => name.endsWith('.part'));
  expect(parts().length).toBe(1);
  writeFileSync(join(folder, 'film.123.part'), 'of somebody else');
  writeFileSync(join(folder, `film.0123abcd-99999999.part`), 'of another machine');
  const [machine] = /[0-9a-f]{8}(?=-\d+-\d*\.part$)/.exec(parts()[0]!)!;
  const older = `film.${machine}-${process.ppid}.part`; // as an older program names it
  writeFileSync(join(folder, older), '');
  const reused = join(folder, `film.${machine}-${process.ppid}-1.part`);
  writeFileSync(reused, 'of a process whose number another has by now');
  writeWhole(join(folder, 'b.safetensors'), [Buffer.from('b')]);
  expect(existsSync(reused)).toBe(process.platform !== 'linux');
  rmSync(reused, { force: true });
  expect(parts().length).toBe(4); // it is still being written
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('close', resolve));
  writeWhole(join(folder, 'b.safetensors'), [Buffer.from('b')]);
  expect(parts().sort()).toEqual(['film.0123abcd-99999999.part', 'film.123.part', older].sort());
  expect(existsSync(target)).toBe(false);
});

test.skipIf(process.platform === 'win32')('a link that somebody puts where a file is written is not followed', () => {
  const [victim, target] = [join(folder, 'victim'), join(folder, 'a')];
  writeFileSync(victim, 'as it was');
  let part = '';
  function* chunks() {
    part = readdirSync(folder).find((name) => name.endsWith('.part'))!;
    yield Buffer.from('new');
  }
  writeWhole(target, chunks());
  symlinkSync(victim, join(folder, part));
  writeWhole(target, [Buffer.from('newer')], { replace: true, mode: 0o600 });
  expect([victim, target].map((path) => readFileSync(path, 'utf8'))).toEqual(['as it was', 'newer']);
  expect(lstatSync(target).isSymbolicLink()).toBe(false);
  expect(lstatSync(target).mode & 0o777).toBe(0o600);
});
