import { basename, extname } from 'node:path';
import { networkOf } from '../../../methods/networks.ts';
import type { Checkpoint } from '../../../shared/checkpoint.ts';
import { modelSchema, projectorSchema, type RunConfig } from '../../../shared/config.ts';
import { AppError } from '../../../shared/errors.ts';
import type { HostTensor, StateDict } from '../../../shared/tensors.ts';
import { requireTensor } from '../../engine/parameters.ts';
import type { Replace } from '../../files/files.ts';
import { requireOutput } from '../../files/outputs.ts';
import { readPth } from '../../formats/pth.ts';
import { readSafetensors, writeSafetensors } from '../../formats/safetensors.ts';
import type { Store } from '../../store/store.ts';
import { untrainedSource } from '../../trainer/training.ts';
import { parseConfig } from '../recipes/configuration.ts';
import { fromTimm } from './timm.ts';

/** Metadata key under which an exported file says its model and projector. */
export const CONFIG_KEY = 'conmim.config';

/** How a file of weights that is written here ends: `import-weights` reads it by that. */
export const WEIGHTS_ENDING = '.safetensors';

/**
 * Writes one network of a checkpoint under the published names.
 * @returns the number of tensors
 * @throws AppError as `requireOutput`
 */
export function exportWeights(
  store: Store,
  checkpointId: number,
  file: string,
  network: 'student' | 'teacher',
  { replace }: Replace = { replace: false },
): number {
  const checkpoint = store.checkpoints.get(checkpointId);
  const path = requireOutput(file, { endings: [WEIGHTS_ENDING], replace });
  const tensors = store.checkpoints.load(checkpoint.id, network);
  const { model, projector, augment } = checkpoint.config;
  const config = JSON.stringify({ model, projector, augment: { mean: augment.mean, std: augment.std } });
  const said = { [CONFIG_KEY]: config, network, step: String(checkpoint.step), format: 'pt' };
  writeSafetensors(path, tensors, said, { replace });
  return tensors.size;
}

export interface Imported {
  checkpoint: Checkpoint;
  /** Tensors of the file that a ConMIM model does not have, such as the unused `lm_head`. */
  ignored: string[];
  notes: string[];
}

/**
 * Reads weights under the published names, or timm's, from .safetensors or .pth, and stores them as a checkpoint of a run of its
 * own, so that whatever works on checkpoints works on them.
 * @param settings what the file does not say, as `model.num_heads=6`
 * @throws AppError bad-file, bad-input
 */
export async function importWeights(
  store: Store,
  file: string,
  name: string | undefined,
  settings: Record<string, Record<string, unknown>>,
): Promise<Imported> {
  const { tensors: named, metadata, notes } = await readFile(file);
  const tensors = fromTimm(withoutWrapper(named));
  const config = configFor(tensors, metadata, settings, notes);
  const wanted = new Map<string, readonly number[]>(
    [...networkOf(config).parameters, ...networkOf(config).buffers].map((s) => [s.name, s.shape]),
  );
  const state: StateDict = new Map();
  // An encoder alone, as for timm, has neither; a fine-tuned file has no projector.
  const isOnlyPretraining = (tensor: string) => tensor === 'mask_token' || tensor.startsWith('projectors.');
  const missing = [...wanted.keys()].filter((tensor) => !tensors.has(tensor) && isOnlyPretraining(tensor));
  // What the file has to have comes first: the sizes are what it says, and may be of any model.
  const isMissing = new Set(missing);
  for (const [tensor, shape] of wanted)
    if (!isMissing.has(tensor)) requireFinite(tensor, requireTensor(tensors, tensor, shape));
  requireRoomFor(missing.map((tensor) => wanted.get(tensor)!));
  const fresh = untrainedSource(config);
  for (const [tensor, shape] of wanted)
    state.set(tensor, requireTensor(isMissing.has(tensor) ? fresh : tensors, tensor, shape));
  const lacks = [
    ...(missing.some((tensor) => tensor.startsWith('projectors.')) ? ['projector'] : []),
    ...(missing.includes('mask_token') ? ['mask token'] : []),
  ];
  if (lacks.length > 0)
    notes.push(
      `The file has no ${lacks.join(' and no ')}: its tokens can be used. Look-ups need both, so it has none.`,
    );
  const ignored = [...tensors.keys()].filter((t) => !wanted.has(t));
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
    { student: state, teacher: state },
  );
  return { checkpoint, ignored, notes };
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

/** What starts untrained is a projector and a mask token: the paper's take 84 MB. */
const MOST_UNTRAINED = 2 ** 30;

function requireRoomFor(shapes: (readonly number[])[]): void {
  const bytes = shapes.reduce((sum, shape) => sum + 4 * shape.reduce((a, b) => a * b, 1), 0);
  if (bytes <= MOST_UNTRAINED) return;
  throw new AppError(
    'bad-file',
    'The weights in the file cannot be used.',
    `It names a projector of ${(bytes / 1e9).toFixed(1)} GB and does not have it.`,
    'Name a smaller one with --set projector.hidden=4096 --set projector.layers=3, or use a file that has it.',
  );
}

async function readFile(
  file: string,
): Promise<{ tensors: StateDict; metadata: Record<string, string>; notes: string[] }> {
  switch (extname(file).toLowerCase()) {
    case '.safetensors':
      return { ...readSafetensors(file), notes: [] };
    case '.pth':
    case '.pt':
    case '.bin': {
      const { tensors, ignored } = await readPth(file);
      return { tensors, metadata: {}, notes: ignored.length > 0 ? [`Not read: ${ignored.join(', ')}.`] : [] };
    }
    default:
      throw new AppError(
        'bad-input',
        `${file} is neither .safetensors nor .pth.`,
        '',
        'Name a file with one of these endings.',
      );
  }
}

/** Names without the `module.` that PyTorch's DistributedDataParallel puts before all of them. */
function withoutWrapper(tensors: StateDict): StateDict {
  const prefix = 'module.';
  if (![...tensors.keys()].every((name) => name.startsWith(prefix))) return tensors;
  return new Map([...tensors].map(([name, tensor]) => [name.slice(prefix.length), tensor]));
}

/** Sizes from the tensors' own shapes; what shapes cannot say (heads, image size) from metadata, settings, or the usual. */
function configFor(
  tensors: StateDict,
  metadata: Record<string, string>,
  settings: Record<string, Record<string, unknown>>,
  notes: string[],
): RunConfig {
  if (metadata[CONFIG_KEY]) {
    let said: Record<string, Record<string, unknown>>;
    try {
      said = JSON.parse(metadata[CONFIG_KEY]);
    } catch (error) {
      throw new AppError('bad-file', 'The configuration inside the file is not JSON.', '', '', { cause: error });
    }
    return parseConfig(merge(withMask(said), settings));
  }
  const shape = (name: string) => tensors.get(name)?.shape;
  const patch = shape('patch_embed.proj.weight');
  if (patch?.length !== 4) {
    throw new AppError(
      'bad-file',
      'The file has no "patch_embed.proj.weight".',
      'It does not hold a ConMIM or BEiT model.',
      'Name a file written by the published code, by export-weights, or by export for timm.',
    );
  }
  const [embed_dim, , patch_size] = patch as [number, number, number, number];
  const blocks = [...tensors.keys()].flatMap((t) => /^blocks\.(\d+)\./.exec(t)?.[1] ?? []).map(Number);
  const table = shape('rel_pos_bias.relative_position_bias_table');
  const positions = shape('pos_embed');
  const grid = positions
    ? Math.round(Math.sqrt(positions[1]! - 1))
    : table
      ? (Math.round(Math.sqrt(table[0]! - 3)) + 1) / 2
      : 14;
  const linears = [...tensors.keys()]
    .flatMap((t) => /^projectors\.(\d+)\.weight$/.exec(t)?.[1] ?? [])
    .map(Number)
    .filter((i) => i % 3 === 0);
  const layers = linears.length || projectorSchema.parse({}).layers;
  const last = shape(`projectors.${3 * (layers - 1)}.weight`);
  if (!table && settings.model?.num_heads === undefined)
    notes.push(
      'The file does not say how many heads there are: dimensions of 64 a head are assumed. Say otherwise with --set model.num_heads=N.',
    );
  const model = {
    ...modelSchema.parse({}),
    image_size: grid * patch_size,
    patch_size,
    embed_dim,
    depth: blocks.reduce((most, block) => Math.max(most, block), 0) + 1,
    num_heads: table ? table[1]! : Math.max(1, Math.round(embed_dim / 64)),
    mlp_ratio: (shape('blocks.0.mlp.fc1.weight')?.[0] ?? 4 * embed_dim) / embed_dim,
    position: table ? 'shared-relative-bias' : positions ? 'absolute' : 'none',
    layer_scale_init: tensors.get('blocks.0.gamma_1') ? 0.1 : 0,
  };
  const projector = last ? { layers, hidden: layers > 1 ? shape('projectors.0.weight')![0] : 4096, out: last[0] } : {};
  return parseConfig(merge(withMask({ model, projector }), settings));
}

/** A mask unit that fits whatever sizes a file has. */
function withMask(tree: Record<string, Record<string, unknown>>): Record<string, Record<string, unknown>> {
  return { ...tree, mask: { kind: 'uniform' } };
}

function merge(tree: Record<string, Record<string, unknown>>, over: Record<string, Record<string, unknown>>) {
  const out = { ...tree };
  for (const [section, fields] of Object.entries(over)) out[section] = { ...out[section], ...fields };
  return out;
}
