import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readSafetensors, writeSafetensors } from '../../electron/formats/safetensors.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { exportWeights, importWeights } from '../../electron/services/export/weights.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import type { StateDict } from '../../shared/tensors.ts';
import { writePth } from '../../test/formats/pth-writer.ts';
import { temporaryStore, tokenError, zeros } from '../../test/harness/published.ts';
import { laterRefusal } from '../../test/harness/refusal.ts';
import { tinyConfig } from '../../test/methods/tiny.ts';
import { assignmentOf, explanationOf } from '../steps.ts';
import { ours } from './config.ts';
import { method } from './method.ts';

await loadBackend();
const { store, path } = temporaryStore();

// What the published code wrote and gave, in PyTorch: the layout of its files is that of `student.final`.
describe.each(['visible-1', 'visible-2'])('weights of the published code: %s', (fixture) => {
  const read = (name: string) =>
    readSafetensors(join(import.meta.dirname, 'fixture', fixture, `${name}.safetensors`)).tensors;
  const said = JSON.parse(readFileSync(join(import.meta.dirname, 'fixture', fixture, 'fixture.json'), 'utf8'));
  const state = read('student.final');
  const [codes, dim] = state.get('lm_head.weight')!.shape as [number, number];
  const table = state.get('rel_pos_bias.relative_position_bias_table');
  // A buffer of whole numbers, which follows from the grid.
  const whole: StateDict = table
    ? new Map([...state, ['rel_pos_bias.relative_position_index', zeros(17, 17)] as const])
    : state;
  const settings = table ? {} : { 'model.num_heads': said.num_heads };
  const file = path(`${fixture}.pth`);

  test('a file is known by its head; tokens are those of the published code, and it goes out as it came', async () => {
    writePth(file, { model: whole, optimizer: new Map() });
    const { checkpoint, ignored, notes } = await importWeights(store, file, { settings });
    expect(checkpoint.config).toMatchObject({
      method: { name: 'beit' },
      model: { embed_dim: dim, num_heads: said.num_heads, position: said.position },
      augment: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
      tokenizer: { run: null, codes },
    });
    expect({ ignored, lacks: checkpoint.lacks, notes }).toEqual({
      ignored: table ? ['rel_pos_bias.relative_position_index'] : [],
      lacks: ['tokenizer'],
      notes: [
        'Not read: optimizer.',
        'The file has no tokenizer: its features can be used. It cannot be asked for tokens, patches of each token.',
      ],
    });
    expect(tokenError(store, checkpoint.id, read('tokens.eval'))).toBeLessThan(1e-4);
    const why = { message: 'These weights have no tokens.', why: expect.stringContaining('has no tokenizer') };
    await expect(explanationOf(checkpoint, 'tokens')).rejects.toMatchObject(why);
    await expect(assignmentOf(checkpoint, 'members')).rejects.toMatchObject({ why: why.why });

    const out = path(`${fixture}-out.safetensors`);
    exportWeights(store, checkpoint.id, out, 'student');
    expect(Object.fromEntries(readSafetensors(out).tensors)).toEqual(Object.fromEntries(state));
    const again = await importWeights(store, out);
    expect(again.checkpoint).toMatchObject({ lacks: ['tokenizer'], config: checkpoint.config });
    expect(store.checkpoints.load(again.checkpoint.id, 'student')).toEqual(
      store.checkpoints.load(checkpoint.id, 'student'),
    );
    // What stands for a tokenizer is small beside one.
    const stored = [...store.checkpoints.load(checkpoint.id, 'student')];
    const values = stored.filter(([name]) => name.startsWith('tokenizer.')).map(([, { data }]) => data.length);
    expect(values.reduce((a, b) => a + b)).toBeLessThan(10_000);
  });

  test('a tensor that is missing is named', async () => {
    for (const name of ['blocks.1.attn.v_bias', 'lm_head.bias', 'norm.weight']) {
      writePth(file, { model: new Map([...whole].filter(([one]) => one !== name)) });
      const error = await laterRefusal(() => importWeights(store, file, { method: 'beit', settings }));
      expect(error.message).toContain(`"${name}"`);
    }
  });

  test('an encoder alone is read as this method’s where one says so, and mc-BEiT’s file as its own', async () => {
    const encoder = new Map([...whole].filter(([name]) => !/^lm_head|^mask_token$/.test(name)));
    writePth(file, { model: encoder });
    const one = await importWeights(store, file, {
      method: 'beit',
      settings: { ...settings, 'tokenizer.codes': codes },
    });
    expect(one.checkpoint.lacks).toEqual(['head', 'mask token', 'tokenizer']);
    expect(tokenError(store, one.checkpoint.id, read('tokens.eval'))).toBeLessThan(1e-4);
    const untold = await importWeights(store, file, { settings: { ...settings, 'projector.layers': 1 } });
    expect(untold.checkpoint.config.method).toEqual({ name: 'conmim' });

    writePth(file, { model: whole });
    const other = await importWeights(store, file, { method: 'mc-beit', settings });
    const shifted = { ...settings, 'augment.mean': [0.1, 0.2, 0.3] };
    expect((await importWeights(store, file, { settings: shifted })).checkpoint.config.augment).toMatchObject({
      mean: [0.1, 0.2, 0.3],
      std: [0.5, 0.5, 0.5],
    });
    expect(other.checkpoint).toMatchObject({
      lacks: ['tokenizer'],
      config: { method: { name: 'mc-beit' }, augment: { mean: [0.485, 0.456, 0.406] }, tokenizer: { codes } },
    });
    expect(tokenError(store, other.checkpoint.id, read('tokens.eval'))).toBeLessThan(1e-4);
  });
});

test('a file that was fine-tuned, with a bias in each block, is refused, and says which to take', async () => {
  const fixture = readSafetensors(join(import.meta.dirname, 'fixture/visible-1/student.final.safetensors')).tensors;
  const table = fixture.get('rel_pos_bias.relative_position_bias_table')!;
  const tuned: StateDict = new Map(
    [...fixture]
      .filter(([name]) => !/^lm_head|^mask_token|^rel_pos_bias/.test(name))
      .map(([name, tensor]) => [name.replace(/^norm\./, 'fc_norm.'), tensor]),
  );
  for (const block of [0, 1])
    tuned.set(`blocks.${block}.attn.relative_position_bias_table`, {
      ...table,
      data: table.data.map((value) => value + block),
    });
  for (const [name, tensor] of [
    ['head.weight', zeros(10, 32)],
    ['head.bias', zeros(10)],
  ] as const)
    tuned.set(name, tensor);
  writePth(path('tuned.pth'), { model: tuned });
  expect(await laterRefusal(() => importWeights(store, path('tuned.pth')))).toMatchObject({
    kind: 'bad-file',
    message: 'Each block of these weights has a relative position bias of its own.',
    next: expect.stringContaining('pretraining'),
  });
});

test('a run’s own weights go out with the tokenizer that it took over, and come back to the last bit', async () => {
  const config = tinyConfig(method);
  const state = untrainedState(config);
  const run = { name: 'own', dataset_id: null, preset: null, config, total_steps: 1, steps_per_epoch: 1 };
  const { id } = store.checkpoints.save(
    store.runs.create(run).id,
    { step: 1, epoch: 1, loss: 1, config, state: {} },
    { student: state },
  );
  const file = path('own.safetensors');
  exportWeights(store, id, file, 'student');
  const { checkpoint, ignored, notes } = await importWeights(store, file);
  expect({ ignored, notes, lacks: checkpoint.lacks }).toEqual({ ignored: [], notes: [], lacks: [] });
  expect(ours(checkpoint.config).tokenizer).toEqual(ours(config).tokenizer);
  expect(Object.fromEntries(store.checkpoints.load(checkpoint.id, 'student'))).toEqual(Object.fromEntries(state));
  // Part of a tokenizer is none.
  const torn = new Map([...readSafetensors(file).tensors].filter(([name]) => name !== 'tokenizer.norm.bias'));
  writeSafetensors(file, torn, readSafetensors(file).metadata);
  expect((await laterRefusal(() => importWeights(store, file))).message).toContain('"tokenizer.norm.bias"');
});
