import { createHash } from 'node:crypto';
import { createWriteStream, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { progress, Sentence } from './say.mjs';
import { downloadSentence, quietly, work } from './work.mjs';

/** @typedef {{name: string, version: string, file: string, sha256: string, bytes: number}} Wheel as tools/runtime.lock.json names it */

/** @returns {Promise<string | null>} a Python that has pip */
export async function findPip() {
  for (const name of ['python3', 'python']) {
    if ((await quietly(name, ['-m', 'pip', '--version'])).code === 0) return name;
  }
  return null;
}

/**
 * Fetches a wheel, checks it, and unpacks what the runtime needs of it into a folder; does nothing where that was done.
 * @param {string | null} python with pip; null: plain HTTPS
 * @param {string} part the folder @param {Wheel} wheel
 */
export async function fetchWheel(python, part, wheel) {
  const marker = join(part, `.${wheel.file}.done`);
  if (existsSync(marker)) return; // an earlier set-up came so far
  const download = join(part, 'download');
  rmSync(download, { recursive: true, force: true });
  mkdirSync(download, { recursive: true });
  if (python) await byPip(python, download, wheel);
  else await byHttps(download, wheel);
  await unpack(join(download, wheel.file), part);
  rmSync(download, { recursive: true });
  writeFileSync(marker, '');
}

/** pip knows the user's mirrors and proxies, and checks the checksum. */
async function byPip(python, download, { name, version, file, sha256, bytes }) {
  const requirements = join(download, 'requirements.txt');
  writeFileSync(requirements, `${name}==${version} --hash=sha256:${sha256}\n`);
  // The wheel is the same whatever Python this machine has: it is asked for by its own tags.
  const [pythonTag, abi, platforms] = file
    .replace(/\.whl$/, '')
    .split('-')
    .slice(-3);
  const isCpython = pythonTag.startsWith('cp');
  const args = [
    ...['-m', 'pip', 'download', '--no-deps', '--require-hashes', '--only-binary=:all:', '--no-cache-dir'],
    ...['--disable-pip-version-check', '--progress-bar', 'off', '-q'],
    ...['--python-version', isCpython ? pythonTag.slice(2) : '311', '--implementation', isCpython ? 'cp' : 'py'],
    ...['--abi', abi, ...platforms.split('.').flatMap((platform) => ['--platform', platform])],
    ...['-d', download, '-r', requirements],
  ];
  const { code, output } = await work(`${name} ${version}`, python, args, {
    cwd: download,
    env: { ...process.env, TMPDIR: download },
    watch: download,
    total: bytes,
  });
  if (code !== 0 || !existsSync(join(download, file)))
    throw new Sentence(downloadSentence(`${name} ${version}`, output));
}

/** Without Python: from the index that PIP_INDEX_URL names, or from PyPI (simple repository API, PEP 503). */
async function byHttps(download, { name, version, file, sha256, bytes }) {
  const what = `${name} ${version}`;
  const index = (process.env.PIP_INDEX_URL ?? 'https://pypi.org/simple').replace(/\/+$/, '');
  const bar = progress(what, bytes);
  try {
    const page = new URL(`${index}/${name}/`);
    const answer = await fetchOrSay(page);
    const link = [...(await answer.text()).matchAll(/href="([^"]+)"/g)]
      .map((match) => new URL(match[1].replaceAll('&amp;', '&'), answer.url))
      .find((url) => decodeURIComponent(url.pathname.split('/').at(-1)) === file);
    if (!link) throw new Error(`${page.host} does not list ${file}`);
    const hash = createHash('sha256');
    let received = 0;
    const count = async function* (parts) {
      for await (const part of parts) {
        hash.update(part);
        received += part.length;
        bar.at(received);
        yield part;
      }
    };
    const body = await fetchOrSay(link);
    await pipeline(Readable.fromWeb(body.body), count, createWriteStream(join(download, file)));
    if (hash.digest('hex') !== sha256) throw new Error('EINTEGRITY');
  } catch (error) {
    const reason = error.cause?.message ?? error.cause?.code ?? error.message;
    throw new Sentence(`${downloadSentence(what, reason)} With Python and pip installed, their mirrors would be used.`);
  } finally {
    bar.done();
  }
}

async function fetchOrSay(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url.host} answers ${answer.status}`);
  return answer;
}

/** The libraries and headers of TensorFlow; NVIDIA's libraries and the compiler's tools that TensorFlow calls. */
const isNeeded = (name) =>
  /^tensorflow\/(libtensorflow_(cc|framework)\.so\.2$|include\/)/.test(name) ||
  /^nvidia\/.*\/(lib|bin|nvvm)\//.test(name);

/** Streams what is needed out of a wheel, which may be larger than memory. */
async function unpack(path, folder) {
  const { openPromise } = await import('yauzl'); // among the packages, which are there by now
  const bar = progress(`Unpacking ${path.split('/').at(-1).split('-')[0]}`, statSync(path).size);
  const zip = await openPromise(path);
  let read = 0;
  try {
    for await (const entry of zip.eachEntry()) {
      read += entry.compressedSize;
      bar.at(read);
      if (entry.fileName.endsWith('/') || !isNeeded(entry.fileName)) continue; // yauzl refuses names that lead out
      const to = join(folder, entry.fileName);
      mkdirSync(dirname(to), { recursive: true });
      const mode = (entry.externalFileAttributes >>> 16) & 0o777; // ptxas and its like must stay executable
      await pipeline(await zip.openReadStreamPromise(entry), createWriteStream(to, { mode: mode || 0o644 }));
    }
  } catch (error) {
    throw new Sentence(downloadSentence(path.split('/').at(-1), error.message));
  } finally {
    zip.close();
    bar.done();
  }
}

/** Paths of all files below a folder, relative, sorted. */
export const filesBelow = (folder) =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(folder.length + 1))
    .sort();
