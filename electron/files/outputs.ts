import { accessSync, constants, lstatSync, mkdirSync, type Stats, statSync } from 'node:fs';
import { basename, dirname, extname, resolve } from 'node:path';
import { AppError } from '../../shared/errors.ts';
import { isThere, MOST_NAME_BYTES, type Replace } from './files.ts';
import { hasLostBytes } from './on-disk.ts';
import { typedPath } from './typed-path.ts';

/**
 * Checks of output files that a user has named. Command line, window and services all check here before they compute
 * anything.
 */

/** Where to write. A path alone must be free. */
export type Target = string | ({ path: string } & Replace);

export const targetOf = (target: Target): { path: string } & Replace =>
  typeof target === 'string' ? { path: target, replace: false } : target;

/** What is asked of a place. */
export interface OutputRules extends Replace {
  /** One of them is the end of its name. */
  endings: readonly string[];
  /** Paths that are written with it. */
  beside?: readonly string[];
  /** Whether a folder that is missing is made when it is written, as `makeFolder` does; else it must be there. */
  makesFolder?: boolean;
}

/**
 * Refuses a file that could not, or must not, be written.
 * @returns its whole path
 * @throws AppError `conflict` where it, or what goes beside it, is there; `bad-input` for an empty name, another ending, a
 *   folder that is missing or cannot be written to
 */
export function requireOutput(
  text: string,
  { endings, beside = [], replace, makesFolder = false }: OutputRules,
): string {
  const path = typedPath(text, 'what is to be written');
  const name = basename(path);
  if (!endings.some((ending) => name.toLowerCase().endsWith(ending) && name.length > ending.length)) {
    const ending = endings.length === 1 ? endings[0] : `${endings.slice(0, -1).join(', ')} or ${endings.at(-1)}`;
    const next = `Name it ${basename(name, extname(name)) || 'file'}${endings[0]}.`;
    throw new AppError('bad-input', `${text} does not end in ${ending}, as this file must.`, '', next);
  }
  requireKnown(path);
  for (const one of [path, ...beside]) requireFree(one, replace);
  requireFolder(makesFolder ? nearestAbove(path) : dirname(path), path);
  return path;
}

/** The nearest folder above that is there. */
function nearestAbove(path: string): string {
  let above = dirname(path);
  while (!look(above) && dirname(above) !== above) above = dirname(above);
  return above;
}

/** Makes a folder, and those above that are missing. Fails where a file system denies what was just made, as /proc does. */
export function makeFolder(path: string): void {
  if (look(path)) return;
  if (dirname(path) !== path) makeFolder(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'EEXIST') throw cannot(path, message, 'Choose another folder.', error);
  }
}

/**
 * The same for a folder that is filled, and made where it is not there.
 * @param names files that are put there
 */
export function requireOutputFolder(text: string, names: readonly string[], { replace }: Replace): string {
  const path = typedPath(text, 'what is to be written');
  requireKnown(path);
  const there = look(path);
  if (there && !ask(path, () => statSync(path, { throwIfNoEntry: false }))?.isDirectory())
    throw cannot(path, 'Something with this name exists, and it is not a folder.', 'Name a folder.');
  if (there) for (const name of names) requireFree(resolve(path, name), replace);
  requireFolder(there ? path : nearestAbove(path), path);
  return path;
}

/** Refuses a name whose bytes were lost on the way: what was written would have another. */
function requireKnown(path: string): void {
  if (!hasLostBytes(path) || look(path) || !hasLostBytes(path.slice(nearestAbove(path).length))) return;
  const why = 'It has characters that are not UTF-8, and which they are is lost on the way to the program.';
  throw cannot(path, why, 'Choose another name, or rename its folder.');
}

/** Refuses what is there, and what could not be written over. */
function requireFree(path: string, replace: boolean): void {
  const bytes = Buffer.byteLength(basename(path));
  if (bytes > MOST_NAME_BYTES)
    throw cannot(path, `Its name has ${bytes} bytes; ${MOST_NAME_BYTES} are allowed.`, 'Choose a shorter name.');
  const there = look(path);
  if (!there) return;
  if (there.isDirectory()) throw cannot(path, 'It is a folder.', 'Name a file in it, or another.');
  if (!replace) throw isThere(path);
  if (!there.isFile() && !there.isSymbolicLink())
    throw cannot(path, 'It is a device or a pipe, not a file that could be written over.');
}

const cannot = (path: string, why: string, next = 'Choose another name.', cause?: unknown) =>
  new AppError('bad-input', `${path} cannot be written.`, why, next, { cause });

/** What is at a path; a broken link counts too. */
const look = (path: string) => ask(path, () => lstatSync(path, { throwIfNoEntry: false }));

function ask(path: string, act: () => Stats | undefined): Stats | undefined {
  try {
    return act();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOTDIR') return undefined; // said of its folder
    throw cannot(path, message, undefined, error);
  }
}

/** @param path what is to be written into the folder */
function requireFolder(folder: string, path: string): void {
  const there = ask(folder, () => statSync(folder, { throwIfNoEntry: false }));
  if (!there) throw cannot(path, `There is no folder ${folder}.`, 'Make it first, or check the path.');
  if (!there.isDirectory()) throw cannot(path, `${folder} is no folder.`, 'Name a folder.');
  try {
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw cannot(path, (error as Error).message, 'Choose another folder.', error);
  }
}
