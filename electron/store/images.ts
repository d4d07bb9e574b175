import type { ImageRow, SkipReason } from '../../shared/domain.ts';
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
] as const;

const UPSERT = `
  INSERT INTO images (dataset_id, ${COLUMNS.join(', ')}) VALUES (@dataset_id, ${COLUMNS.map((c) => `@${c}`).join(', ')})
  ON CONFLICT (dataset_id, folder, path) DO UPDATE SET
    ${COLUMNS.slice(2)
      .map((c) => `${c} = excluded.${c}`)
      .join(', ')}`;

type Status = ImageRow['status'];

export class Images {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** Adds rows, or updates those whose (folder, path) is known and keeps their ids; in one transaction. */
  upsertMany(datasetId: number, rows: Omit<ImageRow, 'id' | 'dataset_id'>[]): void {
    const upsert = this.#db.prepare(UPSERT);
    write(this.#db, () => {
      for (const row of rows) upsert.run({ ...row, dataset_id: datasetId });
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

  count(datasetId: number, status?: Status): number {
    return this.#db
      .prepare('SELECT count(*) FROM images WHERE dataset_id = ? AND (? IS NULL OR status = ?)')
      .pluck()
      .get(datasetId, status ?? null, status ?? null) as number;
  }

  /** Marks files that are no longer there; a later import that finds them updates the same rows. */
  markVanished(ids: number[]): void {
    const mark = this.#db.prepare(`UPDATE images SET status = 'vanished', reason = NULL, detail = NULL WHERE id = ?`);
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
