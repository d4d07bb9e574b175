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

/**
 * A file whose bytes are copied out of a mapping, straight to where they are wanted (memory of WebAssembly): its pages belong to the system,
 * which takes them back when it needs them. Not an ArrayBuffer over the mapping, because Electron forbids these.
 */
export class MappedFile {
  readonly bytes: number;
  readonly #fd: number;
  readonly #pointer: unknown = null;
  readonly #base: bigint = 0n;

  constructor(path: string) {
    this.#fd = openSync(path, 'r');
    this.bytes = fstatSync(this.#fd).size;
    if (!memory || this.bytes === 0) return;
    const pointer = memory.mmap(null, this.bytes, PROT_READ, MAP_SHARED, this.#fd, 0);
    const base = BigInt.asIntN(64, memory.address(pointer));
    if (base === -1n) return; // MAP_FAILED: this file is read
    this.#pointer = pointer;
    this.#base = base;
  }

  get isMapped(): boolean {
    return this.#pointer !== null;
  }

  /** Copies `to.byteLength` bytes from `at`; they must be within the file, which must not have been cut. */
  copy(at: number, to: Uint8Array): void {
    if (at + to.byteLength > this.bytes) throw new RangeError('past the end of the file');
    if (this.isMapped) memory!.memcpy(to, this.#base + BigInt(at), to.byteLength);
    else readSync(this.#fd, to, 0, to.byteLength, at);
  }

  /**
   * Has the system read a part from the disk, where it is not in memory yet, while the caller does something else.
   * @throws RangeError as `copy` would
   */
  willNeed(at: number, bytes: number): void {
    if (at + bytes > this.bytes) throw new RangeError('past the end of the file');
    if (!this.isMapped) return;
    const start = at - (at % PAGE);
    memory!.madvise(this.#base + BigInt(start), at + bytes - start, MADV_WILLNEED);
  }

  close(): void {
    if (this.isMapped) memory!.munmap(this.#pointer, this.bytes);
    closeSync(this.#fd);
  }
}
