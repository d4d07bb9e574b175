import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { formatDoctor } from '../../electron/services/machine/doctor.ts';
import { Store } from '../../electron/store/store.ts';
import { behindItsBack, CONFIG, metric } from '../store/helpers.ts';

/** The program as it is built, in a process of its own, as a user runs it. */
const CLI = join(import.meta.dirname, '../../out/electron/cli.js');
const home = mkdtempSync(join(tmpdir(), 'damaged-'));
const database = join(home, 'workbench.sqlite');
const conmim = (...args: string[]) => {
  const { npm_execpath: _, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args, '--home', home], {
    encoding: 'utf8',
    env: { ...env, CONMIM_BACKEND: 'wasm' },
  });
  return { status, stdout, stderr, json: () => JSON.parse(stdout) };
};

/** Three runs: the first is sound, the row of the second is damaged, and the figures of the third. */
beforeAll(() => {
  const store = Store.open(database);
  const { id } = store.datasets.create({ name: 'photos', folders: [home], labels: 'none' });
  store.datasets.create({ name: 'spare', folders: [home], labels: 'none' });
  for (const name of ['sound', 'bad row', 'bad figures']) {
    const run = store.runs.create({
      name,
      dataset_id: id,
      preset: null,
      config: CONFIG,
      total_steps: 9,
      steps_per_epoch: 1,
    });
    store.runs.update(run.id, { status: 'finished' });
    store.metrics.add(run.id, [metric(1)]);
  }
  store.close();
  behindItsBack(database, (raw) => {
    raw.exec(`UPDATE runs SET runtime = '{}', status = 'running' WHERE id = 2`);
    raw.exec(`UPDATE metrics SET figures = '[]' WHERE run_id = 3`);
  });
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

test('the others are listed and shown; the damaged ones are named, with what is wrong in which column', () => {
  const got = conmim('runs', '--json');
  expect(got.status).toBe(0);
  expect(got.json()).toMatchObject([
    { id: 1, name: 'sound', last: { step: 1 } },
    { id: 2, name: 'bad row', damaged: { why: expect.stringContaining('Its column runs.runtime is not') } },
    { id: 3, name: 'bad figures', damaged: { why: expect.stringContaining('Its column metrics.figures is not') } },
  ]);
  const { stdout } = conmim('runs');
  expect(stdout).toContain('sound');
  expect(stdout).toMatch(
    /DAMAGED: run 2 "bad row"\. .+ Its column runs\.runtime is not as this program writes it: name: /,
  );
  expect(stdout).toMatch(
    /DAMAGED: run 3 "bad figures"\. The row of step 1 of run 3 .+ Its column metrics\.figures is not/,
  );
  expect(stdout).toContain('`conmim delete 2`');
  expect(conmim('show', 'sound').status).toBe(0);
  const own = conmim('show', '2', '--json');
  expect([own.status, own.json().error.why]).toEqual([1, expect.stringContaining('Its column runs.runtime is not')]);
});

test('doctor names each, with what to do', () => {
  const report = conmim('doctor', '--json').json();
  const { database: found } = report;
  expect(found).toMatchObject({ error: null, found: { problems: [] } });
  expect(found.rows).toMatchObject([
    { column: 'runs.runtime', rows: 1, first: [{ what: expect.stringContaining('run 2 "bad row"') }] },
    { column: 'metrics.figures', rows: 1, first: [{ what: expect.stringContaining('step 1 of run 3') }] },
  ]);
  const words = formatDoctor(report);
  expect(words).toMatch(/DAMAGED: The row of run 2 "bad row" cannot be read .+ Its column runs\.runtime is not/);
  expect(words).toContain('delete it: `conmim delete 2`');
  expect(words).not.toContain('its rows are as');
});

test('what has to do with other runs is done', () => {
  const used = conmim('delete-dataset', 'photos', '--json').json().error;
  expect([used.what, used.next]).toEqual(['Dataset "photos" is used by 3 runs.', expect.stringContaining('delete 1')]);
  expect(conmim('delete-dataset', 'spare').status).toBe(0);
  const weightless = conmim(
    'export',
    'run:sound',
    '--format',
    'timm',
    '--out',
    join(home, 'a.safetensors'),
    '--json',
  ).json().error;
  expect(weightless.what).toBe('Run "sound" has no checkpoint yet.');
});

test('they are deleted, by number and by name; then nothing is damaged', () => {
  const got = conmim('delete', '2', 'bad figures');
  expect([got.status, got.stderr]).toEqual([0, '']);
  expect(conmim('runs', '--json').json()).toMatchObject([{ id: 1 }]);
  const report = conmim('doctor', '--json').json();
  expect(report.database.rows).toEqual([]);
  expect(formatDoctor(report)).toContain('its rows are as this program writes them');
});
