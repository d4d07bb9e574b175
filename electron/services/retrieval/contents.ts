import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { writeWhole } from '../../files/files.ts';
import { brokenIndex } from './vector-index.ts';

// The files of an index, with checksums: a byte that a disk changed would be another answer.

const FILE = 'contents.json';
/** Bytes that one checksum covers. */
const BLOCK = 16 * 2 ** 20;
/** Bytes that are checked when an index is opened, about three seconds of a cold disk; of a larger one, blocks drawn at random. */
const LOOKED_AT = 2 * 2 ** 30;

interface FileContents {
  name: string;
  bytes: number;
  /** Checksums of its blocks. */
  blocks: number[];
}

export interface Contents {
  /** False while it is being built: then only files that grow at the end are listed. */
  isComplete: boolean;
  files: FileContents[];
}

/** Files that a stopped build goes on from, or that are half written. */
const isPassing = (name: string) => /\.(new|part|lists|scales)$/.test(name) || name === 'learning.f32' || name === FILE;

/** Notes what is there. */
export function writeContents(folder: string, contents: Contents): void {
  const text = JSON.stringify(contents);
  writeWhole(join(folder, FILE), [Buffer.from(JSON.stringify({ crc32: crc32(text), contents: text }))]);
}

/** What is there now. */
export function lookAt(folder: string): Contents {
  const names = readdirSync(folder).filter((name) => !isPassing(name));
  return { isComplete: true, files: names.map((name) => ({ name, ...sumsOf(join(folder, name)) })) };
}

/** Null where none was noted, by an older version. @throws AppError bad-file where it is damaged */
export function readContents(folder: string): Contents | null {
  const path = join(folder, FILE);
  if (!existsSync(path)) return null;
  try {
    const { crc32: sum, contents } = JSON.parse(readFileSync(path, 'utf8'));
    if (crc32(contents) === sum) return JSON.parse(contents);
  } catch {
    // said below
  }
  throw brokenIndex(folder, `${FILE} is damaged.`);
}

/** Names of files that are not as they were noted: lengths, and checksums of at most so many bytes. */
export function damagedFiles(folder: string, { isComplete, files }: Contents, most = LOOKED_AT): string[] {
  const all = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const share = Math.min(1, most / Math.max(1, all));
  return files.filter((file) => !isSound(join(folder, file.name), file, isComplete, share)).map(({ name }) => name);
}

function isSound(path: string, { bytes, blocks }: FileContents, isComplete: boolean, share: number): boolean {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? -1;
  if (isComplete ? size !== bytes : size < bytes) return false;
  const looked = blocks.map((_, i) => i).filter(() => share === 1 || Math.random() < share);
  return withFile(path, (fd) =>
    looked.every((i) => sumOf(fd, i * BLOCK, Math.min(BLOCK, bytes - i * BLOCK)) === blocks[i]),
  );
}

function sumsOf(path: string): Pick<FileContents, 'bytes' | 'blocks'> {
  const bytes = statSync(path).size;
  const count = Math.ceil(bytes / BLOCK);
  const blocks = withFile(path, (fd) =>
    Array.from({ length: count }, (_, i) => sumOf(fd, i * BLOCK, Math.min(BLOCK, bytes - i * BLOCK))),
  );
  return { bytes, blocks };
}

function sumOf(fd: number, at: number, length: number): number {
  const block = Buffer.allocUnsafe(length);
  return crc32(block.subarray(0, readSync(fd, block, 0, length, at)));
}

function withFile<T>(path: string, act: (fd: number) => T): T {
  const fd = openSync(path, 'r');
  try {
    return act(fd);
  } finally {
    closeSync(fd);
  }
}
