import { existsSync } from 'node:fs';
import { join } from 'node:path';

/**
 * A native addon built by tools/bootstrap/kernels.mjs, for the sources and the built program alike; null where there is none.
 * `CONMIM_NATIVE` names another folder: tools/sanitize.mjs tests what it built there.
 */
export function addonPath(name: 'kernels' | 'imaging'): string | null {
  const built = ['../../native', '../../out/native'].map((folder) => join(import.meta.dirname, folder));
  const folders = process.env.CONMIM_NATIVE ? [process.env.CONMIM_NATIVE] : built;
  return folders.map((folder) => join(folder, `${name}.node`)).find((path) => existsSync(path)) ?? null;
}
