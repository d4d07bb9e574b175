import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addCompareMethodsCommand } from '../../electron/cli/compare-methods-command.ts';
import { METHODS, parseRunConfig } from '../../methods/index.ts';
import { makeImages } from '../e2e/harness.ts';
import { behindItsBack } from '../store/helpers.ts';

/** The program as it is built, in a process of its own, as a user runs it. */
const CLI = join(import.meta.dirname, '../../out/electron/cli.js');
const folder = mkdtempSync(join(tmpdir(), 'compare-methods-'));
const conmim = (...args: string[]) => {
  const { npm_execpath: _, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args, '--home', join(folder, 'home')], {
    encoding: 'utf8',
    env,
  });
  return { status, stdout, stderr, json: () => JSON.parse(stdout) };
};
const TWO = METHODS.slice(0, 2);
const methods = TWO.map(({ name }) => name).join(',');
const small = ['image_size=32', 'embed_dim=16', 'depth=1', 'num_heads=2'].flatMap((one) => ['--set', `model.${one}`]);
const asked = ['compare-methods', 'pictures', '--methods', methods, ...small, '--set', 'train.batch_size=4'];

beforeAll(async () => {
  await makeImages(join(folder, 'pictures'), 24);
  expect(conmim('import', join(folder, 'pictures'), '--name', 'pictures', '--labels', 'folders').status).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('unless others are named, methods that stand alone are compared', () => {
  const program = new Command();
  addCompareMethodsCommand(program);
  const { defaultValue } = program.commands[0]!.options.find(({ long }) => long === '--methods')!;
  const alone = METHODS.filter(({ borrows }) => !borrows).map(({ name }) => name);
  expect(alone.length).toBeLessThan(METHODS.length);
  expect(defaultValue).toBe(alone.join(','));
});

test('a dry run says what it would take, and makes nothing', () => {
  const got = conmim(...asked, '--flops', '1e8', '--set', `${TWO[1]!.name}:train.batch_size=8`, '--dry-run', '--json');
  const { plan } = got.json();
  expect(plan.entries.map((one: { method: string }) => one.method)).toEqual(TWO.map(({ name }) => name));
  expect(plan.entries.map((one: { config: { train: object } }) => one.config.train)).toMatchObject([
    { batch_size: 4 },
    { batch_size: 8 },
  ]);
  for (const { steps, cost, config } of plan.entries)
    expect(steps).toBe(Math.round(1e8 / cost.flops_per_image / config.train.batch_size));
  expect(plan.seconds).toBeGreaterThan(0);
  expect(conmim('runs', '--json').json()).toEqual([]);
});

test('from start to report; what is done is not done again', () => {
  const report = join(folder, 'reports', 'first.html');
  const work = [...asked, '--images', '8', '--seeds', '2', '--tasks', 'knn', '--no-supervised', '--name', 'first'];
  const got = conmim(...work, '--report', report, '--json');
  expect(got.stderr).toContain('All takes about');
  const found = got.json();
  expect(found).toMatchObject({ name: 'first', state: 'finished', done: 8, total: 8, report });
  expect(found.rows.map(({ kind }: { kind: string }) => kind)).toEqual([
    ...['method', 'method', 'untrained', 'untrained', 'pixels'], // they know places differently
  ]);
  expect(found.rows[0].cells['knn mean_pooled'].spread.n).toBe(2);
  expect(readFileSync(report, 'utf8')).toContain('Two seeds cannot tell');
  const again = conmim('compare-methods', '--resume', 'first');
  expect(again.stdout).toContain('8 of 8 runs and evaluations are done.');
  expect(again.stderr).not.toContain('Ctrl-C pauses');
  expect(conmim('runs', '--json').json()).toHaveLength(4);
  expect(conmim('compare-methods').stdout).toMatch(/1 +first +pictures .* finished +8\/8/);
});

test('in the queue of the window, and forgotten', () => {
  const got = conmim(...asked, '--images', '8', '--seeds', '1', '--queue', '--name', 'later', '--json');
  expect(got.json()).toMatchObject({ name: 'later', state: 'going', done: 0 });
  const runs = conmim('runs', '--json').json().length;
  // One that is damaged is named, and can be forgotten all the same.
  behindItsBack(join(folder, 'home', 'workbench.sqlite'), (raw) =>
    raw.prepare(`UPDATE bake_offs SET plan = '{}' WHERE name = 'later'`).run(),
  );
  expect(conmim('compare-methods').stdout).toMatch(/later.*bake_offs\.plan.*--delete \d+/s);
  expect(conmim('compare-methods', '--delete', 'later').stdout).toContain('Its 2 runs stay');
  expect(conmim('compare-methods').stdout).not.toContain('later');
  expect(conmim('runs', '--json').json()).toHaveLength(runs);
  expect(conmim('compare-methods', '--delete', 'later').stderr).toContain('There is no bake-off "later"');
});

test('what a method takes over is trained first, also where the bake-off was begun elsewhere', () => {
  const borrowing = METHODS.find(({ name, borrows }) => borrows?.(parseRunConfig({ method: { name } })).length)!;
  const work = [...asked, '--methods', borrowing.name, '--images', '8', '--seeds', '1', '--tasks', 'knn'];
  const dry = conmim(...work, '--dry-run', '--json').json();
  expect(dry.plan.notices.join(' ')).toMatch(/is trained first, as a run of its own \(\S+, [\d,]+ steps\)/);
  const { rows } = conmim(...work, '--no-supervised', '--no-pixels', '--queue', '--name', 'lent', '--json').json();
  expect(rows[0].title).toBe(borrowing.title);
  const runs = conmim('runs', '--json').json();
  const lender = runs.find(({ name }: { name: string }) => name === 'pictures: tokenizer');
  // As it would be made it takes minutes.
  const config = { ...lender.config, train: { ...lender.config.train, batch_size: 4, steps: 2 } };
  behindItsBack(join(folder, 'home', 'workbench.sqlite'), (raw) =>
    raw.prepare('UPDATE runs SET config = ?, total_steps = 2 WHERE id = ?').run(JSON.stringify(config), lender.id),
  );
  const got = conmim('compare-methods', '--resume', 'lent');
  expect(got.stdout).toContain('2 of 2 runs and evaluations are done.');
  expect(conmim('show', String(lender.id), '--json').json()).toMatchObject({ status: 'finished', step: 2 });
});

test.each([
  [['--seeds', '3'], 'What may a run take?'],
  [['--images', '9', '--minutes', '1'], 'one budget'],
  [['--images', '9', '--seeds', '99'], 'At most 12 seeds'],
  [['--images', '9', '--set', 'train.steps=4'], 'follows from the seeds and the budget'],
  [['--images', '9', '--set', 'nobody:train.batch_size=4'], 'There is no method "nobody"'],
  [['--images', '9', '--set', 'train.batch=4'], 'There is no setting "train.batch"'],
  [['--images', '9', '--tasks', 'lookup'], 'no evaluation "lookup"'],
  [['--images', '9', '--set', 'model.num_heads=3'], `${TWO[0]!.title}: model.embed_dim cannot be used`],
  [['--images', '9', '--methods', 'nothing'], 'There is no method "nothing"'],
])('%j is refused in words', (args, words) => {
  const { status, stderr } = conmim(...asked, ...args, '--report', join(folder, 'no.html'));
  expect(stderr).toContain(words);
  expect(status).toBe(1);
  expect(existsSync(join(folder, 'no.html'))).toBe(false);
});
