import type Database from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import { MIGRATIONS } from '../../electron/store/migrations/index.ts';
import { Store } from '../../electron/store/store.ts';
import { evaluationResult } from '../harness/evaluation-result.ts';
import {
  ERROR,
  FORMATS,
  LEFT_OUT,
  measured,
  namesOf,
  odd,
  type Row,
  rowsOf,
  step,
  type Tables,
  throughAllFormats,
} from './every-format.ts';

/** What tables ask of their rows, and what they are looked up by. */
function declarations(db: Database.Database): string[] {
  const list = (pragma: string) => db.pragma(pragma) as Record<string, string | number | null>[];
  return namesOf(db).flatMap((table) => [
    ...list(`table_info(${table})`).map(
      ({ name, type, notnull, dflt_value, pk }) =>
        `${table}.${name} ${type}${notnull ? ' NOT NULL' : ''}${dflt_value === null ? '' : ` DEFAULT ${dflt_value}`}${pk ? ` KEY ${pk}` : ''}`,
    ),
    ...list(`foreign_key_list(${table})`).map((key) => `${table}.${key.from} -> ${key.table} ${key.on_delete}`),
    ...list(`index_list(${table})`).map(({ name, unique, origin }) => {
      const of = list(`index_info(${name})`).map((column) => column.name ?? '(expression)');
      return `${table} ${unique ? 'unique ' : ''}index ${origin === 'c' ? name : ''}(${of.join(', ')})`;
    }),
  ]);
}

test('each migration keeps every row and value of the formats before, and what their tables ask', () => {
  expect(FORMATS).toHaveLength(MIGRATIONS.length); // a new one brings rows of its own
  let asked: string[] = [];
  const { db } = throughAllFormats((db, version, before) => {
    const { brings, becomes, drops } = FORMATS[version - 1]!;
    for (const [table, rows] of Object.entries(before))
      for (const column of Object.keys(rows[0] ?? {}))
        expect(
          rows.some((row) => row[column] !== null),
          `${table}.${column} before ${version}`,
        ).toBe(true);
    const expected = structuredClone({ sqlite_sequence: [], ...before }) as Tables;
    for (const [table, columns] of Object.entries(brings))
      expected[table] = (expected[table] ?? []).map((row) => ({ ...row, ...columns }));
    becomes?.(expected);
    const found = rowsOf(db);
    for (const table of new Set([...Object.keys(expected), ...Object.keys(found)]))
      expect(plain(found[table]), `${table} after migration ${version}`).toEqual(plain(expected[table]));
    const now = declarations(db);
    expect(now).toEqual(expect.arrayContaining(asked.filter((one) => !drops?.test(one))));
    asked = now;
    expect(db.pragma('foreign_key_check')).toEqual([]);
    expect(db.pragma('integrity_check', { simple: true })).toBe('ok');
  });
  const before = rowsOf(db);
  for (const [table, rows] of Object.entries(before)) expect(rows.length, `rows of ${table}`).toBeGreaterThan(1);
  db.close();
});

/** Without prototypes: what was copied has others than what was read. */
const plain = (rows: Row[] | undefined) =>
  rows?.map((row) =>
    Object.fromEntries(
      Object.entries(row).map(([key, value]) => [
        key,
        value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value,
      ]),
    ),
  );

test('today’s program reads the rows of every format', () => {
  const { path, db } = throughAllFormats();
  db.close();
  const store = Store.open(path);
  onTestFinished(() => store.close());
  const name = process.platform === 'win32' ? 'M\\xe4' : 'M\\x5cxe4';
  expect(store.datasets.list()).toMatchObject([
    { id: 3, name: 'photos', folders: ['/a', `/${name}`], image_count: 2, skipped_count: 1, left_out: LEFT_OUT },
    { id: 5, name: 'others', scanned_at: null, left_out: null },
  ]);
  expect(store.images.list(3)).toMatchObject([
    { id: 4, reason: 'truncated', detail: 'cut off', rules: 5 },
    { id: 1, path: `${name}/1.png`, label: name, note: 'alpha', rules: 2 },
    { id: 2, path: 'cat/2.png', label: 'cat' },
  ]);
  const [first, weights] = store.runs.list();
  expect(first).toMatchObject({ id: 7, kind: 'finetune', steps_per_epoch: 3.25, error: ERROR, tags: ['one', 'two'] });
  expect(first).toMatchObject({
    queue_position: null,
    runtime: { device: 'CPU, WebAssembly', peak_memory: null },
    finetune: { classes: ['a', 'b'] },
  });
  expect(weights).toMatchObject({ id: 8, kind: 'imported', queue_position: 4, finetune: null });
  expect(store.metrics.list(7)).toMatchObject([
    { ...step(1), figures: measured(1) },
    // A figure that was no number, and what was not measured.
    { ...step(2), replaced: 0, figures: { top1: odd(3), top5: null } },
    { ...step(3), figures: { any: odd(8), 'of "odd" name': null } },
  ]);
  expect(Object.keys(store.metrics.list(7)[1]!.figures)).toEqual(['top1', 'top5']);
  expect(store.metrics.last(8)).toMatchObject({ step: 1, loss: Number.NaN });
  expect(store.checkpoints.list(7)).toMatchObject([{ id: 11, loss: step(5).loss }, { id: 12 }]);
  expect(store.checkpoints.check()).toEqual({ sound: 8, unknown: 0, damaged: [] });
  expect([13, 14].map((id) => store.checkpoints.get(id).lacks)).toEqual([['projector'], []]);
  expect([10, 11].map((id) => store.runs.get(id).finetune!.has_positions)).toEqual([false, true]);
  expect([...store.checkpoints.load(11, 'exp_avg').get('w')!.data]).toEqual([1, -2]);
  expect(store.presets.list().map(({ name, config }) => [name, config.train.batch_size])).toEqual([
    ['mine', 8],
    ['other', 8],
  ]);
  expect([...store.probes.list(7, 'k').values()].flat(2)).toEqual(Array(2).fill({ patch: 1, best: 2, rank: 3 }));
  expect(store.retrieval.list()).toMatchObject([
    { id: 2, is_ready: true },
    { id: 3, max_images: 50 },
  ]);
  const map = { run_id: 7, checkpoint_id: 11, dataset_id: 3, network: 'student', pool: 'mean', images: 'sha' } as const;
  expect(store.featureMaps.get(map)).toMatchObject({ ids: Int32Array.of(1, 2), result: { unreadable: 1 } });
  expect(store.evaluations.list().map(({ id, task }) => [id, task])).toEqual([
    ...[
      [4, 'knn'],
      [6, 'knn'],
      [7, 'fewshot'],
      [8, 'finetune'],
      [30, 'labelfree'],
    ],
  ]);
  expect(store.evaluations.list()[0]!.result).toEqual(evaluationResult());
  expect(store.prepared.images(1).map(({ crc32 }) => crc32)).toEqual([71, 72]);
  expect(store.queuedEvaluations.list()).toMatchObject([
    { id: 12, options: { k: 20 }, error: ERROR, is_canceled: true },
    { id: 13, error: null },
  ]);
  expect(store.queuedEvaluations.parts(12, 'k').map(({ features }) => [...features])).toEqual([[0], [1]]);
  expect(store.notices.list(7).map(({ text }) => text)).toEqual(['of a', 'of b']);
  expect(store.bakeOffs.list()).toMatchObject([{ id: 3 }, { id: 2, asked: { seeds: 2 }, plan: { disk: 5 } }]);
});

test('after all of them what cannot be is refused, and what belongs to a row goes with it', () => {
  const { db } = throughAllFormats();
  for (const [sql, why] of [
    [`UPDATE runs SET status = 'sleeping'`, /CHECK/],
    [`UPDATE runs SET request = 'dance'`, /CHECK/],
    [`UPDATE images SET status = 'odd'`, /CHECK/],
    [`UPDATE tensors SET part = 'other'`, /CHECK/],
    [`UPDATE feature_maps SET network = 'other'`, /CHECK/],
    [`UPDATE bake_off_runs SET role = 'other'`, /CHECK/],
    [`INSERT INTO feature_maps SELECT * FROM feature_maps WHERE checkpoint_id IS NULL`, /UNIQUE/],
    ['UPDATE prepared_sets SET size = 64', /UNIQUE/],
    [`UPDATE runs SET name = 'first'`, /UNIQUE/],
    ['DELETE FROM datasets WHERE id = 3', /FOREIGN KEY/],
  ] as const)
    expect(() => db.exec(sql), sql).toThrow(why);
  const count = (...tables: string[]) =>
    tables.map((table) => db.prepare(`SELECT count(*) FROM ${table}`).pluck().get() as number);
  const ofCheckpoint = ['tensors', 'tensor_checksums', 'retrieval_indexes', 'retrieval_images', 'feature_maps'];
  db.exec('DELETE FROM checkpoints');
  expect(count(...ofCheckpoint, 'evaluations', 'queued_evaluations')).toEqual([0, 0, 0, 0, 1, 5, 2]);
  db.exec('DELETE FROM datasets WHERE id = 5');
  expect(count('queued_evaluations', 'evaluation_features', 'evaluations', 'bake_offs')).toEqual([1, 0, 5, 2]);
  db.exec('DELETE FROM runs');
  const ofRun = ['metrics', 'metric_blocks', 'probes', 'feature_maps', 'feature_parts', 'notices', 'bake_off_runs'];
  expect(count(...ofRun, 'queued_evaluations', 'evaluations')).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1]);
  db.exec('DELETE FROM datasets');
  expect(count('images', 'prepared_sets', 'prepared_images', 'bake_offs', 'evaluations')).toEqual([0, 0, 0, 2, 1]);
  db.close();
});
