import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { Store } from '../../electron/store/store.ts';
import type { AppError } from '../../shared/errors.ts';
import { namesOf, throughAllFormats } from './every-format.ts';
import { behindItsBack, catchError, metric, newStore } from './helpers.ts';

/** Columns of texts that are JSON in every row. */
function jsonColumns(db: Database.Database): [table: string, column: string][] {
  const isJson = (text: string) => /^[[{]/.test(text) && catchError(() => JSON.parse(text)) === null;
  return namesOf(db).flatMap((table) =>
    (db.pragma(`table_info(${table})`) as { name: string; type: string }[])
      .filter(({ type }) => type === 'TEXT')
      .filter(({ name }) => {
        const texts = db.prepare(`SELECT ${name} FROM ${table} WHERE ${name} IS NOT NULL`).pluck().all() as string[];
        return texts.length > 0 && texts.every(isJson);
      })
      .map(({ name }): [string, string] => [table, name]),
  );
}

/** A row's own text with each of its values in turn of a form that it never has. */
function withFaults(db: Database.Database, table: string, column: string): string[] {
  const kept = JSON.parse(
    db.prepare(`SELECT ${column} FROM ${table} WHERE ${column} IS NOT NULL`).pluck().get() as string,
  );
  return Array.isArray(kept) ? ['[[7]]'] : Object.keys(kept).map((key) => JSON.stringify({ ...kept, [key]: [[7]] }));
}

/** What must be readable whatever rows are damaged: what locks these locks the program. */
const readable = (store: Store) => {
  const { runs, presets, queuedEvaluations, bakeOffs, checkpoints } = store;
  return [
    ...[() => runs.list(), () => runs.damaged(), () => runs.heads(), () => runs.held(), () => runs.recoverLost()],
    ...[() => presets.list(), () => queuedEvaluations.list(), () => bakeOffs.list(), () => bakeOffs.damaged()],
    ...[() => checkpoints.sizes(), () => store.lists(), () => runs.signatures(), () => store.queue.order()],
    ...[() => store.datasets.names(), () => store.needs.checkpointsOf(7)],
  ];
};
/** Columns of rows that are left out of lists, or shown as what failed, wherever they are asked for. */
const LEFT_OUT = ['presets.config', 'queued_evaluations.error', 'queued_evaluations.options'];

/** All else that the program reads. */
const readAll = (store: Store) => [
  ...[() => store.datasets.list(), () => store.runs.get(7)],
  ...[() => store.metrics.list(7), () => store.metrics.last(7), () => store.metrics.sampled(7, 2)],
  ...[() => store.metrics.sampled(7, 1), () => store.metrics.lastWith(7, ['top1'])],
  ...[() => store.checkpoints.list(7), () => store.checkpoints.get(11), () => store.checkpoints.tensorNames(11)],
  ...[() => store.checkpoints.load(11, 'student'), () => store.evaluations.list(), () => store.bakeOffs.get(2)],
  () => store.evaluations.addToComparison('g', { ...store.evaluations.list()[3]!, task: 'finetune' }),
  () => store.probes.list(7, 'k'),
  () =>
    store.featureMaps.get({
      run_id: 7,
      checkpoint_id: 11,
      dataset_id: 3,
      network: 'student',
      pool: 'mean',
      images: 'sha',
    }),
];

test('whatever of a row is no JSON, or of another shape, is said with its row and column, and what to do', () => {
  const { path, db } = throughAllFormats();
  const columns = jsonColumns(db);
  db.close();
  expect(columns.map((names) => names.join('.')).sort()).toEqual([
    ...['bake_offs.asked', 'bake_offs.plan', 'checkpoints.config', 'checkpoints.state', 'datasets.folders'],
    ...['datasets.left_out', 'evaluations.result', 'feature_maps.result', 'metric_blocks.figures', 'metrics.figures'],
    ...['presets.config', 'probes.answers', 'queued_evaluations.error', 'queued_evaluations.options', 'runs.config'],
    ...['runs.error', 'runs.finetune', 'runs.runtime', 'runs.tags', 'tensors.shape'],
  ]);
  const store = Store.open(path);
  store.metrics.add(7, metric(50)); // many enough that means are taken of blocks
  // Without checksums, which would tell first.
  behindItsBack(path, (raw) => raw.exec('UPDATE checkpoints SET crc32 = NULL'));
  for (const read of [...readAll(store), ...readable(store)]) read();
  expect([...store.unreadable()]).toEqual([]);
  const raw = new Database(path);
  raw.pragma('foreign_keys = OFF');
  for (const [table, column] of columns)
    for (const text of ['{"a":', 'null', '7', '[null]', ...withFaults(raw, table, column)]) {
      const where = `${table}.${column} = ${text}`;
      raw.exec(`CREATE TEMP TABLE kept AS SELECT * FROM ${table}`);
      raw.prepare(`UPDATE ${table} SET ${column} = ? WHERE ${column} IS NOT NULL`).run(text);
      const found = readAll(store)
        .map(catchError)
        .filter((error) => error !== null);
      for (const error of found)
        expect(error, where).toMatchObject({ kind: 'bad-file', next: expect.stringMatching(/\S/) });
      const said = expect.stringContaining(`Its column ${table}.${column} is not as this program writes it: `);
      if (!LEFT_OUT.includes(`${table}.${column}`))
        expect(
          found.map((error) => (error as AppError).why),
          where,
        ).toContainEqual(said);
      for (const read of readable(store)) expect(catchError(read), where).toBeNull();
      // The whole database is looked through: what is wrong is named, and nothing else.
      const named = [...store.unreadable()].map(({ why }) => why);
      if (table === 'tensors') expect(store.checkpoints.check().damaged, where).not.toEqual([]);
      else expect(named, where).toContainEqual(said);
      expect(
        named.filter((why) => !why.startsWith(`Its column ${table}.${column} `)),
        where,
      ).toEqual([]);
      raw.exec(`INSERT OR REPLACE INTO ${table} SELECT * FROM kept; DROP TABLE kept`);
    }
  raw.close();
  for (const read of readAll(store)) read();
  store.close();
});

test('a row that cannot be read is named, with what is wrong in it', () => {
  const { store, run, path } = newStore();
  behindItsBack(path, (raw) => raw.prepare('UPDATE runs SET runtime = ?').run('{}'));
  const error = catchError(() => store.runs.get(run.id)) as AppError;
  expect(error.message).toBe(`The row of run ${run.id} "photos run" cannot be read from the database.`);
  expect(error.why).toMatch(/^Its column runs\.runtime is not as this program writes it: name: .+\.$/);
  expect(error.next).toBe(
    'If a newer version of the program wrote it, use that one; else restore the database from a copy. ' +
      `Before that, export what can still be read. If neither can be done, delete it: \`conmim delete ${run.id}\`.`,
  );
});
