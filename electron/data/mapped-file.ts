import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';

type Foreign = (...args: unknown[]) => unknown;
interface Memory {
  mmap: Foreign;
  munmap: Foreign;
  memcpy: Foreign;
  madvise: Foreign;
  address: (pointer: unknown) => bigint;
}
const PROT_READ = 1;
const MAP_SHARED = 1;
/** The same number on Linux and macOS. */
const MADV_WILLNEED = 3;
/** An advice begins at a page; this is a multiple of every page size. */
const PAGE = 65_536;

/** libc's mapping; null where there is none (Windows), and files are read instead. */
const memory: Memory | null = (() => {
  if (process.platform === 'win32') return null;
  try {
    const koffi = createRequire(import.meta.url)('koffi');
    const lib = koffi.load(null);
    return {
      mmap: lib.func('void* mmap(void* addr, size_t length, int prot, int flags, int fd, int64_t offset)'),
      munmap: lib.func('int munmap(void* addr, size_t length)'),
      madvise: lib.func('int madvise(void* addr, size_t length, int advice)'),
      memcpy: lib.func('void* memcpy(void* to, void* from, size_t n)'),
      address: koffi.address,
    };
  } catch {
    return null;
  }
})();

/** A mapped file as other threads of this process can read it: its first byte's address stays valid while it is open. */
export interface Mapping {
  base: bigint;
  bytes: number;
}

/** Bytes that can be copied from. */
export interface MappedBytes {
  /** Copies `to.byteLength` bytes from `at`. @throws RangeError past the end; the file must not have been cut since */
  copy(at: number, to: Uint8Array): void;
  /**
   * Asks the system to read a part from the disk in the background, where it is not in memory yet.
   * @throws RangeError as `copy` would
   */
  willNeed(at: number, bytes: number): void;
}

/** What another thread has mapped. */
export class SharedBytes implements MappedBytes {
  readonly #mapping: Mapping;

  constructor(mapping: Mapping) {
    this.#mapping = mapping;
  }

  copy(at: number, to: Uint8Array): void {
    requireWithin(this.#mapping, at, to.byteLength);
    memory!.memcpy(to, this.#mapping.base + BigInt(at), to.byteLength);
  }

  willNeed(at: number, bytes: number): void {
    requireWithin(this.#mapping, at, bytes);
    const start = at - (at % PAGE);
    memory!.madvise(this.#mapping.base + BigInt(start), at + bytes - start, MADV_WILLNEED);
  }
}

function requireWithin({ bytes }: { bytes: number }, at: number, length: number): void {
  if (at + length > bytes) throw new RangeError('past the end of the file');
}

/**
 * A file whose bytes are copied out of a mapping, straight to where they are wanted (memory of WebAssembly): its pages
 * belong to the system, which takes them back when it needs them. Not an ArrayBuffer over the mapping, because Electron
 * forbids these.
 */
export class MappedFile implements MappedBytes {
  readonly bytes: number;
  /** Null where it could not be mapped, and is read. */
  readonly mapping: Mapping | null = null;
  readonly #fd: number;
  readonly #pointer: unknown = null;
  readonly #shared: SharedBytes | null = null;

  constructor(path: string) {
    this.#fd = openSync(path, 'r');
    this.bytes = fstatSync(this.#fd).size;
    if (!memory || this.bytes === 0) return;
    const pointer = memory.mmap(null, this.bytes, PROT_READ, MAP_SHARED, this.#fd, 0);
    const base = BigInt.asIntN(64, memory.address(pointer));
    if (base === -1n) return; // MAP_FAILED: this file is read
    this.#pointer = pointer;
    this.mapping = { base, bytes: this.bytes };
    this.#shared = new SharedBytes(this.mapping);
  }

  get isMapped(): boolean {
    return this.#pointer !== null;
  }

  copy(at: number, to: Uint8Array): void {
    requireWithin(this, at, to.byteLength);
    if (this.#shared) this.#shared.copy(at, to);
    else readSync(this.#fd, to, 0, to.byteLength, at);
  }

  willNeed(at: number, bytes: number): void {
    requireWithin(this, at, bytes);
    this.#shared?.willNeed(at, bytes);
  }

  close(): void {
    if (this.isMapped) memory!.munmap(this.#pointer, this.bytes);
    closeSync(this.#fd);
  }
}
