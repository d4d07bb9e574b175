import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { figures } from '../../electron/store/migrations/0015-figures.ts';
import { MIGRATIONS } from '../../electron/store/migrations/index.ts';
import { migrate } from '../../electron/store/open.ts';
import { Store } from '../../electron/store/store.ts';
import { catchError, metric, newStore, scratch } from './helpers.ts';

/** Numbers that are no short decimals: their last bit would show a figure that was rounded on its way. */
const odd = (i: number) => Math.fround(Math.abs(Math.sin(i))) + Math.PI * 1e-9;

/** A file of format 14 with two runs, the first of forty steps and two blocks. */
function olderFile(): string {
  const path = join(scratch(), 'fourteen');
  const db = new Database(path);
  db.pragma('foreign_keys = ON');
  migrate(db, MIGRATIONS.indexOf(figures));
  const run = db.prepare(`
    INSERT INTO runs (id, name, config, status, step, total_steps, steps_per_epoch, created_at)
    VALUES (?, 'r' || ?, '{}', 'finished', 1, 1, 1, 1)`);
  for (const id of [1, 2]) run.run(id, id);
  const insert = (table: string, key: string) =>
    db.prepare(`
      INSERT INTO ${table} (run_id, ${key}, epoch, time, replaced, loss, top1, top5, top1_control, grad_norm, lr, weight_decay,
        momentum, images_per_s, data_wait, rank_student, rank_teacher, cosine_student, cosine_teacher)
      VALUES (?, ?, 0.5, 1.5, 2, ?, ?, ?, ?, 1.25, 1e-3, 0.05, 0.99, 100, 0.01, ?, ?, ?, ?)`);
  const add = insert('metrics', 'step');
  for (let step = 1; step <= 40; step++) {
    const looked = [1, 20, 40].includes(step) ? [odd(step), 30 + odd(step), -odd(step), 0] : [null, null, null, null];
    // Step 3 was none: NaN, which is stored as null. A batch of one image has no control.
    add.run(
      1,
      step,
      ...(step === 3 ? [null, null, null, null] : [step, odd(step), 0.5, step % 2 ? 0.25 : null]),
      ...looked,
    );
  }
  add.run(2, 1, 1.09, 1 / 3, 1, null, null, null, null, null); // a fine-tuning
  db.exec(`
    INSERT INTO metric_blocks (run_id, block, step, epoch, time, replaced, loss, top1, top5, top1_control, grad_norm, lr,
      weight_decay, momentum, images_per_s, data_wait, rank_student, rank_teacher, cosine_student, cosine_teacher)
    SELECT run_id, (step - 1) / 20, max(step), max(epoch), max(time), sum(replaced), avg(loss), avg(top1), avg(top5),
      avg(top1_control), avg(grad_norm), avg(lr), avg(weight_decay), avg(momentum), avg(images_per_s), avg(data_wait),
      avg(rank_student), avg(rank_teacher), avg(cosine_student), avg(cosine_teacher)
    FROM metrics WHERE run_id = 1 GROUP BY (step - 1) / 20`);
  db.close();
  return path;
}

test('migration 15: every figure of every step and block is kept to the bit, under its name', () => {
  const path = olderFile();
  const before = new Database(path, { readonly: true });
  const read = (db: Database.Database, what: string) => db.prepare(what).all() as Record<string, number | null>[];
  const tables = [
    ['metrics', 'step'],
    ['metric_blocks', 'block'],
  ] as const;
  const was = tables.map(([table, key]) => read(before, `SELECT * FROM ${table} ORDER BY run_id, ${key}`));
  before.close();
  const store = Store.open(path);
  const db = new Database(path, { readonly: true });
  expect(db.pragma('user_version', { simple: true })).toBe(MIGRATIONS.length);
  for (const [i, [table, key]] of tables.entries()) {
    const is = read(db, `SELECT * FROM ${table} ORDER BY run_id, ${key}`);
    expect(is).toHaveLength(was[i]!.length);
    for (const [n, { figures, ...rest }] of is.entries()) {
      const { top1, top5, ...others } = was[i]![n]!;
      const known = Object.entries(others).filter(([name, value]) => !(name in rest) && value !== null);
      expect(others).toMatchObject(rest);
      expect(JSON.parse(String(figures))).toEqual({ top1, top5, ...Object.fromEntries(known) });
    }
  }
  db.close();
  const [first, , third] = store.metrics.list(1);
  const of20 = { rank_student: odd(1), rank_teacher: 30 + odd(1), cosine_student: -odd(1), cosine_teacher: 0 };
  expect(first).toMatchObject({
    loss: 1,
    replaced: 2,
    figures: { top1: odd(1), top5: 0.5, top1_control: 0.25, ...of20 },
  });
  expect(third).toMatchObject({ loss: Number.NaN, figures: { top1: null, top5: null } });
  expect(store.metrics.last(2)!.figures).toEqual({ top1: 1 / 3, top5: 1 });
  // It goes on where it was: rows and blocks behind a checkpoint are forgotten, and rows of a run go with it.
  expect(store.metrics.deleteAfter(1, 20)).toBe(20);
  store.runs.delete(1);
  expect([store.metrics.count(1), store.metrics.count(2)]).toEqual([0, 1]);
  store.close();
});

test('means of many steps are of those at which a figure was measured, through blocks as well', () => {
  const { store, run } = newStore();
  const at = (step: number) => ({
    always: step,
    ...(step % 50 === 0 && { seldom: step / 7 }),
    ...(step > 1000 && { late: 3 }),
    never: null,
  });
  store.metrics.add(
    run.id,
    Array.from({ length: 2000 }, (_, i) => metric(i + 1, { figures: at(i + 1) })),
  );
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  for (const points of [4, 100]) {
    const sampled = store.metrics.sampled(run.id, points); // four from blocks, a hundred from steps
    expect(sampled).toHaveLength(points);
    for (const [i, { figures }] of sampled.entries()) {
      const steps = Array.from({ length: 2000 / points }, (_, n) => (i * 2000) / points + n + 1);
      const seldom = steps.filter((step) => step % 50 === 0);
      expect(figures.always).toBeCloseTo(mean(steps), 9);
      expect(figures.never).toBeNull();
      if (seldom.length > 0) expect(figures.seldom).toBeCloseTo(mean(seldom) / 7, 9);
      else expect(figures).not.toHaveProperty('seldom');
      expect(figures.late).toBe(steps.at(-1)! > 1000 ? 3 : undefined);
    }
  }
});

test('means follow rows that are written again, or in pieces', () => {
  const { store, run } = newStore();
  const rows = (from: number, to: number, loss: number) =>
    Array.from({ length: to - from + 1 }, (_, i) => metric(from + i, { loss }));
  for (let from = 1; from <= 100; from += 10) store.metrics.add(run.id, rows(from, from + 9, 1));
  const losses = () => store.metrics.sampled(run.id, 2).map(({ loss }) => loss);
  expect(losses()).toEqual([1, 1]);
  store.metrics.add(run.id, rows(41, 45, 9));
  expect(losses()).toEqual([expect.closeTo(1 + (5 * 8) / 60), 1]); // three blocks, and two
  store.metrics.deleteAfter(run.id, 60);
  store.metrics.add(run.id, rows(61, 100, 3));
  expect(losses()).toEqual([expect.closeTo(1 + (5 * 8) / 60), 3]);
});

test('the last step at which one of some figures was measured', () => {
  const { store, run } = newStore();
  store.metrics.add(run.id, [
    metric(1, { figures: { rank: 5 } }),
    metric(2, { figures: { rank: null, 'an "odd" name': 1 } }),
    metric(3, { figures: { 'the rank': 4 } }),
  ]);
  const step = (...keys: string[]) => store.metrics.lastWith(run.id, keys)?.step;
  expect([step('rank'), step('rank', 'an "odd" name'), step('none'), step()]).toEqual([1, 2, undefined, undefined]);
});

test('a record that is not as it was written is said in words', () => {
  const { store, run, path } = newStore();
  store.metrics.add(
    run.id,
    Array.from({ length: 50 }, (_, i) => metric(i + 1)),
  );
  const db = new Database(path);
  db.prepare(`UPDATE metrics SET figures = '{"top1":' WHERE step = 7`).run();
  db.close();
  for (const read of [() => store.metrics.list(run.id), () => store.metrics.sampled(run.id, 20)])
    expect(catchError(read)).toMatchObject({ kind: 'bad-file' });
});
