import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readPth } from '../../electron/formats/pth.ts';
import { readSafetensors } from '../../electron/formats/safetensors.ts';
import { AppError } from '../../shared/errors.ts';
import { call, dict, int, ordered, STOP, storage, str, tensor, tuple, u32, writePth } from './pth-writer.ts';
import { storedZip } from './stored-zip-writer.ts';

const folder = mkdtempSync(join(tmpdir(), 'conmim-pth-'));
afterAll(() => rmSync(folder, { recursive: true }));
const fixture = (path: string) => new URL(`../fixtures/${path}`, import.meta.url).pathname;

const floats = (...values: number[]) => Buffer.from(new Float32Array(values).buffer);
const six = floats(0, 1, 2, 3, 4, 5);
const plain = tensor(storage('FloatStorage', '0', 6), 0, [2, 3], [3, 1]);

/** Writes a file of a pickle (Latin-1 text, without its protocol) and storages. */
function pth(pickle: string, storages: Record<string, Buffer> = { 0: six }, { zip64 = false } = {}): string {
  const path = join(folder, `${Math.random()}.pth`);
  const entries = { 'a/data.pkl': Buffer.from(`\x80\x02${pickle}`, 'latin1'), 'a/byteorder': Buffer.from('little') };
  const data = Object.fromEntries(Object.entries(storages).map(([key, bytes]) => [`a/data/${key}`, bytes]));
  writeFileSync(path, storedZip({ ...entries, ...data }, zip64));
  return path;
}

describe('readPth', () => {
  for (const parity of ['relpos', 'abspos']) {
    test(`${parity}/checkpoint-0.pth equals the start under its safetensors`, async () => {
      const { tensors, keys } = await readPth(fixture(`${parity}/checkpoint-0.pth`));
      expect(keys).toEqual(['model']);
      const start = readSafetensors(fixture(`${parity}/student.init.safetensors`)).tensors;
      expect(start.size).toBeGreaterThan(50);
      for (const [name, expected] of start) expect(tensors.get(name), name).toEqual(expected);
    });
  }

  test('finds the state under each key, and says what it left', async () => {
    for (const key of ['model', 'state_dict', 'module']) {
      const args = 'cargparse\nNamespace\n)\x81}b';
      const content = await readPth(
        pth(`${dict({ epoch: int(3), [key]: dict({ w: plain, n: int(1) }), args })}${STOP}`),
      );
      expect(content.keys).toEqual([key]);
      expect(content.ignored).toEqual(['epoch', 'args', 'n']);
      expect(content.tensors.get('w')).toEqual({ shape: [2, 3], data: new Float32Array([0, 1, 2, 3, 4, 5]) });
    }
    expect((await readPth(pth(`${dict({ w: plain })}${STOP}`))).keys).toEqual([]);
    const parameter = call('torch._utils _rebuild_parameter', plain, '\x88', ordered);
    expect((await readPth(pth(`${dict({ w: parameter })}${STOP}`))).tensors.size).toBe(1);
  });

  test('reads dicts that belong together, each name with its key; else the usual one', async () => {
    const [w, v] = [0, 1].map((i) => ({ shape: [2], data: Float32Array.of(i, i + 5) }));
    const path = join(folder, 'together.pth');
    writePth(path, { student: new Map([['w', w!]]), teacher: new Map([['w', v!]]), center: new Map([['c', w!]]) });
    const { tensors, keys, ignored } = await readPth(path, [
      ['student', 'queue'],
      ['student', 'teacher'],
    ]);
    expect({ keys, ignored }).toEqual({ keys: ['student', 'teacher'], ignored: ['center'] });
    expect([...tensors]).toEqual([
      ['student.w', w],
      ['teacher.w', v],
    ]);
    writePth(path, { student: new Map([['w', w!]]), model: new Map([['w', v!]]) });
    expect([...(await readPth(path, [['student', 'teacher']])).tensors]).toEqual([['w', v]]);
  });

  test('reads views: transposed, offset, strided, empty, scalar', async () => {
    const store = storage('FloatStorage', '0', 6);
    const views = {
      transposed: tensor(store, 0, [3, 2], [1, 3]),
      column: tensor(store, 1, [2], [3]),
      every: tensor(store, 1, [1, 2, 1], [9, 2, 7]),
      scalar: tensor(store, 4, [], []),
      empty: tensor(store, 0, [0, 3], [3, 1]),
    };
    const { tensors } = await readPth(pth(`${dict(views)}${STOP}`));
    expect([...tensors.get('transposed')!.data]).toEqual([0, 3, 1, 4, 2, 5]);
    expect([...tensors.get('column')!.data]).toEqual([1, 4]);
    expect([...tensors.get('every')!.data]).toEqual([1, 3]);
    expect(tensors.get('scalar')).toEqual({ shape: [], data: new Float32Array([4]) });
    expect(tensors.get('empty')).toEqual({ shape: [0, 3], data: new Float32Array(0) });
  });

  test('converts other types', async () => {
    const cases: [string, Buffer, number][] = [
      ['HalfStorage', Buffer.from([0x00, 0x3e]), 1.5],
      ['BFloat16Storage', Buffer.from([0xc0, 0x3f]), 1.5],
      ['DoubleStorage', Buffer.from(new Float64Array([0.25]).buffer), 0.25],
      ['LongStorage', Buffer.from(new BigInt64Array([-3n]).buffer), -3],
      ['IntStorage', Buffer.from(new Int32Array([7]).buffer), 7],
      ['ByteStorage', Buffer.from([200]), 200],
      ['BoolStorage', Buffer.from([1]), 1],
    ];
    for (const [type, bytes, value] of cases) {
      const { tensors } = await readPth(
        pth(`${dict({ w: tensor(storage(type, '0', 1), 0, [1], [1]) })}${STOP}`, { 0: bytes }),
      );
      expect([...tensors.get('w')!.data], type).toEqual([value]);
    }
  });

  test('reads ZIP64 directories', async () => {
    const { tensors } = await readPth(pth(`${dict({ w: plain })}${STOP}`, { 0: six }, { zip64: true }));
    expect([...tensors.get('w')!.data]).toEqual([0, 1, 2, 3, 4, 5]);
  });

  const shell = str('touch /tmp/conmim-pwned');
  const big = storage('FloatStorage', '0', 6);
  const refused: Record<string, [string, RegExp]> = {
    'os.system by GLOBAL and REDUCE': [`cos\nsystem\n${tuple(shell)}R.`, /"os\.system"/],
    'builtins.eval by STACK_GLOBAL': [`\x8c\x08builtins\x8c\x04eval\x93${tuple(shell)}R.`, /"builtins\.eval"/],
    'a global named to look allowed': ['ccollections\nOrderedDict.__reduce__\n)R.', /OrderedDict\.__reduce__/],
    'posix.system by INST': [`(${shell}iposix\nsystem\n.`, /opcode 0x69/],
    OBJ: [`(cos\nsystem\n${shell}o.`, /os\.system/],
    'an extension code': ['\x82\x01.', /opcode 0x82/],
    NEWOBJ_EX: ['ccollections\nOrderedDict\n)}\x92.', /opcode 0x92/],
    'BUILD of a global': [`cargparse\nNamespace\n${dict({ __class__: int(1) })}b.`, /attributes of an object/],
    'BUILD of a tensor': [`${plain}${dict({ data: int(1) })}b.`, /attributes of an object/],
    'a call of what is no global': [`${str('x')}${tuple()}R.`, /call/],
    'a call of a storage type': ['ctorch\nFloatStorage\n)R.', /call/],
    'a global as a bare prototype name': ['c__proto__\n__proto__\n.', /__proto__/],
    'more elements than the storage has': [
      `${dict({ w: tensor(big, 0, [100000, 100000], [0, 0]) })}.`,
      /beyond its storage/,
    ],
    'a view beyond its storage': [`${dict({ w: tensor(big, 4, [3], [1]) })}.`, /beyond its storage/],
    'a negative stride': [`${dict({ w: tensor(big, 4, [3], [-1]) })}.`, /not sound/],
    'a storage that is not there': [`${dict({ w: tensor(storage('FloatStorage', '9', 6), 0, [6], [1]) })}.`, /missing/],
    'a storage of another length': [
      `${dict({ w: tensor(storage('FloatStorage', '0', 7), 0, [6], [1]) })}.`,
      /another length/,
    ],
    'no tensors': [`${dict({ model: dict({ a: int(1) }) })}.`, /no dict of tensors/],
    'an empty stack': ['R.', /stack/],
    'a huge string': [`X${u32(-1)}abc.`, /truncated/],
    'a huge number': [`\x8b${u32(0x7fffffff)}.`, /too long/],
    'a memo never set': ['hA.', /not defined/],
    'no mark': ['t.', /mark/],
    'no end': [int(1), /truncated/],
    nothing: ['', /truncated/],
  };
  for (const [name, [pickle, why]] of Object.entries(refused)) {
    test(`refuses: ${name}`, async () => {
      const error = await catchError(() => readPth(pth(pickle)));
      expect(error).toBeInstanceOf(AppError);
      expect(error).toMatchObject({ kind: 'bad-file', why: expect.stringMatching(why) });
    });
  }

  test('is not caught in containers that hold themselves', async () => {
    const list = ']q\x00h\x00a'; // a list in itself
    const deep = ']'.repeat(20_000) + 'a'.repeat(19_999);
    const self = `}q\x01${str('self')}h\x01s${str('w')}${plain}s${str('l')}${list}s${str('d')}${deep}s${STOP}`;
    const { tensors, ignored } = await readPth(pth(self));
    expect([...tensors.keys()]).toEqual(['w']);
    expect(ignored).toEqual(['self', 'l', 'd']);
  });

  test('many names of one storage cannot ask for more memory than the file warrants', async () => {
    const bytes = Buffer.alloc(1_000_000);
    const w = tensor(storage('ByteStorage', '0', 1_000_000), 0, [1_000_000], [1]);
    const names = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`w${i}`, w]));
    expect(await catchError(() => readPth(pth(`${dict(names)}${STOP}`, { 0: bytes })))).toMatchObject({
      why: expect.stringMatching(/far larger/),
    });
  });

  test('refuses the format before PyTorch 1.6, other files, and every truncation', async () => {
    const path = join(folder, 'old.pth');
    writeFileSync(path, Buffer.from('\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.', 'latin1'));
    expect(await catchError(() => readPth(path))).toMatchObject({
      kind: 'bad-file',
      next: expect.stringMatching(/torch\.save/),
    });
    for (const content of ['', 'x', 'hello world, this is not a model']) {
      writeFileSync(path, content);
      expect(await catchError(() => readPth(path))).toMatchObject({ kind: 'bad-file' });
    }
    const whole = readFileSync(pth(`${dict({ w: plain })}${STOP}`));
    for (let length = 0; length < whole.length; length += 3) {
      writeFileSync(path, whole.subarray(0, length));
      expect(await catchError(() => readPth(path)), `${length} bytes`).toMatchObject({ kind: 'bad-file' });
    }
  });

  test('a changed byte never does worse than being refused', async () => {
    const whole = readFileSync(pth(`${dict({ w: plain })}${STOP}`));
    const path = join(folder, 'changed.pth');
    for (let i = 0; i < whole.length; i++) {
      const changed = Buffer.from(whole);
      changed[i]! ^= 1 << (i % 8);
      writeFileSync(path, changed);
      const error = await catchError(() => readPth(path));
      if (error !== null) expect(error, `byte ${i}`).toMatchObject({ kind: 'bad-file' });
    }
  });

  test('refuses entries that are compressed, encrypted, there twice, or beyond the end of the file', async () => {
    const path = pth(`${dict({ w: plain })}${STOP}`, { 0: six, 1: six });
    const sound = readFileSync(path);
    const central = sound.indexOf(Buffer.from('PK\x01\x02', 'latin1'));
    const changed = async (act: (bytes: Buffer) => void) => {
      const bytes = Buffer.from(sound);
      act(bytes);
      writeFileSync(path, bytes);
      return catchError(() => readPth(path));
    };
    const refused = (why: RegExp) => ({ kind: 'bad-file', why: expect.stringMatching(why) });
    expect(await changed(() => {})).toBeNull();
    expect(await changed((bytes) => bytes.writeUInt16LE(8, central + 10))).toMatchObject(refused(/compressed/));
    const encrypted = await changed((bytes) => {
      bytes.writeUInt16LE(1, central + 8);
      bytes.writeUInt32LE(bytes.readUInt32LE(central + 24) + 12, central + 20); // its key stands before it
    });
    expect(encrypted).toMatchObject(refused(/encrypted/));
    const twice = await changed((bytes) => {
      for (let at = bytes.indexOf('a/data/1'); at !== -1; at = bytes.indexOf('a/data/1', at))
        bytes.write('a/data/0', at);
    });
    expect(twice).toMatchObject(refused(/twice/));
    const beyond = await changed((bytes) => {
      for (const at of [central + 20, central + 24]) bytes.writeUInt32LE(sound.length, at);
    });
    expect(beyond).toMatchObject(refused(/overflows/));
  });

  test('says that a file is not there', async () => {
    expect(await catchError(() => readPth(join(folder, 'none.pth')))).toMatchObject({ kind: 'not-found' });
  });
});

async function catchError(act: () => unknown): Promise<unknown> {
  try {
    await act();
    return null;
  } catch (error) {
    return error;
  }
}
