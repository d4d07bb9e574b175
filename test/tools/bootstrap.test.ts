import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const ARGS = [join(ROOT, 'tools/bootstrap.mjs'), 'setup', '--variant', 'cpu'];
let folder: string;
let bin: string;
let cache: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bootstrap-'));
  bin = join(folder, 'bin');
  mkdirSync(bin);
  cache = join(folder, 'cache', 'conmim-workbench');
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A program on the path that says and does what a test wants. */
function program(name: string, script: string): void {
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(bin, name), 0o755);
}
const real = (name: string) => {
  const path = spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout.trim();
  symlinkSync(path, join(bin, name));
};
const env = () => ({ PATH: bin, HOME: folder, XDG_CACHE_HOME: join(folder, 'cache') });
const setUp = () => spawnSync(process.execPath, ARGS, { encoding: 'utf8', env: env() });
const choice = () => JSON.parse(readFileSync(join(cache, 'current.json'), 'utf8'));
/** Passes for pip until it is asked to download. */
const pip = (download: string) =>
  program('python3', `case "$*" in *--version*) exit 0;; *download*) ${download};; esac`);

describe.skipIf(process.platform !== 'linux' || process.arch !== 'x64')(
  'what is missing is one sentence, and WASM goes on',
  () => {
    test('no Python', () => {
      const { status, stdout, stderr } = setUp();
      expect(stderr).toContain('apt install python3 python3-pip');
      expect(stderr).toContain('WASM');
      expect(stderr).not.toContain('    at '); // no stack
      expect(stdout).toBe('');
      expect(status).toBe(0);
      expect(choice().state).toBe('absent');
    });

    test('no compiler', () => {
      pip('exit 1');
      expect(setUp().stderr).toContain('A C++ compiler is missing');
    });

    test('no network', () => {
      pip('echo "ERROR: Could not reach the index" >&2; exit 1');
      program('g++', 'exit 0');
      const { stderr } = setUp();
      expect(stderr).toContain('Could not reach the index');
      expect(stderr).toContain('check the network or proxy');
    });

    test('a wheel that is not what its checksum says', () => {
      pip('echo "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES" >&2; exit 1');
      program('g++', 'exit 0');
      expect(setUp().stderr).toContain('is not what its checksum says');
    });

    test('the checksum that pip is told to require is the locked one', () => {
      pip('cat "$0.asked" 2>/dev/null; for a in "$@"; do last=$a; done; cat "$last" >&2; echo; exit 1');
      program('g++', 'exit 0');
      real('cat');
      const lock = JSON.parse(readFileSync(join(ROOT, 'tools/runtime.lock.json'), 'utf8'));
      expect(setUp().stderr).toContain(`--hash=sha256:${lock.tensorflow.variants.cpu.wheels[0].sha256}`);
    });
  },
);

describe.skipIf(process.platform !== 'linux' || process.arch !== 'x64')('interruption', () => {
  test('a set-up that is killed leaves nothing that looks complete, and its lock is taken over', async () => {
    pip('sleep 60');
    program('g++', 'exit 0');
    real('sleep');
    const child = spawn(process.execPath, ARGS, { env: env(), stdio: 'ignore', detached: true });
    const lock = join(cache, '.lock');
    while (!existsSync(lock) || !existsSync(cache) || !readdirSync(cache).some((f) => f.endsWith('.part')))
      await new Promise((r) => setTimeout(r, 20));
    process.kill(-child.pid!, 'SIGKILL');
    await new Promise((r) => child.once('close', r));
    expect(existsSync(lock)).toBe(true);
    expect(readdirSync(cache).filter((f) => existsSync(join(cache, f, 'runtime.json')))).toEqual([]);
    pip('echo gone >&2; exit 1');
    expect(setUp().stderr).toContain('could not be fetched (gone)');
    expect(existsSync(lock)).toBe(false);
  });
});
