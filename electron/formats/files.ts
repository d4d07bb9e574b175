import { closeSync, fstatSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { AppError } from '../../shared/errors.ts';

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

export function openSource(file: string | Buffer): Source {
  if (typeof file !== 'string') {
    return {
      name: 'The data',
      size: file.byteLength,
      read: (offset, into) => into.set(file.subarray(offset, offset + into.byteLength)),
      close: () => {},
    };
  }
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const kind = code === 'ENOENT' || code === 'ENOTDIR' ? 'not-found' : 'bad-file';
    const what = kind === 'not-found' ? `There is no file ${file}.` : `${file} cannot be opened.`;
    throw new AppError(kind, what, kind === 'not-found' ? '' : message, 'Check the path.', { cause: error });
  }
  const stat = fstatSync(fd);
  if (!stat.isFile()) {
    closeSync(fd);
    throw new AppError('bad-file', `${file} is not a file.`, '', 'Name a file.');
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

/**
 * Writes a file that appears whole or not at all: beside its place, synced, renamed. Chunks are written one by one.
 * @throws AppError `bad-input` when the place cannot be written
 */
export function writeWhole(path: string, chunks: Iterable<Uint8Array>): void {
  writeTogether([{ path, chunks }]);
}

/**
 * Writes files of which the last refers to those before it, each as `writeWhole` does. All are complete beside their
 * places before the first takes its own, and a last one that is there goes away before that: cut short at any point,
 * no file refers to others than it was written with.
 * @throws AppError `bad-input` when a place cannot be written; the files that it has put in place are taken away
 */
export function writeTogether(files: { path: string; chunks: Iterable<Uint8Array> }[]): void {
  const temporary = (path: string) => `${path}.${process.pid}.part`;
  const placed: string[] = [];
  let now = '';
  try {
    for (const { path, chunks } of files) {
      now = path;
      const fd = openSync(temporary(path), 'w');
      try {
        for (const chunk of chunks) writeAll(fd, chunk);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
    }
    if (files.length > 1) rmSync(files.at(-1)!.path, { force: true });
    for (const { path } of files) {
      now = path;
      renameSync(temporary(path), path);
      placed.push(path);
    }
  } catch (error) {
    for (const path of [...files.map(({ path }) => temporary(path)), ...placed]) rmSync(path, { force: true });
    const { message } = error as Error;
    const next = 'Name a place with room that you may write to.';
    throw new AppError('bad-input', `${now} cannot be written.`, message, next, { cause: error });
  }
}

/** Writes all of `bytes` at the file's position. */
export function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.byteLength; ) {
    done += writeSync(fd, bytes, done, Math.min(MAX_TRANSFER, bytes.byteLength - done));
  }
}
