import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeImages } from '../e2e/harness.ts';

// A method is a folder and a line: a checkout gets methods/toy and its line in the index, and nothing else is changed.
const ROOT = join(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'toy-'));
const checkout = join(folder, 'checkout');
const home = join(folder, 'home');

/** Learns the mean colour of every patch, of which it sees all. */
const METHOD = `import { z } from 'zod';
import type { Method } from '../../shared/method.ts';

export const method: Method = {
  name: 'toy',
  title: 'Toy',
  paper: { title: 'On Toys', arxiv: '0000.00000', year: 2000 },
  tags: ['toy'],
  about: 'Says the mean colour of each patch.',
  sections: { toy: z.strictObject({ weight: z.number().positive().default(1).describe('of the loss') }).prefault({}) },
  titles: { toy: 'Toys' },
  defaults: { model: { position: 'absolute' } },
  fixed: [],
  check: () => {},
  fields: { 'toy.weight': { slider: { min: 0.1, max: 2, step: 0.1 } } },
  presets: [
    {
      name: 'toy-tiny',
      title: 'Toy, tiny',
      source: 'nowhere',
      meant_for: 'a test',
      config: {
        model: { image_size: 32, patch_size: 8, embed_dim: 16, depth: 1, num_heads: 2 },
        train: { batch_size: 4, epochs: 1 },
      },
    },
  ],
  defaultPreset: 'toy-tiny',
  views: ({ model }) => [
    { name: 'picture', title: 'the toy', side: model.image_size, geometry: 'geometry', colours: 'weak', isMasked: false },
  ],
  mask: null,
  notices: () => [],
  hasTeacher: false,
  removesHidden: false,
  ablations: [],
  explains: [],
  lookups: null,
  published: null,
  figures: [
    { key: 'fun', title: 'Fun', scale: 'plain', unit: 'toys', isMain: true, about: 'How much fun it was' },
  ],
  charts: [{ title: 'Loss', unit: 'colour', lines: [{ key: 'loss', label: 'loss', colour: 0 }] }],
  chance: () => ({ loss: 1, words: 'grey', figures: {} }),
  alarm: () => null,
  notes: () => [],
  causes: () => [],
};
`;
const NETWORK = `import type { NetworkSpec } from '../../electron/engine/network.ts';
import { plainEncoder } from '../../electron/engine/parameters.ts';
import type { RunConfig } from '../../shared/config.ts';

export function network({ model }: Pick<RunConfig, 'model'>): NetworkSpec {
  const { parameters, buffers } = plainEncoder(model);
  const colour = { name: 'colour.weight', shape: [3, model.embed_dim], decay: true, init: { kind: 'normal', std: 0.02 } };
  const bias = { name: 'colour.bias', shape: [3], decay: false, init: { kind: 'constant', value: 0 } };
  return { model, parameters: [...parameters, colour, bias] as NetworkSpec['parameters'], buffers };
}
`;
const STEP = `import * as tf from '@tensorflow/tfjs-core';
import { encode } from '../../electron/engine/encoder.ts';
import { all, type Images, imageTensor } from '../../electron/engine/layers/embed.ts';
import { linear } from '../../electron/engine/layers/linear.ts';
import { patches } from '../../electron/engine/layers/tokens.ts';
import { meanSquared } from '../../electron/engine/losses/squared.ts';
import { record, Value } from '../../electron/engine/tape.ts';
import type { Method, TrainerConfig } from '../../electron/engine/trainer.ts';
import { gridOf, patchesOf, type RunConfig } from '../../shared/config.ts';
import { network } from './network.ts';

export const step: Method<RunConfig & TrainerConfig, { views: { picture: Images } }> = {
  student: network,
  teacher: () => null,
  step({ student }, { views: { picture } }, { model }) {
    const said = patches(linear(student, 'colour', encode(student, all(picture))));
    const [g, p] = [gridOf(model), model.patch_size];
    const means = tf.tidy(() => {
      const cells = tf.reshape(imageTensor(picture, model.image_size), [-1, g, p, g, p, 3]);
      return tf.reshape(tf.mean(cells, [2, 4]), [-1, g * g, 3]) as tf.Tensor3D;
    });
    const every = new Float32Array(said.tensor.shape[0] * patchesOf(model)).fill(1);
    return { loss: meanSquared(said, record(new Value(means)), every), figures: { fun: 42 } };
  },
};
`;
/** What a window asks, of the same sources. */
const ASK = `import { openProgram } from './electron/ipc/program.ts';
import { tableOf } from './renderer/views/runs/table.ts';
const program = await openProgram({ home: process.argv[2], shell: { kind: 'browser', reveal: () => false } });
const call = async (channel, input) => {
  const answer = await program.call(channel, input);
  if (!answer.ok) throw new Error(channel + ': ' + JSON.stringify(answer.error));
  return answer.value;
};
const fields = await call('config.fields', {});
const preset = { preset: 'toy-tiny', changes: {} };
const { images } = await call('images.page', { dataset: 1, offset: 0, limit: 1, status: 'ok', label: null, reason: null,
  search: '', sort: 'path', descending: false });
const runs = await call('runs.list', {});
const said = {
  fields: fields.toy.map((one) => one.key),
  presets: (await call('presets.list', {})).map((one) => one.name),
  lab: await call('lab.preview', { ...preset, dataset: 1, images: [images[0].id], draw: 0 }),
  check: await call('config.check', { ...preset, dataset: 1 }),
  table: tableOf(runs, await call('evaluations.list', { run: 1 })),
};
console.log(JSON.stringify(said));
await program.close('stop');
process.exit(0);
`;

const run = (...args: string[]) => {
  const { npm_execpath: _, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: checkout, encoding: 'utf8', env });
  if (status !== 0) throw new Error(`${args.join(' ')}: ${stdout}${stderr}`);
  return stdout;
};
const command = (...args: string[]) => run('electron/cli.ts', ...args, '--home', home);
const asked = (...args: string[]) => JSON.parse(command(...args, '--json'));

beforeAll(async () => {
  mkdirSync(checkout);
  for (const part of ['shared', 'methods', 'electron', 'renderer', 'package.json'])
    cpSync(join(ROOT, part), join(checkout, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(checkout, 'node_modules'));
  mkdirSync(join(checkout, 'out'));
  symlinkSync(join(ROOT, 'out/native'), join(checkout, 'out/native'));
  mkdirSync(join(checkout, 'methods/toy'));
  writeFileSync(join(checkout, 'methods/toy/method.ts'), METHOD);
  writeFileSync(join(checkout, 'methods/toy/network.ts'), NETWORK);
  writeFileSync(join(checkout, 'methods/toy/step.ts'), STEP);
  writeFileSync(join(checkout, 'ask.ts'), ASK);
  const index = join(checkout, 'methods/index.ts');
  const text = readFileSync(index, 'utf8');
  const added = text
    .replace('export const METHODS: readonly Method[] = [', '$&toy, ')
    .replace(/^import /m, "import { method as toy } from './toy/method.ts';\n$&");
  // Not the first: that is whose configurations name no method.
  writeFileSync(index, added.replace('[toy, conmim, ', '[conmim, toy, '));
  await makeImages(join(folder, 'images'), 12);
  command('import', join(folder, 'images'), '--name', 'pictures', '--labels', 'folders');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a folder methods/toy and a line: recipes, form, lab, a run, tables, evaluation and export have it', () => {
  expect(command('presets')).toContain('toy-tiny');
  expect(command('settings', '--method', 'toy')).toContain('toy.weight');
  command('pretrain', 'pictures', '--preset', 'toy-tiny', '--name', 'played', '--set', 'toy.weight=2');

  const [listed] = asked('runs');
  expect(listed).toMatchObject({ name: 'played', status: 'finished', step: 3 });
  expect(command('show', 'played')).toMatch(/grey = 1.*fun 42: how much fun it was/s);
  const shown = asked('show', 'played', '--metrics', '3');
  expect(shown.metrics.map((one: { fun: number }) => one.fun)).toEqual([42, 42, 42]);

  const [evaluation] = [asked('evaluate', 'run:played', '--dataset', 'pictures', '--task', 'knn', '--k', '3')].flat();
  expect(JSON.stringify(evaluation)).toContain('untrained');
  const page = join(folder, 'toy.html');
  const health = asked('health', 'run:played', '--dataset', 'pictures', '--out', page);
  expect(health.findings).toHaveLength(1);
  expect(readFileSync(page, 'utf8')).toContain('Effective rank of images');
  const file = join(folder, 'toy.safetensors');
  command('export', 'run:played', '--format', 'timm', '--out', file);
  const text = readFileSync(file, 'latin1');
  expect(text).toContain('blocks.0.attn.qkv.weight');
  expect(text).not.toContain('colour');
  const weights = join(folder, 'toy-weights.safetensors');
  command('export-weights', 'run:played', weights);
  expect(asked('import-weights', weights, '--name', 'again')).toMatchObject({
    checkpoint: { config: { method: { name: 'toy' }, toy: { weight: 2 } }, lacks: [] },
    ignored: [],
    notes: [],
  });
  expect(asked('import-weights', file, '--name', 'encoder').checkpoint.lacks).toEqual(['head']);

  const { fields, presets, lab, check, table } = JSON.parse(run('ask.ts', home));
  expect(fields).toContain('toy.weight');
  expect(presets).toContain('toy-tiny');
  expect(lab[0].views.map((one: { title: string }) => one.title)).toEqual(['the toy']);
  expect(check.problems).toEqual([]);
  expect(JSON.stringify(table.columns)).toContain('"Fun"');
  expect(JSON.stringify(table.rows)).toContain('42');
});
