import { homedir, userInfo } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { AppError } from '../../shared/errors.ts';

/** The user's home folder, also where HOME is set to nothing. */
export const userFolder = (): string => homedir() || userInfo().homedir;

/**
 * A path as a person typed it. No shell expands `~` in a window's field, or after an `=`, so this does. An empty path, as an
 * unset variable gives, is refused: it would mean the folder that the program happens to be in.
 * @param what the path is of, for the message
 * @throws AppError bad-input for an empty one, or one with a NUL
 */
export function typedPath(text: string, what: string): string {
  if (text === '') throw new AppError('bad-input', `The name of ${what} is empty.`, '', 'Name it.');
  if (text.includes('\0')) throw new AppError('bad-input', `The name of ${what} has a NUL in it.`, '', 'Check it.');
  return resolve(/^~(?=$|[/\\])/.test(text) ? join(userFolder(), text.slice(1)) : text);
}

/** The path of a file to be written into a folder as a person typed it. @throws AppError bad-input for a name that is a path */
export function fileIn(typed: string, file: string, ending: string): string {
  const folder = typedPath(typed, 'the folder');
  if (basename(file) !== file) throw new AppError('bad-input', `"${file}" is not the name of a file.`);
  return resolve(folder, file.toLowerCase().endsWith(ending) ? file : `${file}${ending}`);
}
