import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { databaseIn } from '../../electron/store/home.ts';
import type { Run } from '../../shared/run.ts';
import { makeLearnedMae } from '../e2e/learned-run.ts';
import { behindItsBack } from '../store/helpers.ts';

const CLI = join(import.meta.dirname, '../../out/electron/cli.js');
const home = mkdtempSync(join(tmpdir(), 'fine-tune-'));
const conmim = (...args: string[]) => {
  const { stdout, stderr } = spawnSync(process.execPath, [CLI, ...args, '--home', home], { encoding: 'utf8' });
  return { stderr, json: () => JSON.parse(stdout) };
};
afterAll(() => rmSync(home, { recursive: true, force: true }));

test('where a fine-tuning fails, the others are paused; it is said, with what starts them', async () => {
  await loadBackend();
  await makeLearnedMae(home);
  // What the first begins from is damaged; the untrained network needs none of it.
  behindItsBack(databaseIn(home), (raw) => raw.exec('UPDATE tensors SET data = zeroblob(length(data))'));
  const { error } = conmim(
    ...['finetune', 'run:1', '--dataset', 'pictures', '--epochs', '1', '--set', 'batch_size=4', '--json'],
  ).json();
  const [, trained, untrained] = conmim('runs', '--json').json() as Run[];
  expect([trained!.status, untrained!.status]).toEqual(['failed', 'paused']);
  expect(error.what).toContain('damaged');
  expect(error.next).toMatch(/\S Run 3 ".*, untrained" is paused; `conmim resume RUN` starts it\.$/);
  expect(conmim('resume', '3', '--json').json().status).toBe('finished');
});
