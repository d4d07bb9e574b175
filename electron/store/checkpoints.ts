import { z } from 'zod';
import { requireNetwork } from '../../methods/index.ts';
import {
  type Checkpoint,
  type CheckpointState,
  checkpointStateSchema,
  type TensorPart,
} from '../../shared/checkpoint.ts';
import type { RunConfig } from '../../shared/config.ts';
import type { Checked } from '../../shared/contract/machine.ts';
import { AppError } from '../../shared/errors.ts';
import type { Metric } from '../../shared/run.ts';
import type { HostTensor, StateDict, TensorSequence, TensorSource } from '../../shared/tensors.ts';
import { plural } from '../../shared/words.ts';
import { floatsOf, toBlob } from './blobs.ts';
import { errorsOf, fromJson, type Place, type RowError } from './json.ts';
import { type KeepPolicy, sortOut } from './keep-policy.ts';
import { Metrics } from './metrics.ts';
import { Needs } from './needs.ts';
import { type Db, isDamage, write } from './open.ts';
import { giveBack } from './space.ts';
import { storedConfig } from './stored-config.ts';
import { checksumOfCheckpoint, checksumOfTensor } from './tensor-checksums.ts';

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

type Row = Omit<Checkpoint, 'has_optimizer' | 'is_best' | 'config' | 'lacks'> & {
  has_optimizer: number;
  is_best: number;
  config: string;
  lacks: string | null;
};

const SELECT = `
  SELECT id, run_id, step, epoch, created_at, loss, has_optimizer, is_best, config, bytes,
    CASE WHEN json_valid(state) THEN json_extract(state, '$.lacks') END AS lacks FROM checkpoints`;

const lacksSchema = z.array(z.string());
const shapeSchema = z.array(z.number());

const placeOf = ({ id, step }: Pick<Row, 'id' | 'step'>, column: 'config' | 'state'): Place => ({
  row: `checkpoint ${id} (step ${step})`,
  column: `checkpoints.${column}`,
  last: `If neither can be done, delete it: \`conmim delete-checkpoint ${id}\`.`,
});

function toCheckpoint(row: Row): Checkpoint {
  return {
    ...row,
    has_optimizer: row.has_optimizer === 1,
    is_best: row.is_best === 1,
    config: storedConfig(row.config, placeOf(row, 'config')),
    lacks: row.lacks === null ? [] : fromJson(lacksSchema, row.lacks, placeOf(row, 'state')),
  };
}

/** A checkpoint of an older program, which did not keep how far it was in its images, is as far as it has seen. */
function stateOf(row: Row, text: string): CheckpointState {
  const { position, ...state } = fromJson(checkpointStateSchema, text, placeOf(row, 'state'));
  const { batch_size, accumulation } = storedConfig(row.config, placeOf(row, 'config')).train;
  const seen = { epoch: 0, sample: row.step * batch_size * accumulation, samples: null };
  return { ...state, position: position ?? seen };
}

/** A tensor as it stands in the database. */
interface TensorRow {
  name: string;
  shape: string;
  data: Buffer;
  crc: number | null;
  /** 0 where an older program wrote the checkpoint, which kept no checksums. */
  has_checksums: 0 | 1;
}

const TENSORS = `
  SELECT name, shape, data, s.crc32 AS crc, c.crc32 IS NOT NULL AS has_checksums
  FROM tensors t JOIN checkpoints c ON c.id = checkpoint_id LEFT JOIN tensor_checksums s ON tensor_id = t.id
  WHERE checkpoint_id = ? AND part = ?`;

export class Checkpoints {
  readonly #db: Db;
  readonly #metrics: Metrics;

  constructor(db: Db) {
    this.#db = db;
    this.#metrics = new Metrics(db);
  }

  /**
   * Writes a checkpoint, the metrics given, and the run's step in one transaction, so that no half of it can exist; it
   * is on the disk when this returns. A checkpoint of the same step is replaced and keeps its id. Tensors are
   * made and written one at a time; none stays in memory.
   * @throws AppError not-found, bad-input for a tensor that does not fit its shape
   */
  save(runId: number, checkpoint: NewCheckpoint, parts: Partial<Record<TensorPart, TensorSequence>>): Checkpoint {
    const { step, epoch, loss, config, state, metrics = [] } = checkpoint;
    const kept = { config: JSON.stringify(config), state: JSON.stringify(state) };
    const saved = write(this.#db, () => {
      const { changes } = this.#db.prepare('UPDATE runs SET step = ? WHERE id = ?').run(step, runId);
      if (changes === 0)
        throw new AppError('not-found', `There is no run ${runId}.`, 'It may have been deleted meanwhile.');
      this.#metrics.add(runId, metrics);
      const id = this.#db
        .prepare(`
          INSERT INTO checkpoints
            (run_id, step, epoch, created_at, loss, has_optimizer, is_best, config, state, bytes, crc32)
          VALUES (@runId, @step, @epoch, @now, @loss, @has_optimizer, 0, @config, @state, 0, @crc32)
          ON CONFLICT (run_id, step) DO UPDATE SET epoch = @epoch, created_at = @now, loss = coalesce(@loss, loss),
            has_optimizer = @has_optimizer, config = @config, state = @state, crc32 = @crc32
          RETURNING id`)
        .pluck()
        .get({
          runId,
          step,
          epoch,
          now: Date.now(),
          loss,
          has_optimizer: parts.exp_avg && parts.exp_avg_sq ? 1 : 0,
          ...kept,
          crc32: checksumOfCheckpoint(kept),
        }) as number;
      this.#db.prepare('DELETE FROM tensors WHERE checkpoint_id = ?').run(id);
      const insert = this.#db.prepare(
        'INSERT INTO tensors (checkpoint_id, part, name, shape, data) VALUES (?, ?, ?, ?, ?)',
      );
      const insertChecksum = this.#db.prepare('INSERT INTO tensor_checksums VALUES (?, ?)');
      let bytes = 0;
      for (const [part, tensors] of Object.entries(parts) as [TensorPart, TensorSequence][]) {
        for (const [name, tensor] of tensors) {
          requireFits(name, tensor);
          const row = { name, shape: JSON.stringify(tensor.shape), data: toBlob(tensor.data) };
          const { lastInsertRowid } = insert.run(id, part, row.name, row.shape, row.data);
          insertChecksum.run(lastInsertRowid, checksumOfTensor(part, row));
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

  /** @throws AppError not-found, bad-file where its settings are not as they were written */
  get(id: number): Checkpoint & { state: CheckpointState } {
    const row = this.#db.prepare(`${SELECT} WHERE id = ?`).get(id) as Row | undefined;
    if (!row) throw withoutCheckpoint(id);
    const kept = this.#db.prepare('SELECT config, state, crc32 FROM checkpoints WHERE id = ?').get(id) as Settings;
    if (!isSettingsSound(kept)) throw this.#damaged(id, SETTINGS_DIFFER);
    return { ...toCheckpoint(row), state: stateOf(row, kept.state) };
  }

  /** The run that it is of. @throws AppError not-found */
  runOf(id: number): number {
    const run = this.#db.prepare('SELECT run_id FROM checkpoints WHERE id = ?').pluck().get(id);
    if (run === undefined) throw withoutCheckpoint(id);
    return run as number;
  }

  /** The one of the highest step; with optimizer state where a run is to go on from it. */
  latest(runId: number, { withOptimizer = false }: { withOptimizer?: boolean } = {}): Checkpoint | null {
    const row = this.#db
      .prepare(`${SELECT} WHERE run_id = ? AND has_optimizer >= ? ORDER BY step DESC LIMIT 1`)
      .get(runId, withOptimizer ? 1 : 0) as Row | undefined;
    return row ? toCheckpoint(row) : null;
  }

  /** Whether a run has one. */
  has(runId: number): boolean {
    return this.#db.prepare('SELECT 1 FROM checkpoints WHERE run_id = ?').get(runId) !== undefined;
  }

  /** How many each run has, and their bytes, of those that have any. */
  sizes(): Map<number, { checkpoints: number; bytes: number }> {
    const rows = this.#db.prepare('SELECT run_id, count(*), sum(bytes) FROM checkpoints GROUP BY run_id').raw().all();
    return new Map(
      (rows as number[][]).map(([run, checkpoints, bytes]) => [run!, { checkpoints: checkpoints!, bytes: bytes! }]),
    );
  }

  /** By step. */
  list(runId: number): Checkpoint[] {
    return (this.#db.prepare(`${SELECT} WHERE run_id = ? ORDER BY step`).all(runId) as Row[]).map(toCheckpoint);
  }

  /**
   * One part's tensors, in the order in which they were saved.
   * @throws AppError not-found where it is not kept, bad-file where a tensor is not as it was written
   */
  load(id: number, part: TensorPart): StateDict {
    const tensors: StateDict = new Map();
    this.#requireWhole(id);
    for (const row of this.#rows(id, part)) tensors.set(row.name, this.#sound(id, part, row));
    if (tensors.size === 0) throw this.#withoutPart(id, part);
    return tensors;
  }

  /** The same, each tensor read, and its checksum compared, when it is asked for. @throws AppError as `load` */
  source(id: number, part: TensorPart): TensorSource {
    const isKept = this.#db.prepare('SELECT 1 FROM tensors WHERE checkpoint_id = ? AND part = ?').get(id, part);
    if (!isKept) throw this.#withoutPart(id, part);
    this.#requireWhole(id);
    const one = this.#db.prepare(`${TENSORS} AND name = ?`);
    return {
      get: (name) => {
        try {
          const row = one.get(id, part, name) as TensorRow | undefined;
          return row && this.#sound(id, part, row);
        } catch (error) {
          throw isDamage(error) ? this.#damaged(id, unreadable(part, error)) : error;
        }
      },
    };
  }

  *#rows(id: number, part: TensorPart): Generator<TensorRow> {
    try {
      yield* this.#db.prepare(`${TENSORS} ORDER BY t.id`).iterate(id, part) as Iterable<TensorRow>;
    } catch (error) {
      throw isDamage(error) ? this.#damaged(id, unreadable(part, error)) : error;
    }
  }

  /** A damaged page can hide a tensor, which no checksum of the others tells. @throws AppError bad-file */
  #requireWhole(id: number): void {
    try {
      const row = this.#db
        .prepare(
          `SELECT bytes, (SELECT coalesce(sum(length(data)), 0) FROM tensors WHERE checkpoint_id = c.id) AS there
           FROM checkpoints c WHERE id = ?`,
        )
        .get(id) as { bytes: number; there: number } | undefined;
      if (row && row.bytes !== row.there) throw this.#damaged(id, notWhole(row.bytes, row.there));
    } catch (error) {
      throw isDamage(error) ? this.#damaged(id, unreadable(null, error)) : error;
    }
  }

  #sound(id: number, part: TensorPart, row: TensorRow): HostTensor {
    const fault = faultOf(id, part, row);
    if (fault !== null) throw this.#damaged(id, fault);
    return { shape: shapeOf(id, row), data: floatsOf(row.data) };
  }

  /** What is wrong with a checkpoint's tensors or settings; null where no damage was found (older ones have no checksums). */
  fault(id: number): string | null {
    return this.#look(id).why;
  }

  /** Reads everything that is kept. @param onProgress is told how many checkpoints were read */
  check(onProgress: (done: number, total: number) => void = () => {}): Checked {
    const all = this.#db
      .prepare('SELECT c.id, c.step, name AS run FROM checkpoints c JOIN runs r ON r.id = run_id ORDER BY c.id')
      .all() as { id: number; step: number; run: string }[];
    const checked: Checked = { sound: 0, unknown: 0, damaged: [] };
    for (const [i, { id, ...where }] of all.entries()) {
      onProgress(i, all.length);
      const { sound, unknown, why } = this.#look(id);
      checked.sound += sound;
      checked.unknown += unknown;
      if (why !== null) checked.damaged.push({ checkpoint: id, ...where, why });
    }
    return checked;
  }

  /** What is wrong with settings that cannot be read, of those without a checksum: `check` looks at the others, and at tensors. */
  unreadable(): Generator<RowError> {
    const rows = this.#db.prepare(`SELECT *, NULL AS lacks FROM checkpoints WHERE crc32 IS NULL`).iterate();
    return errorsOf(rows as Iterable<Row & { state: string }>, (row) => stateOf(row, row.state));
  }

  #look(id: number): { sound: number; unknown: number; why: string | null } {
    const found = { sound: 0, unknown: 0 };
    try {
      const row = this.#db.prepare('SELECT config, state, crc32, bytes FROM checkpoints WHERE id = ?').get(id);
      if (!row) return { ...found, why: 'Its row cannot be found any more.' };
      const { bytes, ...kept } = row as Settings & { bytes: number };
      if (!isSettingsSound(kept)) return { ...found, why: SETTINGS_DIFFER };
      let read = 0;
      for (const part of ['student', 'teacher', 'exp_avg', 'exp_avg_sq'] as const) {
        for (const tensor of this.#db.prepare(`${TENSORS} ORDER BY t.id`).iterate(id, part) as Iterable<TensorRow>) {
          const why = faultOf(id, part, tensor);
          if (why !== null) return { ...found, why };
          found[tensor.has_checksums === 0 ? 'unknown' : 'sound']++;
          read += tensor.data.byteLength;
        }
      }
      if (read !== bytes) return { ...found, why: notWhole(bytes, read) };
      return { ...found, why: null };
    } catch (error) {
      if (isDamage(error)) return { ...found, why: unreadable(null, error) };
      throw error;
    }
  }

  /** The error for a damaged checkpoint. It names an older one of the run that is sound, from which the run can resume. */
  #damaged(id: number, why: string): AppError {
    const row = this.#db.prepare('SELECT run_id, step, has_optimizer FROM checkpoints WHERE id = ?').get(id);
    if (!row) return withoutCheckpoint(id);
    const { run_id, step, has_optimizer } = row as Pick<Row, 'run_id' | 'step' | 'has_optimizer'>;
    const name = this.#db.prepare('SELECT name FROM runs WHERE id = ?').pluck().get(run_id);
    const others = this.#db
      .prepare(
        `SELECT id, step, has_optimizer FROM checkpoints
         WHERE run_id = ? AND id <> ? ORDER BY step > ?, has_optimizer DESC, abs(step - ?)`,
      )
      .all(run_id, id, step, step) as Pick<Row, 'id' | 'step' | 'has_optimizer'>[];
    const sound = others.find((other) => this.fault(other.id) === null);
    const next = !sound
      ? 'None of its other checkpoints is sound: restore the database from a copy, or train again.'
      : `Checkpoint ${sound.id} (step ${sound.step}) is sound: use that one.${
          has_optimizer && sound.has_optimizer
            ? ` To have the run go on from it: \`conmim delete-checkpoint ${id}\`, then \`conmim resume ${run_id}\`.`
            : ''
        }`;
    return new AppError('bad-file', `Checkpoint ${id} of run "${name}" (step ${step}) is damaged.`, why, next);
  }

  #withoutPart(id: number, part: TensorPart): AppError {
    this.runOf(id);
    if (part === 'teacher') requireNetwork(this.get(id).config, part);
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
      shape: shapeOf(id, row),
    }));
  }

  /** @returns bytes given back to the disk @throws AppError not-found */
  delete(id: number): number {
    write(this.#db, () => {
      const run_id = this.runOf(id); // one that is damaged can be deleted too
      new Needs(this.#db).refuseCheckpoint(id);
      this.#db.prepare('DELETE FROM checkpoints WHERE id = ?').run(id);
      this.#markBest(run_id);
    });
    return giveBack(this.#db);
  }

  /**
   * Deletes the checkpoints that the policy does not keep, and the optimizer state of those that it keeps without one
   * (`sortOut` decides). Checkpoints that a queued evaluation or a fine-tuning needs stay. Space for one checkpoint stays
   * in the file, because the next one will take it; the rest is given back to the disk.
   */
  applyKeepPolicy(runId: number, policy: KeepPolicy): { deleted: number[]; stripped: number[] } {
    const { remove, strip } = write(this.#db, () => {
      const awaited = new Needs(this.#db).checkpointsOf(runId);
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

const withoutCheckpoint = (id: number) =>
  new AppError('not-found', `There is no checkpoint ${id}.`, '', 'List those of a run with `conmim show RUN`.');

interface Settings {
  config: string;
  state: string;
  crc32: number | null;
}

const SETTINGS_DIFFER = 'Its settings are not as they were written: their checksum differs.';
const isSettingsSound = ({ crc32, ...kept }: Settings) => crc32 === null || crc32 === checksumOfCheckpoint(kept);

const unreadable = (part: TensorPart | null, error: unknown) =>
  `Its ${part ? `${part} ` : ''}tensors cannot be read: ${((error as Error).cause as Error | undefined)?.message ?? (error as Error).message}.`;

/** That tensors are missing, or are too many. */
const notWhole = (written: number, there: number) =>
  `It was written with ${plural(written, 'byte')} of tensors; ${there} ${there === 1 ? 'is' : 'are'} there.`;

/** What is wrong with a tensor that was read; null where no damage was found. */
function faultOf(checkpoint: number, part: TensorPart, { crc, has_checksums, ...row }: TensorRow): string | null {
  const tensor = `Tensor "${row.name}" of its ${part}`;
  if (has_checksums === 0) return isShapeOf(checkpoint, row) ? null : `${tensor} does not fit its shape.`;
  if (crc === null) return `${tensor} has lost its checksum.`;
  return checksumOfTensor(part, row) === crc ? null : `${tensor} is not as it was written: its checksum differs.`;
}

const shapeOf = (checkpoint: number, { name, shape }: Pick<TensorRow, 'name' | 'shape'>): number[] =>
  fromJson(shapeSchema, shape, { row: `tensor "${name}" of checkpoint ${checkpoint}`, column: 'tensors.shape' });

function isShapeOf(checkpoint: number, row: Pick<TensorRow, 'name' | 'shape' | 'data'>): boolean {
  try {
    return row.data.byteLength === 4 * shapeOf(checkpoint, row).reduce((a, b) => a * b, 1);
  } catch {
    return false;
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
