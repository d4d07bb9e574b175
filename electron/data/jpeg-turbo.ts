import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { isPlain } from './imaging.ts';
import { type PlainJpeg, plainJpeg } from './jpeg-header.ts';
import type { Pixels } from './pixels.ts';
import { Scratch } from './scratch.ts';

type Foreign<Result> = (...args: unknown[]) => Result;
interface Turbo {
  /** A new decompressor: one that was used keeps tables of the last file, and some faults leave it useless. */
  create: () => unknown;
  destroy: Foreign<void>;
  header: Foreign<number>;
  get: Foreign<number>;
  decompress: Foreign<number>;
}

// turbojpeg.h of libjpeg-turbo 3.1
const TJINIT_DECOMPRESS = 1;
const TJPF_RGB = 0;
const TJPARAM_STOPONWARNING = 0;
const TJPARAM_JPEGWIDTH = 5;
const TJPARAM_JPEGHEIGHT = 6;
const TJPARAM_COLORSPACE = 8;
const TJPARAM_FASTUPSAMPLE = 9;
const TJPARAM_FASTDCT = 10;
const TJPARAM_SCANLIMIT = 13;
const TJCS_YCbCr = 1;
const TJCS_GRAY = 2;
/** Accurate, as sharp has it; what is not wholly sound is a fault; scans above which sharp refuses a progressive file. */
const SETTINGS = [
  [TJPARAM_STOPONWARNING, 1],
  [TJPARAM_FASTUPSAMPLE, 0],
  [TJPARAM_FASTDCT, 0],
  [TJPARAM_SCANLIMIT, 100],
] as const;

/** libjpeg-turbo as a package brings it; null where that has no library for this platform. */
function load(): Turbo | null {
  const require = createRequire(import.meta.url);
  try {
    const koffi = require('koffi');
    const folder = join(dirname(require.resolve('@julusian/jpeg-turbo/package.json')), 'prebuilds');
    const platform = `jpeg-turbo-${process.platform}-${process.arch}`;
    const lib = first([platform, `${platform}-musl`], (name) => koffi.load(join(folder, name, 'libturbojpeg.so.0')));
    const init: Foreign<unknown> = lib.func('void* tj3Init(int initType)');
    const set: Foreign<number> = lib.func('int tj3Set(void* handle, int param, int value)');
    return {
      create() {
        const handle = init(TJINIT_DECOMPRESS);
        if (!handle) throw new Error('libjpeg-turbo has no memory for a decompressor.');
        for (const [param, value] of SETTINGS) set(handle, param, value);
        return handle;
      },
      destroy: lib.func('void tj3Destroy(void* handle)'),
      header: lib.func('int tj3DecompressHeader(void* handle, const uint8_t* jpeg, size_t size)'),
      get: lib.func('int tj3Get(void* handle, int param)'),
      decompress: lib.func(
        'int tj3Decompress8(void* handle, const uint8_t* jpeg, size_t size, uint8_t* to, int pitch, int format)',
      ),
    };
  } catch {
    return null;
  }
}

/** The result of `act` for the first thing for which it does not throw. */
function first<T, R>(things: T[], act: (thing: T) => R): R {
  try {
    return act(things[0]!);
  } catch (error) {
    if (things.length === 1) throw error;
    return first(things.slice(1), act);
  }
}

let turbo: Turbo | null | undefined;

function loaded(): Turbo | null {
  if (turbo === undefined) turbo = load();
  return isPlain() ? null : turbo;
}

/** Whether these bytes are, by their header, what `decodePlainJpeg` decodes here. */
export const isJpegHere = (bytes: Buffer): boolean => plainJpeg(bytes) !== null && loaded() !== null;

/**
 * A JPEG by libjpeg-turbo, in this thread and before it returns: the bytes that sharp gives, in a quarter of its time.
 * Null where the library is missing, and for files that need more (a profile, rotation, CMYK), are above `maxPixels` or have
 * any fault: sharp decodes those, or says what is wrong.
 */
export function decodePlainJpeg(bytes: Buffer, maxPixels: number, room?: Scratch): Pixels | null {
  const size = plainJpeg(bytes);
  const library = loaded();
  if (!library || !size || size.width * size.height > maxPixels) return null;
  const handle = library.create();
  try {
    return decompress(library, handle, bytes, size, room ?? new Scratch());
  } finally {
    library.destroy(handle);
  }
}

function decompress(
  { header, get, decompress }: Turbo,
  handle: unknown,
  bytes: Buffer,
  size: PlainJpeg,
  room: Scratch,
): Pixels | null {
  if (header(handle, bytes, bytes.length) !== 0) return null;
  const space = get(handle, TJPARAM_COLORSPACE);
  if (space !== TJCS_YCbCr && space !== TJCS_GRAY) return null;
  // It writes as many bytes as it finds right.
  if (get(handle, TJPARAM_JPEGWIDTH) !== size.width || get(handle, TJPARAM_JPEGHEIGHT) !== size.height) return null;
  const data = room.take(size.width * size.height * 3);
  return decompress(handle, bytes, bytes.length, data, 0, TJPF_RGB) === 0 ? { data, ...size } : null;
}
