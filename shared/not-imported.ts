/** What a scan of a dataset's folders left out. Paths are in the store's form; of many only the first are kept. */
export interface NotImported {
  /** Files that are no images, by what they are: an extension in lower case, or what their content is. */
  kinds: { kind: string; count: number }[];
  /** Folders that could not be listed. */
  closed: Places;
  /** Folders that systems and other programs keep previews and deleted files in. */
  system: Places;
  /** Files and folders whose name begins with a dot. */
  hidden: Places;
  /** This program's own folders. */
  own: Places;
  /** Pipes, sockets, devices. */
  special: Places;
  /** Links to files or folders that are not there. */
  broken: Places;
}

export interface Places {
  count: number;
  paths: string[];
}

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
