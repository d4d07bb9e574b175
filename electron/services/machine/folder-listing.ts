import { dirname } from 'node:path';
import type { FolderListing } from '../../../shared/contract/window.ts';
import { AppError } from '../../../shared/errors.ts';
import { typedPath, userFolder } from '../../files/typed-path.ts';
import type { Outside } from '../ground/outside.ts';

/** What is in a folder of this machine, for a window elsewhere. @throws AppError not-found, bad-input */
export async function listFolder(outside: Outside, path: string | null): Promise<FolderListing> {
  const folder = path === null ? userFolder() : typedPath(path, 'the folder');
  const { kind } = await outside.look(folder);
  if (kind === 'none') throw new AppError('not-found', `The folder ${folder} is not there.`, '', 'Check the spelling.');
  if (kind !== 'folder') throw new AppError('bad-input', `${folder} is a file.`, '', 'Choose the folder it lies in.');
  const { folders, weights, images } = await outside.list(folder);
  const parent = dirname(folder);
  const byName = (a: { name: string }, b: { name: string }) => a.name.localeCompare(b.name, 'en', { numeric: true });
  folders.sort(byName);
  weights.sort(byName);
  return { path: folder, parent: parent === folder ? null : parent, folders, images, weights };
}
