import type { RunConfig } from '../../shared/config.ts';
import type {
  Checkpoint,
  HostTensor,
  Metric,
  StateDict,
  TensorPart,
  TensorSequence,
  TensorSource,
} from '../../shared/domain.ts';
import { AppError } from '../../shared/errors.ts';
import { floatsOf, toBlob } from './blobs.ts';
import { type KeepPolicy, sortOut } from './keep-policy.ts';
import { Metrics } from './metrics.ts';
import { type Db, write } from './open.ts';
import { giveBack } from './space.ts';

export interface NewCheckpoint {
  step: number;
  epoch: number;
  loss: number | null;
  config: RunConfig;
  /** What a resumption needs beside tensors, as JSON: seeds, counters. */
  state: Record<string, unknown>;
  /** Steps' metrics that are not stored yet. */
  metrics?: Metric[];
}

type Row = Omit<Checkpoint, 'has_optimizer' | 'is_best' | 'config'> & {
  has_optimizer: number;
  is_best: number;
  config: string;
};

const SELECT =
  'SELECT id, run_id, step, epoch, created_at, loss, has_optimizer, is_best, config, bytes FROM checkpoints';

const toCheckpoint = (row: Row): Checkpoint => ({
  ...row,
  has_optimizer: row.has_optimizer === 1,
  is_best: row.is_best === 1,
  config: JSON.parse(row.config),
});

export class Checkpoints {
  readonly #db: Db;
  readonly #metrics: Metrics;

  constructor(db: Db) {
    this.#db = db;
    this.#metrics = new Metrics(db);
  }

  /**
   * Writes a checkpoint, the metrics given, and the run's step in one transaction, so that no half of it can exist; it
   * is on the disk when this returns. A checkpoint of the same step is replaced and keeps its id. Tensors are come to one at
   * a time, and none is held on to.
   * @throws AppError not-found, bad-input for a tensor that does not fit its shape
   */
  save(runId: number, checkpoint: NewCheckpoint, parts: Partial<Record<TensorPart, TensorSequence>>): Checkpoint {
    const { step, epoch, loss, config, state, metrics = [] } = checkpoint;
    const saved = write(this.#db, () => {
      const { changes } = this.#db.prepare('UPDATE runs SET step = ? WHERE id = ?').run(step, runId);
      if (changes === 0)
        throw new AppError('not-found', `There is no run ${runId}.`, 'It may have been deleted meanwhile.');
      this.#metrics.add(runId, metrics);
      const id = this.#db
        .prepare(`
          INSERT INTO checkpoints (run_id, step, epoch, created_at, loss, has_optimizer, is_best, config, state, bytes)
          VALUES (@runId, @step, @epoch, @now, @loss, @has_optimizer, 0, @config, @state, 0)
          ON CONFLICT (run_id, step) DO UPDATE SET epoch = @epoch, created_at = @now, loss = coalesce(@loss, loss),
            has_optimizer = @has_optimizer, config = @config, state = @state
          RETURNING id`)
        .pluck()
        .get({
          runId,
          step,
          epoch,
          now: Date.now(),
          loss,
          has_optimizer: parts.exp_avg && parts.exp_avg_sq ? 1 : 0,
          config: JSON.stringify(config),
          state: JSON.stringify(state),
        }) as number;
      this.#db.prepare('DELETE FROM tensors WHERE checkpoint_id = ?').run(id);
      const insert = this.#db.prepare(
        'INSERT INTO tensors (checkpoint_id, part, name, shape, data) VALUES (?, ?, ?, ?, ?)',
      );
      let bytes = 0;
      for (const [part, tensors] of Object.entries(parts)) {
        for (const [name, tensor] of tensors) {
          requireFits(name, tensor);
          insert.run(id, part, name, JSON.stringify(tensor.shape), toBlob(tensor.data));
          bytes += tensor.data.byteLength;
        }
      }
      this.#db.prepare('UPDATE checkpoints SET bytes = ? WHERE id = ?').run(bytes, id);
      this.#markBest(runId);
      return this.get(id);
    });
    this.#db.pragma('wal_checkpoint(PASSIVE)'); // syncs the log
    const { state: _, ...rest } = saved;
    return rest;
  }

  /** @throws AppError not-found */
  get(id: number): Checkpoint & { state: Record<string, unknown> } {
    const row = this.#db.prepare(`${SELECT} WHERE id = ?`).get(id) as Row | undefined;
    if (!row)
      throw new AppError(
        'not-found',
        `There is no checkpoint ${id}.`,
        '',
        'List those of a run with `conmim show RUN`.',
      );
    const state = this.#db.prepare('SELECT state FROM checkpoints WHERE id = ?').pluck().get(id) as string;
    return { ...toCheckpoint(row), state: JSON.parse(state) };
  }

  /** The one of the highest step; with optimizer state where a run is to go on from it. */
  latest(runId: number, { withOptimizer = false }: { withOptimizer?: boolean } = {}): Checkpoint | null {
    const row = this.#db
      .prepare(`${SELECT} WHERE run_id = ? AND has_optimizer >= ? ORDER BY step DESC LIMIT 1`)
      .get(runId, withOptimizer ? 1 : 0) as Row | undefined;
    return row ? toCheckpoint(row) : null;
  }

  /** By step. */
  list(runId: number): Checkpoint[] {
    return (this.#db.prepare(`${SELECT} WHERE run_id = ? ORDER BY step`).all(runId) as Row[]).map(toCheckpoint);
  }

  /** One part's tensors, in the order in which they were saved. @throws AppError not-found where it is not kept */
  load(id: number, part: TensorPart): StateDict {
    const tensors: StateDict = new Map();
    const rows = this.#db
      .prepare('SELECT name, shape, data FROM tensors WHERE checkpoint_id = ? AND part = ? ORDER BY id')
      .iterate(id, part) as Iterable<{ name: string; shape: string; data: Buffer }>;
    for (const { name, shape, data } of rows) tensors.set(name, { shape: JSON.parse(shape), data: floatsOf(data) });
    if (tensors.size === 0) throw this.#withoutPart(id, part);
    return tensors;
  }

  /** The same, each tensor read when it is asked for. @throws AppError not-found where the part is not kept */
  source(id: number, part: TensorPart): TensorSource {
    const isKept = this.#db.prepare('SELECT 1 FROM tensors WHERE checkpoint_id = ? AND part = ?').get(id, part);
    if (!isKept) throw this.#withoutPart(id, part);
    const one = this.#db.prepare('SELECT shape, data FROM tensors WHERE checkpoint_id = ? AND part = ? AND name = ?');
    return {
      get(name) {
        const row = one.get(id, part, name) as { shape: string; data: Buffer } | undefined;
        return row && { shape: JSON.parse(row.shape), data: floatsOf(row.data) };
      },
    };
  }

  #withoutPart(id: number, part: TensorPart): AppError {
    this.get(id);
    return new AppError(
      'not-found',
      `Checkpoint ${id} keeps no ${part} tensors.`,
      'Older checkpoints keep weights only.',
      'Use a later one.',
    );
  }

  /** What is kept of it. */
  tensorNames(id: number): { part: TensorPart; name: string; shape: number[] }[] {
    const rows = this.#db.prepare('SELECT part, name, shape FROM tensors WHERE checkpoint_id = ? ORDER BY id').all(id);
    return (rows as { part: TensorPart; name: string; shape: string }[]).map((row) => ({
      ...row,
      shape: JSON.parse(row.shape),
    }));
  }

  /** @returns bytes given back to the disk @throws AppError not-found */
  delete(id: number): number {
    write(this.#db, () => {
      const { run_id } = this.get(id);
      this.#db.prepare('DELETE FROM checkpoints WHERE id = ?').run(id);
      this.#markBest(run_id);
    });
    return giveBack(this.#db);
  }

  /**
   * Deletes checkpoints that the policy does not keep, and the optimizer state of those that it keeps without
   * (`sortOut` says which), but for those that an evaluation of the queue waits for. Space of one checkpoint stays in the
   * file, as the next one will take it; the rest is given back to the disk.
   */
  applyKeepPolicy(runId: number, policy: KeepPolicy): { deleted: number[]; stripped: number[] } {
    const { remove, strip } = write(this.#db, () => {
      const awaited = new Set(
        this.#db
          .prepare('SELECT checkpoint_id FROM queued_evaluations WHERE run_id = ? AND error IS NULL')
          .pluck()
          .all(runId),
      );
      const asked = sortOut(this.list(runId), policy);
      const sorted = { ...asked, remove: asked.remove.filter((id) => !awaited.has(id)) };
      for (const id of sorted.remove) this.#db.prepare('DELETE FROM checkpoints WHERE id = ?').run(id);
      for (const id of sorted.strip) this.#strip(id);
      this.#markBest(runId);
      return sorted;
    });
    if (remove.length + strip.length > 0) giveBack(this.#db, this.latest(runId)?.bytes);
    return { deleted: remove, stripped: strip };
  }

  #strip(id: number): void {
    this.#db.prepare(`DELETE FROM tensors WHERE checkpoint_id = ? AND part IN ('exp_avg', 'exp_avg_sq')`).run(id);
    this.#db
      .prepare(`
        UPDATE checkpoints SET has_optimizer = 0,
          bytes = (SELECT coalesce(sum(length(data)), 0) FROM tensors WHERE checkpoint_id = @id)
        WHERE id = @id`)
      .run({ id });
  }

  /** The lowest loss of those that are kept; the earliest of equals. */
  #markBest(runId: number): void {
    this.#db
      .prepare(`
        UPDATE checkpoints SET is_best = (id IS
          (SELECT id FROM checkpoints WHERE run_id = @runId AND loss IS NOT NULL ORDER BY loss, step LIMIT 1))
        WHERE run_id = @runId`)
      .run({ runId });
  }
}

function requireFits(name: string, { shape, data }: HostTensor): void {
  const size = shape.reduce((a, b) => a * b, 1);
  if (size !== data.length) {
    throw new AppError(
      'bad-input',
      `Tensor "${name}" holds ${data.length} values; its shape [${shape}] needs ${size}.`,
    );
  }
}
