import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, expect, test } from 'vitest';
import { lossOf } from '../../electron/engine/losses/loss.ts';
import { initialTensor } from '../../electron/engine/parameters.ts';
import type { ParameterSpec } from '../../electron/engine/specs.ts';
import { record, Value } from '../../electron/engine/tape.ts';
import { type Method, Trainer, type TrainerConfig } from '../../electron/engine/trainer.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';

beforeAll(async () => {
  await loadBackend();
});

// The smallest method: two vectors, and a loss whose gradients are given.
const SPECS: ParameterSpec[] = ['long', 'short'].map((name, i) => ({
  name,
  shape: [2],
  decay: false,
  init: { kind: 'constant', value: i + 1 },
}));
const GRADIENTS: Record<string, number[]> = { long: [30, 40], short: [0.3, 0.4] };
const spec = { model: {} as never, parameters: SPECS, buffers: [] };
const method = (
  followsBefore: boolean,
  more: Partial<Method<TrainerConfig, null>> = {},
): Method<TrainerConfig, null> => ({
  ...more,
  student: () => spec,
  teacher: () => spec,
  followsBefore,
  step({ student }) {
    const leaf = record(new Value(tf.scalar(0)), (gradient, gradients) => {
      for (const { name } of student.weights.specs)
        gradients.add(
          name,
          tf.tidy(() => tf.mul(tf.tensor1d(GRADIENTS[name]!), gradient)),
        );
      gradient.dispose();
    });
    return { loss: lossOf(tf.scalar(1), [leaf, tf.scalar(1)]), figures: {} };
  },
});
const state = new Map(
  SPECS.map((one) => [one.name, { shape: one.shape, data: initialTensor(one, { next: () => 0 }) }]),
);
const RATES = { lr: 1, weight_decay: 0, momentum: 0.9 };

/** After one step of plain descent. */
function step(
  followsBefore: boolean,
  clip: { clip_grad: number | null; clip_each?: boolean },
  more: Partial<Method<TrainerConfig, null>> = {},
) {
  const before = tf.memory().numTensors;
  const config: TrainerConfig = { optimizer: { name: 'sgd', momentum: 0, ...clip } };
  const trainer = new Trainer(
    method(followsBefore, more),
    config,
    state,
    new Map([...state].map(([name, { shape }]) => [name, { shape, data: new Float32Array(2) }])),
  );
  const { grad_norm } = trainer.step([null, null], RATES);
  const { student, teacher } = trainer.state();
  trainer.dispose();
  expect(tf.memory().numTensors).toBe(before);
  const of = (tensors: typeof student, name: string) =>
    Array.from(tensors.get(name)!.data, (v) => Number(v.toPrecision(5)));
  return { grad_norm, student: (name: string) => of(student, name), teacher: (name: string) => of(teacher, name) };
}

test('a teacher follows the student as it is after the update, or as it was before it', () => {
  const after = step(false, { clip_grad: null });
  expect(after.student('long')).toEqual([-29, -39]);
  expect(after.teacher('long')).toEqual([-2.9, -3.9]);
  expect(step(true, { clip_grad: null }).teacher('long')).toEqual([0.1, 0.1]);
});

test('gradients are clipped by the length of all of them, or each by its own', () => {
  const all = step(false, { clip_grad: 5 });
  expect(all.grad_norm).toBeCloseTo(Math.hypot(50, 0.5), 4);
  expect(all.student('long')[0]).toBeCloseTo(1 - 3, 3);
  expect(all.student('short')[0]).toBeCloseTo(2 - 0.03, 3);
  const each = step(false, { clip_grad: 5, clip_each: true });
  expect(each.grad_norm).toBeCloseTo(Math.hypot(50, 0.5), 4);
  expect(each.student('long')).toEqual([-2, -3]);
  expect(each.student('short')).toEqual([1.7, 1.6]);
});

test('a method says by what each parameter’s learning rate is multiplied', () => {
  const { student } = step(false, { clip_grad: null }, { rate: () => (name) => (name === 'long' ? 0.1 : 1) });
  expect(student('long')).toEqual([1 - 3, 1 - 4]);
  expect(student('short')).toEqual([1.7, 1.6]);
});
