import { z } from 'zod';

const places = z.object({ count: z.number(), paths: z.array(z.string()) });
export type Places = z.infer<typeof places>;

/** What a scan of a dataset's folders left out. Paths are in the store's form; of many only the first are kept. */
export const notImportedSchema = z.object({
  /** Files that are no images, by what they are: an extension in lower case, or what their content is. */
  kinds: z.array(z.object({ kind: z.string(), count: z.number() })),
  /** Folders that could not be listed. */
  closed: places,
  /** Folders that systems and other programs keep previews and deleted files in. */
  system: places,
  /** Files and folders whose name begins with a dot. */
  hidden: places,
  /** This program's own folders. */
  own: places,
  /** Pipes, sockets, devices. */
  special: places,
  /** Links to files or folders that are not there. */
  broken: places,
});
export type NotImported = z.infer<typeof notImportedSchema>;

/** At most this many kinds and paths are named; of the rest only their number is given. */
const NAMED = 5;

/** Parts of a sentence on what an import left out, each with a count: "40 files of kinds that are not read (40 .txt)". */
export function notImportedParts(left: NotImported): string[] {
  const files = left.kinds.reduce((sum, { count }) => sum + count, 0);
  const listed = (items: string[], all: number) =>
    items.length === 0 ? '' : ` (${items.slice(0, NAMED).join(', ')}${all > NAMED ? ', …' : ''})`;
  const part = (count: number, one: string, many: string, items: string[], all: number) =>
    count === 0 ? [] : [`${count} ${count === 1 ? one : many}${listed(items, all)}`];
  const named = (why: Exclude<keyof NotImported, 'kinds'>, one: string, many: string) =>
    part(left[why].count, one, many, left[why].paths, left[why].count);
  return [
    ...named('closed', 'folder that cannot be listed', 'folders that cannot be listed'),
    ...part(
      ...([files, 'file of a kind that is not read', 'files of kinds that are not read'] as const),
      left.kinds.map(({ kind, count }) => `${count} ${kind}`),
      left.kinds.length,
    ),
    ...named('system', 'folder of previews or deleted files', 'folders of previews or deleted files'),
    ...named('hidden', 'hidden file or folder', 'hidden files and folders'),
    ...named('own', 'folder of this program’s own', 'folders of this program’s own'),
    ...named('special', 'pipe, socket or device', 'pipes, sockets or devices'),
    ...named('broken', 'link to what is not there', 'links to what is not there'),
  ];
}
