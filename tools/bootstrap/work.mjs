import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  createReadStream,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statfsSync,
  statSync,
  utimes,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { beginOf, isAlive } from '../../electron/files/alive.mjs';
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
      `${what} needs ${gigabytes(bytes)} GB in ${folder}, where ${gigabytes(bavail * bsize)} GB are free: make room, ` +
        'or set XDG_CACHE_HOME to a folder on another disk.',
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

/** A ticket of another machine counts as held while it was touched so lately, ms: its processes cannot be asked for. */
const FOREIGN = 120_000;
const BEAT = 10_000;

/** Whether whoever wrote a ticket is there. */
function isHeld(path, { pid, begin, host }) {
  if (host === hostname()) return isAlive(pid, begin);
  const touched = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return Date.now() - touched < FOREIGN;
}

/** Tickets of processes that are there, by name. Those of others are removed: a name is never used again. */
function ticketsIn(folder) {
  const tickets = [];
  for (const name of readdirSync(folder)) {
    const [, kind, number, pid, begin, host] = /^(draws|waits)-(\d+)-(\d+)-(\d*)-(.*)-[0-9a-f]{12}$/.exec(name) ?? [];
    if (kind === undefined) continue;
    const ticket = { name, kind, number: Number(number), pid: Number(pid), begin, host: decodeURIComponent(host) };
    if (isHeld(join(folder, name), ticket)) tickets.push(ticket);
    else rmSync(join(folder, name), { force: true });
  }
  return tickets;
}

const held = new Set();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * One set-up at a time for a folder; whoever is gone holds nothing. Lamport's bakery (1974): each draws a number beyond
 * all that it sees, and waits for those who draw just now, and for smaller numbers. There is no lock to be taken over,
 * so two cannot take over the same one.
 */
export async function locked(folder, act) {
  const tickets = join(folder, '.lock');
  if (held.has(tickets)) return act(); // within a step that holds it already
  const me = `${process.pid}-${beginOf(process.pid)}-${encodeURIComponent(hostname())}-${randomBytes(6).toString('hex')}`;
  const put = (kind, number) => {
    const name = `${kind}-${number}-${me}`;
    for (;;) {
      mkdirSync(folder, { recursive: true });
      clearOlderLock(tickets);
      mkdirSync(tickets, { recursive: true });
      try {
        writeFileSync(join(tickets, name), '');
        return name;
      } catch (error) {
        if (error.code !== 'ENOENT') throw error; // whoever was last has removed the folder just now
      }
    }
  };
  let mine;
  try {
    const draws = put('draws', 0);
    const number = 1 + Math.max(0, ...ticketsIn(tickets).map((ticket) => ticket.number));
    mine = { name: put('waits', number), number };
    rmSync(join(tickets, draws), { force: true });
  } catch (error) {
    throw unwritable(folder, error) ?? error;
  }
  const beat = setInterval(() => utimes(join(tickets, mine.name), new Date(), new Date(), () => {}), BEAT);
  try {
    const isBefore = ({ kind, number, name }) =>
      kind === 'draws' || number < mine.number || (number === mine.number && name < mine.name);
    for (let told = false; ; ) {
      const before = ticketsIn(tickets).find((ticket) => ticket.name !== mine.name && isBefore(ticket));
      if (!before) break;
      if (!told && before.kind === 'waits') {
        const where = before.host === hostname() ? '' : ` of ${before.host}`;
        say(
          `Waiting for another set-up (process ${before.pid}${where}) … If it is none, end this and remove ${join(tickets, before.name)}.`,
        );
        told = true;
      }
      await sleep(before.kind === 'draws' ? 10 : 300);
    }
    held.add(tickets);
    return await act();
  } finally {
    held.delete(tickets);
    clearInterval(beat);
    rmSync(join(tickets, mine.name), { force: true });
    try {
      rmdirSync(tickets);
    } catch {
      // others wait
    }
  }
}

/** A lock as an older version made it, a file with the number of a process: nobody of today holds it. */
function clearOlderLock(path) {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() && !isAlive(Number(readFileSync(path, 'utf8')), ''))
    rmSync(path, { force: true });
}

/** What the system says of a place that cannot be written, as a sentence; null for any other fault. */
export function unwritable(folder, error) {
  const why = {
    EROFS: 'its disk is mounted for reading only',
    EACCES: 'you may not write there',
    EPERM: 'you may not write there',
    ENOSPC: 'its disk is full',
    EDQUOT: 'your share of its disk is used up',
    ENOTDIR: 'a part of its path is a file',
    EEXIST: 'a file has its name',
  }[error.code];
  if (!why) return null;
  const at = error.path ?? folder;
  return new Sentence(
    `${at} cannot be written, as ${why}: make room or ask for the right to write there, or set XDG_CACHE_HOME to ` +
      'another folder, and run the same command again.',
  );
}

/** A JSON file of the set-up; null where there is none, or it was cut short: then what it speaks of is made anew. */
export function readJson(path) {
  try {
    const value = JSON.parse(readFileSync(path, 'utf8'));
    return typeof value === 'object' ? value : null;
  } catch (error) {
    if (error.code !== 'ENOENT') say(`${path} cannot be read, and is made anew.`);
    return null;
  }
}
