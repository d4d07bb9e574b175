import { z } from 'zod';
import { channel, nothing, path } from './schemas.ts';

/** The window itself: what program is behind it, and folders of the machine that it runs on. */

export const WINDOW = {
  'app.info': channel<AppInfo>()(nothing),
  /** Electron: the system's dialog. Browser: refused with `not-found`, and the window shows `folders.list`. */
  'folders.pick': channel<{ path: string | null }>()(nothing),
  /** Folders of the machine that this process runs on. No path: the home folder. */
  'folders.list': channel<FolderListing>()(z.strictObject({ path: path.nullable() })),
} as const;

export interface AppInfo {
  version: string;
  shell: 'electron' | 'browser';
  platform: string;
  /** Where the database is. */
  home: string;
  host: string;
}

export interface FolderListing {
  path: string;
  parent: string | null;
  folders: { name: string; path: string }[];
  /** Files in it that look like images, counted up to 1000. */
  images: number;
  /** Files in it that may hold weights, up to 1000. */
  weights: { name: string; path: string; bytes: number }[];
}
