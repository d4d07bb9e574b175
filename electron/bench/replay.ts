import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { FIRST_METHOD, findMethod, METHODS } from '../../methods/index.ts';
import { loadOf } from '../../methods/load.ts';
import { AppError } from '../../shared/errors.ts';
import type { HostTensor, StateDict } from '../../shared/tensors.ts';
import { encode } from '../engine/encoder.ts';
import { hostCopy, hostTidy } from '../engine/host.ts';
import { all } from '../engine/layers/embed.ts';
import { Network } from '../engine/network.ts';
import { channelsLast, type Replay } from '../engine/replay.ts';
import { Trainer, type TrainerConfig } from '../engine/trainer.ts';
import { type Replace, writeWhole } from '../files/files.ts';
import { makeFolder } from '../files/outputs.ts';
import { readSafetensors, writeSafetensors } from '../formats/safetensors.ts';

/** What result.json says of a step: each loss and figure under the fixture's key, and the gradient's norm before clipping. */
export type ReplayStep = { loss: number; grad_norm_before_clip: number } & Record<string, number>;

type AnyReplay = Replay<TrainerConfig & { model: { embed_dim: number } }, unknown>;

/** @throws AppError not-found, bad-file */
async function open(folder: string) {
  const path = join(folder, 'fixture.json');
  try {
    const said = JSON.parse(readFileSync(path, 'utf8')) as { method?: unknown };
    const method = findMethod(String(said.method ?? FIRST_METHOD));
    const known = METHODS.map(({ name }) => name).join(', ');
    if (!method) throw new RangeError(`It is of a method "${said.method}"; known are ${known}.`);
    const { replay } = await loadOf<{ replay: AnyReplay }>(method.name, 'replay');
    return { replay, ...replay.read(said) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new AppError(
        'not-found',
        `There is no ${path}.`,
        '',
        'Name a folder with fixture.json, the first states and the batches.',
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

const load = (folder: string, name: string): StateDict => readSafetensors(join(folder, `${name}.safetensors`)).tensors;

/** A tensor of a batch by name. @throws AppError bad-file */
const partOf = (batch: StateDict, file: string) => (name: string) => {
  const tensor = batch.get(name);
  if (!tensor) throw new AppError('bad-file', `${file}.safetensors has no "${name}".`);
  return tensor;
};

/** Files of a folder that have a name which `replay` writes, whatever the method. */
export function replayedIn(folder: string): string[] {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return []; // whoever writes there says so
  return readdirSync(folder).filter((name) => /^(result\.json|.+\.(step0|final|eval)\.(json|safetensors))$/.test(name));
}

/**
 * Runs a parity folder of any method and writes what came out: `result.json`; `gradients.step0`, `features.step0`,
 * NETWORK.final and `tokens.eval` (.safetensors: tokens of the student after the last step, nothing masked, for the
 * input that the folder's own tokens.eval has, else for the last batch's images), and what the method adds. Needs a
 * backend to be set.
 * @throws AppError not-found, bad-file
 */
export async function replay(folder: string, to: string, how: Replace = { replace: true }): Promise<ReplayStep[]> {
  const { replay: of, config, rates } = await open(folder);
  const names = of.names ?? { read: (state: StateDict) => state, write: (state: StateDict) => state };
  makeFolder(to);
  const write = (name: string, tensors: StateDict) =>
    writeSafetensors(join(to, `${name}.safetensors`), tensors, undefined, how);
  const writeJson = (name: string, value: unknown) =>
    writeWhole(join(to, name), [Buffer.from(`${JSON.stringify(value, null, 1)}\n`)], how);

  const student = load(folder, `${of.networks.student}.init`);
  const teacher = of.networks.teacher === undefined ? student : load(folder, `${of.networks.teacher}.init`);
  const trainer = new Trainer(of.method, config, names.read(student), names.read(teacher));
  const steps: ReplayStep[] = [];
  let input: HostTensor | undefined;
  for (const [i, rate] of rates.entries()) {
    const part = partOf(load(folder, `batch.step${i}`), `batch.step${i}`);
    input = part(of.input);
    const features: StateDict = new Map();
    const step = trainer.step(
      [of.batch(part, config)],
      rate,
      i === 0
        ? {
            onGradients: (gradients) => write('gradients.step0', names.write(gradients)),
            show: (name, tensor) =>
              features.set(of.shown?.[name] ?? name, { shape: tensor.shape, data: hostCopy(tensor) }),
          }
        : {},
    );
    if (i === 0) {
      write('features.step0', features);
      for (const [name, value] of Object.entries(of.more?.write(features, part, config) ?? {})) writeJson(name, value);
    }
    steps.push(of.result(step) as ReplayStep);
  }
  const final = trainer.state();
  trainer.dispose();
  of.untouched?.({ student, teacher }, new Set(final.teacher.keys()), rates);
  const init = { student, teacher };
  for (const [who, name] of Object.entries(of.networks) as ['student' | 'teacher', string][])
    write(`${name}.final`, new Map([...init[who], ...names.write(final[who])]));

  const known = join(folder, 'tokens.eval.safetensors');
  if (existsSync(known)) input = partOf(load(folder, 'tokens.eval'), 'tokens.eval')('input');
  const [batch, dim] = [input!.shape[0]!, config.model.embed_dim];
  const network = new Network(of.method.student(config), final.student);
  const data = hostTidy(() => encode(network, all(channelsLast(input!))).tensor);
  network.dispose();
  const tokens = { shape: [batch, data.length / batch / dim, dim], data };
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

/** The configuration, first states and first batch of a fixture, to ask them another way. @throws as `replay` */
export async function firstBatch<Config, Batch>(folder: string) {
  const { replay: of, config } = await open(folder);
  const part = partOf(load(folder, 'batch.step0'), 'batch.step0');
  const { student, teacher = student } = of.networks;
  const states = { student: load(folder, `${student}.init`), teacher: load(folder, `${teacher}.init`) };
  return { config: config as Config, states, batch: of.batch(part, config) as Batch, part };
}
