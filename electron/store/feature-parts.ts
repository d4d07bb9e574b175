import { crc32 } from 'node:zlib';
import { floatsOf, toBlob } from './blobs.ts';
import type { Db } from './open.ts';

/** Features from the image `start` on. */
export interface FeaturePart {
  start: number;
  features: Float32Array;
}

/** Tables of features for unfinished work (a map, an evaluation), which resumes with them; and their owner's column. */
const OWNERS = { feature_parts: 'run_id', evaluation_features: 'evaluation_id' } as const;

/** Features by owner and key, kept by parts. */
export class FeatureParts {
  readonly #db: Db;
  readonly #table: keyof typeof OWNERS;

  constructor(db: Db, table: keyof typeof OWNERS) {
    this.#db = db;
    this.#table = table;
  }

  /** Replaces a part with the same start. The caller opens the transaction. */
  save(owner: number, key: string, { start, features }: FeaturePart): void {
    this.#db
      .prepare(`INSERT OR REPLACE INTO ${this.#table} VALUES (?, ?, ?, ?, ?)`)
      .run(owner, key, start, toBlob(features), crc32(toBlob(features)));
  }

  /** The parts in order, up to the first whose checksum does not match: from there features are computed again. */
  list(owner: number, key: string): FeaturePart[] {
    const rows = this.#db
      .prepare(
        `SELECT start, data, crc32 AS sum FROM ${this.#table} WHERE ${OWNERS[this.#table]} = ? AND key = ? ORDER BY start`,
      )
      .all(owner, key) as { start: number; data: Buffer; sum: number | null }[];
    const bad = rows.findIndex(({ data, sum }) => crc32(data) !== sum);
    return (bad === -1 ? rows : rows.slice(0, bad)).map(({ start, data }) => ({ start, features: floatsOf(data) }));
  }

  /** Gives what one owner has to another, who keeps own parts. The caller opens the transaction. */
  handOn(owner: number, heir: number): void {
    const column = OWNERS[this.#table];
    this.#db.prepare(`UPDATE OR IGNORE ${this.#table} SET ${column} = ? WHERE ${column} = ?`).run(heir, owner);
  }

  delete(owner: number): void {
    this.#db.prepare(`DELETE FROM ${this.#table} WHERE ${OWNERS[this.#table]} = ?`).run(owner);
  }
}
