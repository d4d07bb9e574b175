import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AppError } from '../../shared/errors.ts';
import { IMAGE_EXTENSIONS } from '../data/scan.ts';
import { kept, namedFolder, onDisk } from '../files/on-disk.ts';
import { requireOutput } from '../files/outputs.ts';
import { answer } from '../processes/answer.ts';
import type { Content, Entries, Look, OutsideQuestions } from '../services/ground/outside.ts';

/** The process behind `Outside`: a look that hangs blocks this process, not the program. */

const WEIGHTS = /\.(safetensors|pth|pt|bin)$/i;
const MOST = 1000;
const CHUNK = 2 ** 20;

const isGone = (error: unknown) => ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');

async function look(path: string): Promise<Look> {
  try {
    const found = await stat(onDisk(path), { bigint: true });
    const kind = found.isFile() ? 'file' : found.isDirectory() ? 'folder' : 'other';
    const mark = `${found.dev} ${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}`;
    return { kind, bytes: Number(found.size), mark };
  } catch (error) {
    if (isGone(error)) return { kind: 'none', bytes: 0, mark: '' };
    throw error;
  }
}

/** A pipe is opened without waiting for who writes to it, and nothing but a file is read. */
async function content(path: string): Promise<Content | null> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(onDisk(path), constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
  try {
    if (!(await file.stat()).isFile()) return null;
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(CHUNK);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, CHUNK);
      if (bytesRead === 0) break;
      hash.update(buffer.subarray(0, bytesRead));
    }
    return { hash: hash.digest('hex'), mark: (await look(path)).mark };
  } finally {
    await file.close();
  }
}

async function list(folder: string): Promise<Entries> {
  const found: Entries = { folders: [], weights: [], images: 0 };
  const isImage = (name: string) => IMAGE_EXTENSIONS.has(/\.[^.]+$/.exec(name)?.[0].toLowerCase() ?? '');
  const listed = namedFolder(folder);
  for (const entry of await readdir(onDisk(listed), { withFileTypes: true, encoding: 'buffer' })) {
    const name = kept(entry.name);
    const at = join(listed, name);
    // A link that leads nowhere, or where nobody may look, is no folder.
    const to = entry.isSymbolicLink() ? await look(at).catch(() => null) : null;
    const isFolder = entry.isDirectory() || to?.kind === 'folder';
    if (isFolder && !name.startsWith('.')) found.folders.push({ name, path: at });
    else if (found.images < MOST && isImage(name)) found.images++;
    else if (found.weights.length < MOST && WEIGHTS.test(name)) {
      const file = await look(at).catch(() => null);
      if (file?.kind === 'file') found.weights.push({ name, path: at, bytes: file.bytes });
    }
  }
  return found;
}

/** Makes a folder and those above it. Node's own way of it never ends where a file system answers ENOENT to all. */
async function make(folder: string): Promise<null> {
  try {
    await mkdir(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if ((await look(folder)).kind === 'folder') return null;
    if (code !== 'ENOENT' || dirname(folder) === folder) throw error;
    await make(dirname(folder));
    await mkdir(folder).catch(async (again) => {
      if ((await look(folder)).kind !== 'folder') throw again;
    });
  }
  return null;
}

type Work = 'look' | 'content' | 'list' | 'make';
const SAYS: Record<Work, string> = {
  look: 'cannot be looked at',
  content: 'cannot be looked at',
  list: 'cannot be listed',
  make: 'cannot be made',
};

/** What the system says of a path, as an error with words. */
async function said<T>(work: Work, path: string, act: (path: string) => Promise<T>): Promise<T> {
  try {
    return await act(path);
  } catch (error) {
    if (error instanceof AppError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const isClosed = code === 'EACCES' || code === 'EPERM';
    const next = `Choose another one${isClosed ? ', or change its permissions' : ''}.`;
    throw new AppError('bad-input', `${path} ${SAYS[work]}.`, `${message}.`, next);
  }
}

answer<OutsideQuestions>(
  {
    look: ({ path }) => said('look', path, look),
    content: ({ path }) => said('content', path, content),
    list: ({ path }) => said('list', path, list),
    make: ({ path }) => said('make', path, make),
    output: ({ path, rules }) => said('look', path, async () => requireOutput(path, rules)),
  },
  { isHard: true },
);
