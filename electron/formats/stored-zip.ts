import { type Entry, fromRandomAccessReaderPromise, RandomAccessReader } from 'yauzl';
import { AppError } from '../../shared/errors.ts';
import type { Source } from '../files/files.ts';

/**
 * The zip archives that torch.save writes: entries are stored, never compressed, so a tensor is a range of the file and is
 * read straight to its place.
 */
export interface StoredEntry {
  name: string;
  size: number;
  /** Reads bytes of the entry from `offset`, as many as `into` holds. */
  read(offset: number, into: Uint8Array): void;
}

/** An archive of a model has thousands of entries, each of some hundred bytes here. */
const MAX_DIRECTORY = 64 * 2 ** 20;

/** Reads at once: what yauzl asks for is small. */
class SourceReader extends RandomAccessReader {
  readonly #source: Source;

  constructor(source: Source) {
    super();
    this.#source = source;
  }

  override read(into: Buffer, offset: number, length: number, position: number, done: (error: Error | null) => void) {
    let error: Error | null = null;
    try {
      if (position + length > this.#source.size) throw new Error('It is truncated or damaged');
      this.#source.read(position, into.subarray(offset, offset + length));
    } catch (thrown) {
      error = thrown as Error;
    }
    setImmediate(done, error);
  }
}

/** @throws AppError bad-file for what is not a sound archive, or has a compressed or encrypted entry */
export async function readDirectory(source: Source): Promise<Map<string, StoredEntry>> {
  const refuse = (why: string) =>
    new AppError('bad-file', `${source.name} is not an archive that can be read.`, why, 'Get the file again.');
  const entries = new Map<string, StoredEntry>();
  let bytes = 0;
  try {
    const zip = await fromRandomAccessReaderPromise(new SourceReader(source), source.size);
    for await (const entry of zip.eachEntry()) {
      const { fileName: name, uncompressedSize: size } = entry;
      bytes += directoryBytes(entry);
      if (bytes > MAX_DIRECTORY) throw refuse('Its directory is too large.');
      if (entry.isEncrypted() || entry.compressionMethod !== 0)
        throw refuse(`"${name}" in it is compressed or encrypted.`);
      if (entries.has(name)) throw refuse(`"${name}" is in it twice.`);
      const { fileDataStart: start } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
      const read = (offset: number, into: Uint8Array) => {
        if (!(offset >= 0 && offset + into.byteLength <= size)) throw refuse(`"${name}" in it is too short.`);
        source.read(start + offset, into);
      };
      entries.set(name, { name, size, read });
    }
  } catch (error) {
    // yauzl has looked at all sizes and places: they fit into the file, and into each other.
    throw error instanceof AppError ? error : refuse(`${(error as Error).message}.`);
  }
  return entries;
}

const directoryBytes = ({ fileNameLength, extraFieldLength, fileCommentLength }: Entry) =>
  46 + fileNameLength + extraFieldLength + fileCommentLength;
