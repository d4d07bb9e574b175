import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** A native addon built by tools/bootstrap/kernels.mjs, for the sources and the built program alike; null where there is none. */
export function addonPath(name: 'kernels' | 'imaging'): string | null {
  const found = ['../../native', '../../out/native'].map((folder) => join(import.meta.dirname, folder, `${name}.node`));
  return found.find((path) => existsSync(path)) ?? null;
}
