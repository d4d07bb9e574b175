import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { progress, Sentence, say } from './say.mjs';

/** Bytes of all files below a folder. */
function folderBytes(path) {
  let sum = 0;
  try {
    for (const entry of readdirSync(path, { withFileTypes: true, recursive: true })) {
      if (!entry.isFile()) continue;
      try {
        sum += statSync(join(entry.parentPath ?? entry.path, entry.name)).size;
      } catch {
        // renamed meanwhile
      }
    }
  } catch {
    // not there yet
  }
  return sum;
}

/**
 * Runs a command to its end behind a bar that shows how `watch` grows.
 * @returns {Promise<{code: number, output: string}>} code 127 where there is no such command
 */
export async function work(title, command, args, { cwd, env, watch, total } = {}) {
  const bar = progress(title, total ?? null);
  bar.at(0);
  const timer = setInterval(() => bar.at(watch ? folderBytes(watch) : 0), 500);
  try {
    return await quietly(command, args, { cwd, env });
  } finally {
    clearInterval(timer);
    bar.done();
  }
}

/** Runs a command without a word. */
export function quietly(command, args, { cwd, env } = {}) {
  return new Promise((resolve) => {
    const shell = process.platform === 'win32' && command === 'npm';
    const child = spawn(command, args, { cwd, env: env ?? process.env, stdio: ['ignore', 'pipe', 'pipe'], shell });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    child.once('error', (error) => resolve({ code: error.code === 'ENOENT' ? 127 : 1, output: error.message }));
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

/** @returns {Promise<string>} hexadecimal */
export function fileHash(path, algorithm, encoding = 'hex') {
  return new Promise((resolve, reject) => {
    const hash = createHash(algorithm);
    createReadStream(path)
      .on('data', (part) => hash.update(part))
      .once('error', reject)
      .once('end', () => resolve(hash.digest(encoding)));
  });
}

const gigabytes = (bytes) => (bytes / 1e9).toFixed(1);

/** @throws Sentence where the disk has less than is needed */
export function needDisk(folder, bytes, what) {
  mkdirSync(folder, { recursive: true });
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize < bytes) {
    throw new Sentence(
      `${what} needs ${gigabytes(bytes)} GB in ${folder}, where ${gigabytes(bavail * bsize)} GB are free: make room, or set XDG_CACHE_HOME to a folder on another disk.`,
    );
  }
}

/** Why a download failed, as a sentence. */
export function downloadSentence(what, output) {
  if (/ENOSPC|No space left/i.test(output))
    return `The disk is full: make room, and run the same command again to fetch ${what}.`;
  if (/DO NOT MATCH|EINTEGRITY/i.test(output))
    return `${what} is not what its checksum says: try again later, or check the mirror that you use.`;
  const last = output.trim().split('\n').at(-1) ?? '';
  return `${what} could not be fetched (${last.slice(0, 200)}): check the network or proxy, and run the same command again.`;
}

const isAlive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
};

/** One set-up at a time for a folder; the lock of a process that is gone is taken over. */
export async function locked(folder, act) {
  const lock = join(folder, '.lock');
  mkdirSync(folder, { recursive: true });
  for (let told = false; ; ) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      const holder = existsSync(lock) ? Number(readFileSync(lock, 'utf8')) : 0;
      if (holder === process.pid) return act(); // within a step that holds it already
      if (!holder || !isAlive(holder)) {
        rmSync(lock, { force: true });
        continue;
      }
      if (!told) say(`Waiting for another set-up (process ${holder}) …`);
      told = true;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
  try {
    return await act();
  } finally {
    rmSync(lock, { force: true });
  }
}
