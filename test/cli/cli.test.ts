import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readSafetensors } from '../../electron/formats/safetensors.ts';
import { databaseIn } from '../../electron/store/home.ts';
import { Store } from '../../electron/store/store.ts';
import { METHODS } from '../../methods/index.ts';
import type { Dataset } from '../../shared/dataset.ts';

/** The program as it is built, in a process of its own, as a user runs it. */
const CLI = join(import.meta.dirname, '../../out/electron/cli.js');
const folder = mkdtempSync(join(tmpdir(), 'cli-'));
const home = join(folder, 'home');
const images = join(folder, 'images');
const TINY = [
  'model.image_size=32',
  'model.patch_size=8',
  'mask.unit=8',
  'model.embed_dim=16',
  'model.depth=1',
  'model.num_heads=2',
  'projector.hidden=16',
  'projector.out=8',
  'train.batch_size=4',
  'checkpoint.every_steps=3',
];
const tiny = [...TINY, 'checkpoint.keep_last=2'].flatMap((s) => ['--set', s]);

function conmim(...args: string[]) {
  // Not as npm's child: what it starts itself is the built program too, and never a set-up that builds it anew.
  const { npm_execpath: _, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args, '--home', home], {
    encoding: 'utf8',
    env,
  });
  return { status, stdout, stderr, json: () => JSON.parse(stdout) };
}

beforeAll(async () => {
  for (const [c, name] of ['light', 'dark'].entries()) {
    for (let i = 0; i < 10; i++) {
      const noise = Buffer.from(
        Uint8Array.from({ length: 48 * 48 * 3 }, (_, p) => (c === 0 ? 140 : 0) + ((p * (i + 3) * 7919) % 110)),
      );
      mkdirSync(join(images, name), { recursive: true });
      await sharp(noise, { raw: { width: 48, height: 48, channels: 3 } })
        .png()
        .toFile(join(images, name, `${i}.png`));
    }
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the command line', () => {
  test('import, with JSON and nothing else on standard output', () => {
    const got = conmim('import', images, '--name', 'pictures', '--labels', 'folders', '--json');
    expect(got.stderr).toBe('');
    expect(got.json()).toMatchObject({ added: 20, dataset: { name: 'pictures', image_count: 20 } });
    expect(conmim('dataset', 'pictures', '--json').json().classes).toEqual([
      { label: 'dark', count: 10 },
      { label: 'light', count: 10 },
    ]);
    expect(conmim('import', images, '--name', 'pictures', '--json').json()).toMatchObject({ added: 0, unchanged: 20 });
  });

  test.skipIf(process.platform === 'win32')('a suggested command can be given as it stands, whatever the name', () => {
    const name = `-it's "mine", $HOME`;
    const mixed = join(folder, 'mixed');
    cpSync(join(images, 'dark'), mixed, { recursive: true });
    writeFileSync(join(mixed, 'broken.png'), 'no picture');
    const { stdout } = conmim('import', mixed, `--name=${name}`);
    const { id } = (conmim('datasets', '--json').json() as Dataset[]).find((one) => one.name === name)!;
    const command = /`(conmim dataset .*)` lists them/.exec(stdout)![1]!;
    const defined = `conmim() { "${process.execPath}" "${CLI}" --home "${home}" "$@"; }\n${command}`;
    const got = spawnSync('sh', ['-c', defined], { encoding: 'utf8' });
    expect(got.stderr).toBe('');
    expect(got.stdout).toContain('broken.png');
    expect(conmim('delete-dataset', String(id)).status).toBe(0);
  });

  test.each([
    [['pretrain', 'pictures', '--set', 'train.batchsize=4'], 'Did you mean "train.batch_size"?'],
    [['pretrain', 'pictures', '--set', 'mask.ratio=1.5'], '1'],
    [['pretrain', 'pictures', '--set', 'mask.kind=blok'], '"block"'],
    [['pretrain', 'pictures', '--set', 'model.patch_size=7'], 'nearest: 63'],
    [['pretrain', 'pictures', '--preset', 'smal-cpu'], '"small-cpu"'],
    [['pretrain', 'picturs'], 'pictures'],
    [['import', join(folder, 'nothing'), '--name', 'x'], 'nothing'],
    [['export-weights', '999', 'x.safetensors'], '999'],
    [['export', '1', '--format', 'onxx', '--out', 'x.onnx'], 'timm or onnx'],
    [['export', '999', '--format', 'onnx', '--out', 'x.onnx'], '999'],
  ])('refuses %j and says what works', (args, words) => {
    const got = conmim(...args, '--json');
    expect(got.status).toBe(1);
    const { error } = got.json();
    expect(`${error.what} ${error.why} ${error.next}`).toContain(words);
  });

  test('prepare: an estimate, then the files; a run that is told so has the same losses with and without them', () => {
    const estimate = conmim('prepare', 'pictures', '--size', '32', '--estimate', '--json');
    expect(estimate.stderr).toBe('');
    const plan = { dataset: 'pictures', size: 32, images: 20, ready: 0, bytes: 20 * 32 * 32 * 3 };
    expect(estimate.json()).toMatchObject(plan);
    expect(estimate.json().images_per_s).toBeGreaterThan(0);
    expect(conmim('prepared', '--json').json()).toEqual([]);
    const pretrain = (name: string) => {
      const set = ['--set', 'data.prepared=32', '--steps', '3', '--name', name];
      const { status, stderr } = conmim('pretrain', 'pictures', ...tiny, ...set);
      expect(status).toBe(0);
      return stderr;
    };
    expect(pretrain('decoded')).toContain('20 of 20 images are not prepared at 32 pixels');
    const { set, ...rest } = conmim('prepare', 'pictures', '--size', '32', '--json').json();
    expect(rest).toMatchObject({ added: 20, failures: 0, failed: [] });
    expect(set).toMatchObject({ size: 32, images: 20, missing: 0 });
    expect(pretrain('read')).not.toContain('not prepared');
    expect(outcome('read')).toEqual(outcome('decoded'));

    expect(conmim('prepare', 'pictures', '--preset', 'small-cpu', '--json').json().set).toMatchObject({ size: 96 });
    const listed = conmim('prepared').stdout;
    expect(listed).toMatch(/pictures +32 px +20 +61 kB/);
    expect(listed).toMatch(/pictures +96 px +20 +138 kB/); // of 48 pixels: they stay as they are
    const left = conmim('prepared', '--delete', String(set.id), '--json').json();
    expect(left).toMatchObject([{ dataset: 'pictures', size: 96, images: 20, missing: 0, bytes: 20 * 48 * 48 * 3 }]);
    const gone = conmim('prepared', '--delete', String(set.id), '--json');
    expect([gone.status, gone.json().error.kind]).toEqual([1, 'not-found']);
    expect(conmim('prepare', 'pictures', '--size', '5000', '--json').json().error.next).toContain('4096');
    for (const name of ['decoded', 'read']) conmim('delete', name);
  });

  test('pretrain --seeds: one run after the other, and every figure with its interval', () => {
    const seeds = ['--seeds', '3', '--set', 'train.seed=4', '--steps', '2', '--name', 'thrice'];
    const { runs, figures } = conmim('pretrain', 'pictures', ...tiny, ...seeds, '--json').json();
    expect(runs.map((run: { name: string }) => run.name)).toEqual(['4', '5', '6'].map((s) => `thrice, seed ${s}`));
    const losses = runs.map((run: { last: { loss: number } }) => run.last.loss) as number[];
    const mean = (losses[0]! + losses[1]! + losses[2]!) / 3;
    const sd = Math.sqrt(losses.reduce((sum, loss) => sum + (loss - mean) ** 2, 0) / 2);
    expect(figures.loss.mean).toBeCloseTo(mean, 9);
    // t of 0.975 with 2 degrees of freedom is 4.3027, in any table.
    expect(figures.loss.interval[1]).toBeCloseTo(mean + (4.3027 * sd) / Math.sqrt(3), 4);
    expect(conmim('pretrain', 'pictures', '--seeds', '99', '--json').json().error.kind).toBe('bad-input');
    for (const { id } of runs) conmim('delete', String(id));
  });

  test('pretrain, show, evaluate, export, import: what is written comes back', () => {
    const run = conmim('pretrain', 'pictures', ...tiny, '--steps', '7', '--name', 'first', '--json').json();
    expect(run).toMatchObject({ status: 'finished', step: 7, total_steps: 7 });
    expect(run.last.loss).toBeGreaterThan(0);
    expect(run.last.top1_control).toEqual(expect.any(Number));
    expect(run.checkpoints.map((c: { step: number }) => c.step)).toContain(7);
    const shown = conmim('show', 'first', '--json').json();
    expect(shown.metrics.at(-1).step).toBe(7);

    for (const task of ['knn', 'fewshot', 'linear', 'lookup']) {
      const result = conmim('evaluate', 'run:first', '--dataset', 'pictures', '--task', task, '--json').json();
      expect(Object.keys(result.trained)).toEqual(Object.keys(result.untrained));
      for (const value of Object.values(result.trained) as number[]) expect(value).toBeGreaterThanOrEqual(0);
      // Bright and dark are told apart by any network at all.
      if (task === 'knn' || task === 'linear') {
        expect(result.trained.mean_pooled).toBe(1);
        expect(result.confusion).toMatchObject({
          classes: ['dark', 'light'],
          trained: [
            [2, 0],
            [0, 2],
          ],
        });
      }
      if (task === 'fewshot') expect(result.trained.shots_5).toBeGreaterThan(0.9);
    }

    const sheet = join(folder, 'sheets', 'lookups.png');
    const looked = conmim(
      'lookups',
      'run:first',
      '--dataset',
      'pictures',
      '--images',
      '8',
      '--png',
      sheet,
      '--json',
    ).json();
    expect(looked.places.reduce((sum: number, { n }: { n: number }) => sum + n, 0)).toBeGreaterThan(0);
    expect(looked.untrained.top1).toBeGreaterThanOrEqual(0);
    expect(readFileSync(sheet).subarray(1, 4).toString()).toBe('PNG');
    const one = conmim('lookups', 'run:first', '--dataset', 'pictures', '--image', '.', '--json').json();
    expect(one.answers).toHaveLength(one.mask.filter(Boolean).length);
    // A mask by hand: a rectangle and a patch, of sixteen.
    const asked = ['lookups', 'run:first', '--dataset', 'pictures'];
    const single = join(folder, 'sheets', 'single.png');
    const drawn = conmim(...asked, '--image', '.', '--mask', '1,1-2,2', '4,4', '--png', single, '--json').json();
    expect(drawn.answers.map(({ patch }: { patch: number }) => patch)).toEqual([0, 1, 4, 5, 15]);
    expect(drawn.contact_sheet).toBe(single);
    expect(readFileSync(single).subarray(1, 4).toString()).toBe('PNG');
    expect(readFileSync(single)).not.toEqual(readFileSync(sheet));
    expect(conmim(...asked, '--image', '.', '--mask', '5,1').stderr).toMatch(/--mask cannot be "5,1".*from 1 to 4/s);
    expect(conmim(...asked, '--mask', '1,1').stderr).toContain('Give --image');
    expect(conmim('lookups', 'run:first', '--dataset', 'pictures', '--image', 'nowhere').stderr).toContain('nowhere');

    const file = join(folder, 'student.safetensors');
    conmim('export-weights', 'run:first', file);
    const imported = conmim('import-weights', file, '--name', 'again', '--json').json();
    expect(imported.ignored).toEqual([]);
    const back = join(folder, 'back.safetensors');
    conmim('export-weights', String(imported.checkpoint.id), back);
    expect(readSafetensors(back).tensors).toEqual(readSafetensors(file).tensors);

    const onnx = join(folder, 'encoder.onnx');
    const exported = conmim('export', 'run:first', '--format', 'onnx', '--out', onnx, '--json').json();
    expect(exported.files.map(({ path }: { path: string }) => path)).toEqual([onnx, `${onnx}.md`, `${onnx}.svg`]);
    const card = readFileSync(`${onnx}.md`, 'utf8');
    for (const task of ['k-NN', 'linear probe', 'look-ups']) expect(card).toContain(`| ${task} | pictures |`);
    expect(card).not.toContain(images);
    const again = ['export', 'run:first', '--format', 'onnx', '--out', onnx, '--no-card', '--json'];
    expect(conmim(...again).json().error).toMatchObject({ kind: 'conflict' });
    expect(conmim(...again, '--force').json().files).toHaveLength(1);
    const apart = conmim(...again, '--force', '--external-data').json();
    expect(apart.files.map(({ path }: { path: string }) => path)).toEqual([onnx, `${onnx}.data`]);
    const timm = join(folder, 'encoder.safetensors');
    conmim('export', 'run:first', '--format', 'timm', '--network', 'teacher', '--out', timm);
    expect(readSafetensors(timm).metadata).toMatchObject({ network: 'teacher', patch_size: '8' });
  });

  test('health: figures and words beside the untrained network, and a page that needs nothing beside it', () => {
    const file = join(folder, 'health.html');
    const asked = ['health', 'run:first', '--dataset', 'pictures', '--out', file];
    const report = conmim(...asked, '--json').json();
    expect(report).toMatchObject({ images: 20, K: 16, checkpoint: { step: 7 } });
    for (const which of ['trained', 'untrained']) {
      expect(report[which].keys.rank).toBeGreaterThan(1);
      expect(report[which].keys.singular).toHaveLength(8);
    }
    expect(report.findings).toHaveLength(7);
    const page = readFileSync(file, 'utf8');
    for (const { title } of report.findings) expect(page).toContain(title.replaceAll('"', '&quot;'));
    // Nothing is fetched, and no folder is named.
    expect(page.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|<script|<link|<img|url\(/);
    expect(page).not.toContain(folder);
    expect(conmim('health', 'run:first', '--dataset', 'pictures', '--out', file, '--images', '3').stderr).toContain(
      '4',
    );
  });

  test('a fine-tuning, beside the untrained network and imported weights; killed, it goes on to the same weights', async () => {
    const recipe = [
      '--epochs',
      '10',
      ...['batch_size=4', 'evaluate_every=1', 'warmup_epochs=1', 'lr=0.006'].flatMap((s) => ['--set', s]),
    ];
    const asked = ['finetune', 'run:first', '--dataset', 'pictures', ...recipe];
    expect(conmim(...asked, '--set', 'layer_decay=2', '--json').json().error.what).toContain('layer_decay');
    expect(conmim(...asked, '--set', 'aa=rand-m12', '--json').json().error.what).toContain('rand-m9-mstd0.5-inc1');
    const { runs, evaluation } = conmim(...asked, '--json').json();
    expect(evaluation.settings.aa).toBe('rand-m9-mstd0.5-inc1');
    expect(runs.map((run: { status: string }) => run.status)).toEqual(['finished', 'finished', 'finished']);
    expect(evaluation).toMatchObject({ task: 'finetune', classes: 2, train_images: 16, test_images: 4 });
    // Bright and dark again: any network learns to tell them.
    for (const which of ['trained', 'untrained', 'official']) expect(evaluation[which].accuracy).toBe(1);
    expect(evaluation.official_name).toBe(
      conmim('runs', '--json')
        .json()
        .find((run: { dataset_id: number | null }) => run.dataset_id === null).name,
    );
    expect(evaluation.confusion.trained).toEqual([
      [2, 0],
      [0, 2],
    ]);

    const other = conmim(...asked, '--official', 'none', '--queue', '--json').json().runs;
    expect(other).toHaveLength(2);
    // Killed once its first checkpoint is there: of five that a fine-tuning writes.
    const child = spawn(process.execPath, [CLI, 'resume', String(other[0].id), '--home', home]);
    const ended = new Promise((resolve) => child.once('close', resolve));
    const store = Store.open(databaseIn(home));
    const until = Date.now() + 60_000;
    while (!store.checkpoints.latest(other[0].id) && Date.now() < until) await new Promise((r) => setTimeout(r, 2));
    process.kill(store.runs.get(other[0].id).pid!, 'SIGKILL');
    await ended;
    const killed = store.runs.get(other[0].id);
    expect(killed.status).toBe('interrupted');
    expect(store.checkpoints.latest(killed.id)!.step).toBeLessThan(killed.total_steps);
    expect(conmim('resume', String(killed.id), '--json').json().status).toBe('finished');
    const state = (run: number) => store.checkpoints.load(store.checkpoints.latest(run)!.id, 'student');
    const [a, b] = [state(runs[0].id), state(other[0].id)];
    expect([...b.keys()]).toEqual([...a.keys()]);
    for (const [name, { data }] of a) expect(b.get(name)!.data, name).toEqual(data);
    store.close();
    expect(
      conmim('evaluate', `run:${runs[0].name}`, '--dataset', 'pictures', '--task', 'knn', '--json').json().error.what,
    ).toContain('fine-tuning');
    for (const { id } of [...runs, ...other]) conmim('delete', String(id));
  });

  test('patches: an index is built and asked, a run is travelled, retrieval is measured', async () => {
    const index = ['run:first', '--dataset', 'pictures'];
    const missing = conmim('retrieve', ...index, '--image', 'dark/0.png', '--patch', '1,1', '--json');
    expect([missing.status, missing.json().error.kind]).toEqual([1, 'not-found']);
    expect(conmim('index', ...index, '--json').json()).toMatchObject({ patches: 320, index: { images: 20 } });
    const png = join(folder, 'like.png');
    const asked = ['--image', 'dark/0.png', '--patch', '2,3', '--label', 'light', '--png', png];
    const found = conmim('retrieve', ...index, ...asked, '--json').json();
    expect(found.results).toHaveLength(10);
    expect(found.results.every(({ label }: { label: string }) => label === 'light')).toBe(true);
    expect(readFileSync(png).subarray(1, 4).toString()).toBe('PNG');
    expect(conmim('retrieve', ...index, '--image', 'dark/0.png', '--patch', '9,9').stderr).toMatch(/from 1 to 4/);
    // Whole images: what is missing is computed first.
    const alike = conmim('alike', ...index, '--image', 'dark/0.png', '-k', '5', '--json').json();
    expect(alike.results.map(({ path }: { path: string }) => path)).not.toContain('dark/0.png');
    expect(alike.results).toHaveLength(5);
    const outside = conmim('alike', ...index, '--file', png, '--label', 'light');
    expect(outside.stdout).toMatch(
      /images of pictures \(class light\) were searched by the mean of their patch tokens/,
    );
    expect(conmim('alike', ...index).stderr).toContain('Which image?');
    const travelled = join(folder, 'travel.png');
    const { stations } = conmim(
      ...[
        'travel',
        'first',
        '--dataset',
        'pictures',
        '--image',
        'dark/0.png',
        '--patch',
        '2,3',
        '--max-images',
        '5',
        '--png',
        travelled,
        '--json',
      ],
    ).json();
    expect((await sharp(travelled).metadata()).width).toBeGreaterThan(6 * 132);
    expect(stations[0]).toMatchObject({ is_untrained: true, overlap: null });
    expect(stations.slice(1).every(({ overlap }: { overlap: number }) => overlap >= 0 && overlap <= 1)).toBe(true);
    // Beside a run of other random numbers: a region, by the student's projector.
    conmim('pretrain', 'pictures', ...tiny, '--steps', '4', '--set', 'train.seed=3', '--name', 'beside', '--json');
    const route = ['travel', 'first', 'beside', ...['--dataset', 'pictures', '--image', 'dark/0.png']];
    const options = ['--patch', '2,3-3,4', '--max-images', '5', '--part', 'student', '--feature', 'projector'];
    const both = conmim(...route, ...options, '--json').json().stations;
    expect(both.map(({ beside }: { beside: object | null }) => beside !== null)).toEqual(
      both.map(({ name }: { name: string }) => name === 'beside'),
    );
    for (const { beside, results } of both.filter(({ name }: { name: string }) => name === 'beside')) {
      const other = both.find(
        (one: { name: string; step: number; is_untrained: boolean }) =>
          one.name === 'first' && one.step === beside.step && one.is_untrained === beside.is_untrained,
      );
      const there = other.results.map(({ path, patch }: { path: string; patch: number }) => `${path} ${patch}`);
      const ranks = results.map(
        ({ path, patch }: { path: string; patch: number }) => 1 + there.indexOf(`${path} ${patch}`),
      );
      expect(results.map(({ rank_beside }: { rank_beside: number | null }) => rank_beside ?? 0)).toEqual(ranks);
      expect(beside.overlap).toBeCloseTo(ranks.filter((rank: number) => rank > 0).length / 6, 9);
    }
    expect(conmim(...route, ...options).stdout).toMatch(/as first .*\n[\s\S]*beside .*%.*\(step \d+\)/);
    for (const { id } of conmim('indexes', '--json').json()) conmim('indexes', '--delete', `${id}`);
    expect(conmim('indexes', '--json').json()).toEqual([]);
    conmim('delete', 'beside');
  });

  test('benchmarks of a step', () => {
    // The keys of the PyTorch program's bench.
    const step = ['bench', 'step', '--image', '32', '--batch', '2', '--steps', '1'];
    const timed = conmim(...step, '--model', 'vit-tiny', '--json').json();
    const { work, ...figures } = timed;
    expect(Object.keys(figures)).toEqual([
      ...'engine device method model image batch precision images_per_second best_images_per_second'.split(' '),
      ...'images_per_second_core peak_memory_gb parameters flops_per_image'.split(' '),
    ]);
    expect(work.config.model).toMatchObject({ image_size: 32, embed_dim: 192 });
    expect(timed.images_per_second).toBeGreaterThan(0);
    expect(timed.peak_memory_gb).toBeGreaterThan(0.1);
    const rounded = conmim(...step, '--model', 'vit-tiny', '--precision', 'bf16', '--recompute', '--json').json();
    expect(rounded).toMatchObject({ precision: 'bf16', recompute: true });
    const profile = conmim('bench', 'profile', ...step.slice(2, -2), '--model', 'vit-tiny', '--json');
    if (timed.engine.endsWith('tensorflow')) {
      const { total_ms, operations } = profile.json();
      const inside = operations.reduce((sum: number, { ms }: { ms: number }) => sum + ms, 0);
      expect(inside).toBeLessThan(total_ms);
      expect(inside).toBeGreaterThan(total_ms / 4);
      // Twelve blocks of four products: two ways forward, and twice as many back.
      const products = operations.find(({ name }: { name: string }) => name === 'MatMul' || name === 'ConmimMatMul');
      expect(products.calls).toBeGreaterThan(12 * 4 * 4);
    } else expect(profile.status).toBe(1);
    expect(conmim(...step, '--precision', 'fp8').stderr).toContain('bf16');
    expect(conmim(...step, '--model', 'resnet').stderr).toContain('vit-small');
    // One that has its targets from a network of another run.
    const { name, defaultPreset } = METHODS.find(({ borrows, mask }) => borrows && mask)!;
    const small = ['--set', 'model.embed_dim=16', 'model.depth=1', 'model.num_heads=2'];
    const ofMethod = conmim(
      'bench',
      'step',
      '--method',
      name,
      '--batch',
      '2',
      '--steps',
      '1',
      ...small,
      '--json',
    ).json();
    expect(ofMethod).toMatchObject({ method: name, model: defaultPreset, image: 64, batch: 2 });
    expect(ofMethod.images_per_second).toBeGreaterThan(0);
    expect(conmim('bench', 'step', '--method', `${name}s`).stderr).toContain(`There is no method "${name}s".`);
  });

  test('benchmarks of the loader, a start and memory', () => {
    const loader = ['bench', 'loader', '--files', '2', '--images', '20', '--image', '64'];
    const loaded = conmim(...loader, '--json').json();
    expect(loaded).toMatchObject({ engine: 'conmim', image: 64, files: 2, images: 20, workers: 1 });
    for (const key of ['images_per_second', 'images_per_second_core']) expect(loaded[key]).toBeGreaterThan(0);
    expect(loaded.file_bytes).toBeGreaterThan(35_000);
    expect(loaded.file_bytes).toBeLessThanOrEqual(43_000);
    expect(loaded.prepared).toBeNull();
    // 64 pixels and crops of 0.08 to 1: 64 / sqrt(0.54 * 4/3) = 75.4.
    expect(conmim(...loader, '--prepared', '--json').json()).toMatchObject({ images: 20, workers: 1, prepared: 64 });
    expect(conmim(...loader.slice(0, -1), '50').stderr).toContain('multiple of 32');
    const { parts, ...start } = conmim('bench', 'start', '--starts', '2', '--json').json();
    expect(start.command).toContain('pretrain made-up --preset small-cpu --steps 1');
    expect(start.all_s).toHaveLength(2);
    expect(start.least_s).toBeLessThanOrEqual(start.median_s);
    expect(start.most_s).toBeGreaterThanOrEqual(start.median_s);
    const ends = Object.fromEntries(
      parts.map(({ part, from_s, takes_s }: Record<string, number>) => [part, from_s! + takes_s!]),
    );
    // From the command's own process to the one that trains, and there the step after what it needs.
    expect(ends['command loaded']).toBeLessThan(ends['trainer loaded']);
    for (const part of ['TensorFlow loaded', 'weights initialised', 'first batch'])
      expect(ends[part]).toBeLessThan(ends['first step']);
    expect(conmim('bench', 'start', '--starts', '1', '--dataset', 'pictures', '--preset', 'nonesuch').status).toBe(1);
    const memory = ['bench', 'memory', '--steps', '8', '--every', '2', ...tiny, '--json'];
    const { samples, growth } = conmim(...memory).json();
    expect(samples.map(({ step }: { step: number }) => step)).toEqual([2, 4, 6, 8]);
    expect(samples[0].resident).toBeGreaterThan(samples[0].heap);
    expect(growth).toMatchObject({ steps: 6, tensors: 0, tensor_bytes: 0 });
  });

  test('a benchmark of retrieval', () => {
    const bench = conmim('bench', 'retrieval', '--rows', '25000', '--width', '32', '--queries', '20', '--json').json();
    expect(bench).toMatchObject({ rows: 25_000, width: 32, queries: 20 });
    expect(bench.recall_at_10).toBeGreaterThan(0.9);
    expect(bench.p95_ms).toBeGreaterThanOrEqual(bench.p50_ms);
  });

  test('runs, delete: space is given back', () => {
    expect(
      conmim('runs', '--json')
        .json()
        .map((r: { name: string }) => r.name),
    ).toContain('first');
    // Named twice, by name and by number, it is deleted once.
    const { id } = conmim('show', 'first', '--json').json();
    const deleted = conmim('delete', 'first', String(id), 'first', '--json').json();
    expect(deleted.deleted).toEqual([id]);
    expect(deleted.bytes_freed).toBeGreaterThan(0);
    expect(conmim('show', 'first').status).toBe(1);
  });

  test('replay writes what the issue names', () => {
    const out = join(folder, 'replay');
    conmim('replay', join(import.meta.dirname, '../fixtures/abspos'), out);
    const { steps } = JSON.parse(readFileSync(join(out, 'result.json'), 'utf8'));
    expect(steps[0].loss).toBeCloseTo(8.063128, 4);
  });

  test('the published .pth is read, and what ConMIM does not use is said', () => {
    const fixture = join(import.meta.dirname, '../fixtures/relpos');
    const imported = conmim('import-weights', join(fixture, 'checkpoint-0.pth'), '--name', 'pth', '--json').json();
    expect(imported.ignored.sort()).toEqual(['lm_head.bias', 'lm_head.weight', 'rel_pos_bias.relative_position_index']);
    expect(imported.checkpoint.config.model).toMatchObject({ image_size: 64, patch_size: 16, num_heads: 3, depth: 2 });
    const back = join(folder, 'pth.safetensors');
    conmim('export-weights', 'run:pth', back);
    const want = readSafetensors(join(fixture, 'student.init.safetensors')).tensors;
    for (const [name, tensor] of readSafetensors(back).tensors) expect(tensor, name).toEqual(want.get(name));
  });

  test('the WASM backend gives what the published code gives, too', () => {
    const out = join(folder, 'replay-wasm');
    const fixture = join(import.meta.dirname, '../fixtures/relpos');
    const { status } = spawnSync(process.execPath, [CLI, 'replay', fixture, out], {
      env: { ...process.env, CONMIM_BACKEND: 'wasm' },
    });
    expect(status).toBe(0);
    const { steps } = JSON.parse(readFileSync(join(out, 'result.json'), 'utf8'));
    const said = JSON.parse(readFileSync(join(fixture, 'fixture.json'), 'utf8'));
    for (const [i, want] of said.steps.entries()) expect(Math.abs(steps[i].loss / want.loss - 1)).toBeLessThan(1e-5);
  });

  test('doctor', () => {
    const report = conmim('doctor', '--json').json();
    expect(report.versions.node).toBe(process.versions.node);
    expect(report.backend.why).not.toBe('');
  });
});

const MIXED = ['--set', 'train.mixed_precision=on', '--set', 'train.recompute=true'];

/** Losses and final weights of a run. */
function outcome(name: string) {
  const store = Store.open(databaseIn(home));
  try {
    const run = store.runs.get(name);
    const checkpoint = store.checkpoints.latest(run.id)!;
    const parts = (['student', 'teacher', 'exp_avg', 'exp_avg_sq'] as const).map((p) =>
      store.checkpoints.load(checkpoint.id, p),
    );
    return {
      status: run.status,
      step: checkpoint.step,
      precision: (store.checkpoints.get(checkpoint.id) as unknown as { state: { precision?: string } }).state.precision,
      losses: store.metrics.list(run.id).map((m) => [m.step, m.loss, m.grad_norm, m.figures.top1]),
      parts,
    };
  } finally {
    store.close();
  }
}

test.each([
  ['fp32', [], 5],
  ['mixed', MIXED, 3],
  ['prepared', ['--set', 'data.prepared=32'], 2],
] as [string, string[], number][])(
  'killed at random moments and resumed: the same losses and weights, bit for bit (%s)',
  async (kind, more, most) => {
    conmim('import', images, '--name', 'pictures', '--labels', 'folders');
    if (kind === 'prepared') conmim('prepare', 'pictures', '--size', '32');
    const settings = [...tiny, '--set', 'metrics.features_every=5', ...more];
    const steps = ['--steps', '50'];
    const [whole_, killed_] = [`whole ${kind}`, `killed ${kind}`];
    expect(conmim('pretrain', 'pictures', ...settings, ...steps, '--name', whole_).status).toBe(0);
    let kills = 0;
    let args = ['pretrain', 'pictures', ...settings, ...steps, '--name', killed_];
    for (;;) {
      const child = spawn(process.execPath, [CLI, ...args, '--home', home], { stdio: 'ignore' });
      const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
      if (kills < most) await killTrainer(killed_, ended);
      if ((await ended) === 0) break;
      kills++;
      args = ['resume', killed_];
      expect(kills).toBeLessThanOrEqual(most);
    }
    const [whole, killed] = [outcome(whole_), outcome(killed_)];
    expect(kills).toBeGreaterThan(0);
    expect(killed.status).toBe('finished');
    expect(killed.losses).toEqual(whole.losses);
    expect(killed.parts).toEqual(whole.parts);
    expect(killed.precision).toBe(whole.precision);
    if (kind !== 'mixed') expect(whole.precision).toBe('fp32');
    console.log(`killed ${kills} times, in ${whole.precision}`);
  },
  300_000,
);

/** Waits until a process trains the run, and a random while more: the kill falls into start-up, a step, or a checkpoint. */
async function killTrainer(name: string, ended: Promise<unknown>): Promise<void> {
  const over = ended.then(() => true);
  const wait = (ms: number) =>
    Promise.race([over, new Promise<boolean>((resolve) => setTimeout(() => resolve(false), ms))]);
  const store = Store.open(databaseIn(home));
  try {
    for (;;) {
      const run = store.runs.list().find((r) => r.name === name);
      if (run?.status === 'running' && run.pid !== null) {
        if (!(await wait(Math.random() * 1200))) process.kill(run.pid, 'SIGKILL');
        return;
      }
      if (await wait(10)) return;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it was just done
  } finally {
    store.close();
  }
}

/** Waits until a run has come so far. It asks beside the program: a command would take longer than the steps. */
async function trainsTo(name: string, step: number): Promise<void> {
  const store = Store.open(databaseIn(home));
  try {
    const found = () => store.runs.list().find((run) => run.name === name)?.step ?? 0;
    await expect.poll(found, { timeout: 60_000, interval: 50 }).toBeGreaterThanOrEqual(step);
  } finally {
    store.close();
  }
}

test('pause from another process, and resume', async () => {
  const child = spawn(
    process.execPath,
    [CLI, 'pretrain', 'pictures', ...tiny, '--steps', '100000', '--name', 'long', '--home', home],
    { stdio: 'ignore' },
  );
  const ended = new Promise((resolve) => child.once('close', resolve));
  await trainsTo('long', 5);
  const paused = conmim('pause', 'long', '--json').json();
  await ended;
  expect(paused.status).toBe('paused');
  expect(outcome('long').step).toBe(paused.step);
  expect(conmim('stop', 'long', '--json').json().status).toBe('stopped');
}, 120_000);

test('a loss that is not finite stops the run with its cause, and the last good checkpoint is kept', () => {
  // A decay of 10 at a rate of 1 multiplies every weight by -9 a step: in some forty steps they overflow.
  const blowUp = [
    'optimizer.weight_decay=10',
    'optimizer.lr=1',
    'optimizer.warmup_steps=0',
    'optimizer.clip_grad=null',
  ];
  const got = conmim(
    'pretrain',
    'pictures',
    ...tiny,
    ...blowUp.flatMap((s) => ['--set', s]),
    '--steps',
    '200',
    '--name',
    'diverges',
    '--json',
  );
  expect(got.status).toBe(1);
  const { error } = got.json();
  expect(error.kind).toBe('diverged');
  expect(error.next).toContain('optimizer.lr');
  const run = outcome('diverges');
  expect(run.status).toBe('failed');
  for (const part of run.parts) for (const { data } of part.values()) expect(data.every(Number.isFinite)).toBe(true);
});

test('a folder that vanishes pauses the run; brought back, it goes on', async () => {
  const away = `${images}-away`;
  const child = spawn(
    process.execPath,
    [CLI, 'pretrain', 'pictures', ...tiny, '--steps', '1000000', '--name', 'vanishing', '--home', home],
    { stdio: 'ignore' },
  );
  const ended = new Promise((resolve) => child.once('close', resolve));
  const shown = () => conmim('show', 'vanishing', '--json').json();
  await trainsTo('vanishing', 3);
  renameSync(images, away);
  try {
    await ended;
    const run = shown();
    expect(run.status).toBe('paused');
    expect(run.error).toMatchObject({ kind: 'data-vanished', what: expect.stringContaining(images) });
    expect(outcome('vanishing').step).toBe(run.step); // all that was learned is kept
  } finally {
    renameSync(away, images);
  }
  const resumed = spawn(process.execPath, [CLI, 'resume', 'vanishing', '--home', home], { stdio: 'ignore' });
  const done = new Promise((resolve) => resumed.once('close', resolve));
  const before = shown().step;
  await trainsTo('vanishing', before + 1);
  conmim('pause', 'vanishing');
  await done;
  expect(shown().step).toBeGreaterThan(before);
  expect(shown().error).toBeNull();
}, 120_000);
