import { existsSync, mkdirSync, statSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Makes a folder, and those above it. Node's own `recursive` never ends where a file system answers
 * ENOENT to every attempt, as /proc does.
 * @throws what the file system says
 */
export function makeFolder(path: string, mode = 0o777): void {
  const isFolder = () => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if (isFolder()) return;
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error;
    makeFolder(dirname(path), mode);
    try {
      mkdirSync(path, { mode });
    } catch (again) {
      if (!isFolder()) throw again;
    }
  }
}

/** Bytes of all files below a folder; 0 where it is not there. */
export async function folderBytes(path: string): Promise<number> {
  if (!existsSync(path)) return 0;
  let sum = 0;
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) sum += (await stat(join(entry.parentPath, entry.name)).catch(() => null))?.size ?? 0;
  }
  return sum;
}
