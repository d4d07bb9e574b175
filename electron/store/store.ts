import { BakeOffs } from './bake-offs.ts';
import { Checkpoints } from './checkpoints.ts';
import { Datasets } from './datasets.ts';
import { Evaluations } from './evaluations.ts';
import { FeatureMaps } from './feature-maps.ts';
import { Images } from './images.ts';
import type { RowError } from './json.ts';
import { Metrics } from './metrics.ts';
import { Needs } from './needs.ts';
import { Notices } from './notices.ts';
import { type Db, isDamage, openDatabase, write } from './open.ts';
import { Prepared } from './prepared.ts';
import { Presets } from './presets.ts';
import { Probes } from './probes.ts';
import { Queue } from './queue.ts';
import { QueuedEvaluations } from './queued-evaluations.ts';
import { Retrieval } from './retrieval.ts';
import { Runs } from './runs.ts';

/** Lists that windows show, and other processes write too. Runs have signatures of their own. */
const WATCHED = {
  datasets: 'SELECT json_group_array(json_array(id, name, folders, scanned_at)) FROM datasets',
  presets: 'SELECT json_group_array(json_array(name, title, created_at)) FROM presets',
  prepared: 'SELECT json_group_array(json_array(id, file, end, pid)) FROM prepared_sets',
  indexes: 'SELECT json_group_array(json_array(id, is_ready)) FROM retrieval_indexes',
  bakeoffs:
    'SELECT json_array((SELECT json_group_array(json_array(id, name)) FROM bake_offs), (SELECT count(*) FROM bake_off_runs))',
  evaluations: 'SELECT json_array(count(*), max(id), sum(length(result))) FROM evaluations',
};
export type WatchedList = keyof typeof WATCHED;
const LISTS = `SELECT ${Object.entries(WATCHED)
  .map(([name, query]) => `(${query}) AS ${name}`)
  .join(', ')}`;

/**
 * Everything that the program remembers, in one SQLite file; this folder holds the only SQL. Several processes may have
 * it open: reads never wait, writes wait for each other. All calls are synchronous.
 */
export class Store {
  readonly path: string;
  readonly datasets: Datasets;
  readonly images: Images;
  readonly runs: Runs;
  readonly metrics: Metrics;
  readonly notices: Notices;
  readonly needs: Needs;
  readonly checkpoints: Checkpoints;
  readonly evaluations: Evaluations;
  readonly bakeOffs: BakeOffs;
  readonly presets: Presets;
  readonly probes: Probes;
  readonly retrieval: Retrieval;
  readonly featureMaps: FeatureMaps;
  readonly prepared: Prepared;
  readonly queue: Queue;
  readonly queuedEvaluations: QueuedEvaluations;
  readonly #db: Db;

  private constructor(path: string, db: Db) {
    this.path = path;
    this.#db = db;
    this.datasets = new Datasets(db);
    this.images = new Images(db);
    this.runs = new Runs(db);
    this.metrics = new Metrics(db);
    this.notices = new Notices(db);
    this.needs = new Needs(db);
    this.checkpoints = new Checkpoints(db);
    this.evaluations = new Evaluations(db);
    this.bakeOffs = new BakeOffs(db);
    this.presets = new Presets(db);
    this.probes = new Probes(db);
    this.retrieval = new Retrieval(db);
    this.featureMaps = new FeatureMaps(db);
    this.prepared = new Prepared(db);
    this.queue = new Queue(db);
    this.queuedEvaluations = new QueuedEvaluations(db);
  }

  /** Opens or makes the file and its folder. @throws AppError newer-format, bad-file, bad-input (see `openDatabase`) */
  static open(path: string): Store {
    return new Store(path, openDatabase(path));
  }

  /** Changes whenever another connection, of this or another process, has written. */
  version(): number {
    return this.#db.pragma('data_version', { simple: true }) as number;
  }

  /** What tells whether a list that windows show has changed; cheap enough to be asked whenever somebody has written. */
  lists(): Record<WatchedList, string> {
    return this.#db.prepare(LISTS).get() as Record<WatchedList, string>;
  }

  /** What is wrong with rows that cannot be read, of every table that keeps JSON; what `checkpoints.check` finds is not among it. */
  *unreadable(): Generator<RowError> {
    const { datasets, presets, runs, metrics, checkpoints, evaluations, bakeOffs, queuedEvaluations } = this;
    for (const table of [
      ...[datasets, presets, runs, metrics, checkpoints, evaluations, bakeOffs, queuedEvaluations],
      ...[this.probes, this.featureMaps],
    ]) {
      try {
        yield* table.unreadable();
      } catch (error) {
        if (!isDamage(error)) throw error; // a page is: the check of the structure names it
      }
    }
  }

  /** All that `act` writes, or nothing of it; other processes write before it or after it. */
  atomically<T>(act: () => T): T {
    return write(this.#db, act);
  }

  close(): void {
    this.#db.close();
  }
}
