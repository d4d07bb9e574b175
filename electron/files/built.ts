import { existsSync } from 'node:fs';
import { join } from 'node:path';

const FOLDERS = ['../../native', '../../out/native'].map((folder) => join(import.meta.dirname, folder));

/** What the set-up compiled into out/native, for the sources and the built program alike; null where it is not there. */
export function builtPath(file: string, folders = FOLDERS): string | null {
  return folders.map((folder) => join(folder, file)).find((path) => existsSync(path)) ?? null;
}

/**
 * A native addon built by tools/bootstrap/kernels.mjs; null where there is none. `CONMIM_NATIVE` names another folder:
 * tools/sanitize.mjs tests what it built there.
 */
export function addonPath(name: 'kernels' | 'imaging'): string | null {
  const other = process.env.CONMIM_NATIVE;
  return builtPath(`${name}.node`, other ? [other] : FOLDERS);
}
