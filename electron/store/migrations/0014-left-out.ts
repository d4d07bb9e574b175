import type { Database } from 'better-sqlite3';
import { escaped } from '../../../shared/byte-names.ts';

/**
 * What an import left out, with the dataset; what of a usable file is not seen, and by which rules it was judged, with the
 * image. Paths get the form that keeps names which are no UTF-8 apart from those that look like it.
 */
export function leftOut(db: Database): void {
  db.exec(`
    -- As JSON; null where an older program imported.
    ALTER TABLE datasets ADD COLUMN left_out TEXT;
    ALTER TABLE images ADD COLUMN note TEXT;
    ALTER TABLE images ADD COLUMN rules INTEGER NOT NULL DEFAULT 0;
  `);
  if (process.platform === 'win32') return;
  const rows = db.prepare(`SELECT id, path, label FROM images WHERE instr(path, '\\x') > 0`).all() as {
    id: number;
    path: string;
    label: string | null;
  }[];
  const update = db.prepare('UPDATE images SET path = ?, label = ? WHERE id = ?');
  for (const { id, path, label } of rows) update.run(escaped(path), label && escaped(label), id);
  const datasets = db.prepare(`SELECT id, folders FROM datasets`).all() as { id: number; folders: string }[];
  const rename = db.prepare('UPDATE datasets SET folders = ? WHERE id = ?');
  for (const { id, folders } of datasets) {
    const before = JSON.parse(folders) as string[];
    rename.run(JSON.stringify(before.map(escaped)), id);
  }
}
