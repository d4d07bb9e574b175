import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { sincosPositions } from '../../electron/engine/positions.ts';
import type { Published, Recognised } from '../../electron/engine/published.ts';
import { readSafetensors, writeSafetensors } from '../../electron/formats/safetensors.ts';
import { recognise } from '../../electron/services/export/recognise.ts';
import { exportWeights, type ImportOptions, importWeights } from '../../electron/services/export/weights.ts';
import { Store } from '../../electron/store/store.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { published as beit } from '../../methods/beit/published.ts';
import { published as conmim } from '../../methods/conmim/published.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { published as ibot } from '../../methods/ibot/published.ts';
import { METHODS } from '../../methods/index.ts';
import { published as mae } from '../../methods/mae/published.ts';
import { published as moco } from '../../methods/moco/published.ts';
import { publishedOf } from '../../methods/published.ts';
import type { StateDict } from '../../shared/tensors.ts';
import { laterRefusal } from '../harness/refusal.ts';
import { tinyConfig } from '../methods/tiny.ts';

let folder: string;
let store: Store;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weights-'));
  store = Store.open(join(folder, 'workbench.sqlite'));
});
afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

const config = runConfigSchema.parse({
  model: { image_size: 32, patch_size: 16, embed_dim: 64, depth: 1, num_heads: 1, position: 'absolute' },
  projector: { layers: 1, out: 8 },
  mask: { kind: 'uniform' },
});

test('names under the wrapper of distributed training are read as those without it', async () => {
  const state = untrainedState(config);
  const file = join(folder, 'wrapped.safetensors');
  writeSafetensors(file, new Map([...state].map(([name, tensor]) => [`module.${name}`, tensor])));
  const { checkpoint, ignored } = await importWeights(store, file);
  expect(ignored).toEqual([]);
  const read = store.checkpoints.load(checkpoint.id, 'student');
  expect([...read.keys()].sort()).toEqual([...state.keys()].sort());
  for (const [name, { data }] of state) expect(read.get(name)!.data).toEqual(data);
});

test('a value that is not finite, of whatever tensor, is refused with its name; nothing is stored', async () => {
  const file = join(folder, 'bad.safetensors');
  const state = untrainedState(config);
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...state.keys()),
      fc.nat(),
      fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e39),
      async (name, at, value) => {
        const { shape, data } = state.get(name)!;
        const changed = data.slice();
        changed[at % data.length] = value;
        writeSafetensors(file, new Map([...state, [name, { shape, data: changed }]]));
        const error = await laterRefusal(() => importWeights(store, file));
        expect(error.kind).toBe('bad-file');
        expect(error.why).toContain(`"${name}" has 1 of ${data.length} values`);
      },
    ),
    { numRuns: 60 },
  );
  expect(store.runs.list()).toEqual([]);
  // One that is not used does not matter.
  writeSafetensors(file, new Map([...state, ['lm_head.weight', { shape: [1], data: new Float32Array([Number.NaN]) }]]));
  expect((await importWeights(store, file)).ignored).toEqual(['lm_head.weight']);
});

test('a file that names a huge model, and has little of it, is refused before anything of that size is made', async () => {
  const file = join(folder, 'huge.safetensors');
  const small = untrainedState(config);
  const write = (tensors: StateDict, named: object) =>
    writeSafetensors(file, tensors, { 'conmim.config': JSON.stringify(named) });
  const before = process.memoryUsage().rss;
  const began = performance.now();
  const huge = { image_size: 1024, patch_size: 16, embed_dim: 4096, depth: 64, num_heads: 64, mlp_ratio: 16 };
  write(new Map([['cls_token', { shape: [1, 1, 1], data: new Float32Array(1) }]]), { model: huge, projector: {} });
  expect((await laterRefusal(() => importWeights(store, file))).kind).toBe('bad-file');
  // The encoder is there, and a projector is named that is not.
  const encoder = new Map([...small].filter(([name]) => !name.startsWith('projectors.')));
  write(encoder, { model: config.model, projector: { layers: 8, hidden: 16_384, out: 8 } });
  expect((await laterRefusal(() => importWeights(store, file))).why).toContain('GB');
  // A block's number in a name is no reason to make as many.
  write(new Map([...small, ['blocks.999999999.norm1.weight', { shape: [1], data: new Float32Array(1) }]]), {
    model: config.model,
    projector: config.projector,
  });
  expect((await importWeights(store, file, { name: 'read' })).ignored).toEqual(['blocks.999999999.norm1.weight']);
  writeSafetensors(
    file,
    new Map([...small, ['blocks.999999999.norm1.weight', { shape: [1], data: new Float32Array(1) }]]),
  );
  expect((await laterRefusal(() => importWeights(store, file))).kind).toMatch(/^bad-/);
  expect(process.memoryUsage().rss - before).toBeLessThan(500e6);
  expect(performance.now() - began).toBeLessThan(30_000);
});

test('what a file lacks starts as the seed says, whatever else is drawn', async () => {
  const file = join(folder, 'encoder.safetensors');
  const state = untrainedState(config);
  writeSafetensors(file, new Map([...state].filter(([name]) => name !== 'mask_token')), {
    'conmim.config': JSON.stringify({ model: config.model, projector: config.projector }),
  });
  const { checkpoint } = await importWeights(store, file);
  const read = store.checkpoints.load(checkpoint.id, 'student');
  expect(read.get('mask_token')!.data).toEqual(untrainedState(checkpoint.config).get('mask_token')!.data);
});

test('student and teacher go out under the published names, and come back to the last bit, with the configuration', async () => {
  const student = untrainedState(config);
  const teacher = new Map(
    [...student].map(([name, { shape, data }]) => [name, { shape, data: data.map((v) => v + 1) }]),
  );
  const given = runConfigSchema.parse({ ...config, contrast: { temperature: 0.3 } });
  const run = { name: 'given', dataset_id: null, preset: null, config: given, total_steps: 1, steps_per_epoch: 1 };
  const { id } = store.checkpoints.save(
    store.runs.create(run).id,
    { step: 1, epoch: 1, loss: 1, config: given, state: {} },
    { student, teacher },
  );
  for (const [network, state] of [['student', student] as const, ['teacher', teacher] as const]) {
    const file = join(folder, `${network}.safetensors`);
    exportWeights(store, id, file, network);
    expect([...readSafetensors(file).tensors.keys()].sort()).toEqual([...state.keys()].sort());
    const { checkpoint, ignored, notes } = await importWeights(store, file);
    expect({ ignored, notes, lacks: checkpoint.lacks }).toEqual({ ignored: [], notes: [], lacks: [] });
    for (const section of ['method', 'model', 'projector', 'contrast', 'mask'] as const)
      expect((checkpoint.config as typeof given)[section], section).toEqual(given[section]);
    for (const part of ['student', 'teacher'] as const)
      expect(Object.fromEntries(store.checkpoints.load(checkpoint.id, part))).toEqual(Object.fromEntries(state));
  }
});

test('what a file lacked is not written: it comes back as lacking, never as trained', async () => {
  const file = join(folder, 'encoder.safetensors');
  const encoder = new Map([...untrainedState(config)].filter(([name]) => !name.startsWith('projectors.')));
  writeSafetensors(file, encoder, { 'conmim.config': JSON.stringify(config) });
  const { checkpoint } = await importWeights(store, file);
  const out = join(folder, 'out.safetensors');
  expect(exportWeights(store, checkpoint.id, out, 'student')).toBe(encoder.size);
  expect(Object.fromEntries(readSafetensors(out).tensors)).toEqual(Object.fromEntries(encoder));
  const { checkpoint: again, notes } = await importWeights(store, out);
  expect(again).toMatchObject({ lacks: ['projector'], config: checkpoint.config });
  expect(notes.join()).toContain('has no projector');
});

// By tensors alone, each with all its heads. What reads as another's has that one's tensors, and is only read as its own
// where one says so.
test.each(METHODS.filter(({ published }) => published !== null).map((method) => [method.name, method] as const))(
  'what %s writes is known as a file of it, of one method alone',
  (name, method) => {
    const { write } = publishedOf(method);
    const state = untrainedState(tinyConfig(method));
    expect(recognise(write(state, 'student'))).toBe(name === 'mc-beit' ? 'beit' : name);
    if (method.hasTeacher) expect(recognise(write(state, 'teacher'))).toBe(name);
  },
);

test('a file with both networks gives both, each whole, and says what neither has', async () => {
  const file = join(folder, 'both.safetensors');
  const student = untrainedState(config);
  const teacher = new Map(
    [...student].map(([name, { shape, data }]) => [name, { shape, data: data.map((v) => v + 1) }]),
  );
  const more = { shape: [1], data: new Float32Array(1) };
  writeSafetensors(file, student);
  const read = vi.spyOn(publishedOf({ name: 'conmim' }), 'read');
  read.mockReturnValue({ student, teacher: new Map([...teacher, ['queue', more]]) });
  try {
    const { checkpoint, ignored } = await importWeights(store, file);
    expect(ignored).toEqual(['queue']);
    for (const [part, state] of [['student', student] as const, ['teacher', teacher] as const])
      expect(Object.fromEntries(store.checkpoints.load(checkpoint.id, part))).toEqual(Object.fromEntries(state));
    teacher.delete('blocks.0.norm1.bias');
    read.mockReturnValue({ student, teacher });
    expect((await laterRefusal(() => importWeights(store, file))).message).toContain('"blocks.0.norm1.bias"');
  } finally {
    read.mockRestore();
  }
});

test('whose weights they are: by what a file says, by its tensors, or by the person who has it', async () => {
  const state = untrainedState(config);
  const file = join(folder, 'whose.safetensors');
  const told = async (options: ImportOptions = {}) =>
    (await importWeights(store, file, options)).checkpoint.config.method;
  writeSafetensors(file, state);
  expect(await told()).toEqual({ name: 'conmim' });
  // An encoder under BEiT's names, with what is no head of BEiT's.
  const encoder = new Map([...state].filter(([name]) => !name.startsWith('projectors.')));
  writeSafetensors(file, new Map([...encoder, ['lm_head.weight', { shape: [1], data: new Float32Array(1) }]]));
  expect(await told()).toEqual({ name: 'conmim' });

  writeSafetensors(file, new Map([['conv1.weight', { shape: [1], data: new Float32Array(1) }]]));
  const none = await laterRefusal(told);
  expect(none).toMatchObject({ kind: 'bad-file', message: 'No method that is known here has trained these weights.' });
  expect(none.why).toMatch(/ConMIM \(TencentARC.*projectors.*MAE \(facebookresearch.*decoder_embed/);
  expect(none.next).toContain('--method');
  expect(await laterRefusal(() => told({ method: 'mae' }))).toMatchObject({
    why: 'It does not hold a Vision Transformer.',
  });
  expect(await laterRefusal(() => told({ method: 'conmin' }))).toMatchObject({ next: 'Did you mean "conmim"?' });

  const both = new Map([...state, ['decoder_embed.weight', { shape: [4, 64], data: new Float32Array(256) }]]);
  writeSafetensors(file, both);
  const several = await laterRefusal(told);
  expect(several).toMatchObject({
    kind: 'bad-file',
    message: 'These weights may be of ConMIM or MAE.',
    why: 'The file has heads of each of them.',
    next: expect.stringMatching(/--method.*\(conmim, mae\)/),
  });
  expect(await told({ method: 'conmim' })).toEqual({ name: 'conmim' });

  writeSafetensors(file, state, { 'conmim.config': JSON.stringify({ ...config, method: { name: 'later' } }) });
  expect(await laterRefusal(told)).toMatchObject({ message: 'The weights are of a method that is not here: "later".' });
  writeSafetensors(file, state, { 'conmim.config': '7' });
  expect((await laterRefusal(told)).kind).toMatch(/^bad-/);
});

describe('methods whose files are like each other', () => {
  const one = (shape: number[], data: Float32Array = new Float32Array(shape.reduce((a, b) => a * b, 1))) => ({
    shape,
    data,
  });
  const begins = (...beginnings: string[]) => ({
    recognise: (file: StateDict): Recognised =>
      beginnings.every((b) => [...file.keys()].some((name) => name.startsWith(b))) ? 'method' : null,
  });
  /** Another that names an encoder as BEiT does. */
  const alike = {
    recognise: (file: StateDict): Recognised => (file.has('blocks.0.attn.q_bias') ? 'encoder' : null),
  };
  const candidate = (name: string, published: Pick<Published, 'recognise'>) => ({
    method: { name, title: name.toUpperCase(), published: null },
    published,
  });
  const candidates = [
    candidate('conmim', conmim),
    candidate('mae', mae),
    candidate('moco', moco),
    candidate('beit', beit),
    candidate('ibot', ibot),
    candidate('swav', begins('prototypes.')),
  ];
  const of = (tensors: Record<string, ReturnType<typeof one>>, more: typeof candidates = []) =>
    recognise(new Map(Object.entries(tensors)), [...candidates, ...more]);
  const positions = (first: 'column' | 'row') => one([1, 17, 8], sincosPositions(4, 8, first));

  test('are told apart by their heads, and by the order of fixed positions', () => {
    expect(of({ 'base_encoder.cls_token': one([1, 1, 8]), 'predictor.0.weight': one([8, 8]) })).toBe('moco');
    const [encoder, head] = [
      { cls_token: one([1, 1, 8]), 'blocks.0.attn.q_bias': one([8]) },
      { 'lm_head.weight': one([9, 8]), 'lm_head.bias': one([9]) },
    ];
    expect(of({ ...encoder, ...head })).toBe('beit');
    // Those who made another method of this code kept its head.
    expect(of({ ...encoder, ...head, 'projectors.0.weight': one([4, 8]) })).toBe('conmim');
    expect(of(encoder)).toBe('conmim');
    expect(of({ 'student.module.backbone.masked_embed': one([1, 8]), 'teacher.backbone.norm.bias': one([8]) })).toBe(
      'ibot',
    );
    const plain = { pos_embed: one([1, 17, 8]), 'blocks.0.attn.qkv.bias': one([24]) };
    expect(of(plain)).toBe('ibot');
    for (const another of ['head.weight', 'fc_norm.weight', 'blocks.0.ls1.gamma', 'mask_token'])
      expect(() => of({ ...plain, [another]: one([8]) }), another).toThrow('No method');
    expect(of({ ...plain, pos_embed: positions('row') })).toBe('moco');
    expect(of({ 'prototypes.weight': one([9, 8]) })).toBe('swav');
    expect(of({ pos_embed: positions('column') })).toBe('mae');
    expect(of({ pos_embed: positions('row') })).toBe('moco');
    const shifted = positions('row');
    shifted.data[9]! += 0.01;
    expect(() => of({ pos_embed: shifted })).toThrow('No method');
  });

  test('and one says which it is where nothing tells them apart', () => {
    expect(() => of({ 'blocks.0.attn.q_bias': one([8]) }, [candidate('alike', alike)])).toThrow(
      'These weights may be of CONMIM or ALIKE.',
    );
  });
});
