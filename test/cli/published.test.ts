import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readSafetensors, writeSafetensors } from '../../electron/formats/safetensors.ts';
import type { StateDict } from '../../shared/tensors.ts';
import { writePth } from '../formats/pth-writer.ts';

/**
 * Files with the names and shapes of released weights, but small: 32 pixels, patches of 8, two blocks of width 32. They are
 * listed here as the published code has them, not asked of the program.
 */
const CLI = join(import.meta.dirname, '../../out/electron/cli.js');
const folder = mkdtempSync(join(tmpdir(), 'published-'));
const conmim = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args, '--home', join(folder, 'home')], {
    encoding: 'utf8',
  });
  return { status, stderr, json: () => JSON.parse(stdout) };
};

/** Numbers that look drawn, the same every time. */
let drawn = 1;
const noise = () => {
  drawn = (drawn * 48_271) % 2_147_483_647;
  return (drawn / 2_147_483_647 - 0.5) / 5;
};
type Shapes = Record<string, readonly number[]>;
const stateOf = (shapes: Shapes): StateDict =>
  new Map(
    Object.entries(shapes).map(([name, shape]) => [
      name,
      { shape: [...shape], data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, noise) },
    ]),
  );
const under = (prefix: string, shapes: Shapes): Shapes =>
  Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [prefix + name, shape]));

const block = (i: number, bias: Shapes, more: Shapes = {}): Shapes =>
  under(`blocks.${i}.`, {
    ...more,
    'norm1.weight': [32],
    'norm1.bias': [32],
    ...bias,
    'attn.qkv.weight': [96, 32],
    'attn.proj.weight': [32, 32],
    'attn.proj.bias': [32],
    'norm2.weight': [32],
    'norm2.bias': [32],
    'mlp.fc1.weight': [128, 32],
    'mlp.fc1.bias': [128],
    'mlp.fc2.weight': [32, 128],
    'mlp.fc2.bias': [32],
  });
const ENDS: Shapes = {
  'patch_embed.proj.weight': [32, 3, 8, 8],
  'patch_embed.proj.bias': [32],
  'norm.weight': [32],
  'norm.bias': [32],
};
/** beit_base_patch16_224_pt22k.pth: a shared bias, layer scale, no absolute positions. */
const BEIT: Shapes = {
  cls_token: [1, 1, 32],
  mask_token: [1, 1, 32],
  ...ENDS,
  'rel_pos_bias.relative_position_bias_table': [52, 4],
  'rel_pos_bias.relative_position_index': [17, 17],
  ...Object.assign(
    {},
    ...[0, 1].map((i) => block(i, { 'attn.q_bias': [32], 'attn.v_bias': [32] }, { gamma_1: [32], gamma_2: [32] })),
  ),
  'lm_head.weight': [48, 32],
  'lm_head.bias': [48],
};
/** The encoder of ibot's vit_small, of a teacher. */
const PLAIN: Shapes = {
  cls_token: [1, 1, 32],
  pos_embed: [1, 17, 32],
  ...ENDS,
  ...Object.assign({}, ...[0, 1].map((i) => block(i, { 'attn.qkv.bias': [96] }))),
};
const HEAD: Shapes = under('head.', {
  'mlp.0.weight': [24, 32],
  'mlp.0.bias': [24],
  'mlp.2.weight': [24, 24],
  'mlp.2.bias': [24],
  'mlp.4.weight': [16, 24],
  'mlp.4.bias': [16],
  'last_layer.weight_g': [20, 1],
  'last_layer.weight_v': [20, 16],
});
/** With a shared head, whose last layer stands in a state twice. */
function network(encoder: Shapes): StateDict {
  const state = stateOf({ ...under('backbone.', encoder), ...HEAD });
  for (const part of ['g', 'v'])
    state.set(`head.last_layer2.weight_${part}`, state.get(`head.last_layer.weight_${part}`)!);
  return state;
}

beforeAll(async () => {
  for (const [c, name] of ['light', 'dark'].entries()) {
    mkdirSync(join(folder, 'images', name), { recursive: true });
    for (let i = 0; i < 8; i++) {
      const pixels = Uint8Array.from({ length: 32 * 32 * 3 }, (_, p) => (c === 0 ? 150 : 0) + ((p * (i + 3)) % 100));
      await sharp(Buffer.from(pixels), { raw: { width: 32, height: 32, channels: 3 } })
        .png()
        .toFile(join(folder, 'images', name, `${i}.png`));
    }
  }
  conmim('import', join(folder, 'images'), '--name', 'pictures', '--labels', 'folders');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const OF = ['--dataset', 'pictures'];
interface Case {
  ending: string;
  write: (file: string) => void;
  method: string;
  lacks: string[];
  ignored: string[];
  set: string[];
}
const cases: Record<string, Case> = {
  'BEiT, as it is released': {
    ending: 'pth',
    method: 'beit',
    lacks: ['tokenizer'],
    set: [],
    ignored: ['rel_pos_bias.relative_position_index'],
    write: (file) => writePth(file, { model: stateOf(BEIT) }),
  },
  'iBOT, the whole checkpoint': {
    ending: 'pth',
    method: 'ibot',
    lacks: [],
    ignored: [],
    set: ['model.num_heads=2'],
    write: (file) =>
      writePth(file, {
        student: new Map(
          [...network({ ...PLAIN, masked_embed: [1, 32] })].map(([name, tensor]) => [`module.${name}`, tensor]),
        ),
        teacher: network(PLAIN),
        optimizer: new Map(),
        ibot_loss: stateOf({ center: [1, 20], center2: [1, 1, 20] }),
      }),
  },
  'iBOT, the encoder of a teacher': {
    ending: 'safetensors',
    method: 'ibot',
    lacks: ['head', 'mask token', 'centres'],
    ignored: [],
    set: ['model.num_heads=2', 'head.hidden=16', 'head.out=8'],
    write: (file) => writeSafetensors(file, stateOf(PLAIN), { format: 'pt' }),
  },
};

describe.each(Object.entries(cases))('%s', (name, { ending, write, method, lacks, ignored, set }) => {
  const run = `run:${name}`;
  test('is read, evaluated and exported; what it lacks is said where it is needed', () => {
    const file = join(folder, `${name}.${ending}`);
    write(file);
    const read = conmim(
      ...['import-weights', file, '--name', name, '--json'],
      ...set.flatMap((one) => ['--set', one]),
    ).json();
    expect(read).toMatchObject({ ignored, checkpoint: { lacks, config: { method: { name: method } } } });

    const [knn] = [
      conmim('evaluate', run, ...OF, '--task', 'knn', '--k', '3', '--official', 'none', '--json').json(),
    ].flat();
    const { trained, untrained } = knn.result ?? knn;
    for (const of of [trained, untrained]) expect(of.mean_pooled).toBeGreaterThanOrEqual(0);

    const asked = [
      conmim('explain', run, ...OF, '--image', '.'),
      conmim('health', run, ...OF, '--out', join(folder, `${name}.html`)),
    ];
    for (const { status, stderr } of asked) {
      if (lacks.length === 0) expect({ status, stderr }).toMatchObject({ status: 0 });
      else expect(stderr).toContain(`The file that they came from has no ${lacks.join(' and no ')}.`);
      if (lacks.length > 0) expect(status).toBe(1);
    }

    const [timm, back] = ['timm', 'back'].map((one) => join(folder, `${name} ${one}.safetensors`)) as [string, string];
    expect(conmim('export', run, '--format', 'timm', '--out', timm).status).toBe(0);
    expect(readSafetensors(timm).tensors.get('cls_token')!.shape).toEqual([1, 1, 32]);
    expect(conmim('export-weights', run, back).status).toBe(0);
    const again = conmim('import-weights', back, '--name', `${name}, again`, '--json').json();
    expect(again).toMatchObject({ ignored: [], checkpoint: { lacks, config: read.checkpoint.config } });
  });
});

test('an encoder that was imported is fine-tuned', () => {
  const tuned = conmim(
    ...['finetune', 'run:BEiT, as it is released', ...OF, '--epochs', '1', '--official', 'none'],
    ...['--set', 'batch_size=4', '--json'],
  ).json();
  expect(tuned.error).toBeUndefined();
  const runs = conmim('runs', '--json').json() as { kind: string; status: string }[];
  expect(runs.filter(({ kind }) => kind === 'finetune').map(({ status }) => status)).toEqual(['finished', 'finished']);
});
