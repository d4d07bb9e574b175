import { z } from 'zod';
import { hostCopy } from '../../electron/engine/host.ts';
import {
  channelsFirst,
  channelsLast,
  type OwnReplay,
  partOf,
  type Replay,
  type ReplayFolder,
  train,
} from '../../electron/engine/replay.ts';
import { Trainer } from '../../electron/engine/trainer.ts';
import { modelSchema } from '../../shared/config.ts';
import type { HostTensor, StateDict } from '../../shared/tensors.ts';
import { type DVAEBatch, type DVAEConfig, dvaeStep } from '../tokenizer/dvae.ts';
import { TOKENIZER } from '../tokenizer/lending.ts';
import type { DVAEShape } from '../tokenizer/shape.ts';
import { type BEiTBatch, type BEiTConfig, step } from './step.ts';

export const tokenizerSchema = z.object({
  image_size: z.number().int(),
  num_tokens: z.number().int(),
  codebook_dim: z.number().int(),
  num_layers: z.number().int(),
  hidden_dim: z.number().int(),
});
const trainedSchema = tokenizerSchema.extend({
  straight_through: z.boolean(),
  smooth_l1_loss: z.boolean(),
  kl_div_loss_weight: z.number(),
  optimizer: z.object({ betas: z.tuple([z.number(), z.number()]), eps: z.number() }),
  steps: z.array(z.object({ lr: z.number(), temperature: z.number() })),
});
/** What a fixture says of a student. */
export const studentSchema = z.object({
  image_size: modelSchema.shape.image_size,
  patch_size: modelSchema.shape.patch_size,
  embed_dim: modelSchema.shape.embed_dim,
  depth: modelSchema.shape.depth,
  num_heads: modelSchema.shape.num_heads,
  mlp_ratio: modelSchema.shape.mlp_ratio,
  layer_scale_init: modelSchema.shape.layer_scale_init,
  layer_norm_eps: modelSchema.shape.layer_norm_eps,
  position: modelSchema.shape.position,
  optimizer: z.object({
    betas: z.tuple([z.number(), z.number()]),
    eps: z.number(),
    clip_grad_norm: z.number().positive().nullable().default(null),
  }),
  steps: z.array(z.object({ lr: z.number(), weight_decay: z.number() })).min(1),
});
type Student = z.output<typeof studentSchema>;

export const shapeOf = (said: z.output<typeof tokenizerSchema>): DVAEShape => ({
  kind: 'dvae',
  image_size: said.image_size,
  layers: said.num_layers,
  hidden: said.hidden_dim,
  codes: said.num_tokens,
  width: said.codebook_dim,
});

export const modelOf = ({ optimizer: _, steps: __, ...model }: Student) => ({ ...model, init_std: 0.02 });

export const optimizerOf = ({ optimizer: { betas, eps, clip_grad_norm } }: Student): BEiTConfig['optimizer'] => ({
  betas,
  eps,
  clip_grad: clip_grad_norm,
});

/** `[depth, 2, batch]`, factors of the branches, as blocks take them. */
export function dropPathOf({ shape, data }: HostTensor): Float32Array[] {
  const [depth, , batch] = shape as [number, number, number];
  return Array.from({ length: 2 * depth }, (_, i) => Float32Array.from(data.slice(i * batch, (i + 1) * batch)));
}

const prefixed = (state: StateDict): StateDict =>
  new Map([...state].map(([name, tensor]) => [TOKENIZER + name, tensor]));
const withoutTokenizer = (state: StateDict): StateDict =>
  new Map([...state].filter(([name]) => !name.startsWith(TOKENIZER)));

/** The fixture's folder for a student that has the tokenizer within it. */
export const withTokenizer = (folder: ReplayFolder, student: string, tokenizer: StateDict): ReplayFolder => ({
  ...folder,
  load: (name) =>
    name === `${student}.init` ? new Map([...folder.load(name), ...prefixed(tokenizer)]) : folder.load(name),
  write: (name, tensors) => folder.write(name, withoutTokenizer(tensors)),
});

/** Two steps of the discrete VAE, whose tokens the student then says. */
function trainTokenizer(folder: ReplayFolder, student: Student, said: z.output<typeof trainedSchema>) {
  const config: DVAEConfig = {
    model: modelOf(student),
    shape: shapeOf(said),
    distance: said.smooth_l1_loss ? 'huber' : 'squared',
    hard: said.straight_through,
    weight: said.kl_div_loss_weight,
    optimizer: { ...said.optimizer, clip_grad: null },
  };
  const init = folder.load('tokenizer.init');
  const trainer = new Trainer<DVAEConfig, DVAEBatch>(dvaeStep, config, init, init);
  const steps = said.steps.map(({ lr, temperature }, i) => {
    const file = folder.load(`tokenizer.batch.step${i}`);
    const part = partOf(file, `tokenizer.batch.step${i}`);
    const [images, gumbel] = [part('images'), part('gumbel')];
    const [batch, V, h, w] = gumbel.shape as [number, number, number, number];
    const shown: StateDict = new Map();
    const { loss, grad_norm, figures } = trainer.step(
      [{ images: channelsLast(images), noise: channelsLast(gumbel), temperature }],
      { lr, weight_decay: 0, momentum: 0 },
      {
        ...(i === 0 && {
          onGradients: (gradients: StateDict) => folder.write('tokenizer.gradients.step0', gradients),
          show: (name, tensor) => shown.set(name, { shape: tensor.shape, data: hostCopy(tensor) }),
        }),
      },
    );
    folder.write(`tokenizer.batch.step${i}`, file);
    if (i === 0)
      folder.write(
        'tokenizer.forward.step0',
        new Map([
          ['logits', channelsFirst(shown.get('logits')!, [batch, h, w, V])],
          ['reconstruction', channelsFirst(shown.get('reconstruction')!)],
        ]),
      );
    const { reconstruction, kl } = figures;
    return { loss, reconstruction, kl, grad_norm };
  });
  const { student: final } = trainer.state();
  trainer.dispose();
  folder.write('tokenizer.final', final);
  return { final, steps };
}

const student: Replay<BEiTConfig, BEiTBatch> = {
  method: step,
  read(said) {
    const { tokenizer, ...rest } = studentSchema.extend({ tokenizer: tokenizerSchema }).parse(said);
    return {
      config: { model: modelOf(rest), tokenizer: shapeOf(tokenizer), optimizer: optimizerOf(rest) },
      rates: rest.steps.map(({ lr, weight_decay }) => ({ lr, weight_decay, momentum: 0 })),
    };
  },
  networks: { student: 'student' },
  batch: (part) => ({
    views: { image: channelsLast(part('student_input')), tokenizer: channelsLast(part('tokenizer_input')) },
    mask: Float32Array.from(part('mask').data),
    dropPath: dropPathOf(part('drop_path')),
  }),
  input: 'student_input',
  result: ({ loss, grad_norm, figures }) => ({ loss, mlm_acc: figures.accuracy!, grad_norm_before_clip: grad_norm }),
};

export const replay = (): OwnReplay => (folder, said) => {
  const { tokenizer, ...of } = studentSchema.extend({ tokenizer: trainedSchema }).parse(said);
  const { final, steps } = trainTokenizer(folder, of, tokenizer);
  return { steps: train(student, withTokenizer(folder, 'student', final), said), tokenizer: { steps } };
};
