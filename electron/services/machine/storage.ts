import { existsSync, readdirSync, statfsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Storage } from '../../../shared/contract/machine.ts';
import { AppError } from '../../../shared/errors.ts';
import type { PreparedSet } from '../../../shared/prepared.ts';
import type { RetrievalIndex } from '../../../shared/retrieval.ts';
import { folderBytes } from '../../files/folders.ts';
import { cacheFolder, runtimeChoice } from '../../runtime/runtime-folder.ts';
import { preparedFolder } from '../../store/home.ts';
import type { Store } from '../../store/store.ts';
import { indexFolder } from '../retrieval/folders.ts';

/** What takes space, and where. @param shown indexes and prepared sets that are not being deleted */
export async function storageReport(
  store: Store,
  {
    home,
    thumbnails,
    ...shown
  }: { home: string; thumbnails: string; indexes: RetrievalIndex[]; prepared: PreparedSet[] },
): Promise<Storage> {
  const { bavail, bsize } = statfsSync(home);
  const sizes = store.checkpoints.sizes();
  return {
    home: { path: home, bytes: await folderBytes(home), free: bavail * bsize },
    runs: store.runs.heads().flatMap(({ id, name }) => {
      const size = sizes.get(id);
      return size ? [{ id, name, ...size }] : [];
    }),
    indexes: await Promise.all(
      shown.indexes.map(async ({ id, checkpoint_id, dataset_id, part, feature, images, is_ready }) => {
        const { run_id, step } = store.checkpoints.get(checkpoint_id);
        return {
          id,
          run: store.runs.head(run_id).name,
          dataset: store.datasets.get(dataset_id).name,
          step,
          part,
          feature,
          images,
          is_ready,
          bytes: await folderBytes(indexFolder(store, id)),
        };
      }),
    ),
    prepared: await preparedStorage(store, shown.prepared),
    runtimes: await Promise.all(
      runtimeFolders().map(async ({ path, in_use }) => ({
        path,
        name: basename(path),
        bytes: await folderBytes(path),
        in_use,
      })),
    ),
    thumbnails: { path: thumbnails, bytes: await folderBytes(thumbnails) },
  };
}

/** Sets of prepared images, with the space that each takes. */
export const preparedStorage = (store: Store, sets: PreparedSet[]): Promise<Storage['prepared']> =>
  Promise.all(
    sets.map(async ({ id, dataset_id, size, images, missing }) => ({
      id,
      dataset: store.datasets.get(dataset_id).name,
      size,
      images,
      missing,
      bytes: await folderBytes(preparedFolder(store.path, id)),
    })),
  );

/** What tools/bootstrap.mjs put into the cache folder. */
function runtimeFolders(): { path: string; in_use: boolean }[] {
  const cache = cacheFolder();
  if (!existsSync(cache)) return [];
  const choice = runtimeChoice();
  return readdirSync(cache)
    .filter((name) => /^(tensorflow|node)-/.test(name))
    .map((name) => join(cache, name))
    .map((path) => ({
      path,
      in_use: (choice.state === 'ready' && choice.folder === path) || process.execPath.startsWith(path),
    }));
}

/**
 * Removes what can be made again: a runtime that is not in use, or the thumbnails.
 * @returns bytes freed
 * @throws AppError bad-input for anything else, conflict for what is in use
 */
export async function removeStored(path: string, thumbnails: string): Promise<number> {
  const runtime = runtimeFolders().find((found) => found.path === path);
  if (!runtime && path !== thumbnails)
    throw new AppError('bad-input', `${path} is not a folder that this program made and can make again.`);
  if (runtime?.in_use) throw new AppError('conflict', `${basename(path)} is in use.`, '', 'Choose another one first.');
  const bytes = await folderBytes(path);
  await rm(path, { recursive: true, force: true });
  return bytes;
}
