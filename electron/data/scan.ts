import { constants, type Dirent } from 'node:fs';
import { type FileHandle, open, readdir, realpath, stat } from 'node:fs/promises';
import { extname, join, sep } from 'node:path';
import type { NotImported, Places } from '../../shared/not-imported.ts';
import { kept, onDisk } from '../files/on-disk.ts';
import { contentKind, sniffFormat } from './decode.ts';

/** File names that are imported, by extension. */
export const IMAGE_EXTENSIONS: ReadonlySet<string> = new Set(
  '.jpg .jpeg .jpe .jfif .png .webp .avif .tif .tiff .gif .bmp .dib .ppm .pgm .pbm .pnm'.split(' '),
);
/** Images that are recorded as unsupported, so that a user sees why they are left out. */
export const UNSUPPORTED_EXTENSIONS: ReadonlySet<string> = new Set(
  '.heic .heif .jp2 .j2k .jxl .psd .tga .exr .hdr .cr2 .cr3 .nef .arw .dng .orf .rw2 .raf'.split(' '),
);
/** Files that are something else, or hold many images: what is in them is not looked at. */
const FOREIGN_EXTENSIONS: ReadonlySet<string> = new Set(
  [
    '.txt .md .rst .log .csv .tsv .json .jsonl .xml .yaml .yml .toml .ini .cfg .html .htm .css .js .mjs .ts .py .ipynb',
    '.m .c .h .cpp .hpp .cu .java .r .jl .go .rs .lua .sh .bat .ps1 .pdf .doc .docx .xls .xlsx .ppt .pptx .odt .ods',
    '.zip .gz .tgz .tar .bz2 .xz .zst .7z .rar .lmdb .mdb .db .sqlite .parquet .arrow .feather .tfrecord .tfrecords',
    '.npy .npz .mat .pkl .pickle .pt .pth .bin .safetensors .onnx .ckpt .h5 .hdf5 .zarr .nc .grib .fits .fit',
    '.dcm .dicom .nii .nrrd .mha .mhd .mrc .mnc .svs .ndpi .scn .mrxs .vms .bif .czi .lif .lsm .oib .oif .nd2 .vsi .ims',
    '.mp4 .mov .avi .mkv .webm .mpg .mpeg .wmv .m4v .flv .mp3 .wav .flac .ogg .m4a .aac .svg .eps .ai .ico .icns .xcf',
    '.aux .tfw .jgw .pgw .wld .prj .shp .shx .dbf .geojson .kml .las .laz .ply .obj .stl .exe .dll .so .lnk .url',
  ]
    .join(' ')
    .split(' '),
);
/** Where systems and other programs keep previews and what was deleted, lower case. */
const SYSTEM_FOLDERS: ReadonlySet<string> = new Set(
  [
    '@eadir @recycle @recently-snapshot @tmp #recycle #snapshot $recycle.bin recycler recycled __macosx lost+found',
    'thumbs.db @__thumb ~snapshot @sharebin found.000',
  ]
    .join(' ')
    .split(' '),
);
const SPACED_FOLDERS: ReadonlySet<string> = new Set([
  'system volume information',
  'network trash folder',
  'temporary items',
]);
const isSystemFolder = (name: string) => {
  const lower = name.toLowerCase();
  return SYSTEM_FOLDERS.has(lower) || lower.endsWith('.lrdata') || SPACED_FOLDERS.has(lower);
};

/** What this program keeps in its data folder, where pictures may be: a data folder that is imported itself may hold others. */
const OWN_FOLDERS: ReadonlySet<string> = new Set('thumbnails prepared desktop indexes'.split(' '));

/** The data folder of this program, where `folder` is a part of it that the program made; else null. */
export async function ownFolderAround(folder: string, ownFile: string): Promise<string | null> {
  const parts = (await realOf(folder)).split(sep);
  for (let i = parts.length - 1; i > 0; i--) {
    const above = parts.slice(0, i).join(sep) || sep;
    if (OWN_FOLDERS.has(parts[i]!) && (await isFile(join(above, ownFile)))) return above;
  }
  return null;
}

export interface FoundFile {
  /** Index of the folder that was walked. */
  folder: number;
  /** Path inside it, with forward slashes, as the store keeps names (shared/byte-names.ts). */
  path: string;
  /** Absolute path, in the same form. */
  absolute: string;
  bytes: number;
  /** Modification time, whole ms. */
  mtime: number;
  /** Whether a link is followed to it, of its own or of a folder above it. */
  linked: boolean;
  /** Whether its extension is that of a kind of image that is known, and not read. */
  unsupported: boolean;
}

export interface Walk {
  /** Sorted by folder, then path (UTF-16 code units). */
  files: FoundFile[];
  /** Folders that could not be listed, all of them. */
  closed: string[];
  leftOut: NotImported;
}

export interface WalkOptions {
  signal?: AbortSignal | undefined;
  /** After each folder, with what was found so far. */
  onFound?: ((found: number, current: string) => void) | undefined;
  /** Name of the file by which a data folder of this program is known: what it made there is not walked. */
  ownFile?: string | undefined;
}

/** Order of images wherever order counts: folder, then path by UTF-16 code units. */
export const byPath = (a: { folder: number; path: string }, b: { folder: number; path: string }) =>
  a.folder - b.folder || (a.path < b.path ? -1 : a.path > b.path ? 1 : 0);

/** Files asked for their size, and where their names tell nothing for their first bytes, at a time. */
const STATS = 128;
/** Paths that are kept of what was left out. */
const NAMED = 100;

class Left {
  readonly #kinds = new Map<string, number>();
  readonly places: Omit<NotImported, 'kinds'> = {
    closed: none(),
    system: none(),
    hidden: none(),
    own: none(),
    special: none(),
    broken: none(),
  };

  kind(kind: string): void {
    this.#kinds.set(kind, (this.#kinds.get(kind) ?? 0) + 1);
  }

  place(why: keyof Omit<NotImported, 'kinds'>, path: string): void {
    const place = this.places[why];
    place.count++;
    place.paths.push(path);
  }

  summary(): NotImported {
    const kinds = [...this.#kinds].map(([kind, count]) => ({ kind, count }));
    kinds.sort((a, b) => b.count - a.count || (a.kind < b.kind ? -1 : 1));
    // The same of the same folders, in whatever order they were listed.
    const first = ({ count, paths }: Places) => ({ count, paths: paths.sort().slice(0, NAMED) });
    const { closed, system, hidden, own, special, broken } = this.places;
    return {
      kinds,
      closed: first(closed),
      system: first(system),
      hidden: first(hidden),
      own: first(own),
      special: first(special),
      broken: first(broken),
    };
  }
}
const none = (): Places => ({ count: 0, paths: [] });

/**
 * Every image file below the folders: those that are called so, and those whose name tells nothing and whose content does.
 * Hidden files and folders, and folders of systems, are left out, and all that is left out is counted. Links are followed,
 * linked folders only after all others and each real folder once, so loops end and a real path wins over a linked one.
 * Ends early, with what it has, when `signal` is aborted. A folder that cannot be listed is reported, not thrown.
 * @param folders as the store keeps names
 */
export async function walkFolders(folders: string[], { signal, onFound, ownFile }: WalkOptions = {}): Promise<Walk> {
  const files: FoundFile[] = [];
  const left = new Left();
  const closed: string[] = [];
  const seen = new Set<string>();
  type Place = { folder: number; path: string; absolute: string; real: string; linked: boolean };
  const linked: Omit<Place, 'real' | 'linked'>[] = [];

  const list = async (place: Place, deeper: Place[]) => {
    if (seen.has(place.real)) return;
    seen.add(place.real);
    let entries: Dirent<Buffer>[];
    try {
      // Names are bytes: as text, two of them can become one, which names no file.
      entries = await readdir(onDisk(place.absolute), { withFileTypes: true, encoding: 'buffer' });
    } catch {
      closed.push(place.absolute);
      left.place('closed', place.absolute);
      return;
    }
    const isHome = ownFile !== undefined && entries.some(({ name }) => name.toString() === ownFile);
    if (isHome && place.path !== '') {
      left.place('own', place.absolute);
      return;
    }
    const candidates: { name: string; linked: boolean }[] = [];
    for (const entry of entries) {
      const name = kept(entry.name);
      const path = place.path === '' ? name : `${place.path}/${name}`;
      const absolute = join(place.absolute, name);
      if (name.startsWith('.')) {
        left.place('hidden', absolute);
      } else if (entry.isDirectory()) {
        if (isHome && OWN_FOLDERS.has(name)) left.place('own', absolute);
        else if (isSystemFolder(name)) left.place('system', absolute);
        else deeper.push({ ...place, path, absolute, real: join(place.real, name) });
      } else if (entry.isSymbolicLink() && (await isFolder(absolute))) {
        linked.push({ folder: place.folder, path, absolute });
      } else {
        candidates.push({ name, linked: place.linked || entry.isSymbolicLink() });
      }
    }
    for (let from = 0; from < candidates.length && !signal?.aborted; from += STATS) {
      const part = await Promise.all(candidates.slice(from, from + STATS).map((one) => describe(place, one)));
      for (const found of part) {
        if ('file' in found) files.push(found.file);
        else if ('kind' in found) left.kind(found.kind);
        else left.place(found.left, found.path);
      }
      onFound?.(files.length, place.absolute);
    }
  };
  const descend = async (start: Place) => {
    const stack = [start];
    for (let place = stack.pop(); place && !signal?.aborted; place = stack.pop()) await list(place, stack);
  };

  for (const [folder, absolute] of folders.entries()) {
    await descend({ folder, path: '', absolute, real: await realOf(absolute), linked: false });
  }
  // `linked` grows while linked folders are walked.
  for (let i = 0; i < linked.length; i++) {
    linked.splice(i, linked.length, ...linked.slice(i).sort(byPath));
    const real = await realOf(linked[i]!.absolute).catch(() => null);
    if (real === null) left.place('broken', linked[i]!.absolute);
    else if (ownFile !== undefined && (await ownFolderAround(real, ownFile)) !== null)
      left.place('own', linked[i]!.absolute);
    else await descend({ ...linked[i]!, real, linked: true });
  }
  files.sort(byPath);
  return { files, closed, leftOut: left.summary() };
}

/** The real path of a folder, in the form of the store. */
const realOf = async (path: string) => kept(await realpath(onDisk(path), 'buffer'));

const extensionOf = (name: string) => extname(name).toLowerCase();

const isFolder = (path: string) =>
  stat(onDisk(path)).then(
    (s) => s.isDirectory(),
    () => false,
  );

const isFile = (path: string) =>
  stat(onDisk(path)).then(
    (s) => s.isFile(),
    () => false,
  );

type Described = { file: FoundFile } | { kind: string } | { left: 'special' | 'broken'; path: string };

/**
 * What stands under a name that is no folder: an image file with its size and time, or why it is left out. An image whose
 * name says so and that cannot be asked counts as empty: opening it then says what is wrong.
 */
async function describe(
  place: { folder: number; path: string; absolute: string },
  { name, linked }: { name: string; linked: boolean },
): Promise<Described> {
  const absolute = join(place.absolute, name);
  const extension = extensionOf(name);
  const unsupported = UNSUPPORTED_EXTENSIONS.has(extension);
  const isCalledImage = unsupported || IMAGE_EXTENSIONS.has(extension);
  const path = place.path === '' ? name : `${place.path}/${name}`;
  const found = { folder: place.folder, path, absolute, linked, unsupported };
  try {
    const s = await stat(onDisk(absolute));
    if (!s.isFile()) return { left: 'special', path: absolute };
    if (!isCalledImage) {
      const kind = FOREIGN_EXTENSIONS.has(extension) ? extension : await kindOf(absolute, extension);
      if (kind !== null) return { kind };
    }
    return { file: { ...found, bytes: s.size, mtime: Math.trunc(s.mtimeMs) } };
  } catch (error) {
    if (isCalledImage) return { file: { ...found, bytes: 0, mtime: 0 } };
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
      ? { left: 'broken', path: absolute }
      : { kind: extension || 'no extension' };
  }
}

/** Null for a file whose content is an image, whatever it is called; else what it is to be counted as. */
async function kindOf(path: string, extension: string): Promise<string | null> {
  let file: FileHandle | undefined;
  try {
    file = await open(onDisk(path), constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const { buffer, bytesRead } = await file.read(Buffer.alloc(256), 0, 256, 0);
    const head = buffer.subarray(0, bytesRead);
    const format = sniffFormat(head);
    // Two letters and a number begin many a text too.
    const isSure =
      format === 'bmp' ? isBmpHead(head) : format === 'netpbm' ? NETPBM_HEAD.test(head.toString('latin1')) : true;
    if (format !== null && format !== 'heif' && isSure) return null;
    const content = contentKind(head);
    return [content, extension || 'no extension'].filter(Boolean).join(', ');
  } catch {
    return extension || 'no extension';
  } finally {
    await file?.close();
  }
}

const NETPBM_HEAD = /^P[1-6]\s+(#[^\n]*\n\s*)*\d+\s+(#[^\n]*\n\s*)*\d+\s/;
const isBmpHead = (head: Buffer) => head.length >= 18 && [12, 40, 52, 56, 64, 108, 124].includes(head.readUInt32LE(14));

/** The class of an image: the first folder below the imported one, or null for an image that lies in no folder. */
export function labelOf(path: string): string | null {
  const slash = path.indexOf('/');
  return slash < 0 ? null : path.slice(0, slash);
}
