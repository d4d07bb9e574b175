#!/usr/bin/env node
// Trains small seeded runs, healthy ones and ones that go wrong, and keeps their curves for test/shared/verdict.test.ts:
//   node tools/verdicts/record.mjs [NAME ...]        all, or those of these names; the others in the file stay
// They take a quarter of an hour on two cores. What is kept is what a verdict reads, at three digits.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { createRun } from '../../electron/services/runs/runs.ts';
import { Store } from '../../electron/store/store.ts';
import { pretrainingData } from '../../electron/trainer/run-data.ts';
import { Training } from '../../electron/trainer/training.ts';
import { METHODS, methodOf, parseRunConfig } from '../../methods/index.ts';
import { RUNS } from '../../test/shared/verdict-runs.mjs';
import { ROOT } from '../bootstrap/paths.mjs';
import { say } from '../bootstrap/say.mjs';
import { makePictures } from './pictures.mjs';

const FILE = join(ROOT, 'test', 'fixtures', 'verdicts', 'runs.json');
const asked = process.argv.slice(2);
const chosen = RUNS.filter(({ name }) => asked.length === 0 || asked.includes(name));
const known = existsSync(FILE) ? JSON.parse(readFileSync(FILE, 'utf8')) : {};
const home = mkdtempSync(join(tmpdir(), 'verdicts-'));
const store = Store.open(join(home, 'workbench.sqlite'));
const short = (value) => (Number.isFinite(value) ? Number(value.toPrecision(3)) : null);

async function dataset(kind) {
  const folder = join(home, kind);
  if (!existsSync(folder)) {
    await makePictures(folder, kind === 'unnamed' ? 'clouds' : kind, kind === 'framed' ? 160 : 100);
    await importDataset(store, { name: kind, folders: [folder], labels: kind === 'unnamed' ? 'none' : 'folders' });
  }
  return kind;
}

async function train(name, kind, config) {
  for (const borrowing of methodOf(config).borrows?.(config) ?? []) {
    if (store.runs.list().some((run) => run.status === 'finished' && borrowing.refuses(run.config) === null)) continue;
    const { preset, changes } = borrowing.make;
    const lender = METHODS.flatMap((method) => method.presets.map((one) => ({ method, one }))).find(
      ({ one }) => one.name === preset,
    );
    const made = parseRunConfig({
      ...lender.one.config,
      ...changes,
      method: { name: lender.method.name },
      model: { ...lender.one.config.model, image_size: 16, patch_size: 4, embed_dim: 32, depth: 1 },
      train: { batch_size: 16, steps: 200 },
    });
    await train(`${name}, ${borrowing.what}`, kind, made);
  }
  const run = createRun(store, { dataset: await dataset(kind), config, preset: null });
  const events = { onMetric: () => {}, onCheckpoint: () => {}, onNotice: () => {}, request: () => null };
  let error = null;
  const began = performance.now();
  try {
    await new Training(store, run, events, pretrainingData(store, run)).train();
    store.runs.update(run.id, { status: 'finished', ended_at: Date.now() });
  } catch (thrown) {
    error = thrown.kind ?? String(thrown);
    store.runs.update(run.id, { status: 'failed' });
  }
  const metrics = store.metrics.list(run.id);
  const last = metrics.at(-1);
  const figures = Object.entries(last?.figures ?? {}).map(([key, value]) => `${key} ${short(value)}`);
  say(
    `${name}: ${error ?? 'finished'}, ${metrics.length} steps in ${Math.round((performance.now() - began) / 1000)} s, loss ` +
      `${metrics[0]?.loss.toFixed(3)} to ${last?.loss.toFixed(3)}, ${figures.join(', ')}`,
  );
  return { run: store.runs.get(run.id), metrics, error };
}

try {
  await loadBackend();
  for (const { name, healthy, verdict = null, causes = null, data = 'clouds', settings } of chosen) {
    const config = parseRunConfig(settings);
    const { run, metrics, error } = await train(name, data, config);
    const keys = [...new Set(metrics.flatMap(({ figures }) => Object.keys(figures)))];
    known[name] = {
      healthy,
      verdict,
      causes,
      settings,
      total_steps: run.total_steps,
      error,
      loss: metrics.map(({ loss }) => short(loss)),
      // By place: what is measured seldom has few.
      figures: Object.fromEntries(
        keys.map((key) => {
          const values = metrics.map(({ figures }) => figures[key]);
          const isSeldom = values.filter((value) => value !== undefined).length < values.length / 2;
          return [
            key,
            isSeldom
              ? Object.fromEntries(values.flatMap((value, i) => (value === undefined ? [] : [[i + 1, short(value)]])))
              : values.map(short),
          ];
        }),
      ),
    };
    const lines = RUNS.filter((one) => known[one.name]).map(
      (one) => `${JSON.stringify(one.name)}: ${JSON.stringify(known[one.name])}`,
    );
    writeFileSync(FILE, `{\n${lines.join(',\n')}\n}\n`);
  }
} finally {
  store.close();
  rmSync(home, { recursive: true, force: true });
}
