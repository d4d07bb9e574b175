import { join } from 'node:path';
import type { Dataset, ImageRow } from '../../shared/dataset.ts';

/**
 * Where an image lies, in the form in which the store keeps paths: for words and as a key. Whoever opens it gives it to
 * `onDisk` (files/on-disk.ts), as the decoders do themselves.
 */
export const fileOf = ({ folders }: Pick<Dataset, 'folders'>, { folder, path }: Pick<ImageRow, 'folder' | 'path'>) =>
  join(folders[folder]!, path);
