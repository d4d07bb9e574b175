import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';

/** File names that are imported, by extension. */
export const IMAGE_EXTENSIONS: ReadonlySet<string> = new Set(
  '.jpg .jpeg .jpe .jfif .png .webp .avif .tif .tiff .gif .bmp .dib'.split(' '),
);
/** Images that are recorded as unsupported, so that a user sees why they are left out. */
export const UNSUPPORTED_EXTENSIONS: ReadonlySet<string> = new Set(
  '.heic .heif .jp2 .j2k .jxl .psd .tga .exr .hdr .cr2 .cr3 .nef .arw .dng .orf .rw2 .raf'.split(' '),
);

export interface FoundFile {
  /** Index of the folder that was walked. */
  folder: number;
  /** Path inside it, with forward slashes. */
  path: string;
  absolute: string;
  bytes: number;
  /** Modification time, whole ms. */
  mtime: number;
  /** By its extension: an image that is known and not read. */
  unsupported: boolean;
}

export interface Walk {
  /** Sorted by folder, then path (UTF-16 code units). */
  files: FoundFile[];
  /** Files that are no images, by their extension. */
  ignored: number;
  /** Folders that could not be listed. */
  closed: string[];
}

export interface WalkOptions {
  signal?: AbortSignal | undefined;
  /** After each folder, with what was found so far. */
  onFound?: ((found: number, current: string) => void) | undefined;
}

/** Order of images wherever order counts: folder, then path by UTF-16 code units. */
export const byPath = (a: { folder: number; path: string }, b: { folder: number; path: string }) =>
  a.folder - b.folder || (a.path < b.path ? -1 : a.path > b.path ? 1 : 0);

/** Files asked for their size at a time. */
const STATS = 128;

/**
 * Every image file below the folders. Hidden files and folders are skipped. Links are followed, linked folders only after
 * all others and each real folder once, so loops end and a real path wins over a linked one. Ends early, with what it
 * has, when `signal` is aborted. A folder that cannot be listed is reported, not thrown.
 */
export async function walkFolders(folders: string[], { signal, onFound }: WalkOptions = {}): Promise<Walk> {
  const walk: Walk = { files: [], ignored: 0, closed: [] };
  const seen = new Set<string>();
  type Place = { folder: number; path: string; absolute: string; real: string };
  const linked: Omit<Place, 'real'>[] = [];

  const list = async (place: Place, deeper: Place[]) => {
    if (seen.has(place.real)) return;
    seen.add(place.real);
    let entries: Dirent[];
    try {
      entries = await readdir(place.absolute, { withFileTypes: true });
    } catch {
      walk.closed.push(place.absolute);
      return;
    }
    const images: Dirent[] = [];
    for (const entry of entries) {
      if (entry.name.startsWith('.')) continue;
      const path = place.path === '' ? entry.name : `${place.path}/${entry.name}`;
      const absolute = join(place.absolute, entry.name);
      if (entry.isDirectory()) {
        deeper.push({ folder: place.folder, path, absolute, real: join(place.real, entry.name) });
      } else if (entry.isSymbolicLink() && (await isFolder(absolute))) {
        linked.push({ folder: place.folder, path, absolute });
      } else if (hasExtension(entry.name, IMAGE_EXTENSIONS) || hasExtension(entry.name, UNSUPPORTED_EXTENSIONS)) {
        images.push(entry);
      } else {
        walk.ignored++;
      }
    }
    for (let from = 0; from < images.length && !signal?.aborted; from += STATS) {
      const part = await Promise.all(images.slice(from, from + STATS).map((entry) => describe(place, entry.name)));
      for (const file of part) if (file) walk.files.push(file);
      onFound?.(walk.files.length, place.absolute);
    }
  };
  const descend = async (start: Place) => {
    const stack = [start];
    for (let place = stack.pop(); place && !signal?.aborted; place = stack.pop()) await list(place, stack);
  };

  for (const [folder, absolute] of folders.entries()) {
    await descend({ folder, path: '', absolute, real: await realpath(absolute) });
  }
  // `linked` grows while linked folders are walked.
  for (let i = 0; i < linked.length; i++) {
    linked.splice(i, linked.length, ...linked.slice(i).sort(byPath));
    const real = await realpath(linked[i]!.absolute).catch(() => null);
    if (real !== null) await descend({ ...linked[i]!, real });
  }
  walk.files.sort(byPath);
  return walk;
}

const hasExtension = (name: string, set: ReadonlySet<string>) => set.has(extname(name).toLowerCase());

const isFolder = (path: string) =>
  stat(path).then(
    (s) => s.isDirectory(),
    () => false,
  );

/** A file's size and time; null for what is no file (a socket, a device). One that cannot be asked counts as empty. */
async function describe(
  place: { folder: number; path: string; absolute: string },
  name: string,
): Promise<FoundFile | null> {
  const absolute = join(place.absolute, name);
  const found = {
    folder: place.folder,
    path: place.path === '' ? name : `${place.path}/${name}`,
    absolute,
    unsupported: hasExtension(name, UNSUPPORTED_EXTENSIONS),
  };
  try {
    const s = await stat(absolute);
    return s.isFile() ? { ...found, bytes: s.size, mtime: Math.trunc(s.mtimeMs) } : null;
  } catch {
    return { ...found, bytes: 0, mtime: 0 };
  }
}

/** The class of an image: the first folder below the imported one, or null for an image that lies in no folder. */
export function labelOf(path: string): string | null {
  const slash = path.indexOf('/');
  return slash < 0 ? null : path.slice(0, slash);
}
