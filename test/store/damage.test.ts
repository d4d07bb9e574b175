import { closeSync, openSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { explain, migrate } from '../../electron/store/open.ts';
import { Store } from '../../electron/store/store.ts';
import { AppError } from '../../shared/errors.ts';
import { behindItsBack, CONFIG, catchError, metric, newStore, scratch, state } from './helpers.ts';

const PARTS = ['student', 'teacher', 'exp_avg', 'exp_avg_sq'] as const;
const at = (step: number) => ({ step, epoch: step, loss: 1, config: CONFIG, state: { step } });
const all = (seed: number) => ({
  student: state(seed, 2),
  teacher: state(seed + 0.1, 2),
  exp_avg: state(seed + 0.2, 2),
  exp_avg_sq: state(seed + 0.3, 2),
});

describe('a checkpoint that is not as it was written', () => {
  test('is refused with its run, step and tensor, and the one that is sound', () => {
    const { store, run, path } = newStore();
    const [older, newer] = [
      store.checkpoints.save(run.id, at(1), all(1)),
      store.checkpoints.save(run.id, at(2), all(2)),
    ];
    behindItsBack(path, (raw) => {
      const row = raw
        .prepare("SELECT id, data FROM tensors WHERE checkpoint_id = ? AND part = 'student' AND name LIKE '%.1.%'")
        .get(newer.id) as { id: number; data: Buffer };
      row.data[1000]! ^= 1;
      raw.prepare('UPDATE tensors SET data = ? WHERE id = ?').run(row.data, row.id);
    });
    const error = catchError(() => store.checkpoints.load(newer.id, 'student')) as AppError;
    expect(error.kind).toBe('bad-file');
    expect(error.message).toBe(`Checkpoint ${newer.id} of run "${run.name}" (step 2) is damaged.`);
    expect(error.why).toContain('"blocks.1.weight" of its student');
    expect(error.next).toContain(`Checkpoint ${older.id} (step 1) is sound`);
    expect(error.next).toContain(`conmim delete-checkpoint ${newer.id}`);
    // Asked for one by one, the others are given.
    const source = store.checkpoints.source(newer.id, 'student');
    expect(source.get('blocks.0.weight')).toEqual(all(2).student.get('blocks.0.weight'));
    expect(catchError(() => source.get('blocks.1.weight'))).toMatchObject({ kind: 'bad-file' });
    expect(store.checkpoints.load(newer.id, 'teacher')).toEqual(all(2).teacher);
    expect(store.checkpoints.check()).toEqual({
      sound: 9,
      unknown: 0,
      damaged: [{ checkpoint: newer.id, run: run.name, step: 2, why: error.why }],
    });
    // What was advised can be done.
    store.checkpoints.delete(newer.id);
    expect(store.checkpoints.latest(run.id, { withOptimizer: true })!.id).toBe(older.id);
    expect(store.checkpoints.check().damaged).toEqual([]);
  });

  test('says so where no other is sound', () => {
    const { store, run, path } = newStore();
    const ids = [1, 2].map((step) => store.checkpoints.save(run.id, at(step), all(step)).id);
    behindItsBack(path, (raw) => raw.exec('UPDATE tensors SET data = zeroblob(length(data))'));
    const error = catchError(() => store.checkpoints.load(ids[1]!, 'teacher')) as AppError;
    expect(error.next).toContain('None of its other checkpoints is sound');
  });

  test('whichever bit of its values, names, shapes or settings differs', () => {
    const { store, run, path } = newStore();
    const { id } = store.checkpoints.save(run.id, at(1), all(1));
    const look = () => [
      ...PARTS.map((part) => catchError(() => store.checkpoints.load(id, part))),
      catchError(() => store.checkpoints.get(id)),
    ];
    expect(look()).toEqual([null, null, null, null, null]);
    const raw = new Database(path);
    const tensors = raw.prepare('SELECT id, name, shape, data FROM tensors').all() as Record<string, unknown>[];
    const settings = raw.prepare('SELECT id, config, state FROM checkpoints').all() as Record<string, unknown>[];
    const flipped = (value: unknown, bit: number) => {
      const bytes = Buffer.from(typeof value === 'string' ? Buffer.from(value) : (value as Buffer));
      const place = bit % (8 * bytes.length);
      bytes[place >> 3]! ^= 1 << (place & 7);
      // A text that is no text any more is a damage of another kind.
      return typeof value === 'string' ? bytes.toString('latin1') : bytes;
    };
    fc.assert(
      fc.property(
        fc.constantFrom('name', 'shape', 'data', 'config', 'state'),
        fc.nat(7),
        fc.nat(),
        (column, which, bit) => {
          const [table, rows] =
            column === 'config' || column === 'state' ? ['checkpoints', settings] : ['tensors', tensors];
          const row = (rows as Record<string, unknown>[])[which % rows.length]!;
          const set = raw.prepare(`UPDATE ${table} SET ${column} = ? WHERE id = ?`);
          const changed = flipped(row[column], bit);
          // SQLite itself refuses to write a second tensor of the same name.
          fc.pre(column !== 'name' || !tensors.some(({ name }) => name === changed));
          set.run(changed, row.id);
          const found = look().filter((error) => error !== null);
          set.run(row[column], row.id);
          expect(found.length).toBe(1);
          expect(found[0]).toMatchObject({ kind: 'bad-file' });
        },
      ),
      { numRuns: 100 },
    );
    expect(look()).toEqual([null, null, null, null, null]);
    raw.close();
  });

  test('from before checksums were kept is read, and counted as unknown', () => {
    const path = join(scratch(), 'old.sqlite');
    const db = new Database(path);
    db.pragma('foreign_keys = ON');
    migrate(db, 8);
    db.prepare(
      "INSERT INTO runs (id, name, config, status, step, total_steps, steps_per_epoch, created_at, tags) VALUES (1, 'r', ?, 'paused', 1, 1, 1, 1, '[]')",
    ).run(JSON.stringify(CONFIG));
    db.prepare("INSERT INTO checkpoints VALUES (1, 1, 1, 0, 1, NULL, 0, 0, ?, '{}', 8)").run(JSON.stringify(CONFIG));
    db.exec(
      `INSERT INTO tensors VALUES (1, 1, 'student', 'w', '[1]', x'0000803f'), (2, 1, 'teacher', 'w', '[1]', x'00000040')`,
    );
    db.close();
    const store = Store.open(path);
    expect(store.checkpoints.load(1, 'student')).toEqual(new Map([['w', { shape: [1], data: new Float32Array([1]) }]]));
    expect(store.checkpoints.get(1).config).toEqual(CONFIG);
    expect(store.checkpoints.check()).toEqual({ sound: 0, unknown: 2, damaged: [] });
    // What is saved from now on has one; without it, what cannot be a tensor is still refused.
    const { id } = store.checkpoints.save(1, at(2), all(1));
    expect(store.checkpoints.check()).toMatchObject({ sound: 8, unknown: 2 });
    behindItsBack(path, (raw) => raw.exec(`UPDATE tensors SET data = x'0000803f00' WHERE id = 1`));
    expect(catchError(() => store.checkpoints.load(1, 'student'))).toMatchObject({ kind: 'bad-file' });
    store.runs.delete(1);
    behindItsBack(path, (raw) => expect(raw.prepare('SELECT count(*) FROM tensor_checksums').pluck().get()).toBe(0));
    expect(id).toBeGreaterThan(1);
    store.close();
  });
});

test('pages that a disk changed are said in words, or change nothing that is read', () => {
  const { store, run, path } = newStore();
  const ids = [1, 2].map((step) => store.checkpoints.save(run.id, at(step), all(step)).id);
  store.metrics.add(run.id, [metric(1), metric(2)]);
  store.close();
  const sound = readFileSync(path);
  const pages = sound.length / 16_384;
  let told = 0;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(pages - 1), fc.nat(16_383), fc.integer({ min: 1, max: 255 })), {
        minLength: 1,
        maxLength: 50,
      }),
      (flips) => {
        const bytes = Buffer.from(sound);
        for (const [page, byte, mask] of flips) bytes[page * 16_384 + byte]! ^= mask;
        writeFileSync(path, bytes);
        let opened: Store | null = null;
        try {
          opened = Store.open(path);
          for (const { id } of opened.runs.list()) opened.checkpoints.list(id);
          for (const [i, id] of ids.entries())
            for (const part of PARTS) expect(opened.checkpoints.load(id, part)).toEqual(all(i + 1)[part]);
        } catch (error) {
          if (!(error instanceof AppError)) throw error;
          expect(error.message).not.toBe('');
          told++;
        } finally {
          opened?.close();
        }
      },
    ),
    { numRuns: 60 },
  );
  expect(told).toBeGreaterThan(20);
});

test('a page that is destroyed under an open store is a damage, in words, for every kind of statement', () => {
  const { store, run, path } = newStore();
  const { id } = store.checkpoints.save(run.id, at(1), all(1));
  store.close();
  const { size } = statSync(path);
  const fd = openSync(path, 'r+');
  for (let page = 1; page < size / 16_384; page++) writeSync(fd, Buffer.alloc(16_384, 0x5a), 0, 16_384, page * 16_384);
  closeSync(fd);
  const again = Store.open(path);
  for (const act of [
    () => again.runs.list(),
    () => again.runs.update(run.id, { notes: 'x' }),
    () => again.checkpoints.load(id, 'student'),
    () => [...again.images.iterate(1)],
    () => again.datasets.list(),
  ]) {
    const error = catchError(act) as AppError;
    expect(error).toMatchObject({ kind: 'bad-file', message: `${path} is damaged.` });
    expect(error.next).toContain('conmim doctor');
  }
  again.close();
});

test('a disk without room is named with its room, however SQLite puts it', () => {
  const path = join(scratch(), 'workbench.sqlite');
  const error = explain(Object.assign(new Database.SqliteError('database or disk is full', 'SQLITE_FULL')), path);
  expect(error).toMatchObject({ kind: 'bad-file', message: `There is no room on the disk of ${path}.` });
  expect((error as AppError).why).toMatch(/^\d\S* [kMGT]?B are free/);
  // With room on the disk the same code of an opening is something else.
  expect(explain(new Database.SqliteError('disk I/O error', 'SQLITE_IOERR_SHMSIZE'), path)).toMatchObject({
    message: `${path} cannot be read or written.`,
  });
});
