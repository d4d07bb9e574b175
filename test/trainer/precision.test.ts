import { expect, test } from 'vitest';
import { timeProducts } from '../../electron/engine/trial.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { hasBf16 } from '../../electron/runtime/machine.ts';
import { choosePrecision } from '../../electron/runtime/precision.ts';

/** A machine by the milliseconds of its products. */
const machine = (fp32: number, bf16: number | null, fp16: number | null) => (storage: string) =>
  ({ fp32, bf16, fp16 })[storage as 'fp32'];

test.each([
  ['a CPU with bf16', machine(10, 5, null), 'bf16', 'bf16'],
  ['a CPU without', machine(10, 80, 300), 'fp32', 'bf16'],
  ['a GPU that refuses bf16', machine(10, null, 3), 'fp16', 'fp16'],
  ['a GPU that is slow in bf16', machine(10, 20, 3), 'fp16', 'bf16'],
  ['a backend of floats alone', machine(10, null, null), 'fp32', 'fp32'],
  ['one where it hardly pays', machine(10, 9, 9), 'fp32', 'bf16'],
] as const)('%s', (_name, time, auto, on) => {
  expect(choosePrecision('auto', time).precision).toBe(auto);
  expect(choosePrecision('on', time).precision).toBe(on);
  expect(choosePrecision('off', time).precision).toBe('fp32');
});

test('says why, with what was measured', () => {
  expect(choosePrecision('auto', machine(10, 5, null)).why).toBe(
    'Here a product takes 5.0 ms in bf16, 10.0 ms in fp32.',
  );
});

test('times real products; bf16 where TensorFlow has them', async () => {
  const { name } = await loadBackend();
  expect(timeProducts('fp32')).toBeGreaterThan(0);
  if (name === 'tensorflow') expect(timeProducts('bf16')).toBeGreaterThan(0);
  else expect(timeProducts('bf16')).toBeNull();
});

test.each([
  ['flags\t\t: fpu avx2 avx512f avx512_bf16 clwb', true],
  ['flags : fpu amx_bf16', true],
  ['Features : fp asimd bf16', true],
  ['model name : bf16\nflags : fpu avx avx2', false],
  ['', true],
])('knows a processor with bf16 by its flags: %j', (facts, has) => expect(hasBf16(facts)).toBe(has));
