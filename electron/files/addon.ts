import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** An addon as tools/bootstrap/kernels.mjs built it, of the sources and of the built program alike; null where it is not. */
export function addonPath(name: 'kernels' | 'imaging'): string | null {
  const found = ['../../native', '../../out/native'].map((folder) => join(import.meta.dirname, folder, `${name}.node`));
  return found.find((path) => existsSync(path)) ?? null;
}
