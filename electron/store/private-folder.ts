import { chmodSync, lstatSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** What the program makes in its data folder. */
const OWN =
  /^(prepared|indexes|thumbnails|desktop|photographs|bench-index|window\.json.*|window-token.*|open-\d+\.html)$/;

/**
 * Keeps what is in a data folder from other users of the machine, what was made by earlier versions, too. The folder
 * itself is closed where nothing but the program's own lies in it: it may be one that others use as well.
 */
export function keepPrivate(database: string): void {
  const home = dirname(database);
  if (process.platform === 'win32') return; // a user's application data are closed to others
  const close = (path: string, mode: number) => {
    try {
      const { uid, mode: now } = lstatSync(path);
      if (uid === process.getuid!() && (now & 0o077) !== 0) chmodSync(path, mode);
    } catch {
      // It went meanwhile, or the disk is read-only.
    }
  };
  let entries: ReturnType<typeof list>;
  try {
    entries = list(home);
  } catch {
    return; // whoever opens the database says why
  }
  const isOwn = (name: string) => OWN.test(name) || name.startsWith(basename(database));
  for (const entry of entries) {
    if (!isOwn(entry.name)) continue;
    if (entry.isDirectory()) close(join(home, entry.name), 0o700);
    else if (entry.isFile()) close(join(home, entry.name), 0o600);
  }
  if (entries.every(({ name }) => isOwn(name))) close(home, 0o700);
}

const list = (folder: string) => readdirSync(folder, { withFileTypes: true });
