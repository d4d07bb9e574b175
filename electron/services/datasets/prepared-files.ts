import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { AppError } from '../../../shared/errors.ts';
import type { PreparedImage, PreparedSet } from '../../../shared/prepared.ts';
import type { Pixels } from '../../data/pixels.ts';
import { pixelBytes } from '../../data/prepared.ts';
import { makeFolder } from '../../files/folders.ts';
import { preparedFile, preparedFolder } from '../../store/home.ts';
import type { SetOwner } from '../../store/prepared.ts';
import type { Store } from '../../store/store.ts';

/** Images are put into files of at most this, bytes; a larger image has one of its own. */
const FILE_BYTES = 1e9;
/** Pixels that are written at once, then synced and entered: what a kill loses at most, bytes. */
const CHUNK_BYTES = 16e6;

export interface WriterLimits {
  fileBytes?: number | undefined;
  chunkBytes?: number | undefined;
}

/**
 * Puts pixels into the files of a set. A chunk is written and synced before its images are entered, so what the store
 * names is always whole; what a killed process wrote beyond it is overwritten. A place that was once entered never is,
 * because a run may read it. Only the process that has claimed the set (`claimSet`) may write.
 */
export class PreparedWriter {
  readonly #store: Store;
  readonly #set: PreparedSet;
  readonly #owner: SetOwner;
  readonly #limits: { fileBytes: number; chunkBytes: number };
  #file: number;
  #end: number;
  #handle: FileHandle | null = null;
  #waiting: { image: PreparedImage; data: Uint8Array }[] = [];
  #bytes = 0;

  constructor(store: Store, set: PreparedSet, { fileBytes = FILE_BYTES, chunkBytes = CHUNK_BYTES }: WriterLimits = {}) {
    this.#store = store;
    this.#set = set;
    this.#owner = ownerOf(set.id);
    this.#limits = { fileBytes, chunkBytes };
    this.#file = set.file;
    this.#end = set.end;
    makeFolder(preparedFolder(store.path, set.id));
  }

  /** The file that is written to. */
  get file(): number {
    return this.#file;
  }

  /**
   * @throws AppError bad-file where it cannot be written, conflict where another process has the set, not-found
   * where that is gone
   */
  async append(imageId: number, hash: string, { data, width, height }: Pixels): Promise<void> {
    const start = this.#end + this.#bytes;
    if (this.#file === 0 || (start > 0 && start + data.length > this.#limits.fileBytes)) await this.begin();
    const at = { file: this.#file, start: this.#end + this.#bytes };
    this.#waiting.push({ image: { image_id: imageId, ...at, width, height, hash, crc32: crc32(data) }, data });
    this.#bytes += data.length;
    if (this.#bytes >= this.#limits.chunkBytes) await this.flush();
  }

  /** Goes on with a new file. */
  async begin(): Promise<void> {
    await this.close();
    this.#store.prepared.add(this.#owner, [], { file: this.#file + 1, end: 0 });
    this.#file++;
    this.#end = 0;
  }

  async flush(): Promise<void> {
    if (this.#waiting.length === 0) return;
    this.#store.prepared.beat(this.#owner);
    const path = preparedFile(this.#store.path, this.#set.id, this.#file);
    try {
      this.#handle ??= await open(path, existsSync(path) ? 'r+' : 'w');
      await this.#write();
      await this.#handle.datasync();
    } catch (error) {
      const next = 'Free disk space, or prepare at a smaller size, and go on: what was prepared until now stays.';
      throw new AppError('bad-file', `${path} cannot be written.`, (error as Error).message, next, { cause: error });
    }
    const end = this.#end + this.#bytes;
    const images = this.#waiting.map(({ image }) => image);
    this.#store.prepared.add(this.#owner, images, { file: this.#file, end });
    this.#end = end;
    this.#waiting = [];
    this.#bytes = 0;
  }

  async #write(): Promise<void> {
    let at = this.#end;
    for (const { data } of this.#waiting) {
      for (let done = 0; done < data.length; ) {
        const { bytesWritten } = await this.#handle!.write(data, done, data.length - done, at + done);
        done += bytesWritten;
      }
      at += data.length;
    }
  }

  /** Writes what waits; cuts off what a killed process left behind the end. More may be appended afterwards. */
  async close(): Promise<void> {
    try {
      await this.flush();
      await this.#handle?.truncate(this.#end);
    } finally {
      await this.#handle?.close();
      this.#handle = null;
    }
  }
}

const ownerOf = (id: number): SetOwner => ({ id, pid: process.pid });

/**
 * The set's files by number: the length of each, and the bytes that the disk holds for it. The two differ where a file was
 * lost or cut, because the next one of its number begins with a hole.
 */
function filesOf(store: Store, set: number): { file: number; bytes: number; onDisk: number }[] {
  return readdirSync(preparedFolder(store.path, set))
    .filter((name) => /^\d+\.rgb$/.test(name))
    .map((name) => Number.parseInt(name, 10))
    .map((file) => {
      const { size, blocks } = statSync(preparedFile(store.path, set, file));
      return { file, bytes: size, onDisk: blocks > 0 ? Math.min(size, 512 * blocks) : size };
    });
}

export interface TidyControl {
  /** Images that were moved, of those that are to be. */
  onProgress?: ((done: number, total: number, phase: string) => void) | undefined;
  /** Ends it between two images: each is in its old place or its new one, and the next call goes on. */
  signal?: AbortSignal | undefined;
}

/**
 * Gives back files in which more than half of the bytes are of images that changed or went: the others go to the end of
 * the set, then the file is removed.
 * @returns bytes given back
 * @throws AppError canceled; as `PreparedWriter.append`
 */
export async function tidyFiles(
  store: Store,
  set: number,
  writer: PreparedWriter,
  { onProgress, signal }: TidyControl = {},
): Promise<number> {
  await writer.flush();
  const live = Map.groupBy(store.prepared.images(set), ({ file }) => file);
  const liveIn = (file: number) => live.get(file) ?? [];
  const liveBytes = (file: number) => liveIn(file).reduce((sum, image) => sum + pixelBytes(image), 0);
  const wasteful = filesOf(store, set).filter(({ file, onDisk }) => liveBytes(file) < onDisk / 2);
  if (wasteful.some(({ file }) => file === writer.file)) await writer.begin();
  const total = wasteful.reduce((sum, { file }) => sum + liveIn(file).length, 0);
  let [done, freed] = [0, 0];
  for (const { file, onDisk } of wasteful) {
    const path = preparedFile(store.path, set, file);
    const handle = live.has(file) ? await open(path) : null;
    try {
      for (const image of liveIn(file)) {
        if (signal?.aborted) throw tidyCanceled(done, total);
        const data = new Uint8Array(pixelBytes(image));
        const { bytesRead } = await handle!.read(data, 0, data.length, image.start);
        // Cut or damaged meanwhile: it is prepared again the next time.
        const isSound = bytesRead === data.length && (image.crc32 === null || crc32(data) === image.crc32);
        if (isSound) await writer.append(image.image_id, image.hash, { ...image, data });
        onProgress?.(++done, total, 'giving back space');
      }
    } finally {
      await handle?.close();
    }
    await writer.flush();
    store.prepared.dropFile(ownerOf(set), file);
    await rm(path, { force: true });
    freed += Math.max(0, onDisk - liveBytes(file));
  }
  return freed;
}

const tidyCanceled = (done: number, total: number) =>
  new AppError(
    'canceled',
    `Giving back space was canceled after ${done} of ${total} images were moved.`,
    'Space is that of images that changed or went. All that could be prepared is.',
    'Prepare again to go on from there.',
  );

/**
 * Forgets images whose files are gone or cut: a run finds nothing there, and would decode them every time. Only the
 * process that writes to the set may call it.
 */
export function forgetLost(store: Store, set: number): void {
  const there = new Map(filesOf(store, set).map(({ file, bytes }) => [file, bytes]));
  for (const [file, images] of Map.groupBy(store.prepared.images(set), ({ file }) => file)) {
    const end = Math.max(...images.map((image) => image.start + pixelBytes(image)));
    if (end > (there.get(file) ?? 0)) store.prepared.dropFile(ownerOf(set), file);
  }
}

/**
 * Reads all that was prepared, and forgets images whose pixels are not what was written.
 * @returns how many
 * @throws AppError canceled
 */
export async function forgetDamaged(
  store: Store,
  set: number,
  { onProgress, signal }: TidyControl = {},
): Promise<number> {
  const images = store.prepared.images(set).filter((image) => image.crc32 !== null);
  const damaged: number[] = [];
  let done = 0;
  for (const [file, own] of Map.groupBy(images, (image) => image.file)) {
    const handle = await open(preparedFile(store.path, set, file));
    try {
      for (const image of own.toSorted((a, b) => a.start - b.start)) {
        if (signal?.aborted) throw new AppError('canceled', 'Checking what was prepared was canceled.');
        const data = new Uint8Array(pixelBytes(image));
        const { bytesRead } = await handle.read(data, 0, data.length, image.start);
        if (bytesRead < data.length || crc32(data) !== image.crc32) damaged.push(image.image_id);
        if (++done % CHECKED_AT_ONCE === 0) onProgress?.(done, images.length, 'checking what was prepared');
      }
    } finally {
      await handle.close();
    }
  }
  if (damaged.length > 0) store.prepared.dropImages(ownerOf(set), damaged);
  return damaged.length;
}

/** Images between two words of progress. */
const CHECKED_AT_ONCE = 200;

/** Removes files of sets that are gone, or that went with their dataset. */
export function sweepPrepared(store: Store): void {
  const all = preparedFolder(store.path);
  if (!existsSync(all)) return;
  const names = readdirSync(all); // read before the sets: a set that another process begins meanwhile is then not taken for a leftover
  const known = new Set(store.prepared.list().map(({ id }) => id));
  for (const name of names)
    if (!known.has(Number(name))) rmSync(preparedFolder(store.path, Number(name)), { recursive: true, force: true });
}

/** Removes a set and its files. @throws AppError not-found, conflict while it is being prepared */
export function deletePrepared(store: Store, id: number): void {
  const release = claimSet(store, id);
  try {
    store.prepared.delete(ownerOf(id));
  } finally {
    release();
  }
  sweepPrepared(store);
}

/** Makes the caller the only writer of a set. @returns gives that up @throws AppError conflict, not-found */
export function claimSet(store: Store, id: number): () => void {
  const { pid } = store.prepared.get(id);
  const lock = store.prepared.claim(id, process.pid);
  if (lock === null) {
    const why = pid === process.pid || pid === null ? '' : `Process ${pid} does it.`;
    throw new AppError('conflict', 'These images are being prepared.', why, 'Wait for it, or cancel it.');
  }
  return () => {
    store.prepared.release(id, process.pid);
    lock.remove();
  };
}
