import { AppError } from '../../shared/errors.ts';
import type { HostTensor, StateDict } from '../../shared/tensors.ts';
import { encode } from './encoder.ts';
import { hostCopy, hostTidy } from './host.ts';
import { all } from './layers/embed.ts';
import { Network } from './network.ts';
import type { Rates } from './schedule.ts';
import { type EngineState, type Method, type StepResult, Trainer, type TrainerConfig } from './trainer.ts';

/** What result.json says of a step: each loss and figure under the fixture's key. */
export type ReplayStep = Record<string, number>;

/** A parity fixture, and where to write what came of it. Files are NAME.safetensors, unless they say otherwise. */
export interface ReplayFolder {
  has(name: string): boolean;
  /** @throws AppError bad-file */
  load(name: string): StateDict;
  write(name: string, tensors: StateDict): void;
  /** @param name with its ending */
  writeJson(name: string, value: unknown): void;
}

/**
 * A fixture that is no training of whole networks (features alone, a tokenizer): a method replays it by itself, and writes
 * all files but result.json.
 */
export type OwnReplay = (folder: ReplayFolder, said: unknown) => ReplayStep[] | ReplayResult;

/** All that result.json says, where that is more than the steps of one network: parts under the keys of fixture.json. */
export interface ReplayResult {
  steps: readonly Readonly<Record<string, number | null | undefined>>[];
  [part: string]: unknown;
}

/** What replay.ts of a method's folder has: one way to read its fixtures, or one for each kind of them. */
export type ReplayOf<Config extends TrainerConfig = TrainerConfig, Batch = unknown> =
  | Replay<Config, Batch>
  | ((said: unknown) => Replay<Config, Batch> | OwnReplay);

/** A file of first and final states, where a network's stand in several or under other names: NAME.init, NAME.final. */
export interface StateFile {
  name: string;
  of: 'student' | 'teacher';
  /** What the file holds, as this engine has it. */
  read(state: StateDict): StateDict;
  /** Of a network's state what the file holds, as the file has it. */
  write(state: StateDict): StateDict;
}

/**
 * How a method reads a parity fixture: what its published code was given, and under which names it said what came out.
 * A folder has fixture.json, NETWORK.init and batch.stepN (.safetensors), and whatever of the results was kept.
 */
export interface Replay<Config extends TrainerConfig, Batch> {
  method: Method<Config, Batch>;
  /** @param said fixture.json @throws ZodError */
  read(said: unknown): { config: Config; rates: Rates[] };
  /** What the files of the trained network, and of its average, are called; or all files of states, one by one. */
  networks: { student: string; teacher?: string } | readonly StateFile[];
  /** @param step from 0 @throws AppError bad-file where a tensor is missing */
  batch(part: (name: string) => HostTensor, config: Config, step: number): Batch;
  /**
   * The name of the images in a batch that tokens are asked of where the folder has no tokens.eval; null for a fixture of
   * features, which has no encoder.
   */
  input: string | null;
  /** Whether tokens.eval has the teacher's too, as `teacher_tokens`. */
  teacherTokens?: boolean;
  /** What the file of the tensors that the first step shows is called, where it is not `features`. */
  features?: string;
  /** What features.step0 calls the tensors that a step shows, those that it has; all under their own names where left out. */
  shown?: Readonly<Record<string, string>>;
  /** What results.stepN has of each step: of the tensors that it shows, and of the state that it leaves. */
  results?(shown: StateDict, state: EngineState): StateDict;
  /** Under which keys result.json says a step. @param shown what it showed, under its own names */
  result(step: StepResult, shown: StateDict): Record<string, number>;
  /** Files beside the common ones, made of the first step's features. */
  more?: {
    files: readonly string[];
    write(features: StateDict, part: (name: string) => HostTensor, config: Config): Record<string, unknown>;
  };
  /** Published names, where this engine has others: of gradients, and of states unless `networks` has them file by file. */
  names?: { read(state: StateDict): StateDict; write(state: StateDict): StateDict };
  /** Changes tensors of the first states that no step touches, as the published code does; in place. */
  untouched?(init: Record<'student' | 'teacher', StateDict>, used: ReadonlySet<string>, rates: readonly Rates[]): void;
}

/** A tensor of a file by name. @throws AppError bad-file */
export const partOf =
  (tensors: StateDict, file: string) =>
  (name: string): HostTensor => {
    const tensor = tensors.get(name);
    if (!tensor) throw new AppError('bad-file', `${file}.safetensors has no "${name}".`);
    return tensor;
  };

/** `[batch, 3, h, w]`, as published code has images, as the engine's `[batch, h, w, 3]`. */
export function channelsLast({ shape, data }: HostTensor): Float32Array {
  const [batch, channels, h, w] = shape as [number, number, number, number];
  const [area, out] = [h * w, new Float32Array(data.length)];
  for (let b = 0; b < batch; b++) {
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < area; i++) out[(b * area + i) * channels + c] = data[(b * channels + c) * area + i]!;
    }
  }
  return out;
}

/** The way back, `[batch, channels, h, w]`. @param shape `[batch, h, w, channels]`, where it is of rows */
export function channelsFirst({ data, shape }: HostTensor, [batch, h, w, channels] = shape as number[]): HostTensor {
  const out = new Float32Array(data.length);
  const area = h! * w!;
  for (let b = 0; b < batch!; b++)
    for (let i = 0; i < area; i++)
      for (let c = 0; c < channels!; c++) out[(b * channels! + c) * area + i] = data[(b * area + i) * channels! + c]!;
  return { shape: [batch!, channels!, h!, w!], data: out };
}

const asTheyAre = { read: (state: StateDict) => state, write: (state: StateDict) => state };

/** The files of a replay's states. */
export function stateFiles({ networks, names = asTheyAre }: AnyReplay): readonly StateFile[] {
  if (Array.isArray(networks)) return networks as StateFile[];
  const { student, teacher } = networks as { student: string; teacher?: string };
  const file = (name: string, of: StateFile['of']): StateFile => ({ name, of, ...names });
  return [file(student, 'student'), ...(teacher === undefined ? [] : [file(teacher, 'teacher')])];
}

/** The first states of both networks; of a method that trains one they are the same. */
export function firstStates(replay: AnyReplay, load: (name: string) => StateDict): Record<StateFile['of'], StateDict> {
  const states: Record<StateFile['of'], StateDict> = { student: new Map(), teacher: new Map() };
  for (const { name, of, read } of stateFiles(replay))
    for (const [key, tensor] of read(load(`${name}.init`))) states[of].set(key, tensor);
  return { student: states.student, teacher: states.teacher.size > 0 ? states.teacher : states.student };
}

/** Reads what does not depend on the types of a configuration and a batch. */
type AnyReplay = Pick<Replay<TrainerConfig, never>, 'networks' | 'names'>;

/**
 * Trains as a fixture says, and writes `gradients.step0`, `features.step0`, `results.stepN` where the method has them,
 * NETWORK.final, `tokens.eval` (tokens of the student after the last step, nothing masked: `tokens` for `input` and so on
 * for each input that the folder's own tokens.eval has, else for the last batch's images), and what the method adds. Needs
 * a backend to be set.
 * @throws ZodError for a fixture.json that cannot be read; AppError bad-file
 */
export function train<Config extends TrainerConfig, Batch>(
  replay: Replay<Config, Batch>,
  folder: ReplayFolder,
  said: unknown,
): ReplayStep[] {
  const { config, rates } = replay.read(said);
  const { names = asTheyAre } = replay;
  const init = firstStates(replay, folder.load);
  const trainer = new Trainer(replay.method, config, init.student, init.teacher);
  const steps: ReplayStep[] = [];
  let input: HostTensor | undefined;
  for (const [i, rate] of rates.entries()) {
    const part = partOf(folder.load(`batch.step${i}`), `batch.step${i}`);
    if (replay.input !== null) input = part(replay.input);
    const shown: StateDict = new Map();
    const step = trainer.step([replay.batch(part, config, i)], rate, {
      ...(i === 0 && {
        onGradients: (gradients: StateDict) => folder.write('gradients.step0', names.write(gradients)),
        onClipped: (gradients: StateDict) => folder.write('gradients-clipped.step0', names.write(gradients)),
      }),
      show: (name, tensor) => shown.set(name, { shape: tensor.shape, data: hostCopy(tensor) }),
    });
    if (i === 0) {
      const features = replay.shown ? renamed(shown, replay.shown) : shown;
      folder.write(`${replay.features ?? 'features'}.step0`, features);
      for (const [name, value] of Object.entries(replay.more?.write(features, part, config) ?? {}))
        folder.writeJson(name, value);
    }
    if (replay.results) folder.write(`results.step${i}`, replay.results(shown, trainer.state()));
    steps.push(replay.result(step, shown));
  }
  const final = trainer.state();
  trainer.dispose();
  writeFinal(replay, folder, final, rates);
  if (input) {
    const networks: Record<string, Network> = { '': new Network(replay.method.student(config), final.student) };
    const teacher = replay.teacherTokens ? replay.method.teacher(config) : null;
    if (teacher) networks.teacher_ = new Network(teacher, final.teacher);
    writeTokens(networks, folder, input);
  }
  return steps;
}

/** Those of these tensors that have a name here, under it. */
const renamed = (tensors: StateDict, names: Readonly<Record<string, string>>): StateDict =>
  new Map(
    Object.entries(names).flatMap(([name, other]) => {
      const tensor = tensors.get(name);
      return tensor ? [[other, tensor] as const] : [];
    }),
  );

/** NETWORK.final, each with what of NETWORK.init this engine does not have. */
function writeFinal<Config extends TrainerConfig, Batch>(
  replay: Replay<Config, Batch>,
  folder: ReplayFolder,
  final: EngineState,
  rates: readonly Rates[],
): void {
  const files = stateFiles(replay).map((file) => ({ ...file, init: folder.load(`${file.name}.init`) }));
  const stored = (of: StateFile['of']) => files.find((file) => file.of === of)?.init ?? new Map();
  replay.untouched?.({ student: stored('student'), teacher: stored('teacher') }, new Set(final.teacher.keys()), rates);
  for (const { name, of, write, init } of files) folder.write(`${name}.final`, new Map([...init, ...write(final[of])]));
}

/** Disposes of the networks. @param networks by what stands before `tokens`; all but the student for `input` alone */
function writeTokens(networks: Record<string, Network>, folder: ReplayFolder, images: HostTensor): void {
  const known: StateDict = folder.has('tokens.eval') ? folder.load('tokens.eval') : new Map([['input', images]]);
  const out: StateDict = new Map();
  for (const [before, network] of Object.entries(networks)) {
    const { embed_dim: dim } = network.model;
    for (const [name, asked] of known) {
      if (before === '' ? !name.startsWith('input') : name !== 'input') continue;
      const [batch, , side] = asked.shape as [number, number, number, number];
      const data = hostTidy(() => encode(network, all(channelsLast(asked), side)).tensor);
      out.set(name, asked);
      out.set(before + name.replace('input', 'tokens'), { shape: [batch, data.length / batch / dim, dim], data });
    }
    network.dispose();
  }
  folder.write('tokens.eval', out);
}
