import { type BakeOff, type BakeOffRun, bakeOffPlanSchema, bakeOffSchema } from '../../shared/bakeoff.ts';
import type { DamagedRow } from '../../shared/damaged-row.ts';
import type { FileLock } from './file-lock.ts';
import { Holds } from './holds.ts';
import { errorsOf, fromJson, type RowError, readEach } from './json.ts';
import { freeName, requireFreeName, resolveId } from './names.ts';
import { type Db, write } from './open.ts';
import { configSchema } from './stored-config.ts';

/** What of a bake-off is no JSON: it is there though the rest of its row is damaged. */
export type BakeOffHead = Omit<BakeOff, 'asked' | 'plan'>;
type Row = Omit<BakeOffHead, 'runs'> & { asked: string; plan: string };
const planSchema = bakeOffPlanSchema(configSchema);
type RunRow = Omit<BakeOffRun, 'is_tended'> & { is_tended: number };

/** Methods that are held against each other, and whose runs these are. */
export class BakeOffs {
  readonly #db: Db;
  readonly #holds: Holds;

  constructor(db: Db) {
    this.#db = db;
    this.#holds = new Holds(db);
  }

  /** @throws AppError conflict where the name is taken, bad-input where it is a number or empty */
  create({ asked, plan }: Pick<BakeOff, 'asked' | 'plan'>): BakeOff {
    return write(this.#db, () => {
      const name = requireFreeName(this.#db, 'bake-off', asked.name);
      const { lastInsertRowid } = this.#db
        .prepare(`
          INSERT INTO bake_offs (name, dataset_id, test_dataset_id, asked, plan, created_at)
          VALUES (@name, @dataset, @test_dataset, @asked, @plan, @now)`)
        .run({
          name,
          dataset: asked.dataset,
          test_dataset: asked.test_dataset,
          asked: JSON.stringify({ ...asked, name }),
          plan: JSON.stringify(plan),
          now: Date.now(),
        });
      return this.get(Number(lastInsertRowid));
    });
  }

  /** `base`, or `base 2`, `base 3`, …: the first that no bake-off has. */
  freeName(base: string): string {
    return freeName(this.#db, 'bake-off', base);
  }

  /** By id, digits of an id, or name. @throws AppError not-found, with near names; bad-file where it is damaged */
  get(idOrName: number | string): BakeOff {
    return this.#read(this.#row(idOrName));
  }

  /** The same of one that may be damaged. @throws AppError not-found, with near names */
  head(idOrName: number | string): BakeOffHead {
    return this.#head(this.#row(idOrName));
  }

  #row(idOrName: number | string): Row {
    const id = resolveId(this.#db, 'bake-off', idOrName);
    return this.#db.prepare('SELECT * FROM bake_offs WHERE id = ?').get(id) as Row;
  }

  /** Those that can be read, the newest first. */
  list(): BakeOff[] {
    return readEach(this.#rows(), (row) => this.#read(row)).sound;
  }

  /** Those that cannot be read, the newest first. */
  damaged(): DamagedRow[] {
    return readEach(this.#rows(), (row) => this.#read(row)).damaged;
  }

  /** What is wrong with those that cannot be read. */
  unreadable(): Generator<RowError> {
    return errorsOf(this.#rows(), (row) => this.#read(row));
  }

  #rows(): Row[] {
    return this.#db.prepare('SELECT * FROM bake_offs ORDER BY id DESC').all() as Row[];
  }

  /** Puts a run of a bake-off down as such. */
  addRun(id: number, { run_id, role, entry, seed }: Omit<BakeOffRun, 'is_tended'>): void {
    write(this.#db, () =>
      this.#db
        .prepare('INSERT INTO bake_off_runs (bake_off_id, run_id, role, entry, seed) VALUES (?, ?, ?, ?, ?)')
        .run(id, run_id, role, entry, seed),
    );
  }

  /** Pretrainings that are finished, and from which nothing has followed yet. */
  untended(): { bake_off_id: number; run_id: number }[] {
    return this.#db
      .prepare(`
        SELECT b.bake_off_id, b.run_id FROM bake_off_runs b JOIN runs r ON r.id = b.run_id
        WHERE b.role = 'pretrain' AND b.is_tended = 0 AND r.status = 'finished' ORDER BY b.bake_off_id, b.run_id`)
      .all() as { bake_off_id: number; run_id: number }[];
  }

  /** Says whether what follows from a run's end has been put in the queue. */
  setTended(id: number, runId: number, isTended: boolean): void {
    write(this.#db, () =>
      this.#db
        .prepare('UPDATE bake_off_runs SET is_tended = ? WHERE bake_off_id = ? AND run_id = ?')
        .run(Number(isTended), id, runId),
    );
  }

  /** Takes it for a process that does its work itself: no queue puts anything beside it. @returns null while another has it */
  take(id: number): FileLock | null {
    return this.#holds.take('bake-off', id);
  }

  /** Whether a process does its work itself. */
  isHeld(id: number): boolean {
    return this.#holds.isHeld('bake-off', id);
  }

  /** Forgets a bake-off; its runs stay. @throws AppError not-found */
  delete(id: number): void {
    write(this.#db, () => {
      resolveId(this.#db, 'bake-off', id);
      this.#db.prepare('DELETE FROM bake_offs WHERE id = ?').run(id);
    });
    this.#holds.forget('bake-off', id);
  }

  #head({ asked, plan, ...row }: Row): BakeOffHead {
    const runs = this.#db
      .prepare(`
        SELECT run_id, role, entry, seed, is_tended FROM bake_off_runs WHERE bake_off_id = ? ORDER BY seed, entry, run_id`)
      .all(row.id) as RunRow[];
    return { ...row, runs: runs.map((run) => ({ ...run, is_tended: run.is_tended === 1 })) };
  }

  #read(row: Row): BakeOff {
    const { id, name, asked, plan } = row;
    const at = (column: 'asked' | 'plan') => ({
      row: `bake-off ${id} "${name}"`,
      column: `bake_offs.${column}`,
      last: `If neither can be done, delete it: \`conmim compare-methods --delete ${row.id}\`. Its runs stay.`,
    });
    return {
      ...this.#head(row),
      asked: fromJson(bakeOffSchema, asked, at('asked')),
      plan: fromJson(planSchema, plan, at('plan')),
    };
  }
}
