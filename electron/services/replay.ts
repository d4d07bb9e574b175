import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type ConMIMConfig, conmim } from '../../methods/conmim/step.ts';
import { modelSchema, projectorSchema } from '../../shared/config.ts';
import type { HostTensor, StateDict } from '../../shared/domain.ts';
import { AppError } from '../../shared/errors.ts';
import { hostCopy } from '../engine/host.ts';
import { FrozenNetwork } from '../engine/inference.ts';
import { Trainer } from '../engine/trainer.ts';
import { type Replace, writeWhole } from '../formats/files.ts';
import { makeFolder } from '../formats/outputs.ts';
import { readSafetensors, writeSafetensors } from '../formats/safetensors.ts';
import { lookupsOf } from './replay-lookups.ts';

/** fixture.json of a parity folder: what the published code was given, with or without what it gave. */
const fixtureSchema = z.object({
  image_size: modelSchema.shape.image_size,
  patch_size: modelSchema.shape.patch_size,
  embed_dim: modelSchema.shape.embed_dim,
  depth: modelSchema.shape.depth,
  num_heads: modelSchema.shape.num_heads,
  mlp_ratio: modelSchema.shape.mlp_ratio,
  layer_scale_init: modelSchema.shape.layer_scale_init,
  position: modelSchema.shape.position,
  layer_norm_eps: modelSchema.shape.layer_norm_eps,
  projector: projectorSchema,
  temperature: z.number().positive(),
  optimizer: z.object({
    betas: z.tuple([z.number(), z.number()]).default([0.9, 0.98]),
    eps: z.number().default(1e-8),
    clip_grad_norm: z.number().positive().nullable().default(null),
  }),
  steps: z.array(z.object({ lr: z.number(), weight_decay: z.number(), momentum: z.number() })).min(1),
});

export interface ReplayStep {
  loss: number;
  grad_norm_before_clip: number;
  lookup_top1: number;
}

/** `[batch, 3, h, w]` as the engine's `[batch, h, w, 3]`. */
function channelsLast({ shape, data }: HostTensor): Float32Array {
  const [batch, channels, h, w] = shape as [number, number, number, number];
  const [area, out] = [h * w, new Float32Array(data.length)];
  for (let b = 0; b < batch; b++) {
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < area; i++) out[(b * area + i) * channels + c] = data[(b * channels + c) * area + i]!;
    }
  }
  return out;
}

function configOf(fixture: ReturnType<typeof readFixture>): ConMIMConfig {
  return {
    model: modelSchema.parse({ ...pickModel(fixture) }),
    projector: fixture.projector,
    contrast: { temperature: fixture.temperature, dictionary: 'image' },
    optimizer: {
      ...OPTIMIZER,
      betas: fixture.optimizer.betas,
      eps: fixture.optimizer.eps,
      clip_grad: fixture.optimizer.clip_grad_norm,
    },
  };
}

/** The networks and the first batch of a fixture, to ask them another way. Images are `[batch, side, side, 3]`. */
export function firstBatch(folder: string) {
  const load = (name: string) => readSafetensors(join(folder, `${name}.safetensors`)).tensors;
  const batch = load('batch.step0');
  return {
    config: configOf(readFixture(folder)),
    states: { student: load('student.init'), teacher: load('teacher.init') },
    student: channelsLast(batch.get('student_input')!),
    teacher: channelsLast(batch.get('teacher_input')!),
    mask: batch.get('mask')!,
  };
}

/** Every file that `replay` writes. */
export const REPLAYED: readonly string[] = [
  'result.json',
  'lookups.step0.json',
  ...['gradients.step0', 'features.step0', 'student.final', 'teacher.final', 'tokens.eval'].map(
    (name) => `${name}.safetensors`,
  ),
];

/**
 * Runs a parity folder and writes what came out: `result.json`; `lookups.step0.json`, every look-up of the first batch
 * (`ReplayedLookup`); `gradients.step0`, `features.step0` (queries and keys), `student.final`, `teacher.final` and
 * `tokens.eval` (.safetensors; tokens of the student after the last step for the last batch's `student_input`, nothing
 * masked). Needs a backend to be set.
 * @throws AppError not-found, bad-file
 */
export function replay(folder: string, out: string, how: Replace = { replace: true }): ReplayStep[] {
  const fixture = readFixture(folder);
  const config = configOf(fixture);
  const load = (name: string) => readSafetensors(join(folder, `${name}.safetensors`)).tensors;
  makeFolder(out);
  const write = (name: string, tensors: StateDict) =>
    writeSafetensors(join(out, `${name}.safetensors`), tensors, undefined, how);
  const writeJson = (name: string, value: unknown) =>
    writeWhole(join(out, name), [Buffer.from(`${JSON.stringify(value, null, 1)}\n`)], how);

  const init = { student: load('student.init'), teacher: load('teacher.init') };
  const engine = new Trainer(conmim, config, init.student, init.teacher);
  const steps: ReplayStep[] = [];
  let input: HostTensor | undefined;
  for (const [i, rates] of fixture.steps.entries()) {
    const batch = load(`batch.step${i}`);
    const part = (name: string): HostTensor => {
      const tensor = batch.get(name);
      if (!tensor) throw new AppError('bad-file', `batch.step${i}.safetensors has no "${name}".`);
      return tensor;
    };
    input = part('student_input');
    const mask = part('mask');
    const features: StateDict = new Map();
    const result = engine.step(
      [{ student: channelsLast(input), teacher: channelsLast(part('teacher_input')), mask: mask.data }],
      rates,
      i === 0
        ? {
            onGradients: (gradients) => write('gradients.step0', gradients),
            show: (name, tensor) => features.set(name, { shape: tensor.shape, data: hostCopy(tensor) }),
          }
        : {},
    );
    if (i === 0) {
      write('features.step0', features);
      const [queries, keys] = [features.get('queries')!, features.get('keys')!];
      const [, K, out] = queries.shape as [number, number, number];
      const lookups = lookupsOf({ queries: queries.data, keys: keys.data, out }, mask.data, K, fixture.temperature);
      writeJson('lookups.step0.json', lookups);
    }
    steps.push({ loss: result.loss, grad_norm_before_clip: result.grad_norm, lookup_top1: result.figures.top1! });
  }
  const final = engine.state();
  engine.dispose();
  averageUnused(
    init,
    new Set(final.teacher.keys()),
    fixture.steps.map((s) => s.momentum),
  );
  for (const who of ['student', 'teacher'] as const) write(`${who}.final`, new Map([...init[who], ...final[who]]));
  const network = new FrozenNetwork(config.model, config.projector, final.student);
  const data = network.tokens(channelsLast(input!));
  network.dispose();
  const tokens = {
    shape: [input!.shape[0]!, data.length / input!.shape[0]! / config.model.embed_dim, config.model.embed_dim],
    data,
  };
  write(
    'tokens.eval',
    new Map([
      ['input', input!],
      ['tokens', tokens],
    ]),
  );
  writeJson('result.json', { steps });
  return steps;
}

/**
 * The published average goes over every parameter that both networks have, the unused `lm_head` too: no gradient moves
 * the student's, but the teacher's comes nearer to it. In place.
 */
function averageUnused(
  init: { student: StateDict; teacher: StateDict },
  used: ReadonlySet<string>,
  momenta: number[],
): void {
  for (const [name, { data }] of init.teacher) {
    const student = init.student.get(name)?.data;
    if (used.has(name) || student?.length !== data.length) continue;
    for (const m of momenta)
      data.forEach((v, i) => {
        data[i] = m * v + (1 - m) * student[i]!;
      });
  }
}

type Fixture = z.output<typeof fixtureSchema>;
const OPTIMIZER: ConMIMConfig['optimizer'] = {
  lr: 1,
  min_lr: 0,
  warmup_lr: 0,
  warmup_epochs: 0,
  warmup_steps: -1,
  betas: [0.9, 0.98],
  eps: 1e-8,
  weight_decay: 0,
  weight_decay_end: null,
  clip_grad: null,
};

function pickModel(f: Fixture) {
  const { image_size, patch_size, embed_dim, depth, num_heads, mlp_ratio, layer_scale_init, position, layer_norm_eps } =
    f;
  return { image_size, patch_size, embed_dim, depth, num_heads, mlp_ratio, layer_scale_init, position, layer_norm_eps };
}

function readFixture(folder: string): Fixture {
  const path = join(folder, 'fixture.json');
  try {
    return fixtureSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new AppError(
        'not-found',
        `There is no ${path}.`,
        '',
        'Name a folder with fixture.json, the two inits and the batches.',
      );
    }
    throw new AppError(
      'bad-file',
      `${path} cannot be used.`,
      error instanceof Error ? error.message : '',
      'Compare it with test/fixtures/README.md.',
      { cause: error },
    );
  }
}
