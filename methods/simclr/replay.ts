import * as tf from '@tensorflow/tfjs-core';
import { z } from 'zod';
import { type HeadConfig, type HeadLayer, headBuffers, headSpecs } from '../../electron/engine/heads.ts';
import { hostCopy } from '../../electron/engine/host.ts';
import { project } from '../../electron/engine/layers/head.ts';
import { Tokens, unit } from '../../electron/engine/layers/tokens.ts';
import { weightedSum } from '../../electron/engine/losses/loss.ts';
import { ntXent } from '../../electron/engine/losses/nt-xent.ts';
import { fromPlain, toPlain } from '../../electron/engine/names.ts';
import { channelsLast, type OwnReplay, type Replay, type ReplayOf, train } from '../../electron/engine/replay.ts';
import { record } from '../../electron/engine/tape.ts';
import type { Method, StepResult, TrainerConfig } from '../../electron/engine/trainer.ts';
import { modelSchema } from '../../shared/config.ts';
import type { HostTensor, StateDict } from '../../shared/tensors.ts';
import { type SimCLRBatch, type SimCLRConfig, step } from './step.ts';

const head = z.object({ layers: z.number().int().positive(), hidden: z.number().int(), out: z.number().int() });
const steps = z.array(z.object({ lr: z.number(), weight_decay: z.number() })).min(1);
const norm = z.object({ eps: z.number(), momentum: z.number() });

const modelSaid = modelSchema.pick({
  image_size: true,
  patch_size: true,
  embed_dim: true,
  depth: true,
  num_heads: true,
  mlp_ratio: true,
  layer_norm_eps: true,
});
const onViTSchema = z.object({
  frozen_patch_embedding: z.boolean(),
  head,
  steps,
  batch_norm: norm,
  temperature: z.number().positive(),
  optimizer: z.object({
    betas: z.tuple([z.number(), z.number()]).default([0.9, 0.999]),
    eps: z.number().default(1e-8),
    clip_grad_norm: z.number().positive().nullable().default(null),
    no_decay: z.string().default('none'),
  }),
});
const onHeadSchema = z.object({
  head,
  steps,
  width: z.number().int(),
  temperature: z.number().positive(),
  batch_norm: norm.extend({
    running_variance: z.enum(['biased', 'unbiased']),
    last_shift: z.boolean(),
    last_scale: z.boolean(),
  }),
  optimizer: z.object({ momentum: z.number(), eeta: z.number() }),
});

const withRates = (said: z.infer<typeof steps>) => said.map((rates) => ({ ...rates, momentum: 0 }));
const result = ({ loss, grad_norm, figures }: StepResult) => ({
  loss,
  grad_norm_before_clip: grad_norm,
  contrast_acc: figures.accuracy!,
  contrast_entropy: figures.entropy!,
});

const TRACKED = 'num_batches_tracked';
const shaped = (state: StateDict, shape: number[]): StateDict =>
  new Map([...state].map(([name, one]) => [name, name.endsWith(TRACKED) ? { ...one, shape } : one]));

/** MoCo v3's ViT and head, AdamW. The count of a BatchNorm's batches is a row of one there, a scalar here. */
const onViT: Replay<SimCLRConfig, SimCLRBatch> = {
  method: step,
  read(said) {
    const { frozen_patch_embedding, head, batch_norm, temperature, optimizer, steps } = onViTSchema.parse(said);
    const { betas, eps, clip_grad_norm: clip_grad, no_decay } = optimizer;
    return {
      config: {
        model: modelSchema.parse({ ...modelSaid.strip().parse(said), position: 'fixed-sincos', layer_scale_init: 0 }),
        encoder: { frozen_patch_embedding, decay_all: no_decay.startsWith('none') },
        head: { ...head, batch_norm_eps: batch_norm.eps, batch_norm_momentum: batch_norm.momentum },
        contrast: { temperature },
        optimizer: { betas, eps, clip_grad },
      },
      rates: withRates(steps),
    };
  },
  networks: { student: 'model' },
  batch: (part) => ({ views: { first: channelsLast(part('view1')), second: channelsLast(part('view2')) } }),
  input: 'view1',
  shown: { projected: 'projected' },
  result,
  names: { read: (state) => shaped(fromPlain(state), []), write: (state) => shaped(toPlain(state), [1]) },
};

/** `[rows, columns]` as `[columns, rows]`. */
function turned({ shape, data }: HostTensor): HostTensor {
  const [rows, columns] = shape as [number, number];
  const out = new Float32Array(data.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = data[r * columns + c]!;
  return { shape: [columns, rows], data: out };
}

/** What TensorFlow's names are here, and back; layer i stands at 3 i, its BatchNorm behind it. */
const NORM = { gamma: 'weight', beta: 'bias', moving_mean: 'running_mean', moving_variance: 'running_var' } as const;
const NORM_BACK = Object.fromEntries(Object.entries(NORM).map(([theirs, ours]) => [ours, theirs]));
const names = {
  read(state: StateDict): StateDict {
    const out: StateDict = new Map();
    for (const [name, tensor] of state) {
      const [, layer, , kernel, of] = /nl_(\d+)\.(dense\.(kernel)|batch_normalization\.(\w+))$/.exec(name)!;
      const at = 3 * Number(layer);
      if (kernel) out.set(`head.${at}.weight`, turned(tensor));
      else out.set(`head.${at + 1}.${NORM[of as keyof typeof NORM]}`, tensor);
      out.set(`head.${at + 1}.${TRACKED}`, { shape: [], data: new Float32Array(1) });
    }
    return out;
  },
  write(state: StateDict): StateDict {
    const out: StateDict = new Map();
    for (const [name, tensor] of state) {
      const [, place, of] = /^head\.(\d+)\.(\w+)$/.exec(name)!;
      if (of === TRACKED) continue;
      const at = `projection_head.nl_${Math.floor(Number(place) / 3)}`;
      if (Number(place) % 3 === 1) out.set(`${at}.batch_normalization.${NORM_BACK[of!]}`, tensor);
      else out.set(`${at}.dense.kernel`, turned(tensor));
    }
    return out;
  },
};

type OnHead = TrainerConfig & { head: HeadConfig; temperature: number };

/** Hands a value on, and keeps a copy of the gradient that comes back to it. */
function watched(x: Tokens, keep: (gradient: HostTensor) => void): Tokens {
  return record(new Tokens(x.tensor.clone(), x.batch), (dy) => {
    keep({ shape: dy.shape, data: hostCopy(dy) });
    x.addGradient(dy);
  });
}

/** The paper's head on given features, with LARS; the published loss, which is twice the paper's. */
const onHead: OwnReplay = (folder, said) => {
  let results: StateDict = new Map();
  let done = 0;
  const method: Method<OnHead, { hidden: HostTensor }> = {
    student: ({ head }) => ({
      model: modelSchema.parse({}),
      parameters: headSpecs(head, { matrix: () => ({ kind: 'constant', value: 0 }) }),
      buffers: headBuffers(head),
    }),
    teacher: () => null,
    step({ student }, { hidden: { shape, data } }, { head, temperature }) {
      results = new Map();
      const keep = (name: string) => (gradient: HostTensor) => results.set(name, gradient);
      const hidden = record(new Tokens(tf.tensor2d(data, shape as [number, number]), shape[0]!));
      const projected = project(student, head, watched(hidden, keep('d_hidden')));
      results.set('projected', { shape: projected.tensor.shape, data: hostCopy(projected.tensor) });
      const { loss, accuracy, entropy } = ntXent(unit(watched(projected, keep('d_projected'))), temperature);
      return { loss: weightedSum([[loss, 2]]), figures: { accuracy, entropy } };
    },
  };
  const replay: Replay<OnHead, { hidden: HostTensor }> = {
    method,
    read(again) {
      const { head: sizes, width, steps, batch_norm, temperature, optimizer } = onHeadSchema.parse(again);
      const { eps, momentum, running_variance: running, last_scale, last_shift } = batch_norm;
      const layers = Array.from({ length: sizes.layers }, (_, i): HeadLayer[] => {
        const isLast = i === sizes.layers - 1;
        const of = { kind: 'batch-norm', eps, momentum, running } as const;
        return [
          { kind: 'linear', to: isLast ? sizes.out : sizes.hidden, bias: false },
          { ...of, scale: !isLast || last_scale, shift: !isLast || last_shift },
          ...(isLast ? [] : [{ kind: 'relu' } as const]),
        ];
      });
      return {
        config: {
          head: { name: 'head', from: width, layers: layers.flat() },
          temperature,
          optimizer: { name: 'lars', momentum: optimizer.momentum, trust: optimizer.eeta, clip_grad: null },
        },
        rates: withRates(steps),
      };
    },
    networks: { student: 'head' },
    batch: (part) => ({ hidden: part('hidden') }),
    input: null,
    shown: {},
    results(_, { student }) {
      done++;
      if (folder.has(`batch.step${done}`)) folder.write(`head.step${done}`, names.write(student));
      return results;
    },
    result,
    names,
  };
  return train(replay, folder, said);
};

/** Fixtures are of the paper's head on features, or of a ViT. */
export const replay: ReplayOf<SimCLRConfig, SimCLRBatch> = (said) =>
  z.object({ level: z.string() }).parse(said).level === 'head' ? onHead : onViT;
