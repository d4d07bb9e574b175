import { z } from 'zod';
import { channel, id, name, part, path, replace } from './schemas.ts';
import type { TaskRef } from './started.ts';

/** Files for other programs: encoders, weights, embeddings. */

/** What an encoder is written as. */
export const EXPORT_FORMATS = ['timm', 'onnx'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];
export const EMBEDDING_FORMATS = ['parquet', 'npy', 'csv'] as const;
export type EmbeddingFormat = (typeof EMBEDDING_FORMATS)[number];

export const EXPORT = {
  /** The encoder for other programs. A missing file ending is added; an existing file is refused (`conflict`). */
  'checkpoints.export': channel<Exported>()(
    z.strictObject({
      checkpoint: id,
      network: part,
      format: z.enum(EXPORT_FORMATS),
      folder: path,
      file: name,
      /** A model card and its curve beside the weights. */
      card: z.boolean(),
      /** ONNX: the weights in FILE.data beside the graph, which is done without asking where one file cannot hold them. */
      externalData: z.boolean(),
      replace,
    }),
  ),
  /** Embeddings of images (mean, cls) or of all their patches (tokens, projector) to one file. */
  'embeddings.export': channel<TaskRef<'embeddings'>>()(
    z.strictObject({
      checkpoint: id,
      dataset: id,
      part: z.enum(['student', 'teacher', 'untrained']),
      feature: z.enum(['mean', 'cls', 'tokens', 'projector']),
      format: z.enum(EMBEDDING_FORMATS),
      folder: path,
      file: name,
      replace,
    }),
  ),
  'weights.export': channel<{ path: string; bytes: number }>()(
    z.strictObject({ checkpoint: id, part: z.enum(['student', 'teacher']), folder: path, file: name, replace }),
  ),
} as const;

/** What an export wrote. */
export interface Exported {
  tensors: number;
  /** The weights first; of ONNX whose weights are in a file of their own, the graph and then that one. */
  files: { path: string; bytes: number }[];
}

/** What an export of embeddings wrote: the result of its task. */
export interface EmbeddingReport {
  file: string;
  /** Files beside it. */
  beside: string[];
  rows: number;
  width: number;
  images: number;
  /** Images that could not be read, and are not in the file. */
  unreadable: { path: string; why: string }[];
  /** Images that an earlier export, which was cut short, had computed. */
  resumed: number;
  bytes: number;
}
