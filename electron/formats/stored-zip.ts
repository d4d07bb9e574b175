import { AppError } from '../../shared/errors.ts';
import type { Source } from '../files/files.ts';

/**
 * The zip archives that torch.save writes (APPNOTE.TXT, with ZIP64): entries are stored, never compressed, so a tensor is
 * a range of the file and is read straight to its place. Libraries for zip either hold the whole file, which may be many
 * gigabytes, or hand out streams where ranges are needed.
 */
export interface StoredEntry {
  name: string;
  size: number;
  /** Reads bytes of the entry from `offset`, as many as `into` holds. */
  read(offset: number, into: Uint8Array): void;
}

const END = 0x06054b50;
const END64_LOCATOR = 0x07064b50;
const END64 = 0x06064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
/** An archive of a model has thousands of entries, each of some hundred bytes here. */
const MAX_DIRECTORY = 64 * 2 ** 20;

/** @throws AppError bad-file for what is not a sound archive, or has a compressed or encrypted entry */
export function readDirectory(source: Source): Map<string, StoredEntry> {
  const refuse = (why: string): never => {
    throw new AppError('bad-file', `${source.name} is not an archive that can be read.`, why, 'Get the file again.');
  };
  const range = (offset: number, length: number): Buffer => {
    if (!(offset >= 0 && length >= 0 && offset + length <= source.size)) refuse('It is truncated or damaged.');
    const bytes = Buffer.alloc(length);
    source.read(offset, bytes);
    return bytes;
  };
  const u64 = (bytes: Buffer, at: number): number => {
    const value = bytes.readBigUInt64LE(at);
    return value <= Number.MAX_SAFE_INTEGER ? Number(value) : refuse('It is damaged.');
  };

  const tailStart = Math.max(0, source.size - 22 - 0xffff);
  const tail = range(tailStart, source.size - tailStart);
  let end = tail.length - 22;
  while (end >= 0 && !(tail.readUInt32LE(end) === END && end + 22 + tail.readUInt16LE(end + 20) === tail.length)) end--;
  if (end < 0) refuse('It has no directory: it is truncated, or not an archive.');

  let count = tail.readUInt16LE(end + 10);
  let length = tail.readUInt32LE(end + 12);
  let start = tail.readUInt32LE(end + 16);
  if (count === 0xffff || length === 0xffffffff || start === 0xffffffff) {
    const locator = range(tailStart + end - 20, 20);
    if (locator.readUInt32LE(0) !== END64_LOCATOR) refuse('Its directory is damaged.');
    const end64 = range(u64(locator, 8), 56);
    if (end64.readUInt32LE(0) !== END64) refuse('Its directory is damaged.');
    count = u64(end64, 32);
    length = u64(end64, 40);
    start = u64(end64, 48);
  }
  if (length > MAX_DIRECTORY) refuse('Its directory is too large.');

  const directory = range(start, length);
  const entries = new Map<string, StoredEntry>();
  for (let at = 0, i = 0; i < count; i++) {
    if (at + 46 > length || directory.readUInt32LE(at) !== CENTRAL) refuse('Its directory is damaged.');
    const nameEnd = at + 46 + directory.readUInt16LE(at + 28);
    const extraEnd = nameEnd + directory.readUInt16LE(at + 30);
    const next = extraEnd + directory.readUInt16LE(at + 32);
    if (next > length) refuse('Its directory is damaged.');
    const name = directory.toString('utf8', at + 46, nameEnd);
    const encrypted = (directory.readUInt16LE(at + 8) & 1) === 1;
    if (encrypted || directory.readUInt16LE(at + 10) !== 0) refuse(`"${name}" in it is compressed or encrypted.`);
    if (entries.has(name)) refuse(`"${name}" is in it twice.`);

    // The sizes and place, each in the extra field where it does not fit into four bytes.
    const wide = zip64Field(directory.subarray(nameEnd, extraEnd));
    let used = 0;
    const field = (position: number): number => {
      const value = directory.readUInt32LE(at + position);
      if (value !== 0xffffffff) return value;
      used += 8;
      return used <= wide.length ? u64(wide, used - 8) : refuse('Its directory is damaged.');
    };
    const size = field(24);
    if (field(20) !== size || size > source.size) refuse(`"${name}" in it is damaged.`);
    const local = field(42);
    entries.set(name, entry(name, size, local));
    at = next;
  }
  return entries;

  function entry(name: string, size: number, local: number): StoredEntry {
    let data: number | null = null;
    return {
      name,
      size,
      read(offset, into) {
        if (data === null) {
          const header = range(local, 30);
          if (header.readUInt32LE(0) !== LOCAL) refuse(`"${name}" in it is damaged.`);
          data = local + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
          if (data + size > source.size) refuse(`"${name}" in it is truncated.`);
        }
        if (!(offset >= 0 && offset + into.byteLength <= size)) refuse(`"${name}" in it is too short.`);
        source.read(data + offset, into);
      },
    };
  }
}

/** The ZIP64 field of an extra area, empty where there is none. */
function zip64Field(extra: Buffer): Buffer {
  for (let at = 0; at + 4 <= extra.length; ) {
    const length = extra.readUInt16LE(at + 2);
    if (extra.readUInt16LE(at) === 1) return extra.subarray(at + 4, at + 4 + length);
    at += 4 + length;
  }
  return extra.subarray(0, 0);
}
