import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { GRID, makeLearnedMae } from '../e2e/learned-run.ts';

/** The built program, and a run of a method that trains neither a teacher nor a projector. */
const CLI = join(import.meta.dirname, '../../out/electron/cli.js');
const folder = mkdtempSync(join(tmpdir(), 'methods-'));
const home = join(folder, 'home');
const conmim = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args, '--home', home], { encoding: 'utf8' });
  return { status, stdout, stderr, json: () => JSON.parse(stdout) };
};
const [RUN, OF] = ['run:1', ['--dataset', 'pictures']] as const;

beforeAll(async () => {
  await loadBackend();
  await makeLearnedMae(home);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('explain: both networks’ figures, and a sheet of their pictures', async () => {
  const png = join(folder, 'explain.png');
  const asked = ['explain', RUN, ...OF, '--image', 'image 003', '--mask', '1,1-2,4'];
  const got = conmim(...asked, '--png', png, '--json').json();
  const hidden = Array.from({ length: GRID * GRID }, (_, patch) => patch < 2 * GRID);
  expect(got.networks.map((one: { name: string }) => one.name)).toEqual(['step 9', 'before training']);
  for (const { mask, figures, maps } of got.networks) {
    expect(mask).toEqual(hidden);
    expect(figures.error).toBeGreaterThan(0);
    expect(maps.error.map((error: number | null) => error !== null)).toEqual(hidden);
  }
  expect(got.networks[0].figures.nothing).toBe(got.networks[1].figures.nothing);
  const { width, height } = await sharp(png).metadata();
  expect([width! > 900, height! > 600]).toEqual([true, true]);
  const words = conmim(...asked);
  expect(words.stdout).toContain('mean error over removed patches');
  expect(words.stdout).toContain('8 patches hidden');
  if (process.env.CONMIM_SHOTS) await sharp(png).toFile(join(process.env.CONMIM_SHOTS, 'explain.png'));
});

test.each([
  [['explain', RUN, ...OF, '--image', 'image 003', '--view', 'lookups'], 'MAE cannot be asked for "lookups"'],
  [['lookups', RUN, ...OF], 'MAE has no look-ups'],
  [['evaluate', RUN, ...OF, '--task', 'lookup'], 'MAE has no look-ups'],
  [['index', RUN, ...OF, '--part', 'teacher'], 'MAE trains no teacher'],
  [['index', RUN, ...OF, '--feature', 'projector'], 'projector'],
  [['travel', '1', ...OF, '--image', 'image 003', '--patch', '1,1', '--part', 'teacher'], 'MAE trains no teacher'],
  [['finetune', RUN, ...OF, '--network', 'teacher', '--queue'], 'MAE trains no teacher'],
  [
    ['export', RUN, '--out', join(folder, 't.safetensors'), '--format', 'timm', '--network', 'teacher'],
    'MAE trains no teacher',
  ],
  [['export-weights', RUN, join(folder, 'w.safetensors'), '--network', 'teacher'], 'MAE trains no teacher'],
  [['embeddings', RUN, ...OF, '--out', join(folder, 'e.csv'), '--network', 'teacher'], 'MAE trains no teacher'],
  [['embeddings', RUN, ...OF, '--out', join(folder, 'e.csv'), '--feature', 'projector'], 'MAE trains no projector'],
  [
    ['features', RUN, ...OF, '--view', 'attention', '--out', join(folder, 'f.png'), '--network', 'teacher'],
    'MAE trains no teacher',
  ],
])('%j is refused in words', (args, words) => {
  const { status, stderr } = conmim(...args);
  expect(stderr).toContain(words);
  expect(status).toBe(1);
  for (const name of ['t.safetensors', 'w.safetensors', 'e.csv', 'f.png'])
    expect(existsSync(join(folder, name))).toBe(false);
});

test('patches are searched by the student where no teacher is', () => {
  const args = ['travel', '1', ...OF, '--image', 'image 003', '--patch', '1,1', '--json'];
  const got = conmim(...args);
  expect(got.stderr).not.toContain('teacher');
  expect(got.json().stations).toHaveLength(2);
});
