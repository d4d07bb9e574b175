import { readdirSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { encode, taps } from '../../electron/engine/encoder.ts';
import { type HeadLayer, headBuffers, headSpecs } from '../../electron/engine/heads.ts';
import { hostCopy } from '../../electron/engine/host.ts';
import type { Storage } from '../../electron/engine/kernels/device.ts';
import { block } from '../../electron/engine/layers/block.ts';
import { convolve, deconvolve, type Grid, relu as rectified, sum } from '../../electron/engine/layers/convolution.ts';
import { all, embed, keep, replace } from '../../electron/engine/layers/embed.ts';
import { cells, embedRows, picture, scaled, tanh } from '../../electron/engine/layers/grid.ts';
import { project } from '../../electron/engine/layers/head.ts';
import { linear } from '../../electron/engine/layers/linear.ts';
import { layerNorm } from '../../electron/engine/layers/norm.ts';
import { meanRows, pool } from '../../electron/engine/layers/pool.ts';
import { positionBias } from '../../electron/engine/layers/position.ts';
import { commitment, mixture } from '../../electron/engine/layers/quantize.ts';
import { restore } from '../../electron/engine/layers/restore.ts';
import {
  clsRows,
  join,
  patches,
  patchRows,
  someRows,
  split,
  Tokens,
  unit,
} from '../../electron/engine/layers/tokens.ts';
import { weightNormed } from '../../electron/engine/layers/weight-norm.ts';
import { crossEntropy, softCrossEntropy, weightedCrossEntropy } from '../../electron/engine/losses/cross-entropy.ts';
import { infoNCE } from '../../electron/engine/losses/info-nce.ts';
import { lossOf, weightedSum } from '../../electron/engine/losses/loss.ts';
import { ntXent } from '../../electron/engine/losses/nt-xent.ts';
import { meanDistance, meanSquared } from '../../electron/engine/losses/squared.ts';
import { Network, type NetworkSpec } from '../../electron/engine/network.ts';
import {
  blockSpecs,
  depthScaledStart,
  type EncoderConfig,
  encoderSpecs,
  initialBuffer,
  linearSpecs,
  normSpecs,
  sizeOf,
} from '../../electron/engine/parameters.ts';
import { sincosBuffer } from '../../electron/engine/positions.ts';
import { freeze, type ParameterSpec } from '../../electron/engine/specs.ts';
import { differentiate, record, Value } from '../../electron/engine/tape.ts';
import { Gradients } from '../../electron/engine/weights.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { denoisingContrast } from '../../methods/conmim/contrast.ts';
import type { HostTensor, StateDict } from '../../shared/tensors.ts';
import { expectDifferences } from './differences.ts';

// Each layer's way back, and each loss's, beside differences of its way there. A layer that is not in this table fails.

const backend = await loadBackend();

const MODEL: EncoderConfig = {
  image_size: 12,
  patch_size: 4,
  embed_dim: 8,
  depth: 2,
  num_heads: 2,
  mlp_ratio: 2,
  layer_scale_init: 0.1,
  layer_norm_eps: 1e-6,
  init_std: 0.02,
  position: 'none',
};
const [BATCH, K, DIM] = [3, 9, 8];
const RULES = depthScaledStart(0.02);
const numbers = (name: string, count: number) => {
  const random = stream(7, 0, 0, name);
  return Float32Array.from({ length: count }, () => random.next() * 2 - 1);
};
const images = (side = 12) => numbers(`images ${side}`, BATCH * side * side * 3);

interface Case {
  /** The function that is tested. */
  of: (...args: never[]) => unknown;
  /** What of it, where there are several. */
  how?: string;
  model?: EncoderConfig;
  parameters?: readonly ParameterSpec[];
  buffers?: NetworkSpec['buffers'];
  recompute?: boolean;
  /** What comes through the tape: rows of tokens where a batch is given. */
  inputs?: Record<string, { shape: number[]; batch?: number }>;
  run(network: Network, inputs: Record<string, Value>): Value | Value[];
}
const tokens = (n = K + 1, width = DIM) => ({ shape: [BATCH * n, width], batch: BATCH });
const x = (inputs: Record<string, Value>, name = 'x') => inputs[name] as Tokens;
const grid = (inputs: Record<string, Value>, name = 'x') => inputs[name] as Grid;
/** As far from these numbers, between 0.2 and 0.7 or between 1.2 and 1.7, on either side. */
const farFrom = (name: string, count: number) =>
  numbers(name, count).map((v, i) => v + (i % 2 ? -1 : 1) * (0.2 + 0.5 * ((i * 0.37) % 1) + (i % 3 === 0 ? 1 : 0)));
const layerOf = (shape: number[], out: number): ParameterSpec[] => [
  { name: 'layer.weight', shape, decay: true, init: RULES.token },
  { name: 'layer.bias', shape: [out], decay: false, init: RULES.token },
];
const cube = (inputs: Record<string, Value>, name: string) => inputs[name] as Value<tf.Tensor3D>;

const head = (how: string, layers: HeadLayer[]): Case => {
  const config = { name: 'head', from: DIM, layers };
  return {
    of: project,
    how,
    parameters: headSpecs(config, { matrix: RULES.matrix as never }),
    buffers: headBuffers(config),
    inputs: { x: tokens(2) },
    run: (network, inputs) => project(network, config, x(inputs)),
  };
};
const flat = (to: number, bias = false): HeadLayer => ({ kind: 'linear', to, bias });
const norm = (scale: boolean, shift = scale): HeadLayer => ({
  kind: 'batch-norm',
  scale,
  shift,
  eps: 1e-5,
  momentum: 0.1,
});
const [relu, gelu]: HeadLayer[] = [{ kind: 'relu' }, { kind: 'gelu' }];

const blockCase = (how: string, over: Partial<EncoderConfig>, more: Partial<Case> & { drop?: boolean } = {}): Case => {
  const model = { ...MODEL, ...over };
  const shape = { prefix: 'blocks.', depth: 1, heads: model.num_heads, eps: 1e-6 };
  return {
    of: block,
    how,
    model,
    parameters: blockSpecs('blocks.', { ...model, depth: 1 }, RULES),
    inputs: { x: tokens(4) },
    run: (network, inputs) =>
      block(network, shape, 0, x(inputs), {
        bias: (inputs.bias as Value<tf.Tensor3D> | undefined) ?? null,
        factors: more.drop ? [tf.tensor1d([0, 1.5, 1]), tf.tensor1d([1.25, 0, 2])] : [null, null],
      }),
    ...more,
  };
};
const embedCase = (how: string, over: Partial<EncoderConfig>, run: Case['run'], more: Partial<Case> = {}): Case => {
  const model = { ...MODEL, ...over };
  const parameters = encoderSpecs(model, RULES).filter(({ name }) => !/^(blocks|norm|rel_pos)/.test(name));
  return { of: embed, how, model, parameters, run, ...more };
};
const MASK = Float32Array.from({ length: BATCH * K }, (_, i) => +(i % 3 > 0));
const KEPT = Int32Array.of(4, 0, 7, 8, 7, 1, 2, 3, 5);
const encoder = (how: string, over: Partial<EncoderConfig>, side = 12, until = MODEL.depth): Case => {
  const model = { ...MODEL, ...over };
  return {
    of: encode,
    how,
    model,
    // The mask token, and blocks that are not run, have no gradient.
    parameters: encoderSpecs(model, RULES).filter(
      ({ name }) => name !== 'mask_token' && !name.startsWith(`blocks.${until}.`),
    ),
    run: (network) => encode(network, all(images(side), side), { until }),
  };
};

const TABLE: Case[] = [
  ...[true, false].map(
    (bias): Case => ({
      of: linear,
      how: bias ? 'with a bias' : 'without',
      parameters: linearSpecs('layer', 5, DIM, RULES).slice(0, bias ? 2 : 1),
      inputs: { x: tokens(2) },
      run: (network, inputs) => linear(network, 'layer', x(inputs)),
    }),
  ),
  {
    of: layerNorm,
    parameters: normSpecs('norm', DIM),
    inputs: { x: tokens(2) },
    run: (network, inputs) => layerNorm(network, 'norm', x(inputs), 1e-6),
  },
  ...(['mean', 'cls'] as const).map(
    (by): Case => ({ of: pool, how: by, inputs: { x: tokens() }, run: (_, inputs) => pool(x(inputs), by) }),
  ),
  { of: clsRows, inputs: { x: tokens() }, run: (_, inputs) => clsRows(x(inputs)) },
  { of: patchRows, inputs: { x: tokens() }, run: (_, inputs) => patchRows(x(inputs)) },
  { of: meanRows, inputs: { x: tokens() }, run: (_, inputs) => meanRows(x(inputs)) },
  { of: patches, inputs: { x: tokens() }, run: (_, inputs) => patches(x(inputs)) },
  {
    of: clsRows,
    how: 'and patches of the same tokens',
    inputs: { x: tokens() },
    run: (_, inputs) => [clsRows(x(inputs)), patchRows(x(inputs))],
  },
  {
    of: join,
    inputs: { x: tokens(2), y: { shape: [4, DIM], batch: 2 } },
    run: (_, inputs) => join([x(inputs), x(inputs, 'y')]),
  },
  {
    of: split,
    inputs: { x: { shape: [10, DIM], batch: 5 } },
    run: (_, inputs) => {
      const [first, second] = split(x(inputs), [3, 2]);
      return [unit(first!), second!];
    },
  },
  { of: unit, how: 'rows', inputs: { x: tokens(2) }, run: (_, inputs) => unit(x(inputs)) },
  { of: unit, how: 'of each image', inputs: { x: { shape: [2, 3, 5] } }, run: (_, inputs) => unit(cube(inputs, 'x')) },
  head("ConMIM's and MoCo v3's", [flat(6), norm(true), relu!, flat(6), norm(true), relu!, flat(5), norm(false)]),
  head("MoCo v3's predictor", [flat(6), norm(true), relu!, flat(5), norm(false)]),
  head("SimCLR's: the last BatchNorm scales alone", [flat(6), norm(true), relu!, flat(5), norm(true, false)]),
  head("SwAV's and MoBY's", [flat(6, true), norm(true), relu!, flat(5, true)]),
  head("the neck of MoCo v2 and DenseCL's", [flat(6, true), relu!, flat(5, true)]),
  head("DINO's layers", [flat(6, true), gelu!, flat(6, true), gelu!, flat(4, true)]),
  head('a BatchNorm that shifts alone, and ends', [flat(5), norm(false, true)]),
  head('a BatchNorm with both, and no ReLU', [flat(5), norm(true)]),
  head('BatchNorms before a ReLU and a GELU, without scale or shift', [
    flat(6),
    norm(false),
    relu!,
    norm(false),
    gelu!,
  ]),
  head('an activation first, a BatchNorm first', [gelu!, norm(true), relu!, relu!, flat(5)]),
  {
    of: weightNormed,
    parameters: [
      { name: 'last.weight_g', shape: [7, 1], decay: true, init: { kind: 'constant', value: 1 } },
      { name: 'last.weight_v', shape: [7, DIM], decay: true, init: { kind: 'constant', value: 1 } },
    ],
    inputs: { x: tokens(2) },
    run: (network, inputs) => weightNormed(network, 'last', unit(x(inputs))),
  },
  blockCase('with layer scale', {}),
  blockCase('without', { layer_scale_init: 0 }),
  blockCase('computed again', {}, { recompute: true }),
  blockCase('with relative positions', {}, { inputs: { x: tokens(4), bias: { shape: [2, 4, 4] } } }),
  blockCase('with branches left out', {}, { drop: true }),
  embedCase('all patches', { position: 'none' }, (network) => embed(network, all(images()))),
  embedCase('learned positions, some replaced', { position: 'absolute' }, (network) =>
    embed(network, replace(images(), MASK)),
  ),
  embedCase('learned positions, some kept', { position: 'absolute' }, (network) =>
    embed(network, keep(images(), KEPT)),
  ),
  embedCase('learned positions, a smaller image', { position: 'absolute' }, (network) =>
    embed(network, all(images(8), 8)),
  ),
  embedCase('learned positions, a larger one, some replaced', { position: 'absolute' }, (network) =>
    embed(
      network,
      replace(
        images(16),
        numbers('mask', BATCH * 16).map((v) => +(v > 0)),
        16,
      ),
    ),
  ),
  embedCase(
    'fixed positions, a smaller image, some kept',
    { position: 'fixed-sincos' },
    (network) => embed(network, keep(images(8), Int32Array.of(3, 1, 0, 2, 1, 3), 8)),
    { buffers: [sincosBuffer('pos_embed', 3, DIM)] },
  ),
  {
    of: positionBias,
    model: { ...MODEL, position: 'shared-relative-bias' },
    parameters: encoderSpecs({ ...MODEL, position: 'shared-relative-bias' }).filter(({ name }) => /^rel/.test(name)),
    run: (network) => positionBias(network, 'rel_pos_bias.relative_position_bias_table', K + 1)!,
  },
  {
    of: restore,
    parameters: [{ name: 'mask_token', shape: [1, 1, DIM], decay: true, init: RULES.token }],
    buffers: [sincosBuffer('decoder_pos_embed', 3, DIM)],
    inputs: { x: tokens(1 + KEPT.length / BATCH) },
    run: (network, inputs) =>
      restore(network, x(inputs), KEPT, K, { token: 'mask_token', positions: 'decoder_pos_embed' }),
  },
  encoder('learned positions', { position: 'absolute' }),
  encoder('learned positions, a larger image', { position: 'absolute' }, 16),
  encoder('relative positions, no layer scale', { position: 'shared-relative-bias', layer_scale_init: 0 }),
  encoder('the first block alone', { position: 'absolute' }, 12, 1),
  {
    of: lossOf,
    inputs: { x: { shape: [4, 3] } },
    run: (_, inputs) =>
      lossOf(tf.tidy(() => tf.sum(tf.square(inputs.x!.tensor))) as tf.Scalar, [inputs.x!, tf.mul(inputs.x!.tensor, 2)]),
  },
  {
    of: lossOf,
    how: 'of two inputs',
    inputs: { x: { shape: [4, 3] }, y: { shape: [4, 3] } },
    run: (_, { x: one, y: other }) => {
      const product = tf.tidy(() => tf.sum(tf.mul(one!.tensor, other!.tensor))) as tf.Scalar;
      return lossOf(product, [one!, other!.tensor.clone()], [other!, one!.tensor.clone()]);
    },
  },
  {
    of: meanSquared,
    inputs: { x: { shape: [BATCH, K, 4] } },
    run: (_, inputs) =>
      meanSquared(
        cube(inputs, 'x'),
        record(new Value(tf.tensor3d(numbers('target', BATCH * K * 4), [BATCH, K, 4]))),
        MASK,
      ),
  },
  {
    of: softCrossEntropy,
    inputs: { x: { shape: [2, 3] } },
    run: (_, inputs) => softCrossEntropy(inputs.x as Value<tf.Tensor2D>, Float32Array.of(0.8, 0.1, 0.1, 0.2, 0.7, 0.1)),
  },
  {
    of: weightedCrossEntropy,
    inputs: { x: { shape: [3, 4] } },
    run: (_, inputs) =>
      weightedCrossEntropy(
        inputs.x as Value<tf.Tensor2D>,
        () => tf.tensor2d([0.4, 0.1, 0, 0, 0.2, 0.7, 0.1, 1, 0, 0, 0, 0], [3, 4]),
        0.5,
      ),
  },
  {
    of: weightedSum,
    inputs: { x: { shape: [1] }, y: { shape: [1] } },
    run: (_, { x: one, y: other }) =>
      weightedSum([
        [one as Value<tf.Scalar>, 0.3],
        [other as Value<tf.Scalar>, -2],
        [one as Value<tf.Scalar>, 0.5],
      ]),
  },
  ...[0, 7].map(
    (length): Case => ({
      of: infoNCE,
      how: length > 0 ? 'a queue' : 'keys of the batch',
      inputs: { x: { shape: [4, 5] } },
      run: (_, inputs) => {
        const keys = record(new Value(tf.tensor2d(numbers('keys', 20), [4, 5])));
        const queue =
          length > 0 ? record(new Value(tf.tensor2d(numbers('queue', 5 * length), [5, length]))).tensor : null;
        return infoNCE(inputs.x as Value<tf.Tensor2D>, keys, 0.5, queue).loss;
      },
    }),
  ),
  {
    of: ntXent,
    inputs: { x: { shape: [6, 5] } },
    run: (_, inputs) => ntXent(inputs.x as Value<tf.Tensor2D>, 0.5).loss,
  },
  {
    of: crossEntropy,
    inputs: { x: { shape: [3, 4] } },
    run: (_, inputs) => crossEntropy(inputs.x as Value<tf.Tensor2D>, Int32Array.of(2, 0, 3)),
  },
  ...(['squared', 'absolute', 'huber'] as const).map(
    (kind): Case => ({
      of: meanDistance,
      how: kind,
      inputs: { x: { shape: [5, 4] } },
      run: (_, inputs) =>
        // Some differences are above 1, none is near 0 or 1, where a slope jumps.
        meanDistance(inputs.x!, record(new Value(tf.tensor2d(farFrom('input x', 20), [5, 4]))).tensor, kind),
    }),
  ),
  {
    of: commitment,
    inputs: { x: { shape: [6, 3], batch: 2 } },
    run: (_, inputs) =>
      commitment(
        x(inputs),
        Int32Array.of(1, 0, 0, 3, 1, 1),
        record(new Value(tf.tensor2d(numbers('codes', 12), [4, 3]))).tensor,
        0.25,
      ),
  },
  {
    of: mixture,
    parameters: [{ name: 'codes', shape: [5, 3], decay: true, init: RULES.token }],
    inputs: { x: { shape: [6, 5], batch: 2 } },
    run: (network, inputs) =>
      mixture(network, 'codes', x(inputs), numbers('noise', 30), { temperature: 0.7, hard: false }),
  },
  { of: someRows, inputs: { x: tokens() }, run: (_, inputs) => someRows(x(inputs), Int32Array.of(4, 0, 29, 7)) },
  { of: tanh, inputs: { x: tokens(2) }, run: (_, inputs) => tanh(x(inputs)) },
  { of: picture, inputs: { x: tokens(4, 12) }, run: (_, inputs) => picture(x(inputs), 2) },
  { of: cells, inputs: { x: { shape: [2, 6, 6, 2] } }, run: (_, inputs) => cells(grid(inputs), 3) },
  {
    of: scaled,
    inputs: { x: { shape: [2, 3, 3, 2] } },
    run: (_, inputs) => scaled(grid(inputs), [2, -0.5], [0.1, 3]),
  },
  ...(['absolute', 'none'] as const).map(
    (position): Case => ({
      of: embedRows,
      how: position,
      parameters: encoderSpecs({ ...MODEL, position }).filter(({ name }) => /^(cls|pos|patch)/.test(name)),
      model: { ...MODEL, position },
      inputs: { x: tokens(K, 48) },
      run: (network, inputs) => embedRows(network, x(inputs)),
    }),
  ),
  ...(['absolute', 'shared-relative-bias'] as const).map(
    (position): Case => ({
      of: taps,
      how: position,
      parameters: encoderSpecs({ ...MODEL, position }).filter(({ name }) => /^(blocks|rel)/.test(name)),
      model: { ...MODEL, position },
      inputs: { x: tokens() },
      run: (network, inputs) => taps(network, x(inputs), [1, 2]),
    }),
  ),
  {
    of: encode,
    how: 'a part of a part of a network',
    parameters: encoderSpecs({ ...MODEL, depth: 1, position: 'absolute' })
      .filter(({ name }) => name !== 'mask_token')
      .map((spec) => ({ ...spec, name: `a.b.${spec.name}` })),
    run: (whole) =>
      whole.part('a.', MODEL, (a) => a.part('b.', { ...MODEL, depth: 1 }, (b) => encode(b, all(images())))),
  },
  ...[
    [1, 3],
    [1, 1],
    [2, 4],
  ].map(
    ([stride, size]): Case => ({
      of: convolve,
      how: `${size} pixels, stride ${stride}`,
      parameters: layerOf([5, 2, size!, size!], 5),
      inputs: { x: { shape: [2, 6, 4, 2] } },
      run: (network, inputs) => convolve(network, 'layer', grid(inputs), stride),
    }),
  ),
  {
    of: deconvolve,
    parameters: layerOf([2, 5, 4, 4], 5),
    inputs: { x: { shape: [2, 3, 2, 2] } },
    run: (network, inputs) => deconvolve(network, 'layer', grid(inputs)),
  },
  { of: rectified, inputs: { x: { shape: [2, 3, 3, 2] } }, run: (_, inputs) => rectified(grid(inputs)) },
  {
    of: sum,
    inputs: { x: { shape: [2, 3, 3, 2] }, y: { shape: [2, 3, 3, 2] } },
    run: (_, inputs) => sum(grid(inputs), grid(inputs, 'y')),
  },
  ...(['image', 'batch'] as const).map(
    (dictionary): Case => ({
      of: denoisingContrast,
      how: `keys of the ${dictionary}`,
      inputs: { x: { shape: [BATCH, K, 5] } },
      run: (_, inputs) =>
        denoisingContrast(
          cube(inputs, 'x'),
          record(new Value(tf.tensor3d(numbers('keys', BATCH * K * 5), [BATCH, K, 5]))),
          MASK,
          { temperature: 0.5, dictionary },
        ),
    }),
  ),
];

/** Functions of these folders that have no way back: of numbers, or of tensors without gradient. */
const NO_LAYERS = new Set([
  'Tokens', // a type of value
  'all',
  'keep',
  'replace',
  'patchify',
  'unpatchify',
  'nearest',
  'countsOf',
  'followByMeans', // codebooks follow what falls on them; replays of PeCo compare them
  'followOnSphere',
  'spreadCodes',
  'straightThrough', // its gradient is meant to be none of it: replays of PeCo compare it
  'imageTensor',
  'joinImages',
  'rowsOfBatch',
  'l2Normalize',
  'makeRowsUnit',
  'sinkhorn',
  'relativePositionIndex',
  'sincosPositions',
  'sincosBuffer',
  'resampling',
  'positionsOn', // with addPositionGradient: part of embed
  'addPositionGradient',
]);

test('each layer and each loss is in the table', async () => {
  const engine = joinPath(import.meta.dirname, '../../electron/engine');
  const tested = new Set(TABLE.map(({ of }) => of as unknown));
  const missing: string[] = [];
  for (const folder of ['layers', 'losses']) {
    for (const file of readdirSync(joinPath(engine, folder))) {
      const found: Record<string, unknown> = await import(joinPath(engine, folder, file));
      for (const [name, value] of Object.entries(found)) {
        if (typeof value === 'function' && !tested.has(value) && !NO_LAYERS.has(name)) missing.push(`${file}: ${name}`);
      }
    }
  }
  expect(missing).toEqual([]);
});

/** Values that are neither tiny nor all alike, so that no gradient is small by chance. */
function stateOf({ parameters = [], buffers = [], inputs = {} }: Case): StateDict {
  const state: StateDict = new Map();
  for (const { name, shape } of parameters) {
    const around = /(norm\d?|\.\d)\.weight$/.test(name) && shape.length === 1 ? 1 : 0;
    state.set(name, { shape, data: numbers(name, sizeOf(shape)).map((v) => around + 0.5 * v) });
  }
  for (const buffer of buffers)
    state.set(buffer.name, { shape: buffer.shape, data: initialBuffer(buffer, stream(5, 0, 0, buffer.name)) });
  for (const [name, { shape }] of Object.entries(inputs))
    state.set(`input ${name}`, { shape, data: numbers(`input ${name}`, sizeOf(shape)) });
  return state;
}

/** Numbers that what a layer gives is weighed by: a loss that asks for every value of it. */
const upstream = (i: number, size: number) => numbers(`upstream ${i}`, size);
const listed = (out: Value | Value[]) => (Array.isArray(out) ? out : [out]);
const leavesOf = ({ inputs = {} }: Case, state: StateDict) =>
  Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, batch }]) => {
      const tensor = tf.tensor(state.get(`input ${name}`)!.data, shape);
      const value = batch ? new Tokens(tensor as tf.Tensor2D, batch) : new Value(tensor);
      return [name, record(value, (gradient, gradients) => gradients.add(`input ${name}`, gradient))];
    }),
  );

/** Gradients of parameters and inputs, by the tape; no tensor is left. */
function gradientsOf(one: Case, state: StateDict, storage: Storage = 'fp32'): StateDict {
  const { model = MODEL, parameters = [], buffers = [], recompute = false } = one;
  const before = tf.memory().numTensors;
  const network = new Network({ model, parameters, buffers }, state, { recompute, storage });
  const gradients = new Gradients(parameters);
  differentiate(gradients, 1, () => {
    const out = listed(one.run(network, leavesOf(one, state)));
    const loss = record(new Value(tf.scalar(0)), (dloss) => {
      dloss.dispose();
      for (const [i, value] of out.entries())
        value.addGradient(tf.tensor(upstream(i, value.tensor.size), value.tensor.shape));
    });
    return { loss };
  });
  network.dispose();
  const found = [...gradients.tensors].map(([name, tensor]): [string, HostTensor] => [
    name,
    { shape: tensor.shape, data: hostCopy(tensor) },
  ]);
  gradients.dispose();
  expect(tf.memory().numTensors).toBe(before);
  return new Map(found);
}

/** The same loss, summed in double precision. */
function lossOfCase(one: Case, state: StateDict): number {
  const { model = MODEL, parameters = [], buffers = [] } = one;
  const network = new Network({ model, parameters, buffers }, state);
  const values = tf.tidy(() =>
    listed(one.run(network, leavesOf(one, state))).map(({ tensor }) => Array.from(hostCopy(tensor))),
  );
  network.dispose();
  return values.reduce((sum, row, i) => {
    const by = upstream(i, row.length);
    return sum + row.reduce((part, v, j) => part + v * by[j]!, 0);
  }, 0);
}

const NAMED = TABLE.map((one) => [`${one.of.name}${one.how ? `: ${one.how}` : ''}`, one] as const);

describe('gradients are those of differences', () => {
  test.each(NAMED)('%s', (_, one) => {
    const before = tf.memory().numTensors;
    const state = stateOf(one);
    const found = gradientsOf(one, state);
    const names = [...state.keys()].filter((name) => !one.buffers?.some((buffer) => buffer.name === name));
    expectDifferences(state, found, (moved) => lossOfCase(one, moved), {
      names: names.filter((name) => name !== 'mask_token' || found.has(name)),
      by: 4e-3,
      within: 1e-3,
      floor: 2e-4,
    });
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe.skipIf(backend.name !== 'tensorflow').each([
  ['bf16', 0.05],
  ['fp16', 0.01],
] as const)('in %s gradients are near those of fp32', (storage, tolerance) => {
  test.each(NAMED)('%s', (_, one) => {
    const state = stateOf(one);
    const [found, exact] = [gradientsOf(one, state, storage), gradientsOf(one, state)];
    const all = (gradients: StateDict) => [...exact.keys()].flatMap((name) => Array.from(gradients.get(name)!.data));
    const [a, b] = [all(found), all(exact)];
    expect(Math.hypot(...a.map((v, i) => v - b[i]!)) / Math.hypot(...b)).toBeLessThan(tolerance);
  });
});

test('a patch embedding that is never trained gets no gradient, and all else the same', () => {
  const model = { ...MODEL, position: 'absolute' as const };
  const found = (parameters: readonly ParameterSpec[]) => {
    const one: Case = {
      of: encode,
      model,
      parameters,
      run: (network) => encode(network, replace(images(), MASK)),
    };
    return gradientsOf(one, stateOf(one));
  };
  const usual = found(encoderSpecs(model));
  const frozen = found(freeze(encoderSpecs(model), (name) => name.startsWith('patch_embed.')));
  const lacking = [...usual.keys()].filter((name) => !frozen.has(name));
  expect(lacking.sort()).toEqual(['patch_embed.proj.bias', 'patch_embed.proj.weight']);
  for (const [name, values] of frozen) expect(values).toEqual(usual.get(name));
});

test('relative positions refuse a grid that is not theirs, and a side that is no whole number of patches', () => {
  const model = { ...MODEL, position: 'shared-relative-bias' as const };
  const spec = { model, parameters: encoderSpecs(model), buffers: [] };
  const network = new Network(spec, stateOf({ ...spec, of: encode, run: () => [] }));
  expect(() => tf.tidy(() => encode(network, all(images(16), 16)).tensor)).toThrow(
    'relative positions are of 10 tokens, not of 17',
  );
  expect(() => tf.tidy(() => encode(network, all(images(16), 14)).tensor)).toThrow(
    '14 pixels are no whole number of patches of 4',
  );
  network.dispose();
});
