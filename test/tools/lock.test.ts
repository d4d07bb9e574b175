import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { locked, readJson } from '../../tools/bootstrap/work.mjs';

const WORK = new URL('../../tools/bootstrap/work.mjs', import.meta.url).href;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lock-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A process that holds the lock `times` times, and notes each begin and end in a file, which only one at a time can. */
function holder(times: number, stay: number) {
  const code = `
    import { existsSync, rmSync, writeFileSync } from 'node:fs';
    import { locked } from ${JSON.stringify(WORK)};
    const inside = ${JSON.stringify(join(folder, 'inside'))};
    for (let i = 0; i < ${times}; i++) {
      await locked(${JSON.stringify(folder)}, async () => {
        try { writeFileSync(inside, '', { flag: 'wx' }); } catch { console.log('TWO'); return; }
        await new Promise((r) => setTimeout(r, ${stay}));
        rmSync(inside);
      });
      console.log('done');
    }`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (err += text));
  const ended = new Promise<string>((resolve) => child.once('close', () => resolve(out)));
  return { child, ended, said: () => out, complained: () => err };
}

const name = (pid: number, begin: string, host = hostname()) =>
  `waits-1-${pid}-${begin}-${encodeURIComponent(host)}-0123456789ab`;
const begin = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[19]!;

test.skipIf(process.platform !== 'linux')(
  'of many that start at once, with a lock left behind, one holds it at a time; nothing stays',
  { timeout: 120_000 },
  async () => {
    mkdirSync(join(folder, '.lock'));
    writeFileSync(join(folder, '.lock', name(999_999_999, '1')), ''); // of a process that is gone
    writeFileSync(join(folder, '.lock', name(process.pid, '1')), ''); // whose number another has by now
    const all = Array.from({ length: 4 }, () => holder(25, 2));
    for (const out of await Promise.all(all.map(({ ended }) => ended)))
      expect(out.split('\n').filter(Boolean)).toEqual(Array(25).fill('done'));
    expect(existsSync(join(folder, '.lock'))).toBe(false);
  },
);

test.each(['', '-1', '0', '999999999'])(
  'an older set-up’s lock with %j, which is nobody’s, is cleared',
  async (text) => {
    writeFileSync(join(folder, '.lock'), text);
    expect(await locked(folder, async () => 'held')).toBe('held');
    expect(existsSync(join(folder, '.lock'))).toBe(false);
  },
);

test('one that is killed while it holds is not waited for', { timeout: 60_000 }, async () => {
  const first = holder(1, 60_000);
  while (!existsSync(join(folder, 'inside'))) await new Promise((r) => setTimeout(r, 20));
  first.child.kill('SIGKILL');
  await first.ended;
  rmSync(join(folder, 'inside'));
  expect((await holder(1, 1).ended).trim()).toBe('done');
});

test.skipIf(process.platform !== 'linux')(
  'who waits is told for whom, and how to end it',
  { timeout: 60_000 },
  async () => {
    const ticket = join(folder, '.lock', name(process.pid, begin(process.pid)));
    mkdirSync(join(folder, '.lock'));
    writeFileSync(ticket, '');
    const waits = holder(1, 1);
    while (!waits.complained().includes('Waiting')) await new Promise((r) => setTimeout(r, 20));
    expect(waits.complained()).toContain(`process ${process.pid}`);
    expect(waits.complained()).toContain(`remove ${ticket}`);
    rmSync(ticket);
    expect((await waits.ended).trim()).toBe('done');
  },
);

test('a lock as an older version left it, a file, is cleared where its process is gone', async () => {
  writeFileSync(join(folder, '.lock'), '999999999');
  expect(await locked(folder, async () => 7)).toBe(7);
  expect(existsSync(join(folder, '.lock'))).toBe(false);
});

test('a step within one that holds it goes on; what it throws comes out, and the lock is free', async () => {
  expect(await locked(folder, () => locked(folder, async () => 'inner'))).toBe('inner');
  await expect(
    locked(folder, async () => {
      throw new Error('mine');
    }),
  ).rejects.toThrow('mine');
  expect(existsSync(join(folder, '.lock'))).toBe(false);
});

test('a place that cannot be written is a sentence, of whatever kind it is', async () => {
  writeFileSync(join(folder, 'file'), '');
  await expect(locked(join(folder, 'file', 'below'), async () => 1)).rejects.toThrow('set XDG_CACHE_HOME');
});

test.each(['', '{', '{"state":"rea', 'null', '7', '"x"', '\0\0\0'])(
  'a file of the set-up that holds %j is made anew',
  (text) => {
    const path = join(folder, 'current.json');
    writeFileSync(path, text);
    expect(readJson(path)).toBeNull();
    expect(readJson(join(folder, 'none'))).toBeNull();
  },
);
