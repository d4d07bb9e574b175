import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { hostCopy } from '../../electron/engine/host.ts';
import { Network } from '../../electron/engine/network.ts';
import { trained } from '../../electron/engine/optimizers/optimizer.ts';
import { startOf } from '../../electron/engine/parameters.ts';
import { type Method, Trainer, type TrainerConfig } from '../../electron/engine/trainer.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { type ConMIMBatch, type ConMIMConfig, step as conmim } from '../../methods/conmim/step.ts';
import { type DenseCLBatch, type DenseCLConfig, step as densecl } from '../../methods/densecl/step.ts';
import { type IBOTBatch, type IBOTConfig, step as ibot } from '../../methods/ibot/step.ts';
import { draw, type MAEBatch, type MAEConfig, step as mae } from '../../methods/mae/step.ts';
import { type MoCoBatch, type MoCoConfig, step as moco } from '../../methods/moco/step.ts';
import { type SimCLRBatch, type SimCLRConfig, step as simclr } from '../../methods/simclr/step.ts';
import { type SwAVBatch, type SwAVConfig, step as swav } from '../../methods/swav/step.ts';
import { namedCrops } from '../../shared/crops.ts';
import type { StateDict } from '../../shared/tensors.ts';
import { expectDifferences } from './differences.ts';

// Gradients of whole steps, as a training has them, beside differences of the loss: for every configuration of a method.

beforeAll(async () => {
  await loadBackend();
});

const [SIDE, K, IMAGES] = [16, 16, 3];
const numbers = (name: string, count: number) => {
  const random = stream(5, 0, 0, name);
  return Float32Array.from({ length: count }, () => random.next() * 2 - 1);
};
const images = (name: string) => numbers(name, IMAGES * SIDE * SIDE * 3);

interface Case<Config extends TrainerConfig, Batch> {
  method: Method<Config, Batch>;
  config: Config;
  batch: Batch;
  /** Of what the step shows, in double precision: as exact as differences want it, and written apart from the engine. */
  loss(shown: StateDict, batch: Batch, config: Config): number;
  /** Buffers that start as no training does. */
  buffers?: StateDict;
  /** A parameter that a step changes itself, outside of the gradient: differences see that too. */
  changed?: string;
}

/** The cross-entropy of finding each masked patch's own key among its image's, or the batch's. */
function contrastOf(shown: StateDict, { mask }: ConMIMBatch, { contrast }: ConMIMConfig): number {
  const [queries, keys] = [shown.get('student')!, shown.get('teacher')!];
  const width = queries.shape[2]!;
  const row = (of: ArrayLike<number>, i: number) => Array.from({ length: width }, (_, d) => of[i * width + d]!);
  const masked = [...mask.keys()].filter((i) => mask[i]);
  const losses = masked.map((i) => {
    const [first, count] = contrast.dictionary === 'image' ? [i - (i % K), K] : [0, IMAGES * K];
    const query = row(queries.data, i);
    const logits = Array.from({ length: count }, (_, j) =>
      row(keys.data, first + j).reduce((sum, v, d) => sum + (v * query[d]!) / contrast.temperature, 0),
    );
    return Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0)) - logits[i - first]!;
  });
  return losses.reduce((a, b) => a + b, 0) / losses.length;
}

/** The mean squared error over removed patches. */
function errorOf(shown: StateDict, { mask }: MAEBatch): number {
  const [predicted, target] = [shown.get('pred')!, shown.get('target')!];
  const width = predicted.shape[2]!;
  const errors = Array.from(predicted.data, (v, i) =>
    mask[Math.floor(i / width)] ? (v - target.data[i]!) ** 2 : null,
  );
  const counted = errors.filter((error) => error !== null);
  return counted.reduce((a, b) => a + b, 0) / counted.length;
}

/** The cross-entropies of finding the own key among the batch's (times 2 T), or among it and a queue's. */
function candidatesOf(shown: StateDict, _: MoCoBatch, { contrast }: MoCoConfig): number {
  const { dictionary, temperature } = contrast;
  const rows = (name: string) => {
    const { shape, data } = shown.get(name)!;
    return Array.from({ length: shape[0]! }, (_, i) => Array.from(data.subarray(i * shape[1]!, (i + 1) * shape[1]!)));
  };
  const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, v, i) => sum + v * b[i]!, 0);
  const losses = (
    dictionary === 'queue'
      ? [[1, 2]]
      : [
          [1, 2],
          [2, 1],
        ]
  ).map(([asking, asked]) => {
    const [queries, keys] = [rows(`q${asking}`), rows(`k${asked}`)];
    const queue = dictionary === 'batch' ? null : rows(`queue_q${asking}`);
    const columns = queue ? queue[0]!.map((_, j) => queue.map((row) => row[j]!)) : [];
    const entropies = queries.map((query, i) => {
      const others = queue ? columns : keys.filter((_, j) => j !== i);
      const logits = [keys[i]!, ...others].map((key) => dot(query, key) / temperature);
      return Math.log(logits.reduce((sum, v) => sum + Math.exp(v), 0)) - logits[0]!;
    });
    return entropies.reduce((a, b) => a + b / entropies.length, 0);
  });
  return losses.reduce((a, b) => a + b, 0) * (dictionary === 'batch' ? 2 * temperature : 1);
}

/**
 * The two cross-entropies of finding the own key among it and a queue's: of crops, and of patches, whose own key is that of
 * the patch that they are matched with. Matches are those of the first time that it is asked: no gradient reaches them.
 */
function denseOf(): Case<DenseCLConfig, DenseCLBatch>['loss'] {
  let match: ArrayLike<number> | null = null;
  return (shown, _, { dense, contrast }) => {
    match ??= shown.get('match')!.data;
    const rows = (name: string) => {
      const { shape, data } = shown.get(name)!;
      return Array.from({ length: shape[0]! }, (_, i) => {
        const row = Array.from(data.subarray(i * shape[1]!, (i + 1) * shape[1]!));
        return row.map((v) => v / Math.hypot(...row));
      });
    };
    const entropy = (queries: number[][], keyOf: (i: number) => number[], queue: number[][]) => {
      const losses = queries.map((query, i) => {
        const logits = [keyOf(i), ...queue].map(
          (key) => key.reduce((sum, v, d) => sum + v * query[d]!, 0) / contrast.temperature,
        );
        return Math.log(logits.reduce((sum, v) => sum + Math.exp(v), 0)) - logits[0]!;
      });
      return losses.reduce((a, b) => a + b) / losses.length;
    };
    const [crops, patches] = [rows('k.global'), rows('k.dense')];
    const ofCrops = entropy(rows('q.global'), (i) => crops[i]!, rows('queue'));
    const ofPatches = entropy(rows('q.dense'), (i) => patches[i - (i % K) + match![i]!]!, rows('queue2'));
    return (1 - dense.lambda) * ofCrops + dense.lambda * ofPatches;
  };
}

/** The cross-entropy of finding each crop's partner among all others, from features of any length. */
function partnersOf(shown: StateDict, _: SimCLRBatch, { contrast }: SimCLRConfig): number {
  const { shape, data } = shown.get('projected')!;
  const [count, width] = shape as [number, number];
  const rows = Array.from({ length: count }, (_, i) => {
    const row = Array.from(data.subarray(i * width, (i + 1) * width));
    return row.map((v) => v / Math.hypot(...row));
  });
  const losses = rows.map((row, i) => {
    const said = rows.map((other) => row.reduce((sum, v, d) => sum + v * other[d]!, 0) / contrast.temperature);
    const sum = said.reduce((total, v, j) => (j === i ? total : total + Math.exp(v)), 0);
    return Math.log(sum) - said[(i + count / 2) % count]!;
  });
  return losses.reduce((a, b) => a + b, 0) / count;
}

/**
 * Of every crop the cross-entropy with each other crop's code, of each code the mean over crops. Codes are those of the
 * first time that it is asked: no gradient reaches them.
 */
function swappedOf(): Case<SwAVConfig, SwAVBatch>['loss'] {
  let codes: StateDict | null = null;
  return (shown, _, { prototypes: { temperature, count } }) => {
    codes ??= new Map([...shown].filter(([name]) => name.startsWith('codes.')));
    const scores = shown.get('scores')!.data;
    const crops = scores.length / count / IMAGES;
    let sum = 0;
    for (let a = 0; a < 2; a++) {
      const code = codes.get(`codes.${a}`)!.data;
      for (let v = 0; v < crops; v++) {
        if (v === a) continue;
        for (let i = 0; i < IMAGES; i++) {
          const at = (v * IMAGES + i) * count;
          const logits = Array.from({ length: count }, (_, k) => scores[at + k]! / temperature);
          const all = Math.log(logits.reduce((total, logit) => total + Math.exp(logit), 0));
          for (const [k, logit] of logits.entries()) sum += (code[i * count + k]! * (all - logit)) / (crops - 1);
        }
      }
    }
    return sum / IMAGES / 2;
  };
}

/** Cross-entropies of every crop with the teacher's of each other large one, and of masked patches, of each crop its mean. */
function distilledOf(shown: StateDict, { mask }: IBOTBatch, { head, temperatures, loss }: IBOTConfig): number {
  const entropy = (logits: StateDict, of: string, row: number, targets: string, target: number) => {
    const at = <T>(name: string, i: number, read: (v: number) => T) =>
      Array.from({ length: head.out }, (_, k) => read(logits.get(name)!.data[i * head.out + k]!));
    const scaled = at(of, row, (v) => v / temperatures.student);
    const all = Math.log(scaled.reduce((sum, v) => sum + Math.exp(v), 0));
    return at(targets, target, (v) => v).reduce((sum, q, k) => sum + q * (all - scaled[k]!), 0);
  };
  const crops = shown.get('cls')!.data.length / head.out / IMAGES;
  let [cls, pairs] = [0, 0];
  for (let q = 0; q < 2; q++) {
    for (let v = 0; v < crops; v++) {
      if (v === q) continue;
      pairs++;
      for (let i = 0; i < IMAGES; i++) cls += entropy(shown, 'cls', v * IMAGES + i, 'target', q * IMAGES + i) / IMAGES;
    }
  }
  let [patches, row] = [0, 0];
  for (let crop = 0; crop < 2 * IMAGES; crop++) {
    const count = mask.subarray(crop * K, (crop + 1) * K).reduce((a, b) => a + b, 0);
    for (let i = 0; i < count; i++, row++) patches += entropy(shown, 'patches', row, 'patch_target', row) / count;
  }
  return (loss.cls * cls) / pairs + (loss.patch * patches) / (2 * IMAGES);
}

/** A first state in which no branch is nearly off, so that no gradient is small. */
function stateOf(spec: ReturnType<Method<TrainerConfig, unknown>['student']>, seed: string): StateDict {
  const start = startOf(spec, (name) => stream(5, 0, 0, `${seed} ${name}`));
  const state: StateDict = new Map();
  for (const { name } of spec.buffers) state.set(name, start.get(name)!);
  for (const { name, shape } of spec.parameters) {
    const data = start.get(name)!.data.slice();
    const noise = numbers(`${seed} ${name}`, data.length);
    state.set(name, { shape, data: data.map((v, i) => v + 0.3 * noise[i]!) as Float32Array });
  }
  return state;
}

function check<Config extends TrainerConfig, Batch>(one: Case<Config, Batch>): void {
  const { method, config, batch, loss: exact, buffers = new Map(), changed } = one;
  const before = tf.memory().numTensors;
  const spec = method.student(config);
  const [state, other] = ['student', 'teacher'].map((who) => new Map([...stateOf(spec, who), ...buffers]));
  const trainer = new Trainer(method, config, state!, other!);
  let gradients: StateDict = new Map();
  const { loss } = trainer.step(
    [batch],
    { lr: 0, weight_decay: 0, momentum: 1 },
    {
      onGradients: (found) => {
        gradients = found;
      },
    },
  );
  trainer.dispose();
  const teacher = method.teacher(config) && new Network(method.teacher(config)!, other!);
  const lossAt = (moved: StateDict): number => {
    const student = new Network(spec, moved);
    const networks = { student, teacher: teacher ?? student };
    const shown: StateDict = new Map();
    tf.tidy(() => {
      method.step(networks, batch, config, (name, tensor) =>
        shown.set(name, { shape: tensor.shape, data: hostCopy(tensor) }),
      );
    });
    student.dispose();
    return exact(shown, batch, config);
  };
  expect(Math.abs(lossAt(state!) / loss - 1)).toBeLessThan(1e-6);
  const names = trained(spec.parameters)
    .map(({ name }) => name)
    .filter((name) => name !== changed);
  expectDifferences(state!, gradients, lossAt, { names, by: 3e-4, order: 2, within: 5e-3, floor: 2e-3 });
  teacher?.dispose();
  expect(tf.memory().numTensors).toBe(before);
}

const conmimCase = (over: Record<string, object> = {}): Case<ConMIMConfig, ConMIMBatch> => ({
  method: conmim,
  config: runConfigSchema.parse({
    ...over,
    model: { image_size: SIDE, patch_size: 4, embed_dim: 8, depth: 1, num_heads: 2, mlp_ratio: 2, ...over.model },
    projector: { hidden: 10, out: 6, ...over.projector },
    contrast: { temperature: 0.5, ...over.contrast },
    mask: { kind: 'uniform' },
  }),
  batch: {
    views: { student: images('student'), teacher: images('teacher') },
    mask: Float32Array.from({ length: IMAGES * K }, (_, i) => +(i % 4 > 0)),
  },
  loss: contrastOf,
});
const maeCase = (
  over: Partial<MAEConfig> = {},
  decoder: Partial<MAEConfig['decoder']> = {},
): Case<MAEConfig, MAEBatch> => ({
  method: mae,
  config: {
    model: {
      image_size: SIDE,
      patch_size: 4,
      embed_dim: 8,
      depth: 1,
      num_heads: 2,
      mlp_ratio: 2,
      layer_scale_init: 0,
      layer_norm_eps: 1e-6,
      init_std: 0.02,
      position: 'fixed-sincos',
    },
    decoder: { embed_dim: 12, depth: 1, num_heads: 3, ...decoder },
    mask: { ratio: 0.75 },
    target: { normalised: true },
    optimizer: { betas: [0.9, 0.95], eps: 1e-8, clip_grad: null },
    ...over,
  },
  batch: { views: { image: images('images') }, ...draw(numbers('noise', IMAGES * K), K, over.mask?.ratio ?? 0.75) },
  loss: errorOf,
});

const mocoCase = (
  contrast: Partial<MoCoConfig['contrast']> = {},
  over: Partial<MoCoConfig> = {},
): Case<MoCoConfig, MoCoBatch> => ({
  method: moco,
  config: {
    model: maeCase().config.model,
    contrast: { dictionary: 'batch', temperature: 0.5, queue: 6, ...contrast },
    head: { layers: 2, hidden: 10, out: 6, batch_norm_eps: 1e-5, batch_norm_momentum: 0.1 },
    predictor: { layers: 2, hidden: 10 },
    encoder: { frozen_patch_embedding: false, decay_all: true },
    optimizer: { betas: [0.9, 0.999], eps: 1e-8, clip_grad: null },
    ...over,
  },
  batch: { views: { first: images('first'), second: images('second') } },
  loss: candidatesOf,
});

const denseclCase = (over: Partial<DenseCLConfig> = {}): Case<DenseCLConfig, DenseCLBatch> => ({
  method: densecl,
  config: {
    model: maeCase().config.model,
    contrast: { temperature: 0.5, queue: 6 },
    dense: { lambda: 0.3, start_steps: 0 },
    neck: { hidden: 10, out: 6 },
    encoder: { frozen_patch_embedding: false, decay_all: true },
    optimizer: { betas: [0.9, 0.999], eps: 1e-8, clip_grad: null },
    ...over,
  },
  batch: { views: { first: images('first'), second: images('second') } },
  loss: denseOf(),
});

const simclrCase = (over: Partial<SimCLRConfig> = {}): Case<SimCLRConfig, SimCLRBatch> => ({
  method: simclr,
  config: {
    model: maeCase().config.model,
    contrast: { temperature: 0.5 },
    head: { layers: 2, hidden: 10, out: 6, batch_norm_eps: 1e-5, batch_norm_momentum: 0.1 },
    encoder: { frozen_patch_embedding: false, decay_all: true },
    optimizer: { betas: [0.9, 0.999], eps: 1e-8, clip_grad: null },
    ...over,
  },
  batch: { views: { first: images('first'), second: images('second') } },
  loss: partnersOf,
});

const swavCase = (
  small: number,
  { queue = 0, epsilon = 0.5 }: { queue?: number; epsilon?: number } = {},
): Case<SwAVConfig, SwAVBatch> => ({
  method: swav,
  config: {
    model: {
      image_size: SIDE,
      patch_size: 4,
      embed_dim: 8,
      depth: 1,
      num_heads: 2,
      mlp_ratio: 2,
      layer_scale_init: 0,
      layer_norm_eps: 1e-6,
      init_std: 0.02,
      position: 'absolute',
    },
    crops: { small_size: 8 },
    head: { hidden: 10, out: 6, batch_norm_eps: 1e-5, batch_norm_momentum: 0.1 },
    prototypes: { count: 7, temperature: 0.5, epsilon, iterations: 3, frozen_steps: 0 },
    queue: { length: queue, start_epoch: 0 },
    train: { batch_size: IMAGES } as SwAVConfig['train'],
    optimizer: { betas: [0.9, 0.999], eps: 1e-8, clip_grad: null },
  },
  batch: {
    views: namedCrops({
      large: ['first', 'second'].map(images),
      small: Array.from({ length: small }, (_, i) => numbers(`small ${i}`, IMAGES * 8 * 8 * 3)),
    }),
  },
  loss: swappedOf(),
  ...(queue > 0 && {
    buffers: new Map([['queue', { shape: [2, queue, 6], data: numbers('queue', 2 * queue * 6) }]]),
  }),
  changed: 'prototypes.weight',
});

const ibotCase = (small: number, { shared = true, drop = false } = {}): Case<IBOTConfig, IBOTBatch> => ({
  method: ibot,
  config: {
    model: {
      image_size: SIDE,
      patch_size: 4,
      embed_dim: 8,
      depth: 1,
      num_heads: 2,
      mlp_ratio: 2,
      layer_scale_init: 0,
      layer_norm_eps: 1e-6,
      init_std: 0.02,
      position: 'absolute',
    },
    crops: { small_size: 8 },
    head: { layers: 3, hidden: 10, bottleneck: 6, out: 7, shared, unit_rows: false, frozen_steps: 0 },
    temperatures: { student: 0.5, teacher_start: 0.3, teacher: 0.3, patch_start: 0.4, patch: 0.4, warmup_epochs: 0 },
    centres: { momentum: 0.9, patch_momentum: 0.9 },
    loss: { cls: 0.7, patch: 1.3, drop_path: 0 },
    optimizer: { betas: [0.9, 0.999], eps: 1e-8, clip_grad: null },
  },
  batch: {
    views: namedCrops({
      large: ['first', 'second'].map(images),
      small: Array.from({ length: small }, (_, i) => numbers(`small ${i}`, IMAGES * 8 * 8 * 3)),
    }),
    // The last image's first crop has no mask.
    mask: Float32Array.from({ length: 2 * IMAGES * K }, (_, i) => +(i % 3 === 0 && Math.floor(i / K) !== 2)),
    ...(drop && {
      dropPath: {
        large: [null, Float32Array.from({ length: 2 * IMAGES }, (_, i) => (i % 2) * 1.5)],
        small: [Float32Array.from({ length: small * IMAGES }, (_, i) => (i % 2) * 2), null],
      },
    }),
  },
  loss: distilledOf,
});

describe('gradients of a step are those of differences', () => {
  // Settings that do not meet are changed together.
  test.each([
    {},
    { projector: { layers: 1 }, model: { layer_scale_init: 0 } },
    { projector: { layers: 4, hidden: 12 }, contrast: { dictionary: 'batch' } },
    { model: { position: 'absolute' } },
    { model: { position: 'none' }, contrast: { temperature: 1 } },
    { model: { depth: 2 } },
  ])('ConMIM, %j', (over) => check(conmimCase(over as Record<string, object>)));

  test.each([
    [{}, {}],
    [{ target: { normalised: false }, mask: { ratio: 0.4 } }, {}],
    [{}, { embed_dim: 4, depth: 2, num_heads: 1 }],
  ] as [Partial<MAEConfig>, Partial<MAEConfig['decoder']>][])('MAE, %j, decoder %j', (over, decoder) =>
    check(maeCase(over, decoder)),
  );

  test.each([
    [{}, {}],
    [{ temperature: 1 }, { encoder: { frozen_patch_embedding: true, decay_all: false } }],
    [
      { dictionary: 'queue' },
      { head: { layers: 1, hidden: 10, out: 6, batch_norm_eps: 1e-5, batch_norm_momentum: 0.1 } },
    ],
    [{ dictionary: 'queues' }, { predictor: { layers: 1, hidden: 10 } }],
  ] as [Partial<MoCoConfig['contrast']>, Partial<MoCoConfig>][])('MoCo, %j, %j', (contrast, over) =>
    check(mocoCase(contrast, over)),
  );

  test.each([
    {},
    { dense: { lambda: 1, start_steps: 0 } },
    { contrast: { temperature: 1, queue: 3 }, encoder: { frozen_patch_embedding: true, decay_all: false } },
  ])('DenseCL, %j', (over) => check(denseclCase(over)));

  test.each([{}, { contrast: { temperature: 1 }, encoder: { frozen_patch_embedding: true, decay_all: false } }])(
    'SimCLR, %j',
    (over) => check(simclrCase(over)),
  );

  test.each([
    [2, {}],
    [1, { queue: 6 }],
    [0, { epsilon: 0.1 }],
  ] as [number, Parameters<typeof swavCase>[1]][])('SwAV, %d small crops, %j', (small, over) =>
    check(swavCase(small, over)),
  );

  test.each([
    [2, {}],
    [0, { shared: false }],
    [1, { drop: true }],
  ] as const)('iBOT, %d small crops, %j', (small, how) => check(ibotCase(small, how)));
});
