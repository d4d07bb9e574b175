import { bytesOfName, escaped } from '../../shared/byte-names.ts';
import type { Input } from '../../shared/contract/index.ts';
import type { ImageRow, SkipReason } from '../../shared/dataset.ts';
import { AppError } from '../../shared/errors.ts';
import { printable } from '../../shared/printable.ts';
import { folded } from '../../shared/text.ts';
import { type Db, write } from './open.ts';

/** Rows that `iterate` reads at a time. */
const PAGE = 2000;

const COLUMNS = [
  'folder',
  'path',
  'bytes',
  'mtime',
  'hash',
  'width',
  'height',
  'format',
  'label',
  'status',
  'reason',
  'detail',
  'note',
  'rules',
] as const;

const UPSERT = `
  INSERT INTO images (dataset_id, ${COLUMNS.join(', ')}) VALUES (@dataset_id, ${COLUMNS.map((c) => `@${c}`).join(', ')})
  ON CONFLICT (dataset_id, folder, path) DO UPDATE SET
    ${COLUMNS.slice(2)
      .map((c) => `${c} = excluded.${c}`)
      .join(', ')}`;

/** A row to be written. Without `note` there is none; without `rules` it is not known which ones it was judged by. */
export type NewImage = Omit<ImageRow, 'id' | 'dataset_id' | 'note' | 'rules'> &
  Partial<Pick<ImageRow, 'note' | 'rules'>>;
type Status = ImageRow['status'];
/** Conditions that are null or empty hold for all. */
export type PageQuery = Omit<Input<'images.page'>, 'dataset'>;

export class Images {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
    db.function('folded', { deterministic: true }, (text) => folded(String(text)));
    db.function('printable', { deterministic: true }, (text) => printable(String(text)));
  }

  /** Adds rows, or updates those whose (folder, path) is known and keeps their ids; in one transaction. */
  upsertMany(datasetId: number, rows: NewImage[]): void {
    const upsert = this.#db.prepare(UPSERT);
    write(this.#db, () => {
      for (const row of rows) upsert.run({ note: null, rules: 0, ...row, dataset_id: datasetId });
    });
  }

  /** All rows by folder and path. The store may be used, and rows may be updated, in between. */
  *iterate(datasetId: number, { status }: { status?: Status } = {}): Generator<ImageRow> {
    const next = this.#db.prepare(`
      SELECT * FROM images
      WHERE dataset_id = @datasetId AND (folder, path) > (@folder, @path) AND (@status IS NULL OR status = @status)
      ORDER BY folder, path LIMIT ${PAGE}`);
    let [folder, path] = [-1, ''];
    for (;;) {
      const rows = next.all({ datasetId, folder, path, status: status ?? null }) as ImageRow[];
      yield* rows;
      const last = rows.at(-1);
      if (!last || rows.length < PAGE) return;
      ({ folder, path } = last);
    }
  }

  /** Rows by folder and path. */
  list(
    datasetId: number,
    { status, limit = -1, offset = 0 }: { status?: Status; limit?: number; offset?: number } = {},
  ): ImageRow[] {
    return this.#db
      .prepare(`
        SELECT * FROM images WHERE dataset_id = @datasetId AND (@status IS NULL OR status = @status)
        ORDER BY folder, path LIMIT @limit OFFSET @offset`)
      .all({ datasetId, status: status ?? null, limit, offset }) as ImageRow[];
  }

  /** At most `most` usable rows, evenly over folders and paths. */
  sample(datasetId: number, most: number): ImageRow[] {
    const step = Math.max(1, this.count(datasetId, 'ok') / most);
    // Every image whose place is the first after a multiple of the step.
    return this.#db
      .prepare(`
        SELECT * FROM images WHERE id IN (
          SELECT id FROM (
            SELECT id, row_number() OVER (ORDER BY folder, path) - 1 AS place FROM images
            WHERE dataset_id = @datasetId AND status = 'ok')
          WHERE place = 0 OR CAST(place / @step AS INTEGER) > CAST((place - 1) / @step AS INTEGER))
        ORDER BY folder, path LIMIT @most`)
      .all({ datasetId, step, most }) as ImageRow[];
  }

  /** @throws AppError not-found */
  get(id: number): ImageRow {
    const row = this.#db.prepare('SELECT * FROM images WHERE id = ?').get(id) as ImageRow | undefined;
    if (!row) throw new AppError('not-found', `There is no image ${id}.`, '', 'Its dataset may have been deleted.');
    return row;
  }

  /** A page of the rows that meet every condition given, and how many there are in all. */
  page(datasetId: number, query: PageQuery): { total: number; images: ImageRow[] } {
    const order = { path: 'folder, path', bytes: 'bytes, folder, path', pixels: 'width * height, folder, path' }[
      query.sort
    ];
    const where = `dataset_id = @datasetId AND (@status IS NULL OR status = @status)
      AND (@label IS NULL OR label = @label) AND (@reason IS NULL OR reason = @reason)
      AND (@search = '' OR instr(folded(path), @search) > 0)`;
    const { status, label, reason, search, limit, offset } = query;
    const bound = { datasetId, status, label, reason, search: folded(search) };
    const direction = query.descending ? order.replaceAll(/(?=,|$)/g, ' DESC') : order;
    return {
      total: this.#db.prepare(`SELECT count(*) FROM images WHERE ${where}`).pluck().get(bound) as number,
      images: this.#db
        .prepare(`SELECT * FROM images WHERE ${where} ORDER BY ${direction} LIMIT @limit OFFSET @offset`)
        .all({ ...bound, limit, offset }) as ImageRow[],
    };
  }

  /** The usable image of this path, or of one that is shown or typed so; the first where several folders have it. */
  named(datasetId: number, path: string): number | null {
    const ask = (condition: string, value: string) =>
      this.#db
        .prepare(`SELECT id FROM images WHERE dataset_id = ? AND status = 'ok' AND ${condition} ORDER BY folder, path`)
        .pluck()
        .get(datasetId, value) as number | undefined;
    return (
      ask('path = ?', path) ??
      ask('path = ?', escaped(path)) ??
      ask('printable(path) = ?', path) ??
      ask('folded(path) = ?', folded(path)) ??
      this.#namedWithLostBytes(datasetId, path)
    );
  }

  /** Finds a name typed in a shell, where U+FFFD stands for bytes that are no UTF-8; null where several names look like it. */
  #namedWithLostBytes(datasetId: number, path: string): number | null {
    if (!path.includes('\ufffd')) return null;
    const rows = this.#db
      .prepare(`SELECT id, path FROM images WHERE dataset_id = ? AND status = 'ok' AND instr(path, '\\x') > 0`)
      .all(datasetId) as { id: number; path: string }[];
    const same = rows.filter((row) => new TextDecoder().decode(bytesOfName(row.path)) === path);
    return same.length === 1 ? same[0]!.id : null;
  }

  /** Rows with the same content, whatever their status. */
  sameAs({ dataset_id, hash, id }: ImageRow): { id: number; path: string }[] {
    return this.#db
      .prepare('SELECT id, path FROM images WHERE dataset_id = ? AND hash = ? AND id <> ? ORDER BY path LIMIT 100')
      .all(dataset_id, hash, id) as { id: number; path: string }[];
  }

  /** Files whose content lies in the folder of another class too; the first by path is the one that counts. */
  labelConflicts(datasetId: number): { path: string; label: string; first: string; first_label: string }[] {
    return this.#db
      .prepare(`
        SELECT other.path, other.label, one.path AS first, one.label AS first_label
        FROM images other JOIN images one ON one.dataset_id = other.dataset_id AND one.hash = other.hash AND one.status = 'ok'
        WHERE other.dataset_id = ? AND other.status = 'skipped' AND other.reason = 'duplicate' AND other.label <> one.label
        ORDER BY other.folder, other.path`)
      .all(datasetId) as { path: string; label: string; first: string; first_label: string }[];
  }

  /** What a person wants to know of a dataset's usable images. Sides: least, median, greatest. */
  facts(datasetId: number): {
    bytes: number;
    vanished: number;
    classes: number;
    formats: { format: string; count: number }[];
    width: [number, number, number] | null;
    height: [number, number, number] | null;
  } {
    const ok = `FROM images WHERE dataset_id = @datasetId AND status = 'ok'`;
    const one = (sql: string) => this.#db.prepare(sql).pluck().get({ datasetId }) as number;
    const count = one(`SELECT count(*) ${ok}`);
    const at = (side: string, n: number) =>
      this.#db
        .prepare(`SELECT ${side} ${ok} ORDER BY ${side} LIMIT 1 OFFSET ${n}`)
        .pluck()
        .get({ datasetId }) as number;
    const sides = (side: string): [number, number, number] | null =>
      count === 0 ? null : [at(side, 0), at(side, count >> 1), at(side, count - 1)];
    return {
      bytes: one(`SELECT coalesce(sum(bytes), 0) ${ok}`),
      vanished: this.count(datasetId, 'vanished'),
      classes: one(`SELECT count(DISTINCT label) ${ok}`),
      formats: this.#db
        .prepare(`SELECT format, count(*) AS count ${ok} GROUP BY format ORDER BY count DESC`)
        .all({ datasetId }) as { format: string; count: number }[],
      width: sides('width'),
      height: sides('height'),
    };
  }

  count(datasetId: number, status?: Status): number {
    return this.#db
      .prepare('SELECT count(*) FROM images WHERE dataset_id = ? AND (? IS NULL OR status = ?)')
      .pluck()
      .get(datasetId, status ?? null, status ?? null) as number;
  }

  /** Marks files that are no longer there; a later import that finds them updates the same rows. */
  markVanished(ids: number[]): void {
    const mark = this.#db.prepare(
      `UPDATE images SET status = 'vanished', reason = NULL, detail = NULL, note = NULL WHERE id = ?`,
    );
    write(this.#db, () => {
      for (const id of ids) mark.run(id);
    });
  }

  /** Reasons of skipped files, the most frequent first. */
  skipSummary(datasetId: number): { reason: SkipReason; count: number }[] {
    return this.#db
      .prepare(`
        SELECT reason, count(*) AS count FROM images WHERE dataset_id = ? AND status = 'skipped'
        GROUP BY reason ORDER BY count DESC, reason`)
      .all(datasetId) as { reason: SkipReason; count: number }[];
  }

  /** What of usable files is not seen, in words, the most frequent first. */
  notes(datasetId: number): { note: string; count: number }[] {
    return this.#db
      .prepare(`
        SELECT note, count(*) AS count FROM images WHERE dataset_id = ? AND status = 'ok' AND note IS NOT NULL
        GROUP BY note ORDER BY count DESC, note LIMIT 20`)
      .all(datasetId) as { note: string; count: number }[];
  }

  /** Labels of usable images, by name. */
  labels(datasetId: number): { label: string; count: number }[] {
    return this.#db
      .prepare(`
        SELECT label, count(*) AS count FROM images WHERE dataset_id = ? AND status = 'ok' AND label IS NOT NULL
        GROUP BY label ORDER BY label`)
      .all(datasetId) as { label: string; count: number }[];
  }

  /** The usable image with this content, if any. */
  findByHash(datasetId: number, hash: string): ImageRow | null {
    return (
      (this.#db
        .prepare(`
          SELECT * FROM images WHERE dataset_id = ? AND hash = ? AND status = 'ok' ORDER BY folder, path LIMIT 1`)
        .get(datasetId, hash) as ImageRow | undefined) ?? null
    );
  }
}
