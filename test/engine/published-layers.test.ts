import { join as joinPath } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { encode } from '../../electron/engine/encoder.ts';
import { type HeadConfig, type HeadLayer, headBuffers, headSpecs } from '../../electron/engine/heads.ts';
import { hostCopy } from '../../electron/engine/host.ts';
import { all } from '../../electron/engine/layers/embed.ts';
import { project } from '../../electron/engine/layers/head.ts';
import { clsRows, Tokens, unit } from '../../electron/engine/layers/tokens.ts';
import { weightNormed } from '../../electron/engine/layers/weight-norm.ts';
import { fromPlain } from '../../electron/engine/names.ts';
import { Network, type NetworkSpec } from '../../electron/engine/network.ts';
import { LARS } from '../../electron/engine/optimizers/lars.ts';
import { type EncoderConfig, encoderSpecs } from '../../electron/engine/parameters.ts';
import { sincosPositions } from '../../electron/engine/positions.ts';
import { channelsLast } from '../../electron/engine/replay.ts';
import type { ParameterSpec } from '../../electron/engine/specs.ts';
import { differentiate, record, Value } from '../../electron/engine/tape.ts';
import { Gradients } from '../../electron/engine/weights.ts';
import { readSafetensors } from '../../electron/formats/safetensors.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import type { HostTensor, StateDict } from '../../shared/tensors.ts';

// Layers beside what other methods' published code gave (fp32, CPU): test/fixtures/README.md says what each file holds.

beforeAll(async () => {
  await loadBackend();
});

const load = (name: string): StateDict =>
  readSafetensors(joinPath(import.meta.dirname, '../fixtures/layers', `${name}.safetensors`)).tensors;
const under = (state: StateDict, prefix: string): StateDict =>
  new Map([...state].filter(([name]) => name.startsWith(prefix)).map(([name, t]) => [name.slice(prefix.length), t]));
const largest = (a: ArrayLike<number>) => Array.from(a).reduce((m, v) => Math.max(m, Math.abs(v)), 0);
/** Largest difference, over the largest value. */
const off = (got: ArrayLike<number>, want: ArrayLike<number>) =>
  largest(Array.from(want, (v, i) => v - got[i]!)) / largest(want);
const matrix = () => ({ kind: 'constant', value: 0 }) as const;
const batchNorm = (scale: boolean, shift: boolean): HeadLayer => ({
  kind: 'batch-norm',
  scale,
  shift,
  eps: 1e-5,
  momentum: 0.1,
});
const flat = (to: number, bias = false): HeadLayer => ({ kind: 'linear', to, bias });
const relu: HeadLayer = { kind: 'relu' };
const gelu: HeadLayer = { kind: 'gelu' };
const headOf = (heads: HeadConfig[]) => ({
  parameters: heads.flatMap((head) => headSpecs(head, { matrix })),
  buffers: heads.flatMap(headBuffers),
});
const model = (over: Partial<EncoderConfig>): EncoderConfig => ({
  image_size: 32,
  patch_size: 8,
  embed_dim: 32,
  depth: 2,
  num_heads: 4,
  mlp_ratio: 4,
  layer_scale_init: 0,
  layer_norm_eps: 1e-6,
  init_std: 0.02,
  position: 'absolute',
  ...over,
});
const joined = (parts: HostTensor[]): Float32Array =>
  Float32Array.from(parts.flatMap((part) => Array.from(channelsLast(part))));

describe('SimCLR: a projection whose last BatchNorm scales alone, trained by LARS', () => {
  const fixture = load('simclr');
  const WIDTH = 20;
  const head: HeadConfig = {
    name: 'head',
    from: WIDTH,
    layers: [
      ...[flat(20), batchNorm(true, true), relu],
      ...[flat(20), batchNorm(true, true), relu],
      ...[flat(12), { ...batchNorm(true, false), running: 'biased' } as HeadLayer],
    ],
  };
  /** TensorFlow has a kernel as `[in, out]`, and other names. */
  const nameOf = (name: string): string => {
    const [, layer, of] = /^nl_(\d)\.(?:dense|batch_normalization)\.(.+)$/.exec(name)!;
    const names: Record<string, string> = {
      kernel: 'weight',
      gamma: 'weight',
      beta: 'bias',
      moving_mean: 'running_mean',
      moving_variance: 'running_var',
    };
    return `head.${3 * Number(layer) + (of === 'kernel' ? 0 : 1)}.${names[of!]}`;
  };
  const read = (state: StateDict): StateDict =>
    new Map(
      [...state].map(([name, { shape, data }]) => {
        if (!name.endsWith('kernel')) return [nameOf(name), { shape, data: Float32Array.from(data) }];
        const [rows, columns] = shape as [number, number];
        const turned = Float32Array.from(
          { length: data.length },
          (_, i) => data[(i % rows) * columns + Math.floor(i / rows)]!,
        );
        return [nameOf(name), { shape: [columns, rows], data: turned }];
      }),
    );
  // The hidden BatchNorms' running variance is the biased one too.
  const layers = head.layers.map((layer) =>
    layer.kind === 'batch-norm' ? { ...layer, running: 'biased' as const } : layer,
  );
  const config = { ...head, layers };
  const spec: NetworkSpec = { model: model({}), ...headOf([config]) };
  const first = read(under(fixture, 'head.0.'));
  for (const { name, shape } of spec.buffers)
    if (!first.has(name)) first.set(name, { shape, data: new Float32Array(1) });

  test('features, both gradients, and the state after every step', () => {
    const network = new Network(spec, first);
    const optimizer = new LARS({ momentum: 0.9, trust: 0.001 }, spec.parameters);
    for (const step of [0, 1, 2]) {
      const of = (name: string) => fixture.get(name)!;
      const hidden = of(`batch.${step}.hidden`);
      const gradients = new Gradients();
      differentiate(gradients, 1, () => {
        const x = record(
          new Tokens(tf.tensor2d(hidden.data, [hidden.shape[0]!, WIDTH]), hidden.shape[0]!),
          (gradient, found) => found.add('hidden', gradient),
        );
        const y = project(network, config, x);
        expect(off(hostCopy(y.tensor), of(`results.${step}.projected`).data)).toBeLessThan(1e-5);
        const loss = record(new Value(tf.scalar(0)), (dloss) => {
          dloss.dispose();
          y.addGradient(tf.tensor2d(of(`results.${step}.d_projected`).data, y.tensor.shape));
        });
        return { loss };
      });
      const found = gradients.tensors.get('hidden')!;
      expect(off(hostCopy(found), of(`results.${step}.d_hidden`).data)).toBeLessThan(1e-4);
      found.dispose();
      gradients.tensors.delete('hidden');
      if (step === 0) {
        for (const [name, { data }] of read(under(fixture, 'gradients.0.')))
          expect(off(hostCopy(gradients.tensors.get(name)!), data), name).toBeLessThan(1e-4);
      }
      optimizer.update(network.weights, gradients, 1, 0.2, 10);
      const [before, want] = [read(under(fixture, `head.${step}.`)), read(under(fixture, `head.${step + 1}.`))];
      for (const [name, { data }] of want) {
        const moved = Math.hypot(...data.map((v, i) => v - before.get(name)!.data[i]!));
        const got = network.get(name)!.data;
        expect(Math.hypot(...data.map((v, i) => v - got[i]!)), name).toBeLessThan(1e-3 * moved);
      }
    }
    optimizer.dispose();
    network.dispose();
  });
});

test('MoCo v3: fixed positions, row first; head and predictor on CLS', () => {
  const fixture = load('moco-v3');
  const state = fromPlain(under(fixture, 'student.'));
  const encoder = model({ position: 'fixed-sincos' });
  const hidden = [flat(48), batchNorm(true, true), relu];
  const head: HeadConfig = {
    name: 'head',
    from: 32,
    layers: [...hidden, ...hidden, flat(24), batchNorm(false, false)],
  };
  const predictor: HeadConfig = { name: 'predictor', from: 24, layers: [...hidden, flat(24), batchNorm(false, false)] };
  expect(off(sincosPositions(4, 32, 'row'), state.get('pos_embed')!.data)).toBeLessThan(1e-6);
  const heads = headOf([head, predictor]);
  const network = new Network(
    {
      model: encoder,
      parameters: [...encoderSpecs(encoder).filter(({ name }) => name !== 'mask_token'), ...heads.parameters],
      buffers: [{ name: 'pos_embed', shape: [1, 17, 32], value: 0 }, ...heads.buffers],
    },
    state,
  );
  const got = tf.tidy(() => {
    const features = project(network, head, clsRows(encode(network, all(joined([fixture.get('view1')!])))));
    return hostCopy(unit(project(network, predictor, features)).tensor);
  });
  network.dispose();
  expect(off(got, fixture.get('features.q1')!.data)).toBeLessThan(1e-5);
});

test("iBOT: positions interpolated to a local crop's grid, and the DINO head on CLS", () => {
  const fixture = load('ibot');
  const state: StateDict = new Map(
    [...fromPlain(under(fixture, 'student.'))].map(([name, tensor]) => [name.replace(/^backbone\./, ''), tensor]),
  );
  const encoder = model({ image_size: 48, embed_dim: 24, depth: 3, num_heads: 3 });
  const head: HeadConfig = {
    name: 'head.mlp',
    from: 24,
    layers: [flat(40, true), gelu, flat(40, true), gelu, flat(12, true)],
  };
  const lastLayer: ParameterSpec[] = [
    { name: 'head.last_layer.weight_g', shape: [48, 1], decay: true, init: matrix() },
    { name: 'head.last_layer.weight_v', shape: [48, 12], decay: true, init: matrix() },
  ];
  const network = new Network(
    {
      model: encoder,
      parameters: [
        ...encoderSpecs(encoder).filter(({ name }) => name !== 'mask_token'),
        ...headOf([head]).parameters,
        ...lastLayer,
      ],
      buffers: [],
    },
    state,
  );
  const crops = joined([0, 1, 2].map((i) => fixture.get(`local.${i}`)!));
  const factors = fixture.get('drop_path.local')!;
  const images = factors.shape[2]!;
  expect(factors.data.length).toBe(2 * encoder.depth * images);
  const dropPath = Array.from({ length: 2 * encoder.depth }, (_, branch) =>
    factors.data.slice(branch * images, (branch + 1) * images),
  );
  const got = tf.tidy(() => {
    const cls = clsRows(encode(network, all(crops, 24), { dropPath }));
    return hostCopy(weightNormed(network, 'head.last_layer', unit(project(network, head, cls))).tensor);
  });
  network.dispose();
  expect(off(got, fixture.get('outputs.student.local_cls')!.data)).toBeLessThan(2e-6);
});
