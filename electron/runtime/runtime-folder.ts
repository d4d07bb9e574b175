import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { userFolder } from '../files/typed-path.ts';

/** Where the parts of the runtime are, as tools/bootstrap/paths.mjs lays them; clones share them. */
export function cacheFolder(
  env: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): string {
  if (env.XDG_CACHE_HOME) return join(env.XDG_CACHE_HOME, 'conmim-workbench');
  if (platform === 'darwin') return join(userFolder(), 'Library', 'Caches', 'conmim-workbench');
  if (platform === 'win32') return join(env.LOCALAPPDATA || join(userFolder(), 'AppData', 'Local'), 'conmim-workbench');
  return join(userFolder(), '.cache', 'conmim-workbench');
}

/** What tools/bootstrap/tensorflow.mjs wrote when TensorFlow was ready, or why it is not. */
export type RuntimeChoice =
  | { state: 'ready'; folder: string; variant: 'cpu' | 'cuda'; version: string; why: string }
  | { state: 'absent'; why: string };

/** The TensorFlow that is in use. */
export function runtimeChoice(cache = cacheFolder()): RuntimeChoice {
  const path = join(cache, 'current.json');
  if (!existsSync(path)) return { state: 'absent', why: 'TensorFlow is not set up yet.' };
  try {
    const choice = JSON.parse(readFileSync(path, 'utf8')) as RuntimeChoice;
    if (choice.state === 'ready' && !existsSync(join(choice.folder, 'tfjs_binding.node'))) {
      return { state: 'absent', why: `TensorFlow was in ${choice.folder} and is gone.` };
    }
    return choice;
  } catch {
    return { state: 'absent', why: `${path} cannot be read.` };
  }
}
