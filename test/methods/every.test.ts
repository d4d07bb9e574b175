import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { hostCopy } from '../../electron/engine/host.ts';
import { type EngineOptions, type EngineState, Trainer } from '../../electron/engine/trainer.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { wholeNetwork } from '../../electron/services/ground/networks.ts';
import { parseConfig, withChanges } from '../../electron/services/recipes/configuration.ts';
import { wouldTake } from '../../electron/services/recipes/lenders.ts';
import { untrainedSource, untrainedState } from '../../electron/trainer/training.ts';
import { healthOf } from '../../methods/health.ts';
import { drawMask, METHODS, parseRunConfig } from '../../methods/index.ts';
import { type MethodBatch, stepOf } from '../../methods/steps.ts';
import { patchesOf, type RunConfig } from '../../shared/config.ts';
import { COMMON_VIEWS, type ViewSpec } from '../../shared/method.ts';
import type { StateDict } from '../../shared/tensors.ts';
import { maskPurposes } from '../../shared/views.ts';

// What every method's training has to do: by the presets for one CPU, with an encoder that is as small as can be.

beforeAll(async () => {
  await loadBackend();
});

const IMAGES = 4;
const CASES = METHODS.flatMap((method) =>
  method.presets
    .filter(({ name }) => name.endsWith('small-cpu'))
    .map(({ name, config }) => {
      const model = { image_size: 32, patch_size: 8, embed_dim: 8, depth: 2, num_heads: 2 };
      const small = {
        ...config,
        method: { name: method.name },
        model: { ...config.model, ...model },
        train: { ...config.train, batch_size: IMAGES },
      };
      // A tokenizer is as small as the one that would be made for it, and not as its section's defaults.
      return { name, method, config: parseConfig(withChanges({ config: small }, wouldTake(parseRunConfig(small)))) };
    }),
);

function batchOf({ views }: (typeof METHODS)[number], config: RunConfig, step: number): MethodBatch {
  const numbers = (name: string, count: number) => {
    const random = stream(7, step, 0, name);
    return Float32Array.from({ length: count }, () => random.next() * 4 - 2);
  };
  const masks = maskPurposes(views(config)).flatMap((purpose) =>
    Array.from({ length: IMAGES }, (_, i) => drawMask(config, stream(7, step, i, purpose))),
  );
  return {
    views: Object.fromEntries(views(config).map(({ name, side }) => [name, numbers(name, IMAGES * side * side * 3)])),
    mask: Float32Array.from(masks.flatMap((mask) => [...(mask ?? [])])),
    imageIds: Int32Array.from({ length: IMAGES }, (_, i) => i),
  };
}

test('each screen of Explore has an address of its own', () => {
  for (const { name, explains } of METHODS) {
    const keys = [...explains.map(({ key }) => key), ...COMMON_VIEWS];
    expect(new Set(keys).size, name).toBe(keys.length);
  }
});

/** The middle square, as a health report takes it. */
const view = ({ model }: RunConfig): ViewSpec => ({
  name: 'image',
  title: '',
  side: model.image_size,
  geometry: '',
  colours: 'weak',
  isMasked: true,
});

const RATES = { lr: 1e-3, weight_decay: 0.05, momentum: 0.9 };
const sourceOf = ({ student, teacher }: EngineState): [StateDict, StateDict] => [
  student,
  teacher.size > 0 ? teacher : student,
];

/** The losses of these steps, and the state that they leave. */
function trained(
  { method, config }: (typeof CASES)[number],
  steps: readonly number[],
  { from = null, ...options }: EngineOptions & { from?: EngineState | null } = {},
): { losses: number[]; state: EngineState } {
  const start = untrainedSource(config);
  const [student, teacher] = from ? sourceOf(from) : [start, start];
  const trainer = new Trainer(stepOf(config), config, student, teacher, options);
  if (from) trainer.restoreOptimizer(from.exp_avg, from.exp_avg_sq, from.updates);
  const losses = steps.map((step) => {
    const { loss, grad_norm, figures } = trainer.step([batchOf(method, config, step)], RATES);
    expect(Number.isFinite(loss) && Number.isFinite(grad_norm)).toBe(true);
    for (const [key, value] of Object.entries(figures))
      expect(value === null || Number.isFinite(value), key).toBe(true);
    return loss;
  });
  const state = trainer.state();
  trainer.dispose();
  return { losses, state };
}

describe.each(CASES)('$name', (one) => {
  test('goes on from what it keeps as if nothing had happened, and leaves no tensor', () => {
    const before = tf.memory().numTensors;
    const whole = trained(one, [0, 1, 2, 3]);
    const half = trained(one, [0, 1]);
    const rest = trained(one, [2, 3], { from: half.state });
    expect([...half.losses, ...rest.losses]).toEqual(whole.losses);
    for (const part of ['student', 'teacher', 'exp_avg', 'exp_avg_sq'] as const)
      expect(rest.state[part], part).toEqual(whole.state[part]);
    expect(tf.memory().numTensors).toBe(before);
  });

  test('gives the same numbers where blocks are computed again', () => {
    const [kept, again] = [false, true].map((recompute) => trained(one, [0, 1], { recompute }));
    expect(again!.losses).toEqual(kept!.losses);
    expect(again!.state.student).toEqual(kept!.state.student);
  });

  test('computes in half precision near what it is', () => {
    const [single, half] = (['fp32', 'bf16'] as const).map((precision) => trained(one, [0, 1], { precision }));
    // The first step alone: a BatchNorm over four images makes much of what rounding did to them.
    expect(Math.abs(half!.losses[0]! / single!.losses[0]! - 1)).toBeLessThan(0.1);
    for (const { data } of half!.state.student.values()) expect(data.every(Number.isFinite)).toBe(true);
  });

  test('has a health report in its own terms, of figures that are numbers', async () => {
    const { method, config } = one;
    expect(method.health).toMatch(/effective rank/i);
    const health = (await healthOf(config))!;
    const { views, mask } = batchOf({ ...method, views: () => [view(config)] }, config, 0);
    const K = mask.length / IMAGES || patchesOf(config.model);
    const masks = Array.from({ length: IMAGES }, (_, i) => Uint8Array.from(mask.subarray(i * K, (i + 1) * K)));
    const before = tf.memory().numTensors;
    const state = untrainedState(config);
    const student = wholeNetwork(config, state);
    const teacher = method.hasTeacher ? wholeNetwork(config, state, 'teacher') : null;
    const measure = health.measure(config);
    measure.add({ student, teacher }, { images: views.image!, masks });
    student.dispose();
    teacher?.dispose();
    expect(tf.memory().numTensors).toBe(before);
    const { sets, figures, references } = measure.result();
    expect(Object.keys(sets)).toEqual(health.sets.map(({ key }) => key));
    for (const { features, width } of Object.values(sets))
      expect(Math.hypot(...features.subarray(0, width))).toBeCloseTo(1, 4);
    const of = { sets: {}, figures };
    for (const { key, words, against } of health.figures) {
      expect(figures[key] === null || Number.isFinite(figures[key]), key).toBe(true);
      expect(words(figures[key]!)).not.toBe('');
      expect(against({ trained: of, untrained: of, references } as never)).not.toMatch(/undefined|NaN|null/);
    }
  });

  test.each(['fp32', 'bf16'] as const)('says the figures that its description lists, in %s', (precision) => {
    const { method, config } = one;
    const trainer = new Trainer(stepOf(config), config, untrainedSource(config), untrainedSource(config), {
      precision,
    });
    const shown = new Set<string>();
    const isMeasured = (name: string) =>
      method.figures.some(({ key }) => [`rank_${name}`, `cosine_${name}`].includes(key));
    const show = (name: string, tensor: tf.Tensor) => {
      shown.add(name);
      if (isMeasured(name)) expect(hostCopy(tensor).every(Number.isFinite), name).toBe(true);
    };
    const { figures } = trainer.step([batchOf(method, config, 0)], RATES, { show });
    trainer.dispose();
    // A rank or a cosine is measured on what the step shows.
    for (const { key } of method.figures)
      expect(key in figures || shown.has(key.replace(/^(rank|cosine)_/, '')), key).toBe(true);
  });
});
