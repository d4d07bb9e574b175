import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { makeOptimizer, type OptimizerSettings } from '../../electron/engine/optimizers/index.ts';
import { startOf } from '../../electron/engine/parameters.ts';
import { freeze, type ParameterSpec } from '../../electron/engine/specs.ts';
import { type EngineState, Trainer } from '../../electron/engine/trainer.ts';
import { Gradients, Weights } from '../../electron/engine/weights.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { type ConMIMBatch, type ConMIMConfig, step as conmim } from '../../methods/conmim/step.ts';

beforeAll(async () => {
  await loadBackend();
});

const LATE = 2;
const spec = (name: string, shape: number[], more: Partial<ParameterSpec> = {}): ParameterSpec => ({
  name,
  shape,
  decay: true,
  init: { kind: 'normal', std: 1 },
  ...more,
});
const SPECS: readonly ParameterSpec[] = freeze(
  [
    spec('matrix', [3, 4]),
    spec('bias', [4], { decay: false }),
    spec('zero', [5], { init: { kind: 'constant', value: 0 } }),
    spec('late', [2, 3], { frozenFor: LATE }),
    spec('never', [2, 2]),
  ],
  (name) => name === 'never',
);
const RATES = [0.1, 0.05, 0.2, 0.01, 0.1].map((lr, i) => ({ lr, decay: 0.3 - 0.02 * i, clip: i === 1 ? 0.5 : 1 }));
/** By what the learning rate of each is multiplied. */
const rateOf = (name: string) => (name === 'matrix' ? 0.5 : name === 'late' ? 0.25 : 1);
const draw = (name: string) => stream(3, 0, 0, name);
const gradientOf = ({ name, shape }: ParameterSpec, step: number) => {
  const random = draw(`${name} ${step}`);
  return Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => Math.fround(random.next() * 2 - 1));
};

/** One parameter's update in double precision, written from the paper that is named. */
type Plain = (p: number[], g: number[], lr: number, decay: number, isDecayed: boolean) => number[];
const length = (x: number[]) => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0));
const PLAIN: Record<string, () => Plain> = {
  // arXiv 1711.05101, algorithm 2: the decay stands outside of the adaptive step.
  adamw() {
    let [t, m, v]: [number, number[], number[]] = [0, [], []];
    return (p, g, lr, decay) => {
      t++;
      m = g.map((x, i) => 0.9 * (m[i] ?? 0) + 0.1 * x);
      v = g.map((x, i) => 0.95 * (v[i] ?? 0) + 0.05 * x * x);
      return p.map((x, i) => {
        const [first, second] = [m[i]! / (1 - 0.9 ** t), v[i]! / (1 - 0.95 ** t)];
        return x - lr * (first / (Math.sqrt(second) + 1e-6) + decay * x);
      });
    };
  },
  // torch.optim.SGD's documentation: no dampening, no Nesterov.
  sgd() {
    let buffer: number[] | null = null;
    return (p, g, lr, decay) => {
      const pulled = g.map((x, i) => x + decay * p[i]!);
      const before = buffer;
      buffer = before ? pulled.map((x, i) => 0.9 * before[i]! + x) : pulled;
      return p.map((x, i) => x - lr * buffer![i]!);
    };
  },
  // arXiv 1708.03888, algorithm 1, with the ratio of SimCLR's code.
  lars() {
    let velocity: number[] = [];
    return (p, g, lr, decay, isDecayed) => {
      const pulled = g.map((x, i) => x + decay * p[i]!);
      const ratio = isDecayed && length(p) > 0 && length(pulled) > 0 ? (0.02 * length(p)) / length(pulled) : 1;
      velocity = pulled.map((x, i) => 0.8 * (velocity[i] ?? 0) + lr * ratio * x);
      return p.map((x, i) => x - velocity[i]!);
    };
  },
};
const SETTINGS: { name: string; settings: OptimizerSettings }[] = [
  { name: 'adamw', settings: { betas: [0.9, 0.95], eps: 1e-6 } }, // what a configuration that names none has
  { name: 'sgd', settings: { name: 'sgd', momentum: 0.9 } },
  { name: 'lars', settings: { name: 'lars', momentum: 0.8, trust: 0.02 } },
];

/** All parameters after the steps of RATES. @param stop the step before which the optimizer is stored and made anew */
function run(settings: OptimizerSettings, stop = Number.POSITIVE_INFINITY): Map<string, Float32Array> {
  const weights = new Weights(SPECS, startOf({ parameters: SPECS, buffers: [] }, draw));
  let optimizer = makeOptimizer(settings, SPECS, rateOf);
  RATES.forEach(({ lr, decay, clip }, step) => {
    if (step === stop) {
      const { exp_avg, exp_avg_sq } = optimizer.tensors();
      const stored = [new Map(exp_avg), new Map(exp_avg_sq)] as const;
      const { count } = optimizer;
      optimizer.dispose();
      optimizer = makeOptimizer(settings, SPECS, rateOf);
      optimizer.restore(...stored, count);
    }
    const gradients = new Gradients(SPECS);
    for (const one of SPECS)
      if (one.name !== 'zero' || step > 0) gradients.add(one.name, tf.tensor(gradientOf(one, step), one.shape));
    optimizer.update(weights, gradients, clip, lr, decay);
  });
  const found = new Map([...weights.tensors()].map(([name, { data }]) => [name, data.slice()]));
  optimizer.dispose();
  weights.dispose();
  return found;
}

describe.each(SETTINGS)('$name', ({ name, settings }) => {
  test('computes what its paper says, in double precision', () => {
    const got = run(settings);
    const start = startOf({ parameters: SPECS, buffers: [] }, draw);
    for (const one of SPECS) {
      const update = PLAIN[name]!();
      let p = Array.from(start.get(one.name)!.data);
      RATES.forEach(({ lr, decay, clip }, step) => {
        if (step < (one.frozenFor ?? 0)) return;
        const isMissing = one.name === 'zero' && step === 0;
        const g = gradientOf(one, step).map((x) => (isMissing ? 0 : clip * x));
        p = update(p, g, lr * rateOf(one.name), one.decay ? decay : 0, one.decay);
      });
      const off = Math.max(...p.map((x, i) => Math.abs(x - got.get(one.name)![i]!)));
      expect(off, one.name).toBeLessThan(2e-6);
    }
  });

  test('leaves alone what is never trained, to the bit', () => {
    const start = startOf({ parameters: SPECS, buffers: [] }, draw);
    expect(run(settings).get('never')).toEqual(start.get('never')!.data);
  });

  test('goes on bit for bit from what was stored', () => {
    for (const stop of [1, LATE + 1]) expect(run(settings, stop)).toEqual(run(settings));
  });

  test('leaves no tensor', () => {
    const before = tf.memory().numTensors;
    run(settings, 2);
    expect(tf.memory().numTensors).toBe(before);
  });

  test('is what a training uses where its configuration says so, and is resumed with it', () => {
    const common = runConfigSchema.parse({
      model: { image_size: 16, patch_size: 4, embed_dim: 16, depth: 1, num_heads: 2, position: 'absolute' },
      projector: { hidden: 16, out: 8 },
      mask: { kind: 'uniform' },
    });
    const config: ConMIMConfig = { ...common, optimizer: { ...settings, clip_grad: 1 } };
    const random = draw('images');
    const images = () => Float32Array.from({ length: 4 * 16 * 16 * 3 }, () => random.next() * 2 - 1);
    const mask = Float32Array.from({ length: 4 * 16 }, (_, i) => +(i % 4 > 0));
    const batches: ConMIMBatch[] = [0, 1, 2, 3].map(() => ({
      views: { student: images(), teacher: images() },
      mask,
    }));
    const rates = { lr: 1e-3, weight_decay: 0.05, momentum: 0.9 };
    const train = (from: EngineState | null, some: ConMIMBatch[]): EngineState => {
      const fresh = untrainedState(common);
      const trainer = new Trainer(conmim, config, from?.student ?? fresh, from?.teacher ?? fresh);
      if (from) trainer.restoreOptimizer(from.exp_avg, from.exp_avg_sq, from.updates);
      for (const batch of some) trainer.step([batch], rates);
      const state = trainer.state();
      trainer.dispose();
      return state;
    };
    const whole = train(null, batches);
    expect(train(train(null, batches.slice(0, 2)), batches.slice(2))).toEqual(whole);
    expect(whole.exp_avg_sq.size > 0).toBe(name === 'adamw');
    const moved = whole.student.get('blocks.0.mlp.fc1.weight')!.data;
    const start = untrainedState(common).get('blocks.0.mlp.fc1.weight')!.data;
    expect(Math.max(...moved.map((v, i) => Math.abs(v - start[i]!)))).toBeGreaterThan(1e-6);
  });
});
