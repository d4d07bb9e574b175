import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import Database from 'better-sqlite3';
import { expect } from 'vitest';
import { migrate } from '../../electron/store/open.ts';
import { checksumOfCheckpoint, checksumOfTensor } from '../../electron/store/tensor-checksums.ts';
import { evaluationResult } from '../harness/evaluation-result.ts';
import { RUNTIME as runtime, scratch } from './helpers.ts';

// A file with rows of every format of the database, each written as the program of then did.

export type Row = Record<string, unknown>;
export type Tables = Record<string, Row[]>;
/** Writes rows; objects become JSON. */
type Write = (table: string, ...rows: Row[]) => void;

export interface Format {
  /** Tables that it brought, empty; of older tables the columns that it added, with what older rows have there. */
  brings: Record<string, Row>;
  /** What else it makes of the rows that are there. */
  becomes?: (tables: Tables) => void;
  /** What it does not ask of a table any more, of what `declarations` lists. */
  drops?: RegExp;
  /** Fills tables and columns that it brought, as the program of then did: every column in one row at least. */
  fill: (write: Write, db: Database.Database) => void;
}

/** No short decimals: a number that was rounded on its way would differ in its last bit. */
export const odd = (i: number) => Math.fround(Math.abs(Math.sin(i))) + Math.PI * 1e-9;
const floats = (...values: number[]) => Buffer.from(Float32Array.from(values).buffer);
const update = (db: Database.Database, sql: string, ...values: unknown[]) => {
  expect(db.prepare(sql).run(...values).changes, sql).toBeGreaterThan(0);
};

export const FIGURES = [
  'top1',
  'top5',
  'top1_control',
  'rank_student',
  'rank_teacher',
  'cosine_student',
  'cosine_teacher',
];
export const measured = (i: number) => Object.fromEntries(FIGURES.map((key, n) => [key, odd(10 * i + n)]));
export const step = (i: number) => ({
  step: i,
  epoch: i / 3,
  time: 1e12 + i / 7,
  loss: odd(i),
  grad_norm: odd(i + 1),
  lr: 1e-3 / 3,
  weight_decay: 0.05,
  momentum: odd(i + 2),
  images_per_s: 100 / 7,
  data_wait: 0.1,
  replaced: i,
});
const CONFIG = { train: { batch_size: 8 } };
const FIXED = { method: { name: 'mae' }, model: { position: 'fixed-sincos' } };
const OTHER = { status: 'paused', step: 1, total_steps: 1, steps_per_epoch: 1, created_at: 1 };
const TENSOR = { name: 'w', shape: '[2]', data: floats(1, -2) };
const PARTS = ['student', 'teacher', 'exp_avg', 'exp_avg_sq'] as const;
type Kept = { config: string; state: string };
const STATE = {
  updates: 2,
  seed: 3,
  content: 'c',
  data: 'd',
  draws: 'content',
  precision: 'fp16',
  scaling: { scale: 1024, stable: 7 },
  accuracy: { top1: 0.5, top5: 1 },
  position: { epoch: 1, sample: 4, samples: 12 },
};
const SETTINGS = { config: JSON.stringify(CONFIG), state: JSON.stringify(STATE) };
const MAP = { dataset_id: 3, created_at: 1, ids: Buffer.from(Int32Array.of(1, 2).buffer), places: floats(1, 2, 3, 4) };
/** As it was before peaks were measured. */
const { peak_memory: _, ...RUNTIME } = runtime;
export const ERROR = { kind: 'diverged', what: 'a', why: 'b', next: 'c' };
const TUNE = {
  group: 'g',
  start: 'untrained',
  checkpoint_id: 11,
  run_id: 7,
  source_id: 11,
  part: 'teacher',
  test_dataset_id: null,
  classes: ['a', 'b'],
  settings: { epochs: 3 },
};
const none = { count: 0, paths: [] };
export const LEFT_OUT = {
  kinds: [{ kind: '.txt', count: 2 }],
  closed: { count: 1, paths: ['/a/x'] },
  system: none,
  hidden: none,
  own: none,
  special: none,
  broken: none,
};

export const FORMATS: Format[] = [
  {
    brings: { datasets: {}, images: {}, runs: {}, metrics: {}, checkpoints: {}, tensors: {}, evaluations: {} },
    fill: (write, db) => {
      const dataset = { name: 'photos', folders: ['/a', '/M\\xe4'], labels: 'folders', created_at: 1, scanned_at: 2 };
      write('datasets', { id: 3, ...dataset }, { id: 5, ...dataset, name: 'others', scanned_at: null });
      write('datasets', { id: 6, ...dataset, name: 'gone' });
      const image = {
        dataset_id: 3,
        folder: 1,
        path: 'M\\xe4/1.png',
        bytes: 10,
        mtime: 1.5,
        hash: 'h',
        width: 3,
        height: 4,
        format: 'png',
        label: 'M\\xe4',
        status: 'ok',
      };
      const skipped = { status: 'skipped', reason: 'truncated', detail: 'cut off', label: null };
      write('images', { id: 1, ...image }, { id: 2, ...image, path: 'cat/2.png', label: 'cat' });
      write('images', { id: 4, ...image, path: '3.png', ...skipped });
      const run = {
        name: 'first',
        dataset_id: 3,
        preset: 'small-cpu',
        config: CONFIG,
        status: 'failed',
        step: 2,
        total_steps: 9,
        steps_per_epoch: 3,
        created_at: 1,
        started_at: 2,
        ended_at: 3,
        pid: 99,
        heartbeat: 4,
        request: 'pause',
        error: ERROR,
        runtime: RUNTIME,
      };
      write('runs', { id: 7, ...run }, { id: 8, ...run, name: 'weights', dataset_id: null, status: 'queued' });
      write('metrics', { run_id: 7, ...step(1), ...measured(1) }, { run_id: 7, ...step(2), top1: odd(3), replaced: 0 });
      write('metrics', { run_id: 8, step: 1, epoch: 0, time: 1, replaced: 0 });
      const checkpoint = { run_id: 7, step: 2, epoch: 0.5, created_at: 1, loss: odd(5), ...SETTINGS };
      write('checkpoints', { id: 11, ...checkpoint, has_optimizer: 1, is_best: 1, bytes: 32 });
      write('checkpoints', { id: 12, ...checkpoint, step: 3, has_optimizer: 0, is_best: 0, bytes: 0 });
      write('tensors', ...PARTS.map((part, i) => ({ id: i + 1, checkpoint_id: 11, part, ...TENSOR })));
      const evaluation = { checkpoint_id: 11, run_id: 7, dataset_id: 3, task: 'knn', created_at: 1 };
      write('evaluations', { id: 4, ...evaluation, result: evaluationResult() });
      write('evaluations', { id: 6, ...evaluation, checkpoint_id: null, result: evaluationResult({ chance: null }) });
      write('evaluations', { id: 9, ...evaluation, result: {} });
      // Numbers that were given away once.
      db.exec('DELETE FROM datasets WHERE id = 6; DELETE FROM evaluations WHERE id = 9');
    },
  },
  {
    brings: { runs: { notes: '', tags: '[]', queue_position: null }, presets: {}, probes: {} },
    fill: (write, db) => {
      update(db, `UPDATE runs SET notes = 'a note', tags = '["one","two"]', queue_position = id / 2.0`);
      for (const name of ['mine', 'other'])
        write('presets', { name, title: 'Mine', based_on: 'small-cpu', config: CONFIG, created_at: 5 });
      const answers = { key: 'k', answers: [[{ patch: 1, best: 2, rank: 3 }]] };
      write('probes', { run_id: 7, step: 0, answers }, { run_id: 7, step: 2, answers });
    },
  },
  {
    brings: { metric_blocks: {} },
    fill: (write) => {
      write('metric_blocks', { run_id: 7, block: 0, ...step(20), ...measured(4) });
      write('metric_blocks', { run_id: 7, block: 1, ...step(40), top1: odd(3), top5: odd(4), cosine_teacher: odd(7) });
    },
  },
  {
    brings: { retrieval_indexes: {}, retrieval_images: {} },
    fill: (write) => {
      const index = {
        checkpoint_id: 11,
        dataset_id: 3,
        part: 'teacher',
        feature: 'tokens',
        is_ready: 1,
        created_at: 1,
      };
      write('retrieval_indexes', { id: 2, ...index, max_images: 0 }, { id: 3, ...index, max_images: 50, is_ready: 0 });
      for (const slot of [0, 1]) write('retrieval_images', { index_id: 2, slot, image_id: slot + 1, hash: 'h' });
    },
  },
  {
    brings: { feature_maps: {}, feature_parts: {} },
    fill: (write) => {
      const result = { total: 2, unreadable: 1, figures: { k: 1, n: 2, sample: 2, trustworthiness: 1, kept: odd(1) } };
      const map = { run_id: 7, pool: 'mean', images: 'sha', ...MAP, result };
      write('feature_maps', { ...map, checkpoint_id: 11, network: 'student' });
      write('feature_maps', { ...map, checkpoint_id: null, network: 'untrained' });
      for (const start of [0, 2]) write('feature_parts', { run_id: 7, key: 'k', start, data: floats(start, 1) });
    },
  },
  {
    brings: { runs: { finetune: null } },
    // This one forgot which numbers had been given.
    becomes: ({ sqlite_sequence }) => {
      sqlite_sequence!.find(({ name }) => name === 'evaluations')!.seq = 6;
    },
    fill: (write, db) => {
      update(db, 'UPDATE runs SET finetune = ? WHERE id = 7', JSON.stringify(TUNE));
      const evaluation = { checkpoint_id: 11, run_id: 7, dataset_id: 5, created_at: 1 };
      for (const [id, task] of [
        ...([
          [7, 'fewshot'],
          [8, 'finetune'],
        ] as const),
      ])
        write('evaluations', { id, ...evaluation, task, result: evaluationResult({ task }) });
      write('evaluations', { id: 20, ...evaluation, task: 'linear', result: {} });
      db.exec('DELETE FROM evaluations WHERE id = 20');
    },
  },
  {
    brings: { prepared_sets: {}, prepared_images: {} },
    fill: (write) => {
      const set = { dataset_id: 3, file: 1, end: 72, pid: 98, heartbeat: 6, created_at: 5 };
      write('prepared_sets', { id: 1, ...set, size: 64 }, { id: 2, ...set, size: 96, pid: null });
      for (const image_id of [1, 2])
        write('prepared_images', {
          set_id: 1,
          image_id,
          file: 1,
          start: 36 * image_id,
          width: 3,
          height: 4,
          hash: 'h',
        });
    },
  },
  {
    brings: { queued_evaluations: {}, evaluation_features: {} },
    fill: (write, db) => {
      const queued = {
        run_id: 7,
        checkpoint_id: 11,
        step: 2,
        dataset_id: 3,
        test_dataset_id: 5,
        task: 'knn',
        options: { k: 20 },

        queue_position: 1.5,
        pid: 97,
        heartbeat: 7,
        begun: 2,
        deaths: 1,
        is_canceled: 1,
        error: ERROR,
        created_at: 6,
      };
      write('queued_evaluations', { id: 12, ...queued }, { id: 13, ...queued, test_dataset_id: null, error: null });
      write('queued_evaluations', { id: 15, ...queued });
      db.exec('DELETE FROM queued_evaluations WHERE id = 15');
      for (const start of [0, 1])
        write('evaluation_features', { evaluation_id: 12, key: 'k', start, data: floats(start) });
    },
  },
  { brings: { runs: { epoch_steps: null } }, fill: (_, db) => update(db, 'UPDATE runs SET epoch_steps = 3.25') },
  {
    brings: { tensor_checksums: {}, checkpoints: { crc32: null } },
    fill: (write, db) => {
      update(db, 'UPDATE checkpoints SET crc32 = ?', checksumOfCheckpoint(SETTINGS));
      for (const [i, part] of PARTS.entries())
        write('tensor_checksums', { tensor_id: i + 1, crc32: checksumOfTensor(part, TENSOR) });
    },
  },
  {
    brings: { prepared_images: { crc32: null } },
    fill: (_, db) => update(db, 'UPDATE prepared_images SET crc32 = 70 + image_id'),
  },
  {
    brings: { notices: {} },
    drops: /^evaluations\.dataset_id (INTEGER NOT NULL|-> datasets CASCADE)$/,
    becomes: ({ runs }) => {
      for (const run of runs!) if (run.status !== 'queued') run.queue_position = null;
    },
    fill: (write) => {
      for (const key of ['a', 'b']) write('notices', { run_id: 7, key, step: 2, created_at: 8, text: `of ${key}` });
    },
  },
  {
    brings: { feature_parts: { crc32: null }, evaluation_features: { crc32: null } },
    fill: (_, db) => {
      for (const start of [0, 2])
        update(db, 'UPDATE feature_parts SET crc32 = ? WHERE start = ?', crc32(floats(start, 1)), start);
      for (const start of [0, 1])
        update(db, 'UPDATE evaluation_features SET crc32 = ? WHERE start = ?', crc32(floats(start)), start);
    },
  },
  {
    brings: { datasets: { left_out: null }, images: { note: null, rules: 0 } },
    // A name that looks like one with an escaped byte is escaped itself; elsewhere than on Windows there are such bytes.
    becomes: ({ datasets, images }) => {
      if (process.platform === 'win32') return;
      for (const dataset of datasets!) dataset.folders = '["/a","/M\\\\x5cxe4"]';
      Object.assign(images![0]!, { path: 'M\\x5cxe4/1.png', label: 'M\\x5cxe4' });
    },
    fill: (_, db) => {
      update(db, 'UPDATE datasets SET left_out = ? WHERE id = 3', JSON.stringify(LEFT_OUT));
      update(db, `UPDATE images SET note = 'alpha', rules = id + 1`);
    },
  },
  {
    brings: {},
    drops:
      /^(metrics|metric_blocks)\.(top1|top5|top1_control|rank_student|rank_teacher|cosine_student|cosine_teacher) /,
    // The first two were measured at every step: null says no number, and of the others that they were not measured.
    becomes: (tables) => {
      for (const table of ['metrics', 'metric_blocks'])
        tables[table] = tables[table]!.map((row) => {
          const [figures, rest] = [{} as Row, {} as Row];
          for (const [key, value] of Object.entries(row)) {
            if (!FIGURES.includes(key)) rest[key] = value;
            else if (value !== null || key === 'top1' || key === 'top5') figures[key] = value;
          }
          return { ...rest, figures: JSON.stringify(figures) };
        });
    },
    fill: (write) => write('metrics', { run_id: 7, ...step(3), figures: { any: odd(8), 'of "odd" name': null } }),
  },
  {
    brings: { bake_offs: {}, bake_off_runs: {} },
    fill: (write) => {
      const asked = {
        name: 'which one',
        dataset: 3,
        test_dataset: null,
        entries: [{ preset: 'small-cpu', changes: {} }],
        encoder: { image_size: 32, patch_size: 8, embed_dim: 16, depth: 1, num_heads: 1, mlp_ratio: 4 },
        budget: { kind: 'images', images: 100 },
        seeds: 2,
        tasks: ['knn'],
        supervised: true,
        pixels: true,
        finetune: null,
      };
      const plan = {
        dataset: 'photos',
        test_dataset: 'photos',
        images: 2,
        entries: [],
        supervised_epochs: null,
        runs: 1,
        labelled_runs: 0,
        evaluations: 1,
        seconds: null,
        disk: 5,
        memory: null,
        notices: [],
      };
      const bakeOff = { dataset_id: 3, test_dataset_id: 5, asked, plan, created_at: 9 };
      write('bake_offs', { id: 2, name: 'which one', ...bakeOff }, { id: 3, name: 'another', ...bakeOff });
      write('bake_off_runs', { bake_off_id: 2, run_id: 7, role: 'pretrain', entry: 0, seed: 1, is_tended: 1 });
      write('bake_off_runs', { bake_off_id: 3, run_id: 7, role: 'finetune', entry: 1, seed: 0, is_tended: 0 });
    },
  },
  {
    brings: {},
    fill: (write) => {
      const result = evaluationResult({ task: 'labelfree', chance: null });
      write('evaluations', { id: 30, dataset_id: 3, task: 'labelfree', created_at: 1, result });
      const checkpoint = (id: number, run_id: number, kept: Kept, tensor: typeof TENSOR) => {
        const row = { id, run_id, step: 1, epoch: 0, created_at: 1, has_optimizer: 1, is_best: 0, ...kept };
        write('checkpoints', { ...row, bytes: tensor.data.byteLength, crc32: checksumOfCheckpoint(kept) });
        write('tensors', { id, checkpoint_id: id, part: 'student', ...tensor });
        write('tensor_checksums', { tensor_id: id, crc32: checksumOfTensor('student', tensor) });
      };
      // Weights whose file had no projector, or one that was learned.
      const imported = { ...SETTINGS, state: '{"imported_from":"/w.pth"}' };
      const projector = { name: 'projectors.6.weight', shape: '[1,2]', data: floats(0, 0) };
      checkpoint(13, 8, imported, projector);
      write('runs', { id: 9, name: 'whole weights', config: CONFIG, ...OTHER });
      checkpoint(14, 9, imported, { ...projector, data: floats(0, 1) });
      // Trainings with labels that left fixed positions out, or have them.
      const fixed = { config: JSON.stringify(FIXED), state: '{}' };
      for (const [id, name] of [
        [10, 'w'],
        [11, 'pos_embed'],
      ] as const) {
        write('runs', { id, name: `tuned ${id}`, config: FIXED, finetune: TUNE, ...OTHER });
        checkpoint(10 + id, id, fixed, { ...TENSOR, name });
      }
    },
  },
  {
    brings: {},
    becomes: ({ checkpoints, runs }) => {
      const of = (rows: Row[] | undefined, id: number) => rows!.find((row) => row.id === id)!;
      const state = '{"imported_from":"/w.pth","lacks":["projector"]}';
      Object.assign(of(checkpoints, 13), { state, crc32: checksumOfCheckpoint({ ...SETTINGS, state }) });
      of(runs, 10).finetune = JSON.stringify({ ...TUNE, has_positions: false });
    },
    fill: () => {},
  },
];

export const namesOf = (db: Database.Database) =>
  db.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`).pluck().all() as string[];

/** Every row, by its key; those of `sqlite_sequence` say which numbers were given. */
export const rowsOf = (db: Database.Database): Tables =>
  Object.fromEntries(
    namesOf(db).map((name) => {
      const columns = db.pragma(`table_info(${name})`) as { name: string; pk: number }[];
      const key = columns.filter(({ pk }) => pk > 0).sort((a, b) => a.pk - b.pk);
      const order = key.map(({ name }) => name).join(', ') || (name === 'sqlite_sequence' ? 'name' : 'rowid');
      return [name, db.prepare(`SELECT * FROM ${name} ORDER BY ${order}`).all() as Row[]];
    }),
  );

const write =
  (db: Database.Database): Write =>
  (table, ...rows) => {
    for (const row of rows) {
      const values = Object.values(row).map((value) =>
        value !== null && typeof value === 'object' && !Buffer.isBuffer(value) ? JSON.stringify(value) : value,
      );
      db.prepare(
        `INSERT INTO ${table} (${Object.keys(row).join(', ')}) VALUES (${values.map(() => '?').join(', ')})`,
      ).run(...values);
    }
  };

/** A file with rows of every format, each written at its own and brought on from there. */
export function throughAllFormats(
  onMigrated: (db: Database.Database, version: number, before: Tables) => void = () => {},
) {
  const path = join(scratch(), 'workbench.sqlite');
  const db = new Database(path);
  db.pragma('foreign_keys = ON');
  db.pragma('synchronous = OFF');
  for (const [i, { fill }] of FORMATS.entries()) {
    const before = rowsOf(db);
    migrate(db, i + 1);
    onMigrated(db, i + 1, before);
    fill(write(db), db);
  }
  return { path, db };
}
