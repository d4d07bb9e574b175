import { Checkpoints } from './checkpoints.ts';
import { Datasets } from './datasets.ts';
import { Evaluations } from './evaluations.ts';
import { FeatureMaps } from './feature-maps.ts';
import { Images } from './images.ts';
import { Metrics } from './metrics.ts';
import { type Db, openDatabase } from './open.ts';
import { Prepared } from './prepared.ts';
import { Presets } from './presets.ts';
import { Probes } from './probes.ts';
import { Queue } from './queue.ts';
import { QueuedEvaluations } from './queued-evaluations.ts';
import { Retrieval } from './retrieval.ts';
import { Runs } from './runs.ts';

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
  readonly checkpoints: Checkpoints;
  readonly evaluations: Evaluations;
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
    this.checkpoints = new Checkpoints(db);
    this.evaluations = new Evaluations(db);
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

  close(): void {
    this.#db.close();
  }
}
