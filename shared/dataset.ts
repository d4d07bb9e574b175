import { z } from 'zod';
import type { NotImported } from './not-imported.ts';

/** Datasets and their images, as the store keeps them. Times are milliseconds since 1970. */

export type SkipReason = 'unreadable' | 'truncated' | 'too-small' | 'too-large' | 'duplicate' | 'empty' | 'unsupported';

export const foldersSchema = z.array(z.string());

export interface Dataset {
  id: number;
  name: string;
  folders: string[];
  labels: 'none' | 'folders';
  created_at: number;
  scanned_at: number | null;
  image_count: number;
  skipped_count: number;
  /** Of the import that was completed last; null where none was, or an older program did it. */
  left_out: NotImported | null;
}

export interface ImageRow {
  id: number;
  dataset_id: number;
  /** Which of the dataset's folders, by index. */
  folder: number;
  /** Path inside it, with forward slashes. */
  path: string;
  bytes: number;
  /** Modification time, ms. */
  mtime: number;
  /** SHA-256 of the file, hexadecimal. */
  hash: string;
  /** Pixels after EXIF rotation. */
  width: number;
  height: number;
  format: string;
  /** Class folder, or null. */
  label: string | null;
  status: 'ok' | 'skipped' | 'vanished';
  reason: SkipReason | null;
  /** Words for a person: which file it duplicates, what the decoder said. */
  detail: string | null;
  /** What of a usable file is not seen, in words: bands, pages, bits that are left out. */
  note: string | null;
  /** Version of the import rules by which it was judged: an import with other rules opens the file again. */
  rules: number;
}
