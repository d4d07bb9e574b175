import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

const FOLDER = 'conmim-workbench';

/** Where the program keeps its files: `override`, or the place the operating system has for application data. */
export function defaultHome(
  override?: string,
  env: NodeJS.ProcessEnv = process.env,
  platform = process.platform,
): string {
  if (override) return resolve(override);
  if (platform === 'win32') return join(env.APPDATA || join(homedir(), 'AppData', 'Roaming'), FOLDER);
  if (platform === 'darwin') return join(homedir(), 'Library', 'Application Support', FOLDER);
  return join(env.XDG_DATA_HOME || join(homedir(), '.local', 'share'), FOLDER);
}

/** The database inside a home folder. */
export const databaseIn = (home: string): string => join(home, 'workbench.sqlite');

/** The folder of a set of prepared images, beside the database, and that of all sets. */
export const preparedFolder = (database: string, set?: number): string =>
  join(dirname(database), 'prepared', ...(set === undefined ? [] : [String(set)]));
/** One of its files of pixels. */
export const preparedFile = (database: string, set: number, file: number): string =>
  join(preparedFolder(database, set), `${file}.rgb`);
