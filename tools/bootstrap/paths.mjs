import { readFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Also where HOME is set to nothing. */
const home = homedir() || userInfo().homedir;

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Shared by clones; electron/runtime/runtime-folder.ts reads the same place. */
export const CACHE = process.env.XDG_CACHE_HOME
  ? join(process.env.XDG_CACHE_HOME, 'conmim-workbench')
  : process.platform === 'darwin'
    ? join(home, 'Library', 'Caches', 'conmim-workbench')
    : process.platform === 'win32'
      ? join(process.env.LOCALAPPDATA || join(home, 'AppData', 'Local'), 'conmim-workbench')
      : join(home, '.cache', 'conmim-workbench');

/** Versions and checksums. */
export const LOCK = JSON.parse(readFileSync(join(ROOT, 'tools', 'runtime.lock.json'), 'utf8'));

export const PLATFORM = `${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
