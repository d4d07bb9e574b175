import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { METHODS } from '../../methods/index.ts';
import { GRID, HEADS, MODEL, makeLearnedMae, makeLearnedRunOf } from '../e2e/learned-run.ts';

/** The built program, and a run of a method that trains neither a teacher nor a projector. */
const CLI = join(import.meta.dirname, '../../out/electron/cli.js');
const folder = mkdtempSync(join(tmpdir(), 'methods-'));
const home = join(folder, 'home');
const conmim = (...args: string[]) => {
  const at = args.includes('--home') ? [] : ['--home', home];
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args, ...at], { encoding: 'utf8' });
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

test('health: reconstructions and tokens, each beside the untrained network, in a page', () => {
  const file = join(folder, 'health.html');
  const report = conmim('health', RUN, ...OF, '--out', file, '--json').json();
  expect(report).toMatchObject({ images: 24, K: GRID * GRID, checkpoint: { step: 9 }, left_out: [] });
  expect(report.nothing).toBeGreaterThan(0.9);
  for (const { error, spread, patches, images } of [report.trained, report.untrained]) {
    // Weights of noise: what they draw is further off than nothing.
    expect(error).toBeGreaterThan(report.nothing);
    expect(spread).toBeGreaterThan(0);
    expect(patches).toMatchObject({ width: 32, rows: 24 * GRID * GRID });
    expect(patches.singular).toHaveLength(32);
    expect(images).toMatchObject({ width: 32, rows: 24 });
  }
  expect(report.trained.error).not.toBe(report.untrained.error);
  const titles = report.findings.map(({ title }: { title: string }) => title);
  expect(titles[0]).toBe('Hidden patches are not reconstructed');
  const page = readFileSync(file, 'utf8');
  for (const title of titles) expect(page).toContain(title);
  expect(page).toContain('Patch tokens, dimension by dimension');
  expect(page).not.toMatch(/look-up|keys|quer/i);
});

test('a model card says nothing of look-ups', () => {
  expect(conmim('evaluate', RUN, ...OF, '--task', 'knn').status).toBe(0);
  const file = join(folder, 'card.safetensors');
  expect(conmim('export', RUN, '--format', 'timm', '--out', file).status).toBe(0);
  const card = readFileSync(`${file}.md`, 'utf8');
  expect(card).toContain('Images that it learned from were seen without labels, and may be among the test images.\n');
  expect(card).not.toMatch(/look-up|teacher/i);
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

test('explain: what images are sorted into, by a method that does so', async () => {
  const other = join(folder, 'sorts');
  await makeLearnedRunOf(other, {
    method: { name: 'swav' },
    model: { ...MODEL, num_heads: HEADS },
    head: { hidden: 16, out: 8 },
    prototypes: { count: 5 },
  });
  const asked = ['explain', RUN, ...OF, '--images', '20', '--home', other];
  const [trained, untrained] = conmim(...asked, '--json').json().networks;
  expect([trained.images, trained.groups, trained.step, untrained.step]).toEqual([20, 5, 9, 0]);
  expect(trained.shown.reduce((sum: number, { count }: { count: number }) => sum + count, 0)).toBe(20);
  expect(conmim(...asked).stdout).toMatch(/prototypes in use .*\n.*prototype +images +nearest/s);
  expect(conmim(...asked, '--png', join(folder, 'g.png')).stderr).toContain('--png is for what is asked of one image');
});

test('patches are searched by the student where no teacher is', () => {
  const args = ['travel', '1', ...OF, '--image', 'image 003', '--patch', '1,1', '--json'];
  const got = conmim(...args);
  expect(got.stderr).not.toContain('teacher');
  expect(got.json().stations).toHaveLength(2);
});

test('methods: all of the index, and pretrain begins with a method’s own preset', () => {
  const listed = conmim('methods', '--json').json();
  expect(listed.map(({ name }: { name: string }) => name)).toEqual(METHODS.map(({ name }) => name));
  const words = conmim('methods').stdout;
  for (const { title, paper } of METHODS) for (const part of [title, paper.arxiv]) expect(words).toContain(part);

  const { name: method, preset } = listed[1];
  const run = conmim(
    'pretrain',
    'pictures',
    '--method',
    method,
    '--steps',
    '1',
    '--set',
    'train.batch_size=4',
    '--json',
  );
  expect(run.json()).toMatchObject({ preset, step: 1, config: { method: { name: method } } });
  const other = conmim('pretrain', 'pictures', '--method', method, '--preset', listed[0].preset);
  expect([other.status, other.stderr]).toEqual([1, expect.stringContaining(`conmim presets --method ${method}`)]);
  expect(conmim('pretrain', 'pictures', '--method', 'mea').stderr).toContain('Did you mean "mae"?');
});
