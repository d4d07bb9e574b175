import { execFileSync } from 'node:child_process';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ownTensor, ownZeros } from '../../electron/engine/kernels/memory.ts';
import { Trainer } from '../../electron/engine/trainer.ts';
import { compiledKernels, loadBackend } from '../../electron/runtime/backend.ts';
import { collectGarbage } from '../../electron/runtime/garbage.ts';
import { untrainedSource, untrainedState } from '../../electron/trainer/training.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { type ConMIMBatch, step as conmim } from '../../methods/conmim/step.ts';

const backend = await loadBackend();
const addon = compiledKernels();
const why = backend.name === 'tensorflow' ? 'the compiled kernels were not built' : `no TensorFlow: ${backend.why}`;

/** 256 kB each. */
const block = () => ownZeros([64, 1024]);
const BLOCK = 64 * 1024 * 4;
const pattern = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i));

test('a tensor of an array has memory of its own', () => {
  // More than is handed over at once, and not a multiple of it.
  const data = pattern((1 << 21) + 12_345);
  const given = data.slice();
  const tensor = ownTensor(data, [data.length]);
  data.fill(0);
  expect(Buffer.compare(Buffer.from((tensor.dataSync() as Float32Array).buffer), Buffer.from(given.buffer))).toBe(0);
  tensor.dispose();
});

test('zeros are zeros, where others were before them', () => {
  const before = ownTensor(pattern(1 << 16), [1 << 16]);
  before.dispose();
  const zeros = ownZeros([256, 256]);
  expect(zeros.shape).toEqual([256, 256]);
  expect((zeros.dataSync() as Float32Array).every((v) => Object.is(v, 0))).toBe(true);
  zeros.dispose();
});

describe.skipIf(!addon)(`memory of compiled kernels${addon ? '' : ` (skipped: ${why})`}`, () => {
  const memory = () => addon!.memory();
  let before = { live: 0, used: 0 };
  beforeEach(() => {
    addon!.returnFreed();
    before = memory();
  });
  afterEach(() => expect(memory().live).toBe(before.live));

  test('is counted; small tensors are not in it', () => {
    const [small, one, other] = [ownZeros([100]), block(), block()];
    expect(memory().live).toBe(before.live + 2 * BLOCK);
    tf.dispose([small, one]);
    expect(memory().live).toBe(before.live + BLOCK);
    other.dispose();
  });

  test('what fits a gap lies in it, and gaps that touch are one', () => {
    const blocks = Array.from({ length: 6 }, block);
    const { used } = memory();
    // In the order in which each finds the next, the one before, and both beside it free.
    for (const i of [2, 1, 4, 3]) blocks[i]!.dispose();
    const wide = [ownZeros([3, 64 * 1024]), ownZeros([64 * 512]), ownZeros([64 * 512])];
    expect(memory()).toEqual({ live: before.live + 6 * BLOCK, used });
    const further = block();
    expect(memory().used).toBe(used + BLOCK);
    tf.dispose([...wide, further, blocks[0]!, blocks[5]!]);
  });

  test('what was freed goes back to the system, and what was not stays', () => {
    const kept = ownTensor(pattern(1 << 16), [1 << 16]);
    const large = ownTensor(pattern(1 << 24), [1 << 24]);
    const last = ownTensor(pattern(1 << 16), [1 << 16]);
    collectGarbage();
    const resident = process.memoryUsage.rss();
    large.dispose();
    expect(memory().used).toBeGreaterThan(1 << 26);
    addon!.returnFreed();
    expect(resident - process.memoryUsage.rss()).toBeGreaterThan(1 << 25);
    for (const tensor of [kept, last]) expect(tensor.dataSync()).toEqual(pattern(1 << 16));
    last.dispose();
    addon!.returnFreed();
    expect(memory().used - before.used).toBeLessThan(1 << 20);
    kept.dispose();
  });

  test('of what nothing lies in any more little is kept', () => {
    expect(before.live).toBe(0);
    ownZeros([1 << 20]).dispose();
    expect(memory().used).toBe(1 << 22);
    ownZeros([1 << 25]).dispose();
    expect(memory().used).toBe(0);
  });

  const config = runConfigSchema.parse({
    model: { image_size: 32, patch_size: 4, embed_dim: 128, depth: 2, num_heads: 2 },
    projector: { hidden: 512, out: 128 },
  });
  const noise = (): ConMIMBatch => {
    const values = () => Float32Array.from({ length: 4 * 32 * 32 * 3 }, () => 2 * Math.random() - 1);
    return {
      views: { student: values(), teacher: values() },
      mask: Float32Array.from({ length: 4 * 64 }, (_, i) => +(i % 4 > 0)),
    };
  };

  test.each([false, true])('steps leave nothing in it, and take no more of it (recompute: %s)', (recompute) => {
    const source = untrainedSource(config);
    const engine = new Trainer(conmim, config, source, source, { recompute });
    const rates = { lr: 1e-4, weight_decay: 0.05, momentum: 0.9 };
    const { live } = memory();
    expect(live).toBeGreaterThan(before.live);
    engine.step([noise()], rates);
    const { used } = memory();
    for (let i = 0; i < 5; i++) engine.step([noise(), noise()], rates);
    expect(memory().live).toBe(live);
    // Two micro-batches need room for one more gradient while they are added.
    expect(memory().used).toBeLessThan(used * 1.2);
    engine.dispose();
  });

  test('of the libraries only what is used stays after they are loaded', () => {
    const program = `
      import { readFileSync } from 'node:fs';
      import { loadBackend } from '${import.meta.resolve('../../electron/runtime/backend.ts')}';
      await loadBackend();
      const status = readFileSync('/proc/self/status', 'utf8');
      const bytes = (key) => 1024 * Number(new RegExp(key + ':\\\\s+(\\\\d+)').exec(status)[1]);
      console.log(JSON.stringify({ most: bytes('VmHWM'), now: bytes('VmRSS') }));`;
    const { most, now } = JSON.parse(
      execFileSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' }),
    );
    expect(most - now).toBeGreaterThan(100e6);
  });
});

test('of one source the teacher is a copy of the student, and each tensor is asked for once', () => {
  const config = runConfigSchema.parse({
    model: { image_size: 16, patch_size: 4, embed_dim: 16, depth: 1, num_heads: 2 },
    projector: { hidden: 16, out: 8 },
    mask: { kind: 'uniform' },
  });
  const asked = new Map<string, number>();
  const source = untrainedSource(config);
  const engine = new Trainer(
    conmim,
    config,
    ...twice({
      get(name: string) {
        asked.set(name, (asked.get(name) ?? 0) + 1);
        return source.get(name);
      },
    }),
  );
  const fresh = untrainedState(config);
  const { student, teacher } = engine.state();
  expect(student).toEqual(fresh);
  expect(teacher).toEqual(fresh);
  expect(new Set(asked.values())).toEqual(new Set([1]));
  expect([...asked.keys()].sort()).toEqual([...fresh.keys()].sort());
  engine.dispose();
});

const twice = <T>(value: T): [T, T] => [value, value];
