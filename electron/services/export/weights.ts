import { basename } from 'node:path';
import { findMethod, METHODS, methodOf, requireNetwork } from '../../../methods/index.ts';
import { networkOf } from '../../../methods/networks.ts';
import { publishedOf } from '../../../methods/published.ts';
import { stepOf } from '../../../methods/steps.ts';
import type { Checkpoint } from '../../../shared/checkpoint.ts';
import type { RunConfig, RunConfigInput } from '../../../shared/config.ts';
import { AppError } from '../../../shared/errors.ts';
import type { Method } from '../../../shared/method.ts';
import type { HostTensor, StateDict } from '../../../shared/tensors.ts';
import { bytes } from '../../../shared/words.ts';
import type { NetworkSpec } from '../../engine/network.ts';
import { plainEncoder, requireTensor } from '../../engine/parameters.ts';
import type { Published } from '../../engine/published.ts';
import type { Replace } from '../../files/files.ts';
import { namedFile } from '../../files/on-disk.ts';
import { requireOutput } from '../../files/outputs.ts';
import { writeSafetensors } from '../../formats/safetensors.ts';
import type { Store } from '../../store/store.ts';
import { untrainedSource } from '../../trainer/training.ts';
import { parseConfig, requireMethod, withChanges } from '../recipes/configuration.ts';
import { recognise } from './recognise.ts';
import { CONFIG_KEY, configWords, readWeights, type Said } from './weights-file.ts';

/** How a file of weights that is written here ends: `import-weights` reads it by that. */
export const WEIGHTS_ENDING = '.safetensors';

/**
 * Writes one network of a checkpoint under its method's published names.
 * @returns the number of tensors
 * @throws AppError bad-input for a network that the method does not train; as `requireOutput`
 */
export function exportWeights(
  store: Store,
  checkpointId: number,
  file: string,
  network: 'student' | 'teacher',
  { replace }: Replace = { replace: false },
): number {
  const { id, config, step, lacks } = store.checkpoints.get(checkpointId);
  requireNetwork(config, network);
  const path = requireOutput(file, { endings: [WEIGHTS_ENDING], replace });
  const method = methodOf(config);
  const published = publishedOf(method);
  const state = store.checkpoints.load(id, network);
  // What a file lacked was never trained: written, it would come back as if it were.
  const parts = partsOf(config, published, [...state.keys()]);
  const has = new Map([...state].filter(([name]) => !lacks.includes(parts.get(name) ?? '')));
  const tensors = published.write(has, network);
  const said = { [CONFIG_KEY]: configWords(config, Object.keys(method.sections)), network, step: String(step) };
  writeSafetensors(path, tensors, { ...said, format: 'pt' }, { replace });
  return tensors.size;
}

export interface ImportOptions {
  /** Of the run; without it, after the file. */
  name?: string | undefined;
  /** Name of the method whose weights they are; without it, the file says it, or its tensors do. */
  method?: string | undefined;
  /** What the file does not say, dotted: `model.num_heads`. */
  settings?: Readonly<Record<string, unknown>>;
}

export interface Imported {
  checkpoint: Checkpoint;
  /** Tensors of the file that the method's networks do not have, such as an unused `lm_head`. */
  ignored: string[];
  notes: string[];
}

/**
 * Reads weights under a method's published names, or timm's, from .safetensors or .pth, and stores them as a checkpoint of
 * a run of its own, so that whatever works on checkpoints works on them.
 * @throws AppError bad-file, bad-input
 */
export async function importWeights(
  store: Store,
  typed: string,
  { name, method: asked, settings = {} }: ImportOptions = {},
): Promise<Imported> {
  const file = namedFile(typed);
  const { tensors, said, notes } = await readWeights(file);
  const method = asked === undefined ? methodFor(said, tensors) : requireMethod(asked);
  const published = publishedOf(method);
  const networks = published.read(tensors);
  const config = configFor(method, published, networks.student, { said, settings, notes });
  const wanted = shapesOf(networkOf(config));
  // The average of a student may be of a part of it alone: a predictor has none.
  const averaged = method.hasTeacher ? shapesOf(stepOf(config).teacher(config) ?? networkOf(config)) : null;

  const { missing, lacks } = missingOf(config, published, networks.student, [...wanted.keys()]);
  // What the file has to have comes first: the sizes are what it says, and may be of any model.
  requireTensors(networks.student, wanted, missing);
  if (networks.teacher && averaged) requireTensors(networks.teacher, averaged, missing);
  requireRoomFor(
    [...missing].map((tensor) => wanted.get(tensor)!),
    lacks,
  );
  const fresh = untrainedSource(config);
  const complete = (state: StateDict, shapes: Shapes): StateDict =>
    new Map(
      [...shapes].map(([tensor, shape]) => [tensor, requireTensor(missing.has(tensor) ? fresh : state, tensor, shape)]),
    );
  const student = complete(networks.student, wanted);
  const teacher = averaged && complete(networks.teacher ?? networks.student, averaged);
  if (lacks.length > 0) notes.push(lacksWords(method, lacks));
  const ignored = [
    ...[...networks.student.keys()].filter((one) => !wanted.has(one)),
    ...[...(networks.teacher?.keys() ?? [])].filter((one) => !averaged?.has(one)),
  ];
  const run = store.runs.create({
    name: name ?? store.runs.freeName(`imported ${basename(file)}`),
    dataset_id: null,
    preset: null,
    config,
    total_steps: 0,
    steps_per_epoch: 1,
  });
  store.runs.update(run.id, { status: 'finished', ended_at: Date.now() });
  const checkpoint = store.checkpoints.save(
    run.id,
    { step: 0, epoch: 0, loss: null, config, state: { imported_from: file, ...(lacks.length > 0 && { lacks }) } },
    { student, ...(teacher && { teacher }) },
  );
  return { checkpoint, ignored, notes };
}

type Shapes = ReadonlyMap<string, readonly number[]>;

const shapesOf = ({ parameters, buffers }: NetworkSpec): Shapes =>
  new Map([...parameters, ...buffers].map(({ name, shape }) => [name, shape]));

/** @throws AppError bad-file for a tensor that is not there, of another shape, or not finite; but for those of `missing` */
function requireTensors(state: StateDict, shapes: Shapes, missing: ReadonlySet<string>): void {
  for (const [tensor, shape] of shapes)
    if (!missing.has(tensor)) requireFinite(tensor, requireTensor(state, tensor, shape));
}

/** Whose weights they are. @throws AppError bad-file for those of no method that is here, or of several */
function methodFor(said: Said | null, tensors: StateDict): Method {
  const name = said?.method?.name;
  if (name === undefined) return findMethod(recognise(tensors))!;
  const method = findMethod(String(name));
  if (method) return method;
  throw new AppError(
    'bad-file',
    `The weights are of a method that is not here: "${name}".`,
    `This program has ${METHODS.map(({ title }) => title).join(', ')}.`,
    'Import them with the program that wrote them, or a newer one.',
  );
}

/** Of each tensor that is none of the encoder's, what it is a part of. */
function partsOf(config: RunConfig, { parts }: Published, names: readonly string[]): Map<string, string> {
  const { parameters, buffers } = plainEncoder(config.model);
  const encoder = new Set([...parameters, ...buffers].map(({ name }) => name));
  const titleOf = (name: string) =>
    parts.find(({ begins }) => begins.some((beginning) => name.startsWith(beginning)))?.title ?? 'head';
  return new Map(names.filter((name) => !encoder.has(name)).map((name) => [name, titleOf(name)]));
}

/** What of a network a file lacks, and the titles of these parts. An encoder is never among it. */
function missingOf(config: RunConfig, published: Published, state: StateDict, wanted: readonly string[]) {
  const parts = partsOf(config, published, wanted);
  const has = new Set([...parts].filter(([name]) => state.has(name)).map(([, title]) => title));
  const missing = new Map([...parts].filter(([, title]) => !has.has(title)));
  const titles = new Set(missing.values());
  const order = [...published.parts.map(({ title }) => title), 'head'];
  return { missing: new Set(missing.keys()), lacks: [...new Set(order)].filter((title) => titles.has(title)) };
}

function lacksWords({ explains }: Method, lacks: readonly string[]): string {
  const lost = explains.map(({ title }) => title.toLowerCase());
  const words = `The file has no ${lacks.join(' and no ')}: its features can be used.`;
  return lost.length > 0 ? `${words} It cannot be asked for ${lost.join(', ')}.` : words;
}

/** Whatever a network computes with such a value is none: every comparison with it fails, or seems to hold. */
function requireFinite(name: string, { data }: HostTensor): void {
  let bad = 0;
  let first = -1;
  for (let i = 0; i < data.length; i++) {
    if (Number.isFinite(data[i])) continue;
    if (bad++ === 0) first = i;
  }
  if (bad === 0) return;
  throw new AppError(
    'bad-file',
    'The weights in the file cannot be used.',
    `Tensor "${name}" has ${bad} of ${data.length} values that are not finite in 32 bits; the first is ${data[first]}, at ${first}.`,
    'The training that wrote it diverged, or its numbers overflowed when they were converted: use an earlier checkpoint, or convert it again.',
  );
}

/** What starts untrained are heads: a published projector takes 84 MB. */
const MOST_UNTRAINED = 2 ** 30;

function requireRoomFor(shapes: (readonly number[])[], lacks: readonly string[]): void {
  const size = shapes.reduce((sum, shape) => sum + 4 * shape.reduce((a, b) => a * b, 1), 0);
  if (size <= MOST_UNTRAINED) return;
  throw new AppError(
    'bad-file',
    'The weights in the file cannot be used.',
    `Its configuration has a ${lacks.join(' and a ')} of ${bytes(size)}, which the file lacks.`,
    'Name smaller sizes of it with --set, or use a file that has it.',
  );
}

/** Sizes from metadata, or the tensors' own shapes; settings over both. What neither says is noted. */
function configFor(
  { name, published: files }: Method,
  { sizes, assumes }: Published,
  student: StateDict,
  { said, settings, notes }: { said: Said | null; settings: Readonly<Record<string, unknown>>; notes: string[] },
): RunConfig {
  const build = (config: object) =>
    parseConfig(withChanges({ config: { ...assumes, ...config, method: { name } } as RunConfigInput }, settings));
  if (said) {
    // Read as another method's than the file says: the encoder is the same, the rest is not.
    const isOther = said.method !== undefined && said.method.name !== name;
    const { model, augment } = said;
    return build(isOther ? { model, augment } : said);
  }
  const { config: found, unsaid } = sizes(student);
  const config = build(found);
  for (const key of unsaid.filter((one) => !(one in settings))) {
    const { label } = files!.unsaid.find((one) => one.key === key)!;
    const [section, field] = key.split('.') as [string, string];
    const value = (config as unknown as Said)[section]![field];
    notes.push(
      `${label}: ${value} is assumed, for the file does not say it. Say otherwise in the form, or with --set ${key}=N.`,
    );
  }
  return config;
}
