import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, expect, test } from 'vitest';
import { lossOf } from '../../electron/engine/losses/loss.ts';
import { differentiate, frozen, record, Value } from '../../electron/engine/tape.ts';
import { Gradients } from '../../electron/engine/weights.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';

beforeAll(async () => {
  await loadBackend();
});

test('of what is made beside the tape nothing is there on the way back', () => {
  const before = tf.memory().numTensors;
  const made = new Map<string, tf.Tensor>();
  const make = (name: string) => {
    const tensor = tf.ones([3]);
    made.set(name, tensor);
    return tensor;
  };
  const there = () => [...made].filter(([, { isDisposed }]) => !isDisposed).map(([name]) => name);
  const gradients = new Gradients();
  const seen: Record<string, string[]> = {};
  differentiate(gradients, 1, () => {
    make('beside');
    const value = frozen(() => {
      make('within');
      record(new Value(make('layer')));
      return record(new Value(make('value')));
    });
    seen.frozen = there();
    const leaf = record(new Value(make('leaf')), (gradient, found) => {
      seen.back = there();
      found.add('leaf', tf.mul(gradient, value.tensor));
      gradient.dispose();
    });
    const [gradient, kept] = [make('gradient'), make('kept')];
    const hidden = record(
      new Value(make('hidden')),
      (d) => {
        leaf.addGradient(tf.mul(d, kept));
        d.dispose();
      },
      [kept],
    );
    seen.forward = there();
    return { loss: lossOf(tf.scalar(1), [hidden, gradient]) };
  });
  expect(seen).toEqual({
    frozen: ['beside', 'value'],
    forward: ['beside', 'value', 'leaf', 'gradient', 'kept', 'hidden'],
    back: ['value'],
  });
  expect(Array.from(gradients.tensors.get('leaf')!.dataSync())).toEqual([1, 1, 1]);
  gradients.dispose();
  expect(tf.memory().numTensors).toBe(before);
});

test('where something fails nothing is left, on the way there and on the way back', () => {
  const before = tf.memory().numTensors;
  const failing = (at: 'frozen' | 'forward' | 'back') => () =>
    differentiate(new Gradients(), 1, () => {
      const fail = (here: typeof at) => {
        if (at === here) throw new RangeError(here);
      };
      tf.ones([3]);
      const leaf = record(new Value(tf.ones([2])), (gradient) => {
        gradient.dispose();
        fail('back');
      });
      frozen(() => {
        tf.ones([5]);
        const value = record(new Value(tf.ones([4])));
        fail('frozen');
        return value;
      });
      fail('forward');
      return { loss: lossOf(tf.scalar(1), [leaf, tf.ones([2])]) };
    });
  for (const at of ['frozen', 'forward', 'back'] as const) {
    expect(failing(at)).toThrow(at);
    expect(tf.memory().numTensors, at).toBe(before);
  }
});
