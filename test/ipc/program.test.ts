import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type OpenProgram, openProgram } from '../../electron/ipc/program.ts';
import type { Shell } from '../../electron/shell/shell.ts';
import { databaseIn } from '../../electron/store/home.ts';
import { Store } from '../../electron/store/store.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import type { AppEvent } from '../../shared/contract/events.ts';
import { CHANNEL_NAMES } from '../../shared/contract/index.ts';
import type { TaskKind, TaskRef } from '../../shared/contract/started.ts';
import type { TaskOf } from '../../shared/contract/tasks.ts';
import { callerOf, wait } from './calls.ts';

let home: string;
let program: OpenProgram;
const heard: AppEvent[] = [];
const revealed: string[] = [];
const shell: Shell = { kind: 'browser', reveal: (path) => revealed.push(path) > 0 };
const open = async () => {
  program = await openProgram({ home, shell });
  program.listen(({ event }) => heard.push(event));
};

const openAtNewHome = async () => {
  home = mkdtempSync(join(tmpdir(), 'program-'));
  heard.length = 0;
  await open();
};
const end = async () => {
  await program.close('stop');
  rmSync(home, { recursive: true });
};
/** Each test has a program and a home of its own. */
const eachAlone = () => {
  beforeEach(openAtNewHome);
  afterEach(end);
};

const call = callerOf(() => program);
async function ended<K extends TaskKind>({ task }: TaskRef<K>): Promise<TaskOf<K>> {
  for (;;) {
    const found = (await call('tasks.list', {})).find(({ id }) => id === task)!;
    if (found.status !== 'running') return found as TaskOf<K>;
    await new Promise((r) => setTimeout(r, 20));
  }
}

/** Coloured noise, so that no two files are equal. */
async function images(folder: string, names: string[]) {
  mkdirSync(folder, { recursive: true });
  for (const [i, name] of names.entries()) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    const side = 40 + i;
    const pixels = Buffer.from(Uint8Array.from({ length: side * 32 * 3 }, (_, at) => (at * (i + 7)) % 251));
    await sharp(pixels, { raw: { width: side, height: 32, channels: 3 } })
      .png()
      .toFile(join(folder, name));
  }
}
async function dataset(names = ['a/one.png', 'a/two.png', 'b/three.png', 'b/four.png']) {
  const folder = join(home, 'pictures');
  await images(folder, names);
  const task = await ended(await call('datasets.import', { name: 'pictures', folders: [folder], labels: 'folders' }));
  expect(task.error).toBeNull();
  return task.result!.dataset;
}
/** Small enough to train in a second. */
const SMALL = {
  preset: 'small-cpu',
  changes: {
    'model.image_size': 32,
    'model.embed_dim': 16,
    'model.depth': 1,
    'model.num_heads': 1,
    'projector.hidden': 16,
    'projector.out': 8,
    'train.batch_size': 2,
    'train.steps': 6,
    'augment.crop_scale': [0.5, 1],
  },
};

describe('what a window sends is checked once, where it arrives', () => {
  // Nothing of it is taken, so that one program stays as it was for all.
  beforeAll(openAtNewHome);
  afterAll(end);
  const WRONG: unknown[] = [
    undefined,
    null,
    0,
    'text',
    [],
    true,
    { id: '1' },
    { id: -1 },
    { id: 1.5 },
    { id: 1, extra: 1 },
    { id: Number.NaN },
    { path: 3 },
    { path: '' },
    { name: {}, folders: 'x' },
    { ids: [] },
    { ids: ['a'] },
    { preset: 1, changes: 2 },
    { preset: 'demo', changes: { a: () => 1 } },
    { dataset: 1, offset: -1 },
    { variant: 'rocm' },
    { undo: 5 },
    JSON.parse('{"__proto__": {"id": 1}, "x": 1}'),
    { task: 'nothing', k: 0 },
    new Map([['id', 1]]),
    new Uint8Array(8),
  ];
  test.each(CHANNEL_NAMES)('%s answers wrong types with a typed error', async (channel) => {
    for (const wrong of WRONG) {
      const answer = await program.call(channel, wrong);
      if (answer.ok) throw new Error(`${channel} took ${JSON.stringify(wrong)}`);
      expect(answer.error.kind).toMatch(/^(bad-input|not-found|conflict)$/);
      expect(answer.error.what).not.toBe('');
    }
  });

  test('no such channel, nor one of the object itself', async () => {
    for (const name of ['runs.explode', '', 'constructor', '__proto__', 'toString']) {
      const answer = await program.call(name, {});
      expect(answer).toMatchObject({ ok: false, error: { kind: 'bad-input' } });
    }
    expect(await program.call('datasets.list', {})).toEqual({ ok: true, value: [] });
  });

  test('what is well formed and not there is said to be not there', async () => {
    for (const channel of ['datasets.get', 'images.get', 'runs.get', 'runs.pause', 'checkpoints.delete'] as const)
      expect(await program.call(channel, { id: 999 })).toMatchObject({ ok: false, error: { kind: 'not-found' } });
  });
});

describe('datasets', () => {
  eachAlone();

  test('import, page, search, sort, thumbnail, rename, delete and undo', async () => {
    const id = await dataset();
    const detail = await call('datasets.get', { id });
    expect(detail).toMatchObject({ image_count: 4, classes: 2, runs: 0, missing_folder: null });
    expect(detail.labels_count).toEqual([
      { label: 'a', count: 2 },
      { label: 'b', count: 2 },
    ]);
    expect(detail.width).toEqual([40, 42, 43]);
    const query = { dataset: id, offset: 0, limit: 10, status: null, label: null, reason: null, search: '' };
    const page = await call('images.page', { ...query, sort: 'pixels', descending: true });
    expect(page.images.map(({ path }) => path)).toEqual(['b/four.png', 'b/three.png', 'a/two.png', 'a/one.png']);
    const found = await call('images.page', { ...query, search: 'THREE', sort: 'path', descending: false });
    expect(found).toMatchObject({ total: 1, images: [{ path: 'b/three.png' }] });
    const thumb = await program.media(`thumb/${found.images[0]!.id}`);
    expect(await sharp(thumb.body).metadata()).toMatchObject({ format: 'webp', width: 42, height: 32 });
    expect((await program.media('thumb/999')).status).toBe(404);
    const [shown] = found.images;
    const { hash } = shown!;
    expect(thumb).toMatchObject({ tag: hash, isFinal: false });
    expect(await program.media(`thumb/${shown!.id}/${hash.slice(0, 16)}`)).toMatchObject({ tag: hash, isFinal: true });
    expect(await program.media(`image/${shown!.id}/${hash.slice(0, 16)}`)).toMatchObject({ tag: hash, isFinal: true });
    expect(await program.media(`thumb/${shown!.id}/${'0'.repeat(16)}`)).toMatchObject({ status: 200, isFinal: false });
    expect((await program.media('../workbench.sqlite')).status).toBe(404);

    await call('datasets.rename', { id, name: 'renamed' });
    const { undo } = await call('datasets.delete', { id });
    expect(await call('datasets.list', {})).toEqual([]);
    await call('undo.restore', { undo });
    expect((await call('datasets.list', {})).map(({ name }) => name)).toEqual(['renamed']);
  });

  test('a deletion that was not undone is carried out at the end', async () => {
    const id = await dataset();
    await call('datasets.delete', { id });
    await program.close('stop');
    await open();
    expect(await call('datasets.list', {})).toEqual([]);
  });

  test('a deletion that fails when it is carried out is said, and ends nothing', async () => {
    const id = await dataset();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      for (const carryOut of [() => vi.advanceTimersByTime(60_000), () => program.close('stop')]) {
        heard.length = 0;
        await call('datasets.delete', { id });
        expect(await call('datasets.list', {})).toEqual([]);
        const other = Store.open(databaseIn(home)); // the command line trains on it meanwhile
        const made = { preset: null, config: runConfigSchema.parse({}), total_steps: 1, steps_per_epoch: 1 };
        const run = other.runs.create({ dataset_id: id, ...made });
        await carryOut();
        expect(heard.filter(({ type }) => type === 'failure')).toMatchObject([
          {
            error: {
              kind: 'conflict',
              what: 'Deleting dataset "pictures" failed: what is left of it is shown again.',
              why: `Dataset "pictures" is in use. Run "${run.name}" learned from it.`,
              next: 'Delete these runs first.',
            },
          },
        ]);
        expect(other.datasets.list()).toHaveLength(1);
        other.runs.delete(run.id);
        other.close();
      }
    } finally {
      vi.useRealTimers();
    }
    await open();
    expect(await call('datasets.list', {})).toMatchObject([{ id, name: 'pictures' }]);
  });

  test('an import that is canceled ends as canceled, and can be done again', async () => {
    const folder = join(home, 'many');
    await images(
      folder,
      Array.from({ length: 60 }, (_, i) => `${i}.png`),
    );
    const ref = await call('datasets.import', { name: 'many', folders: [folder] });
    await call('tasks.cancel', { id: ref.task });
    expect(await ended(ref)).toMatchObject({ status: 'canceled', error: { kind: 'canceled' } });
    expect(await ended(await call('datasets.import', { name: 'many', folders: [folder] }))).toMatchObject({
      status: 'done',
    });
  });

  test('images are planned, prepared, stored, deleted with an undo, and go when the program ends', async () => {
    const id = await dataset();
    const asked = { dataset: id, size: 32 };
    const bytes = 3 * 32 * (40 + 41 + 42 + 43);
    expect(await call('prepared.plan', asked)).toMatchObject({ images: 4, ready: 0, bytes });
    const task = await ended(await call('prepared.start', asked));
    expect(task).toMatchObject({ kind: 'prepare', title: 'Preparing pictures at 32 pixels', status: 'done' });
    expect(task.result).toMatchObject({ added: 4, failures: 0 });
    expect(await call('prepared.plan', asked)).toMatchObject({ images: 0, ready: 4, bytes: 0 });
    const stored = async () => (await call('runtime.storage', {})).prepared;
    const [set] = await stored();
    expect(set).toMatchObject({ dataset: 'pictures', size: 32, images: 4, missing: 0, bytes });

    const { undo, what } = await call('prepared.delete', { id: set!.id });
    expect(what).toBe('Deleted what was prepared of pictures at 32 pixels.');
    expect(await stored()).toEqual([]);
    await call('undo.restore', { undo });
    expect(await stored()).toEqual([set]);
    expect(heard.filter(({ type }) => type === 'prepared').length).toBeGreaterThanOrEqual(3);
    const folder = join(home, 'prepared');
    expect(readdirSync(folder)).toEqual([String(set!.id)]);
    // Another process prepares it when the deletion is to be carried out: it stays, and nothing fails.
    await call('prepared.delete', { id: set!.id });
    const other = Store.open(databaseIn(home));
    const preparing = other.prepared.claim(set!.id, process.ppid)!;
    await ended(await call('prepared.start', { ...asked, size: 24 }));
    expect((await stored()).map(({ size }) => size)).toEqual([32, 24]);
    other.prepared.release(set!.id, process.ppid);
    preparing.remove();
    other.close();
    await call('prepared.delete', { id: set!.id + 1 });
    await call('prepared.delete', { id: set!.id });
    // Preparing again carries the deletion out first, and makes another.
    await ended(await call('prepared.start', asked));
    expect((await stored()).map(({ id: other }) => other)).toEqual([set!.id + 2]);
    await call('prepared.delete', { id: set!.id + 2 });
    await program.close('stop');
    expect(readdirSync(folder)).toEqual([]);
    await open();
    expect(await call('prepared.delete', { id: set!.id }).catch((error) => error)).toMatchObject({ kind: 'not-found' });
  });

  test('preparing that is canceled goes on where it was, and is not begun twice at once', async () => {
    const id = await dataset(Array.from({ length: 120 }, (_, i) => `${i}.png`));
    const asked = { dataset: id, size: 32 };
    const ref = await call('prepared.start', asked);
    await call('tasks.cancel', { id: ref.task });
    expect(await ended(ref)).toMatchObject({ status: 'canceled' });
    const { images, ready } = await call('prepared.plan', asked);
    expect(images + ready).toBe(120);
    expect(images).toBeGreaterThan(0);
    const whole = await ended(await call('prepared.start', asked));
    expect(whole.result).toMatchObject({ added: images, set: { images: 120, missing: 0 } });
    // While another process prepares the same.
    const other = Store.open(databaseIn(home));
    const { id: set } = other.prepared.list()[0]!;
    const held = other.prepared.claim(set, process.ppid)!;
    const second = await ended(await call('prepared.start', asked));
    expect(second).toMatchObject({ status: 'failed', error: { kind: 'conflict' } });
    held.remove();
    other.close();
  });

  test('folders are listed, with the number of images in them', async () => {
    await images(join(home, 'x'), ['one.png', 'two.png']);
    const listing = await call('folders.list', { path: home });
    expect(listing.folders.map(({ name }) => name)).toContain('x');
    expect((await call('folders.list', { path: join(home, 'x') })).images).toBe(2);
  });
});

describe('recipes', () => {
  eachAlone();

  test('every problem at once, with what to do', async () => {
    const check = await call('config.check', {
      preset: 'small-cpu',
      changes: { 'train.batch_size': 1, 'mask.ratio': 2, 'nonsense.key': 1 },
      dataset: null,
    });
    expect(check.config).toBeNull();
    expect(check.problems.map(({ key }) => key).sort()).toEqual(['', 'mask.ratio', 'train.batch_size']);
    expect(check.problems.find(({ key }) => key === 'train.batch_size')!.next).toContain('2');
  });

  test('what follows: steps, masked patches, curves that end where they should', async () => {
    const id = await dataset();
    const { plan, differs } = await call('config.check', { ...SMALL, dataset: id });
    expect(plan).toMatchObject({ images: 4, steps: 6, K: 16, masked: 12 });
    expect(plan!.curves.momentum[0]).toBeCloseTo(0.996);
    expect(plan!.curves.step.at(-1)).toBe(5);
    expect(differs.map(({ key }) => key)).toContain('train.steps');
  });

  test('the fields of a form are those of the schema', async () => {
    const fields = (await call('config.fields', {})).conmim!;
    const field = (key: string) => fields.find((f) => f.key === key)!;
    expect(field('train.batch_size')).toMatchObject({ kind: 'integer', min: 2, max: 8192, default: 64 });
    expect(field('views.teacher')).toMatchObject({ kind: 'choice', choices: ['strong', 'weak', 'same'] });
    expect(field('augment.crop_scale')).toMatchObject({ kind: 'range', min: 0.001, max: 1 });
    expect(field('model.position').choices).toEqual(['shared-relative-bias', 'absolute', 'none']);
    expect(field('optimizer.clip_grad')).toMatchObject({ kind: 'number', nullable: true });
    expect(fields.every(({ description }) => description.length > 5)).toBe(true);
  });

  test("a saved preset is complete, can be used, and can be deleted; the program's own cannot be replaced", async () => {
    await call('presets.save', { name: 'mine', title: 'Mine', ...SMALL });
    const saved = (await call('presets.list', {})).find(({ name }) => name === 'mine')!;
    expect(saved).toMatchObject({ own: true, config: { train: { steps: 6 } } });
    expect((await call('config.check', { preset: 'mine', changes: {}, dataset: null })).differs).toEqual([]);
    await expect(call('presets.save', { name: 'demo', title: '', ...SMALL })).rejects.toMatchObject({
      kind: 'conflict',
    });
    const again = { name: 'mine', title: 'Again', ...SMALL };
    await expect(call('presets.save', again)).rejects.toMatchObject({ kind: 'conflict', exists: 'mine' });
    const title = async () => (await call('presets.list', {})).find(({ name }) => name === 'mine')!.title;
    expect(await title()).toBe('Mine');
    await call('presets.save', { ...again, replace: true });
    expect(await title()).toBe('Again');
    await call('presets.delete', { name: 'mine' });
    expect((await call('presets.list', {})).some(({ own }) => own)).toBe(false);
  });

  test('the lab shows what the loader makes: same crop, same seed, same mask', async () => {
    const id = await dataset();
    const { images: rows } = await call('images.page', {
      dataset: id,
      offset: 0,
      limit: 2,
      status: 'ok',
      label: null,
      reason: null,
      search: '',
      sort: 'path',
      descending: false,
    });
    const ask = (changes: Record<string, never> | object, draw = 0) =>
      call('lab.preview', {
        preset: SMALL.preset,
        changes: { ...SMALL.changes, ...changes },
        dataset: id,
        images: rows.map((row) => row.id),
        draw,
      });
    const first = await ask({});
    expect(first[0]!.views.map(({ mask }) => mask.filter(Boolean).length)).toEqual([12, 0]);
    expect(await ask({})).toEqual(first);
    expect((await ask({}, 1))[0]!.views[0]!.crop).not.toEqual(first[0]!.views[0]!.crop);
    const same = await ask({ 'views.teacher': 'same' });
    const pictures = same[0]!.views.map(({ picture }) => picture);
    expect(pictures[1]).toBe(pictures[0]);
    expect(pictures[0]).toBe(first[0]!.views[0]!.picture);
    // Of images that are brought to a size, crops are of the smaller ones.
    const small = { 'data.prepared': 16, 'model.image_size': 16, 'mask.unit': 8 };
    expect(await ask(small)).toMatchObject([
      { width: 20, height: 16 },
      { width: 21, height: 16 },
    ]);
  });
});

describe('runs', () => {
  eachAlone();

  test('seeds of a recipe follow its own, each combination has all of them, and their names say which', async () => {
    const id = await dataset();
    const changes = { ...SMALL.changes, 'train.seed': 7 };
    const grid = [{ key: 'contrast.temperature', values: [0.1, 0.2] }];
    const made = await call('runs.create', { ...SMALL, changes, dataset: id, name: 'a', grid, seeds: 2 });
    expect(made.map(({ name, config }) => [name, config.train.seed])).toEqual([
      ['a, temperature 0.1, seed 7', 7],
      ['a, temperature 0.1, seed 8', 8],
      ['a, temperature 0.2, seed 7', 7],
      ['a, temperature 0.2, seed 8', 8],
    ]);
    const [plain] = await call('runs.create', { ...SMALL, dataset: id, name: null, grid: [], seeds: 2 });
    expect(plain!.name).toMatch(/ run, seed 0$/);
    const seeds = [{ key: 'train.seed', values: [1, 2] }];
    await expect(
      call('runs.create', { ...SMALL, dataset: id, name: 'b', grid: seeds, seeds: 2 }),
    ).rejects.toMatchObject({
      kind: 'bad-input',
    });
    for (const run of await call('runs.list', {})) await call('runs.stop', { id: run.id }).catch(() => {});
  });

  test('a queue of two trains one after the other; metrics, checkpoints and probes arrive', async () => {
    const id = await dataset();
    const made = await call('runs.create', {
      ...SMALL,
      dataset: id,
      name: 'ablation',
      grid: [{ key: 'contrast.temperature', values: [0.1, 0.2] }],
    });
    expect(made.map(({ name }) => name)).toEqual(['ablation, temperature 0.1', 'ablation, temperature 0.2']);
    let both = 0;
    await wait(async () => {
      const rows = await call('runs.list', {});
      both = Math.max(both, rows.filter(({ status }) => status === 'running').length);
      return rows.every(({ status }) => status === 'finished');
    });
    expect(both).toBe(1);
    const run = await call('runs.get', { id: made[0]!.id });
    expect(run).toMatchObject({ step: 6, metric_count: 6, alarm: null, queue_position: null });
    const steps = heard.flatMap((event) => (event.type === 'metrics' && event.run === run.id ? event.metrics : []));
    expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await call('runs.metrics', { id: run.id, points: 100, from: 3, to: 4 })).toHaveLength(2);

    const unasked = await call('probes.get', { id: run.id });
    expect(unasked.columns.map(({ answers }) => answers)).toEqual([null, null]);
    expect(await ended(await call('probes.compute', { id: run.id }))).toMatchObject({ status: 'done' });
    const { columns, images: probed } = await call('probes.get', { id: run.id });
    for (const { answers } of columns) {
      for (const [i, image] of answers!.entries()) {
        const masked = [...probed[i]!.mask.keys()].filter((at) => probed[i]!.mask[at]);
        expect(image.map(({ patch }) => patch)).toEqual(masked);
        expect(image.every(({ rank, best }) => rank >= 1 && rank <= 16 && best >= 0 && best < 16)).toBe(true);
        for (const { patch, best, rank } of image) if (rank === 1) expect(best).toBe(patch);
      }
    }
    // A look-up as the window asks it: with the generator's mask, with one's own, and of the untrained network.
    const image = probed[0]!.image;
    const ask = { checkpoint: run.checkpoints.at(-1)!.id, image, draw: 0, untrained: false };
    const view = await call('explore.lookup', { ...ask, mask: null });
    expect(view.answers).toHaveLength(12);
    for (const { chances, top5, entropy, patch, rank } of view.answers) {
      expect(chances.reduce((a, b) => a + b, 0) / 10_000).toBeCloseTo(1, 2);
      expect(entropy).toBeLessThanOrEqual(Math.log(16) + 1e-6);
      expect(chances[top5[0]!]).toBe(Math.max(...chances));
      if (rank === 1) expect(top5[0]).toBe(patch);
    }
    const own = view.mask.map((_, i) => i === 5);
    expect((await call('explore.lookup', { ...ask, mask: own })).answers.map(({ patch }) => patch)).toEqual([5]);
    const before = await call('explore.lookup', { ...ask, mask: null, untrained: true });
    expect(before.step).toBe(0);
    expect(before.answers.map(({ chances }) => chances)).not.toEqual(view.answers.map(({ chances }) => chances));
    await expect(call('explore.lookup', { ...ask, mask: [true] })).rejects.toMatchObject({ kind: 'bad-input' });
    const accuracy = await ended(
      await call('explore.accuracy', { checkpoint: ask.checkpoint, dataset: id, images: 4 }),
    );
    expect(accuracy.error).toBeNull();
    const found = accuracy.result!;
    expect(found.places.reduce((sum, { n }) => sum + n, 0)).toBe(4 * 12);
    expect(found.content.reduce((sum, { n }) => sum + n, 0)).toBe(4 * 12);
    const byPlace = found.places.reduce((sum, { top1, n }) => sum + (top1 ?? 0) * n, 0) / 48;
    expect(byPlace).toBeCloseTo(found.trained.top1, 6);

    // Patches like a patch: within the image at once, in the dataset once it is indexed.
    const spec = {
      checkpoint: ask.checkpoint,
      dataset: id,
      part: 'student' as const,
      feature: 'tokens',
      max_images: 0,
    };
    const query = { ...spec, image, patches: [5], k: 3, label: null, folder: '', same_image: true, duplicates: true };
    const within = await call('retrieval.search', { ...query, within: true });
    expect(within.results.map(({ image: found }) => found)).toEqual([image, image, image]);
    await expect(call('retrieval.search', { ...query, within: false })).rejects.toMatchObject({ kind: 'not-found' });
    expect(await ended(await call('retrieval.build', spec))).toMatchObject({ status: 'done', error: null });
    const [index] = await call('retrieval.indexes', {});
    expect(index).toMatchObject({ dataset_id: id, is_ready: true });
    const nearest = await call('retrieval.search', { ...query, within: false });
    expect(nearest.results[0]).toMatchObject({ image, patch: 5 });
    expect(nearest.searched).toMatchObject({ patches: index!.images * 16, is_exact: true });
    // The same patch at every checkpoint, beside the untrained network.
    const stops = run.checkpoints.map((one) => one.id);
    const voyage = { checkpoints: stops, dataset: id, part: 'teacher' as const, feature: 'tokens', max_images: 3 };
    const asked = { ...voyage, image, patches: [5], k: 4 };
    expect((await call('travel.ask', asked)).stations.every(({ results }) => results === null)).toBe(true);
    expect(await ended(await call('travel.build', voyage))).toMatchObject({ result: { built: stops.length + 1 } });
    const { stations } = await call('travel.ask', asked);
    expect(stations.map(({ is_untrained }) => is_untrained)).toEqual([true, ...stops.map(() => false)]);
    for (const [i, { results, overlap }] of stations.entries()) {
      expect(results).toHaveLength(4);
      const before = stations[i - 1]?.results?.map((one) => `${one.image} ${one.patch}`);
      const kept = results!.filter((one) => before?.includes(`${one.image} ${one.patch}`));
      expect(overlap).toBe(before ? kept.length / 4 : null);
      for (const one of results!)
        expect(one.rank_before).toBe(1 + (before?.indexOf(`${one.image} ${one.patch}`) ?? -1) || null);
    }
    for (const { id: made } of await call('retrieval.indexes', {}))
      if (made !== index!.id) await call('retrieval.delete', { id: made });
    // Storage counts it on a line of its own; a deletion hides it at once, and can be undone.
    const { indexes, home: whole } = await call('runtime.storage', {});
    expect(indexes).toMatchObject([{ id: index!.id, run: run.name, part: 'student', images: index!.images }]);
    expect(indexes[0]!.bytes).toBeGreaterThanOrEqual(index!.images * 16 * run.config.model.embed_dim * 2);
    expect(indexes[0]!.bytes).toBeLessThan(whole.bytes);
    const { undo } = await call('retrieval.delete', { id: index!.id });
    expect(await call('retrieval.indexes', {})).toEqual([]);
    expect((await call('runtime.storage', {})).indexes).toEqual([]);
    await call('undo.restore', { undo });
    expect(await call('retrieval.indexes', {})).toEqual([index]);
    // What is built while a deletion waits stays.
    const again = await call('retrieval.delete', { id: index!.id });
    expect(await ended(await call('retrieval.build', spec))).toMatchObject({ status: 'done', error: null });
    await expect(call('undo.restore', { undo: again.undo })).rejects.toMatchObject({ kind: 'not-found' });
    expect(await call('retrieval.search', { ...query, within: false })).toMatchObject({ results: nearest.results });
    const [rebuilt] = await call('retrieval.indexes', {});
    expect(rebuilt!.created_at).toBeGreaterThan(index!.created_at);

    const evaluation = await ended(
      await call('evaluations.start', {
        checkpoint: run.checkpoints.at(-1)!.id,
        dataset: id,
        test_dataset: null,
        task: 'lookup',
        k: 20,
        official: true,
      }),
    );
    expect(evaluation).toMatchObject({ status: 'done', result: { chance: 1 / 16 } });
    expect(await call('evaluations.list', { run: run.id })).toHaveLength(1);

    // A fine-tuning is two runs of the queue, and one evaluation of the checkpoint.
    const asked2 = {
      checkpoint: run.checkpoints.at(-1)!.id,
      part: 'student' as const,
      dataset: id,
      test_dataset: null,
    };
    const refused = await program.call('finetune.start', { ...asked2, official: false, settings: { mixup: -1 } });
    expect(refused).toMatchObject({ ok: false, error: { kind: 'bad-input', what: expect.stringContaining('mixup') } });
    const recipe = { epochs: 2, batch_size: 2, evaluate_every: 1 };
    const tuned = await call('finetune.start', { ...asked2, official: false, settings: recipe });
    expect(tuned.map(({ finetune }) => finetune?.start)).toEqual(['trained', 'untrained']);
    const states = async () =>
      (await Promise.all(tuned.map((one) => call('runs.get', { id: one.id })))).map((r) => r.status);
    await wait(async () => (await states()).every((status) => status === 'finished'));
    await wait(() => heard.some(({ type }) => type === 'evaluations'));
    const { result } = (await call('evaluations.list', { run: run.id })).at(-1)!;
    expect(result).toMatchObject({
      task: 'finetune',
      classes: 2,
      trained: { accuracy: expect.any(Number) },
      untrained: { accuracy: expect.any(Number) },
      confusion: { classes: ['a', 'b'] },
    });
    // For other programs: the card knows of the evaluation; what is there is kept; a name is not a path.
    const order = {
      ...({ checkpoint: ask.checkpoint, network: 'student', format: 'onnx', card: true, externalData: false } as const),
      folder: join(home, 'exports'),
      file: 'encoder',
    };
    const written = await call('checkpoints.export', order);
    const names = ['encoder.onnx', 'encoder.onnx.md', 'encoder.onnx.svg'];
    expect(written.files.map(({ path }) => path)).toEqual(names.map((name) => join(home, 'exports', name)));
    expect(readFileSync(written.files[1]!.path, 'utf8')).toContain('| look-ups | pictures | top-1 |');
    await expect(call('checkpoints.export', order)).rejects.toMatchObject({
      kind: 'conflict',
      exists: written.files[0]!.path,
    });
    // Every form of the window asks, and writes over it where that was answered with yes.
    const { checkpoint, folder } = order;
    const other = { checkpoint, folder, file: 'mine' };
    const forms = [
      ['mine.safetensors', (replace: boolean) => call('weights.export', { ...other, part: 'student', replace })],
      [
        'mine.index.csv',
        (replace: boolean) =>
          call('embeddings.export', {
            ...other,
            dataset: id,
            part: 'student',
            feature: 'mean',
            format: 'npy',
            replace,
          }),
      ],
      ['mine.html', (replace: boolean) => call('health.report', { ...other, dataset: id, images: 4, replace })],
    ] as const;
    for (const [name, form] of forms) {
      const path = join(folder, name);
      writeFileSync(path, 'mine');
      await expect(form(false), name).rejects.toMatchObject({ kind: 'conflict', exists: path });
      expect(readFileSync(path, 'utf8')).toBe('mine');
      await form(true);
      await wait(() => readFileSync(path, 'utf8') !== 'mine');
    }
    expect((await call('checkpoints.export', { ...order, replace: true })).files).toHaveLength(3);
    const apart = await call('checkpoints.export', { ...order, file: 'apart', card: false, externalData: true });
    expect(apart.files.map(({ path }) => path)).toEqual(
      ['apart.onnx', 'apart.onnx.data'].map((name) => join(home, 'exports', name)),
    );
    await expect(call('checkpoints.export', { ...order, file: '../x' })).rejects.toMatchObject({ kind: 'bad-input' });
    const inFile = { ...order, folder: written.files[0]!.path };
    await expect(call('checkpoints.export', inFile)).rejects.toMatchObject({ kind: 'bad-input' });
  });

  test('the queue is reordered; a queued run is taken out of it, and put back', async () => {
    const id = await dataset();
    const long = { ...SMALL, changes: { ...SMALL.changes, 'train.steps': 100_000 } };
    const [first] = await call('runs.create', { ...long, dataset: id, name: 'first', grid: [] });
    const [second] = await call('runs.create', { ...SMALL, dataset: id, name: 'second', grid: [] });
    const [third] = await call('runs.create', { ...SMALL, dataset: id, name: 'third', grid: [] });
    const queue = async () =>
      (await call('runs.list', {}))
        .filter(({ queue_position }) => queue_position !== null)
        .sort((a, b) => a.queue_position! - b.queue_position!)
        .map(({ name }) => name);
    expect(await queue()).toEqual(['second', 'third']);
    await call('queue.move', { item: { kind: 'run', id: third!.id }, before: { kind: 'run', id: second!.id } });
    expect(await queue()).toEqual(['third', 'second']);
    expect(await call('runs.pause', { id: third!.id })).toMatchObject({ status: 'paused', queue_position: null });
    await call('runs.resume', { id: third!.id });
    expect(await queue()).toEqual(['second', 'third']);
    await wait(async () => (await call('runs.get', { id: first!.id })).status === 'running');
    await call('runs.stop', { id: first!.id });
    await wait(async () => (await call('runs.list', {})).filter(({ status }) => status === 'finished').length === 2);
    expect((await call('runs.get', { id: first!.id })).status).toBe('stopped');
  });

  test('a trainer that is killed leaves an interrupted run that says so and goes on', async () => {
    const id = await dataset();
    const changes = { ...SMALL.changes, 'train.steps': 100_000, 'checkpoint.every_steps': 5 };
    const [run] = await call('runs.create', { ...SMALL, changes, dataset: id, name: 'killed', grid: [] });
    await wait(async () => (await call('runs.get', { id: run!.id })).checkpoints.length > 0);
    process.kill((await call('runs.get', { id: run!.id })).pid!, 'SIGKILL');
    await wait(async () => (await call('runs.get', { id: run!.id })).status === 'interrupted');
    const dead = await call('runs.get', { id: run!.id });
    expect(dead.error).toMatchObject({ kind: 'trainer-died' });
    await call('runs.resume', { id: run!.id });
    await wait(async () => (await call('runs.get', { id: run!.id })).step > dead.step);
    await call('runs.stop', { id: run!.id });
    await wait(async () => (await call('runs.get', { id: run!.id })).status === 'stopped');
  });

  test('closing with "keep" lets a run go on alone; the next start sees it and can stop it', async () => {
    const id = await dataset();
    const changes = { ...SMALL.changes, 'train.steps': 1_000_000 };
    const [run] = await call('runs.create', { ...SMALL, changes, dataset: id, name: 'alone', grid: [] });
    await wait(async () => (await call('runs.get', { id: run!.id })).step > 0);
    await program.close('keep');
    await new Promise((r) => setTimeout(r, 500));
    await open();
    const then = await call('runs.get', { id: run!.id });
    expect(then.status).toBe('running');
    await wait(async () => (await call('runs.get', { id: run!.id })).step > then.step);
    await call('runs.stop', { id: run!.id });
    await wait(async () => (await call('runs.get', { id: run!.id })).status === 'stopped');
  });

  test('notes, tags and names; a taken name is refused', async () => {
    const id = await dataset();
    const changes = { ...SMALL.changes, 'train.steps': 2 };
    const [a] = await call('runs.create', { ...SMALL, changes, dataset: id, name: 'a', grid: [] });
    const [b] = await call('runs.create', { ...SMALL, changes, dataset: id, name: 'b', grid: [] });
    expect(await call('runs.annotate', { id: a!.id, notes: 'good', tags: ['x', 'x', 'y'] })).toMatchObject({
      notes: 'good',
      tags: ['x', 'y'],
    });
    await expect(call('runs.annotate', { id: b!.id, name: 'a' })).rejects.toMatchObject({ kind: 'conflict' });
    await wait(async () => (await call('runs.list', {})).every(({ status }) => status === 'finished'));
    const { undo } = await call('runs.delete', { ids: [a!.id, b!.id] });
    expect(await call('runs.list', {})).toEqual([]);
    await call('undo.restore', { undo });
    expect(await call('runs.list', {})).toHaveLength(2);
  });
});
