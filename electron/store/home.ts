import { dirname, isAbsolute, join } from 'node:path';
import { typedPath, userFolder } from '../files/typed-path.ts';

const FOLDER = 'conmim-workbench';

/**
 * Where the program keeps its files: `override` (--home), else CONMIM_HOME, else the place that the operating system has for
 * application data.
 * @throws AppError bad-input for an empty `override`
 */
export function defaultHome(
  override?: string,
  env: NodeJS.ProcessEnv = process.env,
  platform = process.platform,
): string {
  if (override !== undefined) return typedPath(override, 'the home folder');
  // An empty variable counts as unset, also for those of XDG, which must be absolute paths as well.
  if (env.CONMIM_HOME) return typedPath(env.CONMIM_HOME, 'the home folder');
  if (platform === 'win32') return join(env.APPDATA || join(userFolder(), 'AppData', 'Roaming'), FOLDER);
  if (platform === 'darwin') return join(userFolder(), 'Library', 'Application Support', FOLDER);
  const data = env.XDG_DATA_HOME ?? '';
  return join(isAbsolute(data) ? data : join(userFolder(), '.local', 'share'), FOLDER);
}

/** The database inside a home folder. */
export const databaseIn = (home: string): string => join(home, 'workbench.sqlite');

/** The folder of a set of prepared images, beside the database, and that of all sets. */
export const preparedFolder = (database: string, set?: number): string =>
  join(dirname(database), 'prepared', ...(set === undefined ? [] : [String(set)]));
/** One of its files of pixels. */
export const preparedFile = (database: string, set: number, file: number): string =>
  join(preparedFolder(database, set), `${file}.rgb`);
