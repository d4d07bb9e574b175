import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { describeFiles, isIntact } from '../../tools/bootstrap/tensorflow.mjs';
import { fetchWheel, filesBelow } from '../../tools/bootstrap/wheels.mjs';

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
const env = () => ({
  PATH: bin,
  HOME: folder,
  XDG_CACHE_HOME: join(folder, 'cache'),
  PIP_INDEX_URL: 'http://127.0.0.1:9/simple', // where nobody answers
});
const setUp = (args = ARGS) => spawnSync(process.execPath, args, { encoding: 'utf8', env: env() });
const choice = () => JSON.parse(readFileSync(join(cache, 'current.json'), 'utf8'));
/** Passes for pip until it is asked to download. */
const pip = (download: string) =>
  program('python3', `case "$*" in *--version*) exit 0;; *download*) ${download};; esac`);

describe.skipIf(process.platform !== 'linux' || process.arch !== 'x64')(
  'what is missing is one sentence, and WASM goes on',
  () => {
    test('no Python, and no network either', () => {
      program('g++', 'exit 0');
      const { status, stdout, stderr } = setUp();
      expect(stderr).toContain('check the network or proxy');
      expect(stderr).toContain('With Python and pip installed');
      expect(stderr).toContain('WASM');
      expect(stderr).not.toContain('    at '); // no stack
      expect(stdout).toBe('');
      expect(stderr).not.toContain('Everything is set up');
      expect(stderr).toContain('Set up without TensorFlow');
      expect(status).toBe(0);
      expect(choice().state).toBe('absent');
    });

    test.each([
      '',
      '{',
      '{"state":"ready","folder":"/x"',
      '{}',
      'null',
      '{"state":"ready"}',
      '{"variant":"rocm"}',
      '[]',
    ])('a note of what is in use that holds %j is made anew, and the next start goes on from there', (text) => {
      program('g++', 'exit 0');
      mkdirSync(cache, { recursive: true });
      writeFileSync(join(cache, 'current.json'), text);
      const { status, stderr } = setUp([ARGS[0]!, 'setup']);
      expect(stderr).toContain('check the network or proxy');
      expect(stderr).not.toContain('    at ');
      expect(status).toBe(0);
      expect(choice().state).toBe('absent');
    });

    test('a cache that cannot be made is one sentence, and WASM goes on', () => {
      program('g++', 'exit 0');
      writeFileSync(join(folder, 'cache'), 'a file stands there');
      const { status, stderr } = setUp();
      expect(stderr).toContain('cannot be written');
      expect(stderr).toContain('set XDG_CACHE_HOME');
      expect(stderr).toContain('WASM');
      expect(stderr).not.toContain('    at ');
      expect(status).toBe(0);
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

describe('a wheel', () => {
  // A wheel is a ZIP archive; this one is made by hand, uncompressed.
  const wheelOf = (files: Record<string, string>) => {
    const parts: Buffer[] = [];
    const central: Buffer[] = [];
    let at = 0;
    for (const [name, text] of Object.entries(files)) {
      const data = Buffer.from(text);
      const head = Buffer.alloc(30);
      head.writeUInt32LE(0x04034b50, 0);
      head.writeUInt32LE(crc32(data), 14);
      head.writeUInt32LE(data.length, 18);
      head.writeUInt32LE(data.length, 22);
      head.writeUInt16LE(name.length, 26);
      const entry = Buffer.alloc(46);
      entry.writeUInt32LE(0x02014b50, 0);
      head.copy(entry, 6, 4, 30);
      entry.writeUInt32LE((0o100755 << 16) >>> 0, 38);
      entry.writeUInt32LE(at, 42);
      parts.push(head, Buffer.from(name), data);
      central.push(entry, Buffer.from(name));
      at += 30 + name.length + data.length;
    }
    const end = Buffer.alloc(22);
    end.writeUInt32LE(0x06054b50, 0);
    end.writeUInt16LE(Object.keys(files).length, 8);
    end.writeUInt16LE(Object.keys(files).length, 10);
    end.writeUInt32LE(Buffer.concat(central).length, 12);
    end.writeUInt32LE(at, 16);
    return Buffer.concat([...parts, ...central, end]);
  };
  const content = wheelOf({
    'nvidia/nvcc/bin/ptxas': 'tool',
    'tensorflow/libtensorflow_cc.so.2': 'library',
    'tensorflow/python/keras.py': 'not needed',
  });
  const file = 'some_wheel-1.0-py3-none-manylinux_2_27_x86_64.whl';
  const wheel = (sha256: string) => ({ name: 'some-wheel', version: '1.0', file, sha256, bytes: content.length });
  const sha256 = createHash('sha256').update(content).digest('hex');
  let server: Server;
  beforeEach(async () => {
    server = createServer((request, response) => {
      if (request.url === '/simple/some-wheel/') response.end(`<a href="../../files/${file}#sha256=0">${file}</a>`);
      else if (request.url === `/files/${file}`) response.end(content);
      else response.writeHead(404).end();
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    process.env.PIP_INDEX_URL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple/`;
  });
  afterEach(() => {
    delete process.env.PIP_INDEX_URL;
    server.close();
  });

  test('comes over plain HTTP where there is no pip; what is needed is unpacked, tools executable', async () => {
    await fetchWheel(null, folder, wheel(sha256));
    expect(filesBelow(folder).filter((f: string) => !f.endsWith('.done'))).toEqual([
      'nvidia/nvcc/bin/ptxas',
      'tensorflow/libtensorflow_cc.so.2',
    ]);
    expect(readFileSync(join(folder, 'tensorflow/libtensorflow_cc.so.2'), 'utf8')).toBe('library');
    expect(statSync(join(folder, 'nvidia/nvcc/bin/ptxas')).mode & 0o111).not.toBe(0);
    server.close(); // nobody is asked a second time
    await fetchWheel(null, folder, wheel(sha256));
  });

  test('with another content than the locked one is refused, and nothing of it stays', async () => {
    await expect(fetchWheel(null, folder, wheel('0'.repeat(64)))).rejects.toThrow('is not what its checksum says');
    expect(existsSync(join(folder, 'tensorflow'))).toBe(false);
  });

  test('that the index does not list is said to be missing there', async () => {
    await expect(fetchWheel(null, folder, { ...wheel(sha256), file: 'other.whl' })).rejects.toThrow(
      'does not list other.whl',
    );
  });
});

describe('what stands in the cache', () => {
  const write = (text: string) => writeFileSync(join(folder, 'library.so'), text);
  const seal = async () =>
    writeFileSync(join(folder, 'runtime.json'), JSON.stringify({ files: await describeFiles(folder) }));

  test('is intact until a file is lost, cut short or, looked at thoroughly, changed', async () => {
    expect(await isIntact(folder, false)).toBe(false);
    write('as it was');
    await seal();
    expect(await isIntact(folder, true)).toBe(true);
    write('as it IS.');
    expect(await isIntact(folder, false)).toBe(true);
    expect(await isIntact(folder, false, true)).toBe(false); // a set-up compares small files each time
    expect(await isIntact(folder, true)).toBe(false);
    write('as it');
    expect(await isIntact(folder, false)).toBe(false);
    for (const text of ['', '{', '{}', '{"files":[]}', '{"files":7}', 'null']) {
      writeFileSync(join(folder, 'runtime.json'), text);
      expect(await isIntact(folder, false), text).toBe(false);
    }
    rmSync(join(folder, 'library.so'));
    expect(await isIntact(folder, false)).toBe(false);
  });

  test('an unknown variant is refused', () => {
    const { status, stderr } = setUp([ARGS[0]!, 'setup', '--variant', 'rocm']);
    expect(stderr.trim()).toBe('There is no TensorFlow variant "rocm": choose cpu or cuda.');
    expect(status).toBe(1);
  });
});
