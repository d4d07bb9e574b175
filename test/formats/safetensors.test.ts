import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readSafetensors, writeSafetensors } from '../../electron/formats/safetensors.ts';
import { AppError } from '../../shared/errors.ts';
import type { StateDict } from '../../shared/tensors.ts';

const folder = mkdtempSync(join(tmpdir(), 'conmim-safetensors-'));
afterAll(() => rmSync(folder, { recursive: true }));
const fixtures = new URL('../fixtures/', import.meta.url).pathname;

/** A file of a header (text or object) and data, the declared length overridable. */
function file(header: unknown, data = Buffer.alloc(0), declared?: bigint): Buffer {
  const text =
    header instanceof Buffer ? header : Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(declared ?? BigInt(text.length));
  return Buffer.concat([length, text, data]);
}
const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
});

describe('readSafetensors', () => {
  for (const parity of ['relpos', 'abspos']) {
    for (const name of readdirSync(join(fixtures, parity)).filter((n) => n.endsWith('.safetensors'))) {
      test(`reads ${parity}/${name}`, () => {
        const path = join(fixtures, parity, name);
        const { tensors } = readSafetensors(path);
        // Independent: the bytes of each F32 tensor, looked up in the raw file.
        const raw = readFileSync(path);
        const start = 8 + Number(raw.readBigUInt64LE(0));
        const { __metadata__, ...header } = JSON.parse(raw.toString('utf8', 8, start));
        expect(tensors.size).toBe(Object.keys(header).length);
        expect(tensors.size).toBeGreaterThan(0);
        for (const [key, entry] of Object.entries<{ dtype: string; shape: number[]; data_offsets: number[] }>(header)) {
          const { shape, data } = tensors.get(key)!;
          expect(shape).toEqual(entry.shape);
          if (entry.dtype !== 'F32') continue;
          const bytes = raw.subarray(start + entry.data_offsets[0]!, start + entry.data_offsets[1]!);
          expect(Buffer.from(data.buffer).equals(bytes)).toBe(true);
        }
      });
    }
  }

  test('converts every dtype to float32', () => {
    const cases: [string, number[], number[]][] = [
      // 1, -2, 65504, smallest subnormal, infinity
      ['F16', [0x00, 0x3c, 0x00, 0xc0, 0xff, 0x7b, 0x01, 0x00, 0x00, 0x7c], [1, -2, 65504, 2 ** -24, Infinity]],
      ['BF16', [0x80, 0x3f, 0x49, 0x40], [1, 3.140625]],
      ['F64', [...new Uint8Array(new Float64Array([0.5, -1e10]).buffer)], [0.5, -1e10]],
      ['I64', [...new Uint8Array(new BigInt64Array([-7n, 1n << 40n]).buffer)], [-7, 2 ** 40]],
      ['I32', [...new Uint8Array(new Int32Array([-9, 12]).buffer)], [-9, 12]],
      ['U8', [0, 255], [0, 255]],
      ['BOOL', [0, 1], [0, 1]],
    ];
    for (const [dtype, bytes, expected] of cases) {
      const header = { x: { dtype, shape: [expected.length], data_offsets: [0, bytes.length] } };
      const { data } = readSafetensors(file(header, Buffer.from(bytes))).tensors.get('x')!;
      expect([...data], dtype).toEqual([...new Float32Array(expected)]);
    }
  });

  const data8 = Buffer.alloc(8);
  const refused: Record<string, [Buffer, RegExp]> = {
    empty: [Buffer.alloc(0), /eight bytes/],
    'huge header length': [file('{}', data8, 2n ** 63n), /at most/],
    'header beyond the end': [file('{}', Buffer.alloc(0), 3000n), /beyond its end/],
    'not JSON': [file('{"a":'), /not JSON/],
    'not UTF-8': [file(Buffer.from('{"__metadata__":{"a":"\xff"}}', 'latin1')), /not JSON/],
    'not an object': [file('[1]'), /not a JSON object/],
    'leading space': [file(' {}'), /not a JSON object/],
    overlapping: [file({ a: f32(0, 8), b: f32(4, 8) }, data8), /overlaps/],
    'the same bytes twice': [file({ a: f32(0, 8), b: f32(0, 8) }, data8), /overlaps/],
    gap: [file({ a: f32(4, 8) }, data8), /gap/],
    'bytes left over': [file({ a: f32(0, 4) }, data8), /belong to no tensor/],
    'out of bounds': [file({ a: f32(0, 400) }, data8), /outside/],
    'begin above end': [file({ a: { dtype: 'F32', shape: [0], data_offsets: [8, 4] } }, data8), /outside/],
    'shape that does not fit': [file({ a: f32(0, 8, [3]) }, data8), /needs 12/],
    'shape that overflows': [file({ a: f32(0, 8, [2 ** 50, 2 ** 50]) }, data8), /needs/],
    'negative shape': [file({ a: f32(0, 8, [-1, -2]) }, data8), /shape/],
    'fractional offset': [file({ a: { dtype: 'F32', shape: [1], data_offsets: [0.5, 4.5] } }, data8), /data_offsets/],
    'unknown dtype': [file({ a: { dtype: 'F8_E4M3', shape: [8], data_offsets: [0, 8] } }, data8), /dtype/],
    'dtype of a prototype': [file({ a: { dtype: 'toString', shape: [8], data_offsets: [0, 8] } }, data8), /dtype/],
    'duplicate name': [
      file(`{"a":${JSON.stringify(f32(0, 4))},"\\u0061":${JSON.stringify(f32(4, 8))}}`, data8),
      /"a" twice/,
    ],
    'metadata that is not text': [file({ __metadata__: { a: 1 } }), /metadata/],
  };
  for (const [name, [bytes, why]] of Object.entries(refused)) {
    test(`refuses: ${name}`, () => {
      const error = catchError(() => readSafetensors(bytes));
      expect(error).toBeInstanceOf(AppError);
      expect((error as AppError).kind).toBe('bad-file');
      expect((error as AppError).why).toMatch(why);
    });
  }

  test('refuses every truncation, and survives every changed byte of the header', () => {
    const whole = file({ 'a.b': f32(0, 16, [2, 2]), 'c "d"': f32(16, 24) }, Buffer.alloc(24, 7));
    expect(readSafetensors(whole).tensors.size).toBe(2);
    for (let length = 0; length < whole.length; length++) {
      const error = catchError(() => readSafetensors(whole.subarray(0, length)));
      expect((error as AppError).kind, `${length} bytes`).toBe('bad-file');
    }
    for (let i = 0; i < whole.length - 24; i++) {
      for (const flip of [1, 0x10, 0x80, 0xff]) {
        const changed = Buffer.from(whole);
        changed[i]! ^= flip;
        const error = catchError(() => readSafetensors(changed));
        if (error !== null) expect((error as AppError).kind).toBe('bad-file');
      }
    }
  });

  test('says that a file is not there', () => {
    expect((catchError(() => readSafetensors(join(folder, 'none'))) as AppError).kind).toBe('not-found');
  });
});

describe('writeSafetensors', () => {
  const tensors: StateDict = new Map([
    ['b', { shape: [2, 3], data: new Float32Array([1, -2, 0.1, 4, NaN, -0]) }],
    // A view into a larger buffer, not at its start.
    ['a', { shape: [2], data: new Float32Array([9, 8, 7, 6]).subarray(1, 3) }],
    ['scalar', { shape: [], data: new Float32Array([5]) }],
    ['none', { shape: [0, 4], data: new Float32Array(0) }],
  ]);

  test('gives back what was written, and nothing else is left', () => {
    const path = join(folder, 'a.safetensors');
    writeSafetensors(path, tensors, { step: '3', name: 'ünï' });
    const back = readSafetensors(path);
    expect(back.metadata).toEqual({ step: '3', name: 'ünï' });
    expect([...back.tensors.keys()]).toEqual(['a', 'b', 'none', 'scalar']);
    for (const [name, { shape, data }] of tensors)
      expect(back.tensors.get(name)).toEqual({ shape, data: data.slice() });
    expect(readdirSync(folder)).toEqual(['a.safetensors']);
    expect(Number(readFileSync(path).readBigUInt64LE(0)) % 8).toBe(0);
  });

  test('is a function of its content alone', () => {
    const [one, two] = [join(folder, 'one'), join(folder, 'two')];
    writeSafetensors(one, tensors);
    writeSafetensors(two, new Map([...tensors].reverse()));
    expect(readFileSync(one).equals(readFileSync(two))).toBe(true);
  });

  test('a fixture survives the round trip', () => {
    const { tensors } = readSafetensors(join(fixtures, 'relpos/student.final.safetensors'));
    const path = join(folder, 'fixture');
    writeSafetensors(path, tensors);
    expect(readSafetensors(path).tensors).toEqual(new Map([...tensors].sort(([a], [b]) => (a < b ? -1 : 1))));
  });

  test('leaves the old file when it cannot write the new one', () => {
    const path = join(folder, 'kept');
    writeFileSync(path, 'old');
    const bad: StateDict = new Map([['x', { shape: [3], data: new Float32Array(2) }]]);
    expect((catchError(() => writeSafetensors(path, bad)) as AppError).kind).toBe('bad-input');
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect((catchError(() => writeSafetensors(join(folder, 'no/such/x'), tensors)) as AppError).kind).toBe('bad-input');
  });
});

function catchError(act: () => unknown): unknown {
  try {
    act();
    return null;
  } catch (error) {
    return error;
  }
}
