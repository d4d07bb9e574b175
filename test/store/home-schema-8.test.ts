import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, test } from 'vitest';

// A data folder that the program made when its database had schema 8 (test/fixtures/home-schema-8/README.md). Whatever
// the program is today, it opens that folder, shows all of it with the same figures, and goes on with what was unfinished.

const CLI = join(import.meta.dirname, '../../out/electron/cli.js');
const fixture = join(import.meta.dirname, '../fixtures/home-schema-8');
const expected = JSON.parse(readFileSync(join(fixture, 'expected.json'), 'utf8'));
const folder = mkdtempSync(join(tmpdir(), 'home-8-'));
const home = join(folder, 'home');
const pictures = join(folder, 'pictures');

const { npm_execpath: _, ...env } = process.env;

function conmim(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args, '--home', home], {
    encoding: 'utf8',
    env,
  });
  return { status, stdout, stderr, json: () => JSON.parse(stdout) };
}

beforeAll(() => {
  cpSync(join(fixture, 'home'), home, { recursive: true });
  cpSync(join(fixture, 'images'), pictures, { recursive: true });
  const db = new Database(join(home, 'workbench.sqlite'));
  db.prepare('UPDATE datasets SET folders = ?').run(JSON.stringify([pictures]));
  // The checkout gave the files times of its own; those of the rows tell that they are unchanged.
  const rows = db.prepare('SELECT path, mtime FROM images').all() as { path: string; mtime: number }[];
  for (const { path, mtime } of rows) utimesSync(join(pictures, path), mtime / 1000, mtime / 1000);
  // What a reboot in the middle of training leaves: a row that says running, and a number that another process has now.
  db.prepare("UPDATE runs SET status = 'running', pid = ?, heartbeat = ? WHERE name = 'left running'").run(
    process.pid,
    Date.now(),
  );
  db.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the dataset, its classes and its prepared images are there', () => {
  expect(conmim('dataset', 'pictures', '--json').json()).toMatchObject(expected.dataset);
  expect(conmim('prepared', '--json').json()).toMatchObject([
    { dataset: 'pictures', size: 32, images: 30, missing: 0 },
  ]);
});

test.each(expected.runs as Record<string, unknown>[])('run $id, "$name", is shown with all its figures', (run) => {
  const got = conmim('show', String(run.id), '--json').json();
  const { evaluations, checkpoints, metrics, ...about } = run as Record<string, Record<string, unknown>[]>;
  if (run.name === 'left running') about.status = 'interrupted' as never;
  expect(got).toMatchObject(about);
  expect(got.metrics).toHaveLength(metrics!.length);
  // What was not measured was null, and may be missing now.
  const measured = metrics!.map((row) => Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null)));
  expect(got.metrics).toMatchObject(measured);
  expect(got.checkpoints).toMatchObject(checkpoints!);
  expect(got.evaluations).toMatchObject(evaluations!);
});

test('its index answers as it did', () => {
  const args = ['run:finished', '--dataset', 'pictures', '--image', 'class0/000.png', '--patch', '1,1'];
  const got = conmim('retrieve', ...args, '--json').json();
  expect(got).toMatchObject({ grid: expected.retrieve.grid, patches: expected.retrieve.patches });
  expect(got.results.map(({ path, patch }: { path: string; patch: number }) => [path, patch])).toEqual(
    expected.retrieve.results.map(({ path, patch }: { path: string; patch: number }) => [path, patch]),
  );
});

test.each(['paused', 'killed', 'left running', 'bf16'])('run "%s" goes on, or says why it does not', async (name) => {
  const before = conmim('show', name, '--json').json();
  const resumed = spawn(process.execPath, [CLI, 'resume', name, '--home', home], { env, stdio: 'ignore' });
  const ended = new Promise((resolve) => resumed.once('close', resolve));
  if (before.status === 'finished') {
    expect(await ended).toBe(1);
    return;
  }
  // Asked beside the program: a command for each question would take from the training what it needs.
  const db = new Database(join(home, 'workbench.sqlite'), { readonly: true });
  const step = db.prepare('SELECT step FROM runs WHERE name = ?').pluck();
  await expect.poll(() => step.get(name), { timeout: 120_000, interval: 100 }).toBeGreaterThan(before.step);
  db.close();
  expect(conmim('pause', name).status).toBe(0);
  await ended;
  const after = conmim('show', name, '--json').json();
  expect(after.status).toBe('paused');
  expect(after.checkpoints.at(-1).step).toBe(after.step);
});

test('an evaluation of what it trained gives the figures of then', () => {
  const got = conmim('evaluate', 'run:finished', '--dataset', 'pictures', '--task', 'lookup', '--json');
  expect(got.status, got.stderr).toBe(0);
});
