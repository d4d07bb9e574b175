import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  // biome-ignore lint/style/noRestrictedImports: here it is done
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { AppError } from '../../shared/errors.ts';
import { beginOf, isAlive } from './alive.mjs';
import { hasLostBytes, namedFile, onDisk } from './on-disk.ts';

/** Bytes that can be read anywhere: an open file or a buffer. */
export interface Source {
  /** What messages call it. */
  name: string;
  size: number;
  /** Fills `into` from `offset`. The caller has checked the bounds; a file that shrank meanwhile throws `bad-file`. */
  read(offset: number, into: Uint8Array): void;
  close(): void;
}

/** One system call moves less than 2 GiB. */
const MAX_TRANSFER = 2 ** 30;

/**
 * @param file a path, as a person or a shell names it or as the store keeps it (`namedFile`); or the data itself
 * @throws AppError not-found, bad-file
 */
export function openSource(file: string | Buffer): Source {
  if (typeof file !== 'string') {
    return {
      name: 'The data',
      size: file.byteLength,
      read: (offset, into) => into.set(file.subarray(offset, offset + into.byteLength)),
      close: () => {},
    };
  }
  const path = onDisk(namedFile(file));
  let fd: number;
  try {
    // Before it is opened: a pipe without a writer would never open.
    if (!statSync(path).isFile()) throw notAFile(file);
    fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // it may have become one since
  } catch (error) {
    if (error instanceof AppError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const kind = code === 'ENOENT' || code === 'ENOTDIR' ? 'not-found' : 'bad-file';
    const what = kind === 'not-found' ? `There is no file ${file}.` : `${file} cannot be opened.`;
    const next = hasLostBytes(file)
      ? 'Check the path; a name that is not UTF-8 is found where no other looks like it.'
      : 'Check the path.';
    throw new AppError(kind, what, kind === 'not-found' ? '' : message, next, { cause: error });
  }
  const stat = fstatSync(fd);
  if (!stat.isFile()) {
    closeSync(fd);
    throw notAFile(file);
  }
  return {
    name: file,
    size: stat.size,
    read(offset, into) {
      for (let done = 0; done < into.byteLength; ) {
        const length = Math.min(MAX_TRANSFER, into.byteLength - done);
        const read = readSync(fd, into, done, length, offset + done);
        if (read === 0) throw new AppError('bad-file', `${file} became shorter while it was read.`, '', 'Try again.');
        done += read;
      }
    },
    close: () => closeSync(fd),
  };
}

/** Whether an existing file is overwritten. One that a user named is not, unless they said so. */
export interface Replace {
  replace: boolean;
}

/** How a file is written. */
export interface How extends Replace {
  /** Who may read and write it; what the system gives to new files where it is left out. */
  mode?: number;
  /**
   * False where what a power cut takes may be lost: many small files that are made again where they are missing. Whoever
   * reads one must tell one that lost its content: some file systems keep its name.
   */
  isSynced?: boolean;
}

const notAFile = (file: string) =>
  new AppError('bad-file', `${file} is not a file.`, 'It is a folder, a pipe or a device.', 'Name a file.');

/**
 * Writes a file that appears whole or not at all: beside its place, synced unless it says otherwise, renamed.
 * Chunks are written one by one.
 * @throws AppError `bad-input` when the place cannot be written; `conflict` where a file is there that is not replaced
 */
export function writeWhole(path: string, chunks: Iterable<Uint8Array>, how: How = { replace: true }): void {
  writeTogether([{ path, chunks }], how);
}

/**
 * Writes files of which the last refers to those before it, each as `writeWhole` does. All are complete under temporary
 * names before the first gets its own, and an existing last file is removed before that. So even after a crash no file
 * refers to others than those it was written with.
 * @throws AppError as `writeWhole`; the files that it has put in place are taken away
 */
export function writeTogether(
  files: { path: string; chunks: Iterable<Uint8Array> }[],
  { replace, mode = 0o666, isSynced = true }: How = { replace: true },
): void {
  const placed: string[] = [];
  let now = '';
  for (const folder of new Set(files.map(({ path }) => dirname(path)))) removeLeftBehind(folder);
  try {
    for (const { path, chunks } of files) {
      now = path;
      rmSync(temporaryOf(path), { force: true });
      const fd = openSync(temporaryOf(path), 'wx', mode); // a link that somebody puts there is not followed
      try {
        for (const chunk of chunks) writeAll(fd, chunk);
        if (isSynced) fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
    }
    if (files.length > 1 && replace) rmSync(files.at(-1)!.path, { force: true });
    for (const { path } of files) {
      now = path;
      putInPlace(temporaryOf(path), path, { replace });
      placed.push(path);
    }
  } catch (error) {
    for (const path of [...files.map(({ path }) => temporaryOf(path)), ...placed]) removeQuietly(path);
    throw cannotWrite(now, error);
  }
}

/** A file that could not be written, in words. */
export function cannotWrite(path: string, error: unknown): AppError {
  if (error instanceof AppError) return error;
  const { message, code } = error as NodeJS.ErrnoException;
  const why = code === 'ENOSPC' || code === 'EDQUOT' ? `There is no room on its disk. ${message}` : message;
  const next = 'Name a place with room that you may write to.';
  return new AppError('bad-input', `${path} cannot be written.`, why, next, { cause: error });
}

/** Removes a half-written file; a failure to do so must not hide the first error. */
function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // its name or folder is what cannot be used
  }
}

/** Most bytes of a name on the file systems that are in use. */
export const MOST_NAME_BYTES = 255;

/** Names this machine, or container, in the names of files that are being written: numbers of processes are its own. */
const MACHINE = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);

/** When this process began: its number may be another's by the time that somebody looks at what it left. */
const BEGIN = beginOf(process.pid);

/** Names of files that are being written; an older program's say no begin. */
const TEMPORARY = /\.([0-9a-f]{8})-(\d+)(?:-(\d*))?\.part$/;

/** Whether a file has the name of one that is being written, or that a process left which was ended meanwhile. */
export const isTemporary = (name: string): boolean => TEMPORARY.test(name);

/** Removes what processes of this machine left in a folder that were ended while they wrote there. */
function removeLeftBehind(folder: string): void {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return; // whoever writes there says why it cannot be used
  }
  for (const name of names) {
    const [, machine, pid, begin = ''] = TEMPORARY.exec(name) ?? [];
    if (machine === MACHINE && Number(pid) !== process.pid && !isAlive(Number(pid), begin))
      removeQuietly(join(folder, name));
  }
}

/** Where a file is written until it is whole. The name says whose it is, and is no longer than a name may be. */
function temporaryOf(path: string): string {
  const [name, ending] = [basename(path), `.${MACHINE}-${process.pid}-${BEGIN}.part`];
  const fits = Buffer.byteLength(name + ending) <= MOST_NAME_BYTES;
  return join(dirname(path), fits ? name + ending : createHash('sha256').update(name).digest('hex') + ending);
}

/** Returns when what was written to a file is on the disk, and stays there through a power cut. */
export function syncFile(path: string): void {
  const fd = openSync(path, 'r+');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Codes of file systems on which a file has one name at most. */
const WITHOUT_LINKS = new Set(['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'EACCES', 'EINVAL']);

/**
 * Gives a file that is whole its name. Without `replace`, a file that came there while this one was being written stays.
 * @throws AppError conflict where one is there; the system's error otherwise
 */
export function putInPlace(from: string, to: string, { replace }: Replace): void {
  if (replace) {
    renameSync(from, to);
    return;
  }
  try {
    linkSync(from, to); // unlike renaming, it fails where the name is taken
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw isThere(to);
    if (!WITHOUT_LINKS.has(code ?? '')) throw error;
    if (lstatSync(to, { throwIfNoEntry: false })) throw isThere(to);
    renameSync(from, to);
    return;
  }
  rmSync(from, { force: true });
}

/** What a person is told whose file would be written over. */
export const isThere = (path: string): AppError =>
  new AppError('conflict', `${path} is there already.`, '', 'Choose another name, or write over it: `--force`.', {
    exists: path,
  });

/** Writes all of `bytes` at the file's position. */
export function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.byteLength; ) {
    done += writeSync(fd, bytes, done, Math.min(MAX_TRANSFER, bytes.byteLength - done));
  }
}
