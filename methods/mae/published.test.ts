import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readSafetensors, writeSafetensors } from '../../electron/formats/safetensors.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { exportEncoder } from '../../electron/services/export/export.ts';
import { exportWeights, importWeights } from '../../electron/services/export/weights.ts';
import type { StateDict } from '../../shared/tensors.ts';
import { writePth } from '../../test/formats/pth-writer.ts';
import { temporaryStore, tokenError, withoutKeyBias } from '../../test/harness/published.ts';
import { laterRefusal } from '../../test/harness/refusal.ts';
import { requireLookups } from '../index.ts';
import { explanationOf } from '../steps.ts';
import { ours } from './config.ts';
import { published } from './published.ts';

await loadBackend();
const { store, path } = temporaryStore();

// What the published code wrote and gave (models_mae.py, in PyTorch): the layout of its files is that of `model.final`.
describe.each(['visible-1', 'visible-2'])('weights of the published code: %s', (fixture) => {
  const read = (file: string) => readSafetensors(join(import.meta.dirname, 'fixture', fixture, file)).tensors;
  const said = JSON.parse(readFileSync(join(import.meta.dirname, 'fixture', fixture, 'fixture.json'), 'utf8'));
  const whole = read('model.final.safetensors');
  const encoder = new Map([...whole].filter(([name]) => !/^decoder_|^mask_token$/.test(name)));
  const heads = { 'model.num_heads': said.encoder.num_heads };
  /** Of a decoder that is made where the file has none: small, for it is not what is asked. */
  const small = { 'decoder.embed_dim': 16, 'decoder.depth': 1, 'decoder.num_heads': 1 };
  const file = path(`${fixture}.pth`);

  const errorOf = (checkpoint: number) => tokenError(store, checkpoint, read('tokens.eval.safetensors'));

  test('a file with its decoder is known as what it is; tokens are those of the published code, and it goes out as it came', async () => {
    writePth(file, { model: whole, optimizer: new Map() });
    const settings = { ...heads, 'decoder.num_heads': said.decoder.num_heads };
    const { checkpoint, ignored, notes } = await importWeights(store, file, { settings });
    expect(checkpoint.config.method).toEqual({ name: 'mae' });
    expect(checkpoint.config.model).toMatchObject({ ...said.encoder, image_size: said.image_size });
    expect(ours(checkpoint.config).decoder).toEqual(said.decoder);
    expect({ ignored, lacks: checkpoint.lacks, notes }).toEqual({
      ignored: [],
      lacks: [],
      notes: ['Not read: optimizer.'],
    });
    expect(errorOf(checkpoint.id)).toBeLessThan(1e-4);
    // It can be asked for all that a run of the method can be asked for, and for nothing of a teacher.
    expect(await explanationOf(checkpoint, 'reconstruction')).toHaveProperty('explain');
    expect(
      (await laterRefusal(async () => exportWeights(store, checkpoint.id, path('t.safetensors'), 'teacher'))).kind,
    ).toBe('bad-input');

    const out = path(`${fixture}-out.safetensors`);
    exportWeights(store, checkpoint.id, out, 'student');
    const written = readSafetensors(out).tensors;
    expect(Object.fromEntries(written)).toEqual(Object.fromEntries(withoutKeyBias(whole)));
    const again = await importWeights(store, out);
    expect(again.notes).toEqual([]);
    expect(again.checkpoint.config).toEqual(checkpoint.config);
    expect(store.checkpoints.load(again.checkpoint.id, 'student')).toEqual(
      store.checkpoints.load(checkpoint.id, 'student'),
    );
  });

  test('an encoder alone, as it is distributed, is known by its fixed positions; what it lacks is said', async () => {
    writePth(file, { model: encoder });
    const { checkpoint, ignored, notes } = await importWeights(store, file, { settings: { ...heads, ...small } });
    expect(checkpoint.config.method).toEqual({ name: 'mae' });
    expect({ ignored, lacks: checkpoint.lacks }).toEqual({ ignored: [], lacks: ['decoder'] });
    expect(notes).toEqual([
      'The file has no decoder: its features can be used. It cannot be asked for reconstruction.',
    ]);
    expect(errorOf(checkpoint.id)).toBeLessThan(1e-4);
    await expect(explanationOf(checkpoint, 'reconstruction')).rejects.toMatchObject({
      message: 'These weights have no reconstruction.',
      why: expect.stringContaining('has no decoder'),
    });
  });

  test('what is exported for timm comes back as an encoder of the same method', async () => {
    writePth(file, { model: whole });
    const { checkpoint } = await importWeights(store, file, {
      settings: { ...heads, 'decoder.num_heads': said.decoder.num_heads },
    });
    const out = path(`${fixture}-timm.safetensors`);
    exportEncoder(store, { checkpoint: checkpoint.id, network: 'student', format: 'timm', file: out, card: false });
    const back = await importWeights(store, out, { settings: small });
    expect(back.checkpoint).toMatchObject({ config: { method: { name: 'mae' } }, lacks: ['decoder'] });
    expect(errorOf(back.checkpoint.id)).toBeLessThan(1e-4);
    // An older program, and timm itself, say no method: positions tell it.
    writeSafetensors(out, readSafetensors(out).tensors);
    const bare = await importWeights(store, out, { settings: { ...heads, ...small } });
    expect(bare.checkpoint.config.method).toEqual({ name: 'mae' });
    expect(errorOf(bare.checkpoint.id)).toBeLessThan(1e-4);
  });

  test('what shapes do not say is assumed, and said', async () => {
    writePth(file, { model: whole });
    const settings = { 'decoder.num_heads': said.decoder.num_heads };
    const { notes, checkpoint } = await importWeights(store, file, { settings });
    expect(notes.join()).toMatch(/Attention heads: \d+ is assumed.* --set model\.num_heads=N/);
    expect(notes.join()).not.toContain('decoder');
    // Other heads are other tokens: the heads above are what the fixture has.
    if (checkpoint.config.model.num_heads !== said.encoder.num_heads)
      expect(errorOf(checkpoint.id)).toBeGreaterThan(1e-4);
  });

  test('its encoder may be read as that of another method, where one says so', async () => {
    writePth(file, { model: encoder });
    const { checkpoint } = await importWeights(store, file, {
      method: 'conmim',
      settings: { ...heads, 'projector.layers': 1 },
    });
    expect(checkpoint.config.method).toEqual({ name: 'conmim' });
    expect(checkpoint.lacks).toEqual(['projector', 'mask token']);
    expect(() => requireLookups(checkpoint)).toThrow('These weights have no look-ups.');
    expect(errorOf(checkpoint.id)).toBeLessThan(1e-4);
  });

  test('a decoder that is not whole is refused with the tensor that is missing', async () => {
    const torn = new Map([...whole].filter(([name]) => name !== 'decoder_blocks.0.norm1.bias'));
    writePth(file, { model: torn });
    const error = await laterRefusal(() => importWeights(store, file, { settings: heads }));
    expect(error.message).toContain('"decoder_blocks.0.norm1.bias"');
  });
});

test('heads of ViT-H have 80 dimensions, and every published decoder 16 heads', () => {
  const of = (...shape: number[]) => ({ shape, data: new Float32Array(0) });
  const tensors: StateDict = new Map([
    ['patch_embed.proj.weight', of(1280, 3, 14, 14)],
    ['pos_embed', of(1, 257, 1280)],
    ['blocks.31.norm1.weight', of(1280)],
    ['decoder_embed.weight', of(512, 1280)],
    ['decoder_blocks.7.norm1.weight', of(512)],
  ]);
  expect(published.sizes(tensors).config).toMatchObject({
    model: { image_size: 224, patch_size: 14, embed_dim: 1280, depth: 32, num_heads: 16, position: 'fixed-sincos' },
    decoder: { embed_dim: 512, depth: 8, num_heads: 16 },
  });
});
