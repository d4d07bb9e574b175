import { readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AppError } from '../../shared/errors.ts';
import type { FolderListing } from '../../shared/ipc.ts';
import { typedPath, userFolder } from '../files/typed-path.ts';

const IMAGES = /\.(jpe?g|png|webp|avif|tiff?|gif|bmp)$/i;
const WEIGHTS = /\.(safetensors|pth|pt|bin)$/i;
const MOST = 1000;

/** What is in a folder of this machine, for a window elsewhere. @throws AppError not-found, bad-input */
export function listFolder(path: string | null): FolderListing {
  const folder = path === null ? userFolder() : typedPath(path, 'the folder');
  const stat = statSync(folder, { throwIfNoEntry: false });
  if (!stat) throw new AppError('not-found', `The folder ${folder} is not there.`, '', 'Check the spelling.');
  if (!stat.isDirectory()) throw new AppError('bad-input', `${folder} is a file.`, '', 'Choose the folder it lies in.');
  const folders: FolderListing['folders'] = [];
  const weights: FolderListing['weights'] = [];
  let images = 0;
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const at = join(folder, entry.name);
      const isFolder =
        entry.isDirectory() || (entry.isSymbolicLink() && statSync(at, { throwIfNoEntry: false })?.isDirectory());
      if (isFolder && !entry.name.startsWith('.')) folders.push({ name: entry.name, path: at });
      else if (images < MOST && IMAGES.test(entry.name)) images++;
      else if (weights.length < MOST && WEIGHTS.test(entry.name)) {
        const file = statSync(at, { throwIfNoEntry: false });
        if (file?.isFile()) weights.push({ name: entry.name, path: at, bytes: file.size });
      }
    }
  } catch (error) {
    throw new AppError(
      'bad-input',
      `${folder} cannot be listed.`,
      (error as Error).message,
      'Choose another one, or change its permissions.',
    );
  }
  const parent = dirname(folder);
  const byName = (a: { name: string }, b: { name: string }) => a.name.localeCompare(b.name, 'en', { numeric: true });
  folders.sort(byName);
  weights.sort(byName);
  return { path: folder, parent: parent === folder ? null : parent, folders, images, weights };
}
