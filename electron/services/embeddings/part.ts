import {
  closeSync,
  fdatasyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { AppError } from '../../../shared/errors.ts';
import { isTemporary, openSource, writeAll, writeWhole } from '../../files/files.ts';
import { type FileLock, lockFile } from '../../store/file-lock.ts';

/** Images that were computed together. */
export interface Chunk {
  images: number;
  /** Indices of those that could not be read, and have no values. */
  unreadable: { id: number; path: string; why: string }[];
}

/** Where an export to this file keeps what it has computed, until the file is complete. */
export const partFolder = (file: string): string => `${file}.part`;

/** `process` says who has it, for messages; the lock is what counts. */
const FILES = { key: 'what.json', values: 'values.f32', done: 'done.jsonl', process: 'process', lock: 'lock' };

/**
 * What an export has computed, in a folder beside its file: values as float32, a line for each whole chunk, and a
 * description of what was asked. An export that was cut short goes on after the last whole chunk. One process at a time
 * has the folder.
 */
export class EmbeddingPart {
  readonly folder: string;
  readonly chunks: Chunk[] = [];
  readonly #perImage: number;
  readonly #lock: FileLock;
  readonly #values: number;
  readonly #done: number;

  /**
   * Goes on with what is there if the same was asked for; otherwise begins anew.
   * @param key says all that the values depend on
   * @param perImage values of an image
   * @throws AppError bad-input where the folder cannot be written; conflict while another process has it, or where a folder
   *   of this name holds other things
   */
  constructor(file: string, key: string, perImage: number) {
    this.folder = partFolder(file);
    this.#perImage = perImage;
    let lock: FileLock | null = null;
    requireOwn(this.folder);
    try {
      lock = lockFile(this.at(FILES.lock));
      if (lock === null) throw this.#isWritten();
      this.#lock = lock;
      writeWhole(this.at(FILES.process), [Buffer.from(String(process.pid))]);
      if (readText(this.at(FILES.key)) !== key) {
        for (const name of [FILES.values, FILES.done]) rmSync(this.at(name), { force: true });
        writeWhole(this.at(FILES.key), [Buffer.from(key)]);
      }
      this.#values = openSync(this.at(FILES.values), 'a');
      this.#done = openSync(this.at(FILES.done), 'a');
      this.#takeUp();
    } catch (error) {
      lock?.release();
      if (error instanceof AppError) throw error;
      const { message } = error as Error;
      const why = `${this.folder} cannot be written to.`;
      throw new AppError('bad-input', why, message, 'Choose another folder.', { cause: error });
    }
  }

  /** Images that are done with, readable or not. */
  get images(): number {
    return this.chunks.reduce((sum, { images }) => sum + images, 0);
  }

  /** Adds a chunk; it is on the disk when this returns. @param values of its readable images, in their order */
  append(chunk: Chunk, values: Float32Array): void {
    writeAll(this.#values, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    fdatasyncSync(this.#values); // before the line that says so
    const sum = sumOf(chunk, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    writeAll(this.#done, Buffer.from(`${JSON.stringify({ ...chunk, sum })}\n`));
    this.chunks.push(chunk);
  }

  /** All chunks with their values, in the order in which they were added. */
  *read(): Generator<{ chunk: Chunk; values: Float32Array }> {
    const source = openSource(this.at(FILES.values));
    try {
      let offset = 0;
      for (const chunk of this.chunks) {
        const values = new Float32Array(this.#sizeOf(chunk));
        source.read(offset, new Uint8Array(values.buffer));
        offset += values.byteLength;
        yield { chunk, values };
      }
    } finally {
      source.close();
    }
  }

  /** A file in its folder. */
  at(name: string): string {
    return join(this.folder, name);
  }

  /** Closes it. Whole chunks stay on the disk; without one the folder is removed. */
  close(): void {
    closeSync(this.#values);
    closeSync(this.#done);
    rmSync(this.at(FILES.process), { force: true });
    if (this.chunks.length > 0) {
      this.#lock.release();
      return;
    }
    for (const name of readdirSync(this.folder))
      if (name !== FILES.lock) rmSync(this.at(name), { recursive: true, force: true });
    this.#lock.remove();
    try {
      rmdirSync(this.folder);
    } catch {
      // another export to the same file has begun there
    }
  }

  /** Closes it, and removes the folder. */
  remove(): void {
    this.chunks.length = 0;
    this.close();
  }

  #sizeOf({ images, unreadable }: Chunk): number {
    return (images - unreadable.length) * this.#perImage;
  }

  /** Reads which chunks are whole and as they were written, and cuts off what comes after them. */
  #takeUp(): void {
    const text = readText(this.at(FILES.done)) ?? '';
    const { size } = statSync(this.at(FILES.values));
    const source = openSource(this.at(FILES.values));
    let [bytes, length] = [0, 0];
    for (const line of text.slice(0, text.lastIndexOf('\n') + 1).split(/(?<=\n)/)) {
      const found = chunkIn(line);
      if (found === null) break;
      const { sum, ...chunk } = found;
      const end = bytes + 4 * this.#sizeOf(chunk);
      if (end > size) break;
      const values = new Uint8Array(end - bytes);
      source.read(bytes, values);
      if (sumOf(chunk, values) !== sum) break;
      [bytes, length] = [end, length + Buffer.byteLength(line)];
      this.chunks.push(chunk);
    }
    source.close();
    ftruncateSync(this.#values, bytes);
    ftruncateSync(this.#done, length);
  }

  #isWritten(): AppError {
    const pid = readText(this.at(FILES.process));
    return new AppError(
      'conflict',
      `${basename(this.folder, '.part')} is being written by another export${pid ? `, of process ${pid}` : ''}.`,
      '',
      'Wait for it, or choose another name.',
    );
  }
}

/** What an export keeps in its folder; an older program's half-written files have the number of its process alone. */
const OWN =
  /^(what\.json|values\.f32|done\.jsonl|process|lock(-journal)?|file\.(parquet|npy|csv|index\.csv)|.+\.\d+\.part)$/;

/** The folder is removed in the end, so it must hold nothing else. */
function requireOwn(folder: string): void {
  const foreign = statSync(folder, { throwIfNoEntry: false })?.isDirectory()
    ? readdirSync(folder).find((name) => !OWN.test(name) && !isTemporary(name))
    : undefined;
  if (foreign === undefined) return;
  const why = `What is computed is kept in a folder of this name, and there is one with other things in it: ${foreign}.`;
  throw new AppError('conflict', `${folder} is there already.`, why, 'Choose another name for the embeddings.');
}

/** Checksum of a chunk and its values: what a disk changed is computed again. */
const sumOf = ({ images, unreadable }: Chunk, values: Uint8Array): number =>
  crc32(JSON.stringify([images, unreadable]), crc32(values));

/** Null for a line that was not written whole, as a power cut leaves it. */
function chunkIn(line: string): (Chunk & { sum: number }) | null {
  try {
    const { images, unreadable, sum } = JSON.parse(line) as Chunk & { sum: number };
    return images > 0 && Array.isArray(unreadable) ? { images, unreadable, sum } : null;
  } catch {
    return null;
  }
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
