import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CACHE, LOCK, PLATFORM, ROOT } from './paths.mjs';
import { Sentence } from './say.mjs';
import { downloadSentence, fileHash, locked, needDisk, quietly, work } from './work.mjs';

const NEEDED = 24;
const folder = join(CACHE, `node-${LOCK.node.version}`);
const binary = process.platform === 'win32' ? join(folder, 'bin', 'node.exe') : join(folder, 'bin', 'node');

/** The headers that belong to a Node, to compile against. */
export const headersOf = (node) => join(dirname(dirname(node)), 'include', 'node');

/** @returns {Promise<string>} path of a Node that is new enough: the running one, or one in the cache */
export async function ensureNode() {
  if (Number(process.versions.node.split('.')[0]) >= NEEDED) return process.execPath;
  if (existsSync(binary)) return binary;
  return fetchNode();
}

/** Node from its npm package, checked; also called where the running Node has no headers. */
export async function fetchNode() {
  const integrity = LOCK.node.packages[PLATFORM];
  if (!integrity)
    throw new Sentence(
      `Node ${NEEDED} or later is needed, and there is no package of it for ${PLATFORM}: install it from nodejs.org, and run the same command again.`,
    );
  return locked(CACHE, async () => {
    if (existsSync(binary)) return binary;
    needDisk(CACHE, LOCK.node.bytes_needed, `Node ${LOCK.node.version}`);
    const part = join(CACHE, 'node.part');
    rmSync(part, { recursive: true, force: true });
    mkdirSync(part, { recursive: true });
    const name = `node-${PLATFORM}@${LOCK.node.version}`;
    const packed = await work(
      `Node ${LOCK.node.version}`,
      'npm',
      ['pack', name, '--pack-destination', part, '--loglevel', 'error', '--silent'],
      { cwd: ROOT, watch: part, total: LOCK.node.download_bytes },
    );
    const archive = readdirSync(part).find((file) => file.endsWith('.tgz'));
    if (packed.code !== 0 || !archive) throw new Sentence(downloadSentence(name, packed.output));
    const found = `sha512-${await fileHash(join(part, archive), 'sha512', 'base64')}`;
    if (found !== integrity)
      throw new Sentence(`${name} is not what its checksum says: try again later, or check the mirror that you use.`);
    const unpacked = await quietly(
      'tar',
      ['-xzf', archive, '-C', part, 'package/bin', 'package/include', 'package/LICENSE'],
      { cwd: part },
    );
    if (unpacked.code !== 0)
      throw new Sentence(
        `${archive} could not be unpacked (${unpacked.output.trim().slice(0, 200)}): install tar, and run the same command again.`,
      );
    rmSync(folder, { recursive: true, force: true });
    renameSync(join(part, 'package'), folder);
    rmSync(part, { recursive: true, force: true });
    return binary;
  });
}
