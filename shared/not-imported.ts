import type { NotImported } from './domain.ts';

/** At most this many kinds and paths are named; of the rest only their number is given. */
const NAMED = 5;

/** Parts of a sentence on what an import left out, each with a count: "40 files of kinds that are not read (40 .txt)". */
export function notImportedParts(left: NotImported): string[] {
  const files = left.kinds.reduce((sum, { count }) => sum + count, 0);
  const listed = (items: string[], all: number) =>
    items.length === 0 ? '' : ` (${items.slice(0, NAMED).join(', ')}${all > NAMED ? ', …' : ''})`;
  const part = (count: number, one: string, many: string, items: string[], all: number) =>
    count === 0 ? [] : [`${count} ${count === 1 ? one : many}${listed(items, all)}`];
  const places = (why: Exclude<keyof NotImported, 'kinds'>, one: string, many: string) =>
    part(left[why].count, one, many, left[why].paths, left[why].count);
  return [
    ...places('closed', 'folder that cannot be listed', 'folders that cannot be listed'),
    ...part(
      ...([files, 'file of a kind that is not read', 'files of kinds that are not read'] as const),
      left.kinds.map(({ kind, count }) => `${count} ${kind}`),
      left.kinds.length,
    ),
    ...places('system', 'folder of previews or deleted files', 'folders of previews or deleted files'),
    ...places('hidden', 'hidden file or folder', 'hidden files and folders'),
    ...places('own', 'folder of this program’s own', 'folders of this program’s own'),
    ...places('special', 'pipe, socket or device', 'pipes, sockets or devices'),
    ...places('broken', 'link to what is not there', 'links to what is not there'),
  ];
}
