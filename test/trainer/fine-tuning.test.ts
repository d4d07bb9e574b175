import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { createFineTunings, fineTuneConfig, parseFineTune } from '../../electron/services/runs/fine-tune.ts';
import { createRun } from '../../electron/services/runs/runs.ts';
import { Store } from '../../electron/store/store.ts';
import { FineTuning } from '../../electron/trainer/fine-tuning.ts';
import { LabelledData } from '../../electron/trainer/labelled-data.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { METHODS, parseRunConfig } from '../../methods/index.ts';
import type { Run } from '../../shared/run.ts';
import { behindItsBack } from '../store/helpers.ts';

const root = mkdtempSync(join(tmpdir(), 'fine-tuning-'));
const store = Store.open(join(root, 'workbench.sqlite'));

beforeAll(async () => {
  await loadBackend();
  const folder = join(root, 'images');
  for (let i = 0; i < 12; i++) {
    const file = join(folder, `class${i % 3}`, `${i}.png`);
    mkdirSync(join(file, '..'), { recursive: true });
    const noise = Buffer.from(Uint8Array.from({ length: 30 * 20 * 3 }, (_, p) => (p * 37 + i * 101) % 256));
    const raw = { width: 30, height: 20, channels: 3 } as const;
    writeFileSync(file, await sharp(noise, { raw }).png().toBuffer());
  }
  await importDataset(store, { name: 'set', folders: [folder], labels: 'folders' });
});
afterAll(() => {
  store.close();
  rmSync(root, { recursive: true, force: true });
});

/** A run that fine-tunes an untrained encoder, not yet begun. */
function create(over: Record<string, unknown> = {}, pretraining: object = { projector: { hidden: 8, out: 4 } }): Run {
  const config = parseRunConfig({
    model: { image_size: 64, patch_size: 16, embed_dim: 16, depth: 2, num_heads: 2 },
    data: { workers: 1 },
    ...pretraining,
  });
  const run = createRun(store, { dataset: 'set', config, preset: null });
  const kept = { step: 1, epoch: 1, loss: 1, config, state: {} };
  const checkpoint = store.checkpoints.save(run.id, kept, { student: untrainedState(config), teacher: new Map() });
  const settings = { batch_size: 4, epochs: 3, lr: 3e-3, evaluate_every: 1, drop_path: 0.3, ...over };
  const asked = { checkpoint: checkpoint.id, part: 'student' as const, dataset: 'set', official: null, settings };
  return store.runs.get(createFineTunings(store, asked)[0]!.id);
}

/** Trains until a step, or to the end. @returns what was said meanwhile */
async function train({ id }: Run, until = Number.POSITIVE_INFINITY): Promise<string[]> {
  const run = store.runs.get(id);
  const said: string[] = [];
  const events = {
    onMetric: () => {},
    onCheckpoint: () => {},
    onNotice: (text: string) => said.push(text),
    request: () => (tuning.step >= until ? ('pause' as const) : null),
  };
  const data = new LabelledData(store, run, run.finetune!);
  const tuning: FineTuning = new FineTuning(store, run, run.finetune!, events, data);
  await tuning.train();
  return said;
}

/** What a run is at its latest checkpoint: tensors, and every figure that no clock gave. */
function outcome({ id }: Run) {
  const { id: checkpoint } = store.checkpoints.latest(id, { withOptimizer: true })!;
  const load = (part: 'student' | 'exp_avg' | 'exp_avg_sq') => store.checkpoints.load(checkpoint, part);
  const metrics = store.metrics.list(id).map(({ time: _, images_per_s: __, data_wait: ___, ...metric }) => metric);
  return { student: load('student'), exp_avg: load('exp_avg'), exp_avg_sq: load('exp_avg_sq'), metrics };
}

test('paused and resumed it is the same run, to the bit', async () => {
  const [whole, paused] = [create({ clip_grad: 1 }), create({ clip_grad: 1 })];
  expect(await train(whole)).toEqual([]);
  for (const until of [2, 5, Number.POSITIVE_INFINITY]) await train(paused, until);
  const found = outcome(whole);
  expect(found.metrics).toHaveLength(whole.total_steps);
  expect(found.metrics.at(-1)!.figures.top1).toBeTypeOf('number');
  expect(found.student.has('head.weight')).toBe(true);
  expect(outcome(paused)).toEqual(found);
});

test('computes blocks again where its settings say so: the same run, to the bit', async () => {
  const [kept, again] = [create(), create({ recompute: true })];
  for (const run of [kept, again]) await train(run);
  expect([kept, again].map(({ config }) => config.train.recompute)).toEqual([false, true]);
  expect(outcome(again)).toEqual(outcome(kept));
});

test('computes in sixteen bits where its settings say so, says it, and goes on so', async () => {
  const [whole, paused, full] = [create({ mixed_precision: 'on' }), create({ mixed_precision: 'on' }), create()];
  expect(await train(whole)).toEqual([expect.stringMatching(/^Computes in (bf16|fp16|fp32)\. /)]);
  // It is kept with the run: who asks later is told too.
  expect(store.notices.list(whole.id).map(({ text }) => text)).toContainEqual(expect.stringMatching(/^Computes in /));
  for (const until of [2, Number.POSITIVE_INFINITY]) await train(paused, until);
  await train(full);
  const [found, exact] = [outcome(whole), outcome(full)];
  expect(outcome(paused)).toEqual(found);
  const lossesOf = ({ metrics }: typeof found) => metrics.map(({ loss }) => loss);
  const off = lossesOf(found).map((loss, i) => Math.abs(loss / lossesOf(exact)[i]! - 1));
  expect(Math.max(...off)).toBeLessThan(0.02);
  const { precision } = store.checkpoints.get(store.checkpoints.latest(whole.id)!.id).state;
  if (precision !== 'fp32') expect(Math.max(...off)).toBeGreaterThan(0);
});

const FIXED = { method: { name: 'mae' }, decoder: { embed_dim: 16, depth: 1, num_heads: 2 } };

test('fixed positions are where a training starts, and are trained', async () => {
  const run = create({}, FIXED);
  await train(run, 1);
  const fixed = untrainedState(run.config).get('pos_embed')!;
  expect(outcome(run).student.get('pos_embed')).toEqual(fixed); // the rate of the first step is 0
  await train(run);
  const off = outcome(run)
    .student.get('pos_embed')!
    .data.map((v, i) => Math.abs(v - fixed.data[i]!));
  expect(Math.max(...off)).toBeGreaterThan(1e-4);
});

test('a training that was begun without fixed positions goes on without them', async () => {
  const run = create({}, FIXED);
  behindItsBack(store.path, (raw) =>
    raw.exec(`UPDATE runs SET finetune = json_set(finetune, '$.has_positions', json('false')) WHERE id = ${run.id}`),
  );
  await train(store.runs.get(run.id), 2);
  await train(store.runs.get(run.id));
  const found = outcome(run);
  expect(found.metrics).toHaveLength(run.total_steps);
  expect(found.student.has('pos_embed')).toBe(false);
});

test('optimizer and steps of a fine-tuning are the same whatever method pretrained', () => {
  const recipes = METHODS.map(({ name }) => {
    const { optimizer, train: steps } = fineTuneConfig(parseRunConfig({ method: { name } }), parseFineTune({}));
    return { optimizer, steps };
  });
  for (const recipe of recipes) expect(recipe).toEqual(recipes[0]);
});
