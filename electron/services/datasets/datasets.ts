import { statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { DatasetRow, ImportSummary } from '../../../shared/contract/datasets.ts';
import type { Dataset } from '../../../shared/dataset.ts';
import { AppError } from '../../../shared/errors.ts';
import { notImportedParts } from '../../../shared/not-imported.ts';
import { ownFolderAround, type Walk, walkFolders } from '../../data/scan.ts';
import { namedFolder, onDisk, withoutPath } from '../../files/on-disk.ts';
import { typedPath } from '../../files/typed-path.ts';
import { databaseIn } from '../../store/home.ts';
import type { Store } from '../../store/store.ts';
import type { ImportAsked } from '../ground/jobs.ts';
import { isSilent, type Outside } from '../ground/outside.ts';
import { canceled, ignoredFiles, type ScanOptions, throttle, updateImages } from './scan.ts';

export type { ImportProgress, ScanOptions } from './scan.ts';

export interface ImportOptions extends ImportAsked, ScanOptions {}

/**
 * Imports folders of images as a dataset, or imports it again where one of this name and these folders exists: then only
 * added and changed files are opened. Nothing in the folders is touched. Of equal files one stays
 * `ok`: one with a class, then one that is no link, then the first by path.
 *
 * Throws `AppError`: `bad-input` (no name, no folder, no image), `not-found` (a folder that is not there), `conflict`
 * (the name is another dataset's), `data-vanished` (a folder went away meanwhile), `canceled`.
 */
export async function importDataset(store: Store, options: ImportOptions): Promise<ImportSummary> {
  const name = store.datasets.find(options.name) ? options.name : options.name.normalize('NFC').trim();
  if (name === '') throw new AppError('bad-input', 'The dataset has no name.', '', 'Give it one, with --name.');
  const typed = options.folders.map((folder) => typedPath(folder, 'a folder of images'));
  const folders = [...new Set(typed.map(namedFolder))];
  if (folders.length === 0) {
    throw new AppError('bad-input', 'No folder was given.', '', 'Name at least one folder of images.');
  }
  requireFolders(folders);
  await refuseOwn(folders);

  const existing = store.datasets.find(name);
  if (!existing) store.datasets.requireFreeName(name);
  if (existing && !sameSet(existing.folders, folders)) {
    throw new AppError(
      'conflict',
      `A dataset named "${name}" exists with other folders.`,
      `It holds ${existing.folders.join(', ')}.`,
      'Choose another name, or import it again with its own folders.',
    );
  }
  if (existing && options.labels && existing.labels !== options.labels) {
    throw new AppError(
      'conflict',
      `The dataset "${name}" was imported with labels "${existing.labels}".`,
      `This import asks for "${options.labels}".`,
      'Choose another name, or leave the labels as they are.',
    );
  }
  const walk = await find(existing?.folders ?? folders, options);
  const dataset = existing ?? store.datasets.create({ name, folders, labels: options.labels ?? 'none' });
  return updateImages(store, dataset, walk, options);
}

/**
 * Looks again at the folders of a dataset: finds added, changed and vanished files, and opens only the first two.
 * Throws as `importDataset`.
 */
export async function rescan(store: Store, dataset: Dataset, options: ScanOptions = {}): Promise<ImportSummary> {
  requireFolders(dataset.folders);
  return updateImages(store, dataset, await find(dataset.folders, options), options);
}

/** Images of a moved folder that are looked for in its new place, spread over it: one of them must be there. */
const LOOKED_FOR = 50;

/**
 * A folder of a dataset has moved: the dataset follows. Nothing is read yet.
 * @throws AppError not-found, bad-input (not a folder, or none of the images is in it), conflict
 */
export function locateFolder(store: Store, dataset: Dataset, from: string, to: string): Dataset {
  const place = dataset.folders.indexOf(from);
  if (place < 0) throw new AppError('not-found', `"${dataset.name}" has no folder ${from}.`);
  const folder = namedFolder(typedPath(to, 'a folder of images'));
  requireFolders([folder]);
  if (dataset.folders.includes(folder))
    throw new AppError('conflict', `"${dataset.name}" has the folder ${folder} already.`, '', 'Choose another one.');
  const known = store.images.list(dataset.id, { status: 'ok' }).filter((image) => image.folder === place);
  const step = Math.max(1, Math.floor(known.length / LOOKED_FOR));
  const some = known.filter((_, i) => i % step === 0);
  const isThere = ({ path }: { path: string }) => placeOf(join(folder, path)) === 'file';
  if (some.length > 0 && !some.some(isThere))
    throw new AppError(
      'bad-input',
      `None of the images of "${dataset.name}" is in ${folder}.`,
      `${some[0]!.path} was looked for, and ${some.length - 1} more.`,
      `Choose the folder that ${from} has become.`,
    );
  return store.datasets.moveFolder(dataset.id, from, folder);
}

/** The first of a dataset's folders that is not there now, or null. */
export function datasetFolderMissing(dataset: Pick<Dataset, 'folders'>): string | null {
  return dataset.folders.find((folder) => placeOf(folder) !== 'folder') ?? null;
}

/** What is at a path; where it cannot be looked at, the system's error. */
function placeOf(path: string): 'folder' | 'file' | 'none' | NodeJS.ErrnoException {
  try {
    const stat = statSync(onDisk(path), { throwIfNoEntry: false });
    return stat === undefined ? 'none' : stat.isDirectory() ? 'folder' : 'file';
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
}

/** The first fault among a dataset's folders. */
export async function folderTrouble(
  outside: Outside,
  { folders }: Pick<Dataset, 'folders'>,
): Promise<Pick<DatasetRow, 'missing_folder' | 'missing_why'>> {
  const looks = await Promise.all(
    folders.map(async (folder) => {
      try {
        return { folder, why: (await outside.look(folder)).kind === 'folder' ? null : ('gone' as const) };
      } catch (error) {
        return { folder, why: isSilent(error) ? ('silent' as const) : ('closed' as const) };
      }
    }),
  );
  const found = looks.find(({ why }) => why !== null);
  return { missing_folder: found?.folder ?? null, missing_why: found?.why ?? null };
}

function requireFolders(folders: string[]) {
  const missing = datasetFolderMissing({ folders });
  if (missing === null) return;
  const place = placeOf(missing);
  if (place === 'file')
    throw new AppError('bad-input', `${missing} is a file, not a folder.`, '', 'Name the folder that it lies in.');
  if (place instanceof Error) {
    const isShut = place.code === 'EACCES' || place.code === 'EPERM';
    throw new AppError(
      'bad-input',
      `The folder ${missing} cannot be looked at.`,
      isShut ? 'You have no permission to look into a folder above it.' : withoutPath(place.message),
      isShut ? 'Change the permissions, or name another folder.' : 'Check the path and its disk.',
      { cause: place },
    );
  }
  throw new AppError(
    'not-found',
    `The folder ${missing} is not there.`,
    '',
    missing.includes('\ufffd')
      ? 'Bytes of a name that are no UTF-8 are written \\xHH, two digits each, as in caf\\xe9.'
      : 'Check the spelling, or connect the disk that it lies on.',
  );
}

async function find(folders: string[], { onProgress, signal }: ScanOptions): Promise<Walk> {
  const say = throttle(onProgress);
  const walk = await walkFolders(folders, {
    signal,
    ownFile: OWN_FILE,
    onFound: (found, current) => say({ phase: 'finding', found, done: 0, total: 0, perSecond: 0, current }),
  });
  if (signal?.aborted) throw canceled('while its folders were listed');
  if (walk.files.length > 0) return walk;
  const left = notImportedParts(walk.leftOut);
  throw new AppError(
    'bad-input',
    `There are no images in ${folders.join(', ')}.`,
    left.length > 0 ? `Left out: ${left.join('; ')}.` : 'There are no files.',
    'Name a folder with JPEG, PNG, WebP, AVIF, TIFF, GIF, BMP or PPM ' +
      `files${ignoredFiles(walk) > 0 ? ', convert what is there to one of these' : ''}, or connect the disk that it ` +
      'lies on.',
  );
}

/** The file by which a data folder of this program is known. */
const OWN_FILE = basename(databaseIn(''));

/** Pictures that the program made of others are no images to learn from. */
async function refuseOwn(folders: string[]): Promise<void> {
  for (const folder of folders) {
    const home = await ownFolderAround(folder, OWN_FILE);
    if (home === null) continue;
    throw new AppError(
      'bad-input',
      `${folder} holds what this program made itself.`,
      `It belongs to the data folder ${home}.`,
      'Name a folder of your own images.',
    );
  }
}

const sameSet = (a: string[], b: string[]) => a.length === b.length && a.every((folder) => b.includes(folder));
