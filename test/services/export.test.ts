import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterAll, describe, expect, test } from 'vitest';
import { FrozenNetwork } from '../../electron/engine/inference.ts';
import { parameterSpecs, sizeOf } from '../../electron/engine/parameters.ts';
import { MAX_WEIGHT_BYTES } from '../../electron/formats/onnx.ts';
import { readSafetensors, writeSafetensors } from '../../electron/formats/safetensors.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { encoderTensors } from '../../electron/services/export/encoder.ts';
import { exportEncoder } from '../../electron/services/export/export.ts';
import { onnxWeightBytes } from '../../electron/services/export/onnx.ts';
import { timmName, timmTensors } from '../../electron/services/export/timm.ts';
import { importWeights } from '../../electron/services/export/weights.ts';
import type { ExportAsked } from '../../electron/services/ground/jobs.ts';
import { Store } from '../../electron/store/store.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import type { ConMIMRunConfig } from '../../methods/conmim/config.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { modelSchema, patchesOf, type RunConfig, type RunConfigInput } from '../../shared/config.ts';
import type { StateDict } from '../../shared/tensors.ts';
import { evaluationResult } from '../harness/evaluation-result.ts';
import { image, metric } from '../store/helpers.ts';
import { missing, python, SCRIPTS, writeNpy } from './python.ts';

await loadBackend();
const folder = mkdtempSync(join(tmpdir(), 'export-'));
const store = Store.open(join(folder, 'workbench.sqlite'));
afterAll(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

/** As near as two programs' float32 come. */
const NEAR = 1e-4;
const noTimm = missing('timm', 'torch', 'safetensors', 'numpy');
const noOnnx = missing('onnx', 'onnxruntime', 'numpy');
for (const why of [noTimm, noOnnx]) if (why) console.log(`skipped: ${why}`);

/** Numbers from -1 to 1 that follow from a seed. */
function noise(length: number, seed: number): Float32Array {
  let s = seed * 7919 + 1;
  return Float32Array.from({ length }, () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return s / 2 ** 31 - 1;
  });
}

/** A state of which no tensor is zero or constant, so that none can be left out or swapped unseen. */
function noisyState(config: ConMIMRunConfig, seed: number): StateDict {
  const state = untrainedState(config);
  for (const [i, { name, shape }] of parameterSpecs(config.model, config.projector).entries()) {
    const { data } = state.get(name)!;
    const scale = name.endsWith('relative_position_bias_table') ? 2 : 0.2;
    state.set(name, { shape, data: noise(sizeOf(shape), seed * 1000 + i).map((v, at) => data[at]! + scale * v) });
  }
  return state;
}

let runs = 0;
/** A checkpoint of a run of its own. */
function checkpointOf(input: RunConfigInput['model'], dataset: number | null = null) {
  const config = runConfigSchema.parse({
    model: { image_size: 24, patch_size: 8, embed_dim: 24, depth: 2, num_heads: 3, mlp_ratio: 2.5, ...input },
    projector: { layers: 1, out: 8 },
    mask: { kind: 'uniform' },
    augment: { mean: [0.4, 0.5, 0.6], std: [0.2, 0.3, 0.25] },
  });
  const name = `run ${++runs}`;
  const run = store.runs.create({
    name,
    dataset_id: dataset,
    preset: 'demo',
    config,
    total_steps: 90,
    steps_per_epoch: 2,
  });
  const states = { student: noisyState(config, 1), teacher: noisyState(config, 2) };
  const { id } = store.checkpoints.save(run.id, { step: 60, epoch: 30, loss: 1, config, state: {} }, states);
  return { id, config, run: run.id, states };
}

/** Images as Python takes them, `[batch, 3, side, side]` from 0 to 1, and what the engine makes of them. */
function encoded(config: RunConfig, state: StateDict, batch: number) {
  const side = config.model.image_size;
  const images = noise(batch * 3 * side * side, 5).map((v) => (v + 1) / 2);
  const rows = new Float32Array(images.length);
  for (let b = 0; b < batch; b++)
    for (let c = 0; c < 3; c++)
      for (let at = 0; at < side * side; at++) {
        const value = images[(b * 3 + c) * side * side + at]!;
        rows[(b * side * side + at) * 3 + c] = (value - config.augment.mean[c]!) / config.augment.std[c]!;
      }
  const network = new FrozenNetwork(config.model, config.projector, state);
  const tokens = network.tokens(rows);
  network.dispose();
  return { images, tokens };
}

function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}

const path = (name: string) => join(folder, name);
const write = (checkpoint: number, file: string, more: Partial<ExportAsked> = {}) =>
  exportEncoder(store, {
    checkpoint,
    network: 'student',
    format: file.endsWith('.onnx') ? 'onnx' : 'timm',
    card: false,
    ...more,
    file: path(file),
  });

test('a bias of its own in each block, as fine-tuned BEiTs have, is refused with the reason', async () => {
  const { id, config } = checkpointOf({ position: 'shared-relative-bias' });
  const file = path('own-biases.safetensors');
  const tensors = timmTensors(encoderTensors(config, store.checkpoints.load(id, 'student')), config.model);
  const last = 'blocks.1.attn.relative_position_bias_table';
  const { shape, data } = tensors.get(last)!;
  writeSafetensors(file, new Map([...tensors, [last, { shape, data: data.map((v) => v + 1) }]]));
  await expect(importWeights(store, file)).rejects.toThrow('Each block of these weights has');
});

const KINDS: [string, RunConfigInput['model']][] = [
  ['relative bias, layer scale', { position: 'shared-relative-bias', layer_scale_init: 0.1 }],
  ['relative bias, no layer scale, another epsilon', { layer_scale_init: 0, layer_norm_eps: 1e-5 }],
  ['absolute positions, layer scale', { position: 'absolute', layer_scale_init: 1 }],
  ['absolute positions, no layer scale', { position: 'absolute', layer_scale_init: 0 }],
  ['no positions', { position: 'none', image_size: 32, patch_size: 16 }],
];

describe.each(KINDS)('%s', (_, model) => {
  const { id, config, states } = checkpointOf(model);
  const [n, dim] = [1 + patchesOf(config.model), config.model.embed_dim];

  test.each([true, false])('what is written for timm is read again, the configuration in it: %s', async (isSaid) => {
    const file = `${id}-back-${isSaid}.safetensors`;
    write(id, file, { network: 'teacher' });
    // A file that timm itself has written says nothing of sizes.
    if (!isSaid) writeSafetensors(path(file), readSafetensors(path(file)).tensors);
    const { num_heads, layer_norm_eps, image_size } = config.model;
    const model = {
      'model.num_heads': num_heads,
      'model.layer_norm_eps': layer_norm_eps,
      'model.image_size': image_size,
    };
    const settings = { 'projector.layers': 1, 'projector.out': 8, ...(!isSaid && model) };
    const { checkpoint, ignored, notes } = await importWeights(store, path(file), { settings });
    expect(ignored).toEqual([]);
    expect(notes.join()).toContain('no projector and no mask token');
    if (isSaid) {
      expect(checkpoint.config.model).toEqual(config.model);
      expect(checkpoint.config.augment.mean).toEqual(config.augment.mean);
    }
    const read = store.checkpoints.load(checkpoint.id, 'student');
    expect(encoded({ ...checkpoint.config, augment: config.augment }, read, 2).tokens).toEqual(
      encoded(config, states.teacher, 2).tokens,
    );
  });

  test.each(['student', 'teacher'] as const)('ONNX of the %s, by ONNX Runtime in Node', async (network) => {
    const file = `${id}-${network}.onnx`;
    write(id, file, { network });
    const session = await InferenceSession.create(path(file));
    expect(session.inputNames).toEqual(['images']);
    expect(session.outputNames).toEqual(['tokens', 'cls', 'mean']);
    const { image_size: side } = config.model;
    for (const batch of [1, 3]) {
      const { images, tokens } = encoded(config, states[network], batch);
      const { mean, std } = config.augment;
      const input = images.map(
        (v, i) => (v - mean[Math.floor(i / side ** 2) % 3]!) / std[Math.floor(i / side ** 2) % 3]!,
      );
      const got = await session.run({ images: new Tensor('float32', input, [batch, 3, side, side]) });
      expect(got.tokens!.dims).toEqual([batch, n, dim]);
      expect(distance(got.tokens!.data as Float32Array, tokens)).toBeLessThan(NEAR);
      const cls = tokens.filter((_, i) => Math.floor(i / dim) % n === 0);
      expect(distance(got.cls!.data as Float32Array, cls)).toBeLessThan(NEAR);
      const pooled = Array.from({ length: batch * dim }, (_, at) => {
        const [b, d] = [Math.floor(at / dim), at % dim];
        let sum = 0;
        for (let p = 1; p < n; p++) sum += tokens[(b * n + p) * dim + d]!;
        return sum / (n - 1);
      });
      expect(distance(got.mean!.data as Float32Array, pooled)).toBeLessThan(NEAR);
    }
    await session.release();
  });

  for (const [format, ending, why] of [
    ['timm', 'safetensors', noTimm],
    ['onnx', 'onnx', noOnnx],
  ] as const) {
    test.skipIf(why)(`the Python of the card, ${format}`, () => {
      const file = `${id}.${ending}`;
      write(id, file, { card: true });
      const { images, tokens } = encoded(config, states.student, 2);
      const side = config.model.image_size;
      writeNpy(path('images.npy'), [2, 3, side, side], images);
      const said = python(join(SCRIPTS, 'encode.py'), path(`${file}.md`), path('images.npy'), path('tokens'));
      const got = readFileSync(path('tokens'));
      expect(distance(new Float32Array(got.buffer, got.byteOffset, got.length / 4), tokens)).toBeLessThan(NEAR);
      expect(JSON.parse(said)).toMatchObject({ image_size: String(side), mean: '0.4, 0.5, 0.6', network: 'student' });
    });
  }
});

test('the two networks are told apart', () => {
  const { id, config, states } = checkpointOf({});
  write(id, 'student.safetensors');
  write(id, 'teacher.safetensors', { network: 'teacher' });
  const weights = (which: string) => readSafetensors(path(`${which}.safetensors`)).tensors.get('cls_token')!.data;
  expect(weights('student')).toEqual(states.student.get('cls_token')!.data);
  expect(weights('teacher')).toEqual(states.teacher.get('cls_token')!.data);
  expect(
    distance(encoded(config, states.student, 1).tokens, encoded(config, states.teacher, 1).tokens),
  ).toBeGreaterThan(1);
});

describe('named models of timm', () => {
  const sized = (input: RunConfigInput['model']) => modelSchema.parse({ ...input });
  const base = { embed_dim: 768, depth: 12, num_heads: 12 };
  test('are found by all of their sizes', () => {
    expect(timmName(sized(base))).toBe('beit_base_patch16_224');
    expect(timmName(sized({ ...base, image_size: 384 }))).toBe('beit_base_patch16_384');
    expect(timmName(sized({ embed_dim: 1024, depth: 24, num_heads: 16 }))).toBe('beit_large_patch16_224');
    const others = [{ patch_size: 32 }, { mlp_ratio: 3 }, { layer_scale_init: 0 }, { position: 'absolute' as const }];
    for (const other of [...others, { layer_norm_eps: 1e-5 }, { num_heads: 6 }])
      expect(timmName(sized({ ...base, ...other }))).toBeNull();
  });

  test.skipIf(noTimm).each(['beit_base_patch16_224', 'beit_base_patch16_384', 'beit_large_patch16_512'])(
    '%s has exactly the tensors that are written',
    (name) => {
      const large = { embed_dim: 1024, depth: 24, num_heads: 16 };
      const model = sized({ ...(name.includes('large') ? large : base), image_size: Number(name.slice(-3)) });
      expect(timmName(model)).toBe(name);
      const specs = parameterSpecs(model, runConfigSchema.parse({ projector: { layers: 1 } }).projector);
      const encoder = new Map(
        specs
          .filter((spec) => spec.name !== 'mask_token' && !spec.name.startsWith('projectors.'))
          .map(({ name, shape }) => [name, { shape, data: new Float32Array() }]),
      );
      const program = `import json, timm, torch
with torch.device('meta'): model = timm.create_model('${name}', num_classes=0)
print(json.dumps({name: list(tensor.shape) for name, tensor in model.state_dict().items()}))`;
      const ours = [...timmTensors(encoder, model)].map(([key, { shape }]) => [key, shape]);
      expect(Object.fromEntries(ours)).toEqual(JSON.parse(python('-c', program)));
    },
  );
});

describe('what is written, and what is refused', () => {
  test('a card with settings, data, curve and every evaluation, and without a place of this machine', () => {
    const dataset = store.datasets.create({ name: 'holiday | photos', folders: [path('pictures')], labels: 'folders' });
    const rows = ['a/1.png', 'a/2.png', 'b/3.jpg'].map((file, i) =>
      image(file, { hash: `${i}0000000`, format: file.slice(-3), label: file[0]!, width: 30 + i }),
    );
    store.images.upsertMany(dataset.id, rows);
    const { id, run, config } = checkpointOf({}, dataset.id);
    store.metrics.add(
      run,
      Array.from({ length: 80 }, (_, i) =>
        metric(i + 1, {
          loss: 2 - i / 100,
          figures: { top1: i / 100, top1_control: 0.1, ...(i === 54 && { rank_student: 7.25 }) },
        }),
      ),
    );
    const evaluated = evaluationResult({
      checkpoint: { id, run_id: run, step: 60 },
      dataset: 'holiday | photos',
      test_dataset: 'holiday | photos',
      test_images: 12,
      chance: 0.5,
      trained: { mean_pooled: 0.75 },
      untrained: { mean_pooled: 0.625 },
    });
    store.evaluations.add({ checkpoint_id: id, dataset_id: dataset.id, task: 'knn', result: evaluated });
    const { files } = write(id, 'first.safetensors', { card: true, network: 'teacher' });
    expect(files.map((file) => file.path)).toEqual(['', '.md', '.svg'].map((end) => path(`first.safetensors${end}`)));
    expect(files.every(({ path, bytes }) => readFileSync(path).length === bytes)).toBe(true);
    const card = readFileSync(path('first.safetensors.md'), 'utf8');
    expect(card).not.toContain(folder);
    expect(card).toMatch(/^---\nlibrary_name: timm\n[\s\S]*\nlicense: other[\s\S]*?\n---\n/);
    for (const row of [
      '| k-NN | holiday \\| photos | mean of patch tokens | 75.0 % | 62.5 % | 50.0 % | 12 |',
      '| `model.embed_dim` | `24` | `384` |',
      '| Images | 3, of which 0 held out from training |',
      '| Formats | png 2, jpg 1 |',
      '| Width: least, median, greatest | 30, 31, 32 pixels |',
      '| Loss, nats | 1.410 | 2.197 |', // of step 60, not of the 20 that the run went on; ln 9
      '| Effective rank of the queries (How many directions the queries of a batch use) | 7.25 |  |',
    ])
      expect(card).toContain(row);
    expect(card).toContain('measured on the student, not on this teacher');
    expect(card).toContain('(<first.safetensors.svg>)');
    expect(JSON.parse(/```json\n([\s\S]*?)\n```/.exec(card)![1]!)).toEqual(config);
    const curve = readFileSync(path('first.safetensors.svg'), 'utf8');
    expect(curve.match(/<polyline/g)).toHaveLength(5); // loss, top-1, control, and guessing in both
    expect(curve).not.toContain('points=""');
  });

  test('weights that were imported have a card that says what is not known', () => {
    const { id } = checkpointOf({});
    expect(write(id, 'imported.onnx', { card: true }).files).toHaveLength(2); // no curve
    const card = readFileSync(path('imported.onnx.md'), 'utf8');
    expect(card).toContain('how they were trained is not known here');
    expect(card).not.toContain('trained with ConMIM Workbench');
  });

  test('a file that is there is kept, unless it is to be replaced', () => {
    const { id } = checkpointOf({});
    writeFileSync(path('taken.onnx.md'), 'mine');
    expect(() => write(id, 'taken.onnx', { card: true })).toThrow(/taken.onnx.md is there already/);
    expect(existsSync(path('taken.onnx'))).toBe(false);
    write(id, 'taken.onnx', { card: false });
    expect(readFileSync(path('taken.onnx.md'), 'utf8')).toBe('mine');
    write(id, 'taken.onnx', { card: true, replace: true });
    expect(readFileSync(path('taken.onnx.md'), 'utf8')).toContain('## Loading');
  });

  test('another ending, a place that is not there, weights beside what is no ONNX', () => {
    const { id } = checkpointOf({});
    expect(() => write(id, 'x.bin')).toThrow(/does not end in .safetensors/);
    expect(() => write(id, 'nowhere/x.onnx')).toThrow(/cannot be written/);
    expect(() => write(id, 'nowhere/x.onnx', { externalData: true })).toThrow(/x\.onnx cannot be written/);
    expect(() => write(id, 'x.safetensors', { externalData: true })).toThrow(/Only ONNX/);
    expect(readdirSync(folder).filter((name) => /\.part$|^x\./.test(name))).toEqual([]);
  });
});

describe('ONNX with its weights in a file of their own', () => {
  const { id, config, states } = checkpointOf({ position: 'shared-relative-bias', image_size: 32, embed_dim: 48 });
  const { image_size: side } = config.model;
  /** Tokens by ONNX Runtime of images that are normalised already. */
  async function run(file: string, input: Float32Array) {
    const session = await InferenceSession.create(path(file));
    const { tokens } = await session.run({ images: new Tensor('float32', input, [2, 3, side, side]) });
    await session.release();
    return tokens!.data as Float32Array;
  }
  const normalised = (images: Float32Array) => {
    const { mean, std } = config.augment;
    const channel = (i: number) => Math.floor(i / side ** 2) % 3;
    return images.map((v, i) => (v - mean[channel(i)]!) / std[channel(i)]!);
  };

  test('tokens are those of the one file to the bit, and the engine within 1e-4', async () => {
    write(id, 'one.onnx');
    const { files } = write(id, 'two.onnx', { externalData: true });
    expect(files.map((file) => file.path)).toEqual([path('two.onnx'), path('two.onnx.data')]);
    expect(files.map(({ path, bytes }) => readFileSync(path).length === bytes)).toEqual([true, true]);
    const { images, tokens } = encoded(config, states.student, 2);
    const got = await run('two.onnx', normalised(images));
    expect(got).toEqual(await run('one.onnx', normalised(images)));
    expect(distance(got, tokens)).toBeLessThan(NEAR);
  });

  test('each tensor begins at a page and lies in the file; nothing large is left in the graph', () => {
    const [graph, data] = write(id, 'pages.onnx', { externalData: true }).files;
    const content = readFileSync(path('pages.onnx'), 'latin1');
    // Entries of key and value: 0x0a length key 0x12 length value.
    const values = (key: string) =>
      [...content.matchAll(new RegExp(`${key}\\x12[^]([0-9]+)`, 'g'))].map((match) => Number(match[1]));
    const [offsets, lengths] = [values('offset'), values('length')];
    expect(offsets).toHaveLength(10); // the kernels of the patches and of two blocks' linear layers, and the places of biases
    expect(lengths).toHaveLength(offsets.length);
    for (const [i, offset] of offsets.entries()) {
      expect(offset % 4096).toBe(0);
      expect(lengths[i]).toBeGreaterThanOrEqual(1024);
      expect(offset + lengths[i]!).toBeLessThanOrEqual(offsets[i + 1] ?? data!.bytes);
    }
    expect(offsets.at(-1)! + lengths.at(-1)!).toBe(data!.bytes);
    expect(data!.bytes).toBeGreaterThan(2 * graph!.bytes);
    const kernel = states.student.get('blocks.0.mlp.fc1.weight')!.data;
    const wanted = Buffer.from(kernel.buffer, kernel.byteOffset, kernel.byteLength);
    expect(readFileSync(path('pages.onnx.data')).indexOf(wanted) % 4096).toBe(0);
    expect(readFileSync(path('pages.onnx')).includes(wanted)).toBe(false);
  });

  test('without the file of weights ONNX Runtime says which one it misses', async () => {
    write(id, 'alone.onnx', { externalData: true });
    rmSync(path('alone.onnx.data'));
    await expect(InferenceSession.create(path('alone.onnx'))).rejects.toThrow(/alone\.onnx\.data/);
  });

  test('beyond what one file holds it is done without asking, and not a byte below', async () => {
    const bytes = onnxWeightBytes(config);
    const order = { checkpoint: id, network: 'teacher', format: 'onnx', card: false } as const;
    const ask = (file: string, limit: number) => exportEncoder(store, { ...order, file: path(file) }, limit).files;
    expect(ask('below.onnx', bytes)).toHaveLength(1);
    expect(ask('above.onnx', bytes - 1).map((file) => file.path)).toEqual([
      path('above.onnx'),
      path('above.onnx.data'),
    ]);
    const { images, tokens } = encoded(config, states.teacher, 2);
    expect(distance(await run('above.onnx', normalised(images)), tokens)).toBeLessThan(NEAR);
    // As the graph has it: what is above 1 KiB, which nearly all of it is.
    expect(Math.abs(statSync(path('below.onnx')).size / bytes - 1)).toBeLessThan(0.5);
    const huge = runConfigSchema.parse({ model: { embed_dim: 4096, depth: 12, num_heads: 32 } });
    expect(onnxWeightBytes(huge)).toBeGreaterThan(4 * MAX_WEIGHT_BYTES);
  });

  test('the card names both files; either one that is there is kept', () => {
    write(id, 'both.onnx', { externalData: true, card: true });
    const card = readFileSync(path('both.onnx.md'), 'utf8');
    expect(card).toContain('`both.onnx` and `both.onnx.data` hold the encoder');
    expect(card).toContain('Keep `both.onnx.data` in the folder of `both.onnx`');
    write(id, 'single.onnx', { card: true });
    expect(readFileSync(path('single.onnx.md'), 'utf8')).not.toContain('.data');
    writeFileSync(path('kept.onnx.data'), 'mine');
    expect(() => write(id, 'kept.onnx', { externalData: true })).toThrow(/kept\.onnx\.data is there already/);
    expect(readFileSync(path('kept.onnx.data'), 'utf8')).toBe('mine');
    expect(existsSync(path('kept.onnx'))).toBe(false);
  });

  test('replaced files are a pair again; a place that cannot be taken leaves no graph beside foreign weights', async () => {
    write(id, 'pair.onnx', { externalData: true });
    write(id, 'pair.onnx', { externalData: true, network: 'teacher', replace: true });
    const { images, tokens } = encoded(config, states.teacher, 2);
    expect(distance(await run('pair.onnx', normalised(images)), tokens)).toBeLessThan(NEAR);
    // A folder stands where the graph is to go.
    mkdirSync(join(path('blocked.onnx'), 'mine'), { recursive: true });
    expect(() => write(id, 'blocked.onnx', { externalData: true, replace: true })).toThrow(/blocked\.onnx cannot be/);
    expect(readdirSync(folder).filter((name) => name.startsWith('blocked'))).toEqual(['blocked.onnx']);
  });

  test.skipIf(noOnnx)('the Python of the card loads both', () => {
    write(id, 'card.onnx', { externalData: true, card: true });
    const { images, tokens } = encoded(config, states.student, 2);
    writeNpy(path('images.npy'), [2, 3, side, side], images);
    python(join(SCRIPTS, 'encode.py'), path('card.onnx.md'), path('images.npy'), path('tokens'));
    const got = readFileSync(path('tokens'));
    expect(distance(new Float32Array(got.buffer, got.byteOffset, got.length / 4), tokens)).toBeLessThan(NEAR);
  });
});
