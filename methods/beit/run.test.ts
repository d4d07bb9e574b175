import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { findPreset, parseConfig, withChanges } from '../../electron/services/recipes/configuration.ts';
import { createLenders, createRun, deleteRun, inOrderOfDeletion } from '../../electron/services/runs/runs.ts';
import { Store } from '../../electron/store/store.ts';
import { pretrainingData } from '../../electron/trainer/run-data.ts';
import { Training } from '../../electron/trainer/training.ts';
import type { Borrowing } from '../../shared/method.ts';
import { trainLenders, trainRun } from '../../test/methods/lenders.ts';
import { tinyConfig } from '../../test/methods/tiny.ts';
import { findMethod, methodOf, PRESETS, parseRunConfig } from '../index.ts';

// Runs that take over a network of another run: a tokenizer, or the network that a tokenizer compares pictures by.
await loadBackend();

const root = mkdtempSync(join(tmpdir(), 'tokenizers-'));
const store = Store.open(join(root, 'workbench.sqlite'));
beforeAll(async () => {
  const folder = join(root, 'images');
  mkdirSync(folder);
  for (let i = 0; i < 12; i++) {
    const pixels = Buffer.from(Uint8Array.from({ length: 24 * 20 * 3 }, (_, p) => (p * p * 37 + i * 101) % 256));
    const png = await sharp(pixels, { raw: { width: 24, height: 20, channels: 3 } })
      .png()
      .toBuffer();
    writeFileSync(join(folder, `${i}.png`), png);
  }
  for (const name of ['set', 'other set']) await importDataset(store, { name, folders: [folder] });
});
afterAll(() => {
  store.close();
  rmSync(root, { recursive: true });
});

const tiny = (name: string, train: object = {}) => tinyConfig(findMethod(name)!, train);
const withStudent = (name: string, drop_path: number) =>
  parseRunConfig({ ...tiny(name, { steps: 6 }), student: { drop_path } });

/** Trains a run, with pauses after these steps. */
async function train(id: number, pauses: readonly number[], between = () => {}) {
  for (let part = 0; part <= pauses.length; part++) {
    let steps = 0;
    const events = {
      onMetric: () => steps++,
      onCheckpoint: () => {},
      onNotice: () => {},
      request: () => (steps + (pauses[part - 1] ?? 0) === pauses[part] ? ('pause' as const) : null),
    };
    await new Training(store, store.runs.get(id), events, pretrainingData(store, store.runs.get(id))).train();
    between();
  }
  const losses = store.metrics.list(id).map(({ loss, figures }) => ({ loss, figures }));
  return { losses, student: Object.fromEntries(store.checkpoints.load(store.checkpoints.latest(id)!.id, 'student')) };
}

test.each([
  ['beit-small-cpu', 'tokenizer-small-cpu'],
  ['beit-small-gpu', 'tokenizer-small-gpu'],
  ['mc-beit-base', 'tokenizer-base'],
  ['beit-large', 'tokenizer-base'],
  ['peco-small-cpu', 'tokenizer-perceptual-small-cpu'],
  ['peco-base', 'tokenizer-perceptual-small-cpu'],
])('for %s a tokenizer of its grid and size is made: %s', (name, tokenizer) => {
  const config = parseRunConfig(PRESETS.find((preset) => preset.name === name)!.config);
  const [{ make, refuses }] = methodOf(config).borrows!(config) as [Borrowing];
  expect(make.preset).toBe(tokenizer);
  expect(refuses(parseConfig(withChanges(findPreset(make.preset), make.changes)))).toBeNull();
});

describe.each(['beit', 'mc-beit', 'peco'])('a run of %s', (name) => {
  const create = (over: object = {}) => {
    const config = parseRunConfig({ ...withStudent(name, 0.3), ...over });
    return createRun(store, { dataset: 'set', config, preset: null });
  };

  test('says how a tokenizer is trained where the dataset has none', () => {
    expect(create).toThrow(
      expect.objectContaining({
        message: expect.stringContaining('needs a tokenizer, and no tokenizer that was trained on dataset "set" fits'),
        next: expect.stringMatching(/conmim tokenizer( --preset \S+)? set/),
      }),
    );
  });

  test('has what is missing made first, of its own grid, and takes that over', () => {
    const config = withStudent(name, 0.3);
    const before = createLenders(store, { dataset: 'set', config });
    const methods = before.map((run) => run.config.method.name);
    expect(methods).toEqual(name === 'peco' ? ['conmim', 'tokenizer'] : ['tokenizer']);
    const tokenizer = before.at(-1)!;
    const { image_size, patch_size } = tokenizer.config.model;
    expect(image_size / patch_size).toBe(4);
    expect(create().config).toMatchObject({ tokenizer: { run: tokenizer.id, patch_size, codes: 256 } });
    expect(tokenizer.config).toMatchObject({ perceptual: { run: name === 'peco' ? before[0]!.id : null } });
    // Now it is there.
    expect(createLenders(store, { dataset: 'set', config })).toEqual([]);
    for (const { id } of inOrderOfDeletion(store.runs.list())) deleteRun(store, id);
  });

  test('takes it over, goes on without it, and is the same run to the bit where it was paused', async () => {
    await trainLenders(store, 'set', withStudent(name, 0.3));
    const [tokenizer] = store.runs.list().sort((a, b) => b.id - a.id);
    const [one, other] = [create(), create()];
    expect(one.config).toMatchObject({ tokenizer: { run: tokenizer!.id, codes: 256, width: 16, patch_size: 4 } });
    const whole = await train(one.id, []);
    const lent = store.checkpoints.load(store.checkpoints.latest(tokenizer!.id)!.id, 'student');
    for (const part of ['quantize.embedding.weight', 'blocks.0.attn.qkv.weight', 'decoder.fc_norm.bias'])
      expect(whole.student[`tokenizer.${part}`]).toEqual(lent.get(part));
    expect(store.notices.list(one.id).map(({ text }) => text)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(`Its tokenizer is of run ${tokenizer!.id} .*checksum [0-9a-f]{16};`),
      ]),
    );
    expect(whole.losses).toHaveLength(6);
    let isThere = true;
    const again = await train(other.id, [2, 4], () => {
      if (isThere) deleteRun(store, tokenizer!.id);
      isThere = false;
    });
    expect(again).toEqual(whole);
    for (const { id } of inOrderOfDeletion(store.runs.list())) deleteRun(store, id);
  });
});

test('a run names its tokenizer, and is told why another cannot be it', async () => {
  const four = await trainRun(store, 'set', tiny('tokenizer', { steps: 1 }));
  const two = await trainRun(
    store,
    'other set',
    parseRunConfig({ ...tiny('tokenizer', { steps: 1 }), model: { ...tiny('tokenizer').model, image_size: 8 } }),
  );
  const asked = (name: string, run: number | null) => {
    const config = tiny(name) as unknown as { tokenizer: object };
    const whole = parseRunConfig({ ...config, tokenizer: { ...config.tokenizer, run } });
    return createRun(store, { dataset: 'set', config: whole, preset: null }).config as unknown as typeof config;
  };
  expect(asked('beit', null).tokenizer).toMatchObject({ run: four });
  const why = (name: string, run: number) => {
    try {
      asked(name, run);
    } catch (error) {
      return (error as { why: string }).why;
    }
    return null;
  };
  expect(why('beit', two)).toBe('It has 2 x 2 tokens an image, and this run 4 x 4 patches: both must agree.');
  expect(why('peco', four)).toContain('compared pixels alone');
  const mae = await trainRun(store, 'set', tiny('mae', { steps: 1 }));
  expect(why('mc-beit', mae)).toBe('It trains no tokenizer.');
  // Pictures are compared by a network that is none itself, and its sizes are taken over.
  const { config } = createRun(store, {
    dataset: 'set',
    config: parseRunConfig({ ...tiny('tokenizer'), perceptual: { weight: 1 } }),
    preset: null,
  });
  expect(config).toMatchObject({ perceptual: { run: mae, embed_dim: 8, depth: 1, image_size: 16 } });
});
