import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FrozenNetwork } from '../../electron/engine/inference.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { exportEmbeddings } from '../../electron/services/embeddings/embeddings.ts';
import { partFolder } from '../../electron/services/embeddings/part.ts';
import type { EmbeddingAsked } from '../../electron/services/ground/jobs.ts';
import { runJob } from '../../electron/services/ground/jobs.ts';
import { centreImage } from '../../electron/services/ground/pictures.ts';
import { lockFile } from '../../electron/store/file-lock.ts';
import { Store } from '../../electron/store/store.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import type { EmbeddingFormat } from '../../shared/contract/export.ts';

/** The program as it is built. */
const CLI = join(import.meta.dirname, '../../out/electron/cli.js');
const CONFIG = runConfigSchema.parse({
  model: { image_size: 16, patch_size: 8, embed_dim: 8, depth: 1, num_heads: 2, mlp_ratio: 2 },
  projector: { layers: 1, hidden: 4, out: 4 },
  mask: { kind: 'uniform' },
});
const home = mkdtempSync(join(tmpdir(), 'embeddings-'));
let store: Store;
let options: Omit<EmbeddingAsked, 'feature' | 'format' | 'file'>;
/** A name that CSV has to quote. */
const NAMES = ['a/plain.png', 'a/with, comma.png', 'b/two.png'];

beforeAll(async () => {
  await loadBackend();
  store = Store.open(join(home, 'workbench.sqlite'));
  const folder = join(home, 'pictures');
  for (const [i, name] of NAMES.entries()) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    const pixels = Uint8Array.from({ length: 40 * 40 * 3 }, (_, v) => (v * (i + 3) * 31) % 255);
    await sharp(pixels, { raw: { width: 40, height: 40, channels: 3 } })
      .png()
      .toFile(join(folder, name));
  }
  await importDataset(store, { name: 'pictures', folders: [folder], labels: 'folders' });
  const dataset = store.datasets.get('pictures');
  const run = store.runs.create({
    dataset_id: dataset.id,
    preset: null,
    config: CONFIG,
    total_steps: 1,
    steps_per_epoch: 1,
  });
  const state = untrainedState(CONFIG);
  const { id } = store.checkpoints.save(
    run.id,
    { step: 1, epoch: 1, loss: 1, config: CONFIG, state: {} },
    { student: state, teacher: state },
  );
  options = { checkpoint: id, dataset: dataset.id, part: 'student' };
});
afterAll(() => {
  store.close();
  rmSync(home, { recursive: true, force: true });
});

/** Tokens of each image by the network itself: `[1 + K, dim]`. */
async function tokens(): Promise<Float32Array[]> {
  const network = new FrozenNetwork(CONFIG.model, CONFIG.projector, untrainedState(CONFIG));
  const all = [];
  for (const name of NAMES)
    all.push(network.tokens(await centreImage(join(home, 'pictures', name), 16, CONFIG.augment)));
  network.dispose();
  return all;
}
const close = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  expect(a.length).toBe(b.length);
  for (let i = 0; i < a.length; i++) expect(a[i]).toBeCloseTo(b[i]!, 5);
};

describe('embeddings of a dataset', () => {
  test('Parquet, of images: read by another library, equal to the mean of the tokens', async () => {
    const file = join(home, 'images.parquet');
    const report = await exportEmbeddings(store, { ...options, feature: 'mean', format: 'parquet', file });
    expect(report).toMatchObject({ rows: 3, width: 8, images: 3, unreadable: [], beside: [] });
    const rows = await parquetReadObjects({ file: await asyncBufferFromFile(file) });
    expect(rows.map(({ path, label }) => [path, label])).toEqual(NAMES.map((name) => [name, name[0]]));
    for (const [i, all] of (await tokens()).entries()) {
      const mean = Array.from({ length: 8 }, (_, d) => [1, 2, 3, 4].reduce((sum, p) => sum + all[p * 8 + d]!, 0) / 4);
      close(rows[i]!.embedding as number[], mean);
    }
  });

  test('NPY, of patches: shape and values, and a CSV that says whose rows these are', async () => {
    const file = join(home, 'patches.npy');
    const report = await exportEmbeddings(store, { ...options, feature: 'tokens', format: 'npy', file });
    expect(report.beside).toEqual([join(home, 'patches.index.csv')]);
    const data = readFileSync(file);
    expect(data.subarray(0, 8).toString('latin1')).toBe('\x93NUMPY\x01\x00');
    const length = data.readUInt16LE(8);
    expect((10 + length) % 64).toBe(0);
    expect(data.subarray(10, 10 + length).toString()).toMatch(
      /^\{'descr': '<f4', 'fortran_order': False, 'shape': \(12, 8\), \} *\n$/,
    );
    const values = new Float32Array(new Uint8Array(data.subarray(10 + length)).buffer);
    for (const [i, all] of (await tokens()).entries()) close(values.subarray(i * 32, (i + 1) * 32), all.subarray(8));
    const lines = readFileSync(report.beside[0]!, 'utf8').trim().split('\r\n');
    expect(lines).toHaveLength(13);
    expect(lines[0]).toBe('image,path,label,row,column');
    expect(lines[6]).toMatch(/^\d+,"a\/with, comma\.png",a,1,2$/);
  });

  test('CSV, of CLS: nine digits give the same float32 back', async () => {
    const file = join(home, 'cls.csv');
    await exportEmbeddings(store, { ...options, feature: 'cls', format: 'csv', file });
    const lines = readFileSync(file, 'utf8').trim().split('\r\n');
    expect(lines[0]).toBe(`image,path,label,${Array.from({ length: 8 }, (_, d) => `f${d}`).join(',')}`);
    const all = await tokens();
    close(lines[1]!.split(',').slice(3).map(Number), all[0]!.subarray(0, 8));
    const exact = lines[1]!
      .split(',')
      .slice(3)
      .map((text) => Math.fround(Number(text)));
    expect(exact.every((v, i) => Number(v.toPrecision(9)) === Number(lines[1]!.split(',')[3 + i]))).toBe(true);
  });

  test('the projector has its own width; an unreadable image is said and left out; a cancel before the first leaves nothing', async () => {
    const file = join(home, 'projector.parquet');
    const whole = readFileSync(join(home, 'pictures', NAMES[2]!));
    writeFileSync(join(home, 'pictures', NAMES[2]!), 'no picture');
    const report = await exportEmbeddings(store, { ...options, feature: 'projector', format: 'parquet', file });
    expect(report).toMatchObject({ rows: 8, width: 4, images: 2, unreadable: [{ path: NAMES[2] }] });
    writeFileSync(join(home, 'pictures', NAMES[2]!), whole);
    const before = readdirSync(home).sort();
    const signal = AbortSignal.abort();
    const cut = exportEmbeddings(
      store,
      { ...options, feature: 'tokens', format: 'npy', file: join(home, 'cut.npy') },
      { signal },
    );
    await expect(cut).rejects.toThrow();
    expect(readdirSync(home).sort()).toEqual(before);
  });

  /** 600 images, of which two cannot be read when an export comes to them. */
  let many: Omit<EmbeddingAsked, 'format' | 'file'>;
  beforeAll(async () => {
    const folder = join(home, 'many');
    mkdirSync(folder);
    for (let i = 0; i < 600; i++) {
      const pixels = Uint8Array.from({ length: 40 * 40 * 3 }, (_, v) => (v * (i + 3) * 31) % 251);
      pixels.set([i % 256, i >> 8]); // no two are the same
      await sharp(pixels, { raw: { width: 40, height: 40, channels: 3 } })
        .png()
        .toFile(join(folder, `${i}.png`));
    }
    await importDataset(store, { name: 'many', folders: [folder], labels: 'none' });
    for (const name of ['1.png', '99.png']) writeFileSync(join(folder, name), 'no picture');
    many = { ...options, dataset: 'many', feature: 'tokens' };
  });
  const ended = (done: { files: string[] }) => done.files.map((file) => readFileSync(file));
  const whole = async (format: EmbeddingFormat) => {
    const report = await exportEmbeddings(store, {
      ...many,
      format,
      file: join(home, `whole.${format}`),
      replace: true,
    });
    expect(report).toMatchObject({ images: 598, rows: 4 * 598, resumed: 0 });
    expect(report.unreadable.map(({ path }) => path)).toEqual(['1.png', '99.png']);
    return ended({ files: [report.file, ...report.beside] });
  };
  /** Runs the command, and kills it when it has computed some chunks; anew where it was done before it could be killed. */
  async function killed(file: string): Promise<void> {
    const command = ['embeddings', String(many.checkpoint), '--dataset', 'many', '--feature', 'tokens', '--out', file];
    for (let attempt = 0; attempt < 5; attempt++) {
      const child = spawn(process.execPath, [CLI, ...command, '--home', home], { stdio: 'ignore' });
      const gone = once(child, 'close');
      const done = join(partFolder(file), 'done.jsonl');
      while (child.exitCode === null && !(existsSync(done) && statSync(done).size > 100))
        await new Promise((later) => setTimeout(later, 1));
      child.kill('SIGKILL');
      const [code, signal] = await gone;
      if (signal === 'SIGKILL' && existsSync(done) && !existsSync(file)) return;
      expect(code).not.toBe(1); // it failed, and was not only too fast
      rmSync(file, { force: true });
      rmSync(partFolder(file), { recursive: true, force: true });
    }
    expect.fail('The command was done before it could be killed, five times.');
  }

  test.each(['parquet', 'npy', 'csv'] as const)(
    'a command that is killed goes on when it is given again: %s is the same to the last byte',
    async (format) => {
      const expected = await whole(format);
      const file = join(home, `killed.${format}`);
      await killed(file);
      // As a process leaves it that is killed while it writes: half a chunk, half a line, half a file.
      appendFileSync(join(partFolder(file), 'values.f32'), Buffer.alloc(1234, 7));
      appendFileSync(join(partFolder(file), 'done.jsonl'), '{"images":32,"unre');
      writeFileSync(join(partFolder(file), `file.${format}`), 'half of it');
      const seen: number[] = [];
      const report = await exportEmbeddings(
        store,
        { ...many, format, file },
        { onProgress: (at, _, what) => void (what === 'images' && seen.push(at)) },
      );
      expect(report.resumed).toBeGreaterThanOrEqual(32);
      expect(report.resumed).toBeLessThan(600);
      expect(seen[0]).toBe(report.resumed);
      expect(seen.slice(1)).toHaveLength(Math.ceil((600 - report.resumed) / 32));
      expect(report.unreadable.map(({ path }) => path)).toEqual(['1.png', '99.png']);
      expect(ended({ files: [report.file, ...report.beside] })).toEqual(expected);
      expect(existsSync(partFolder(file))).toBe(false);
    },
  );

  test('a job of the window that is canceled goes on too, and what a power cut took is computed again', async () => {
    const expected = await whole('npy');
    const file = join(home, 'job.npy');
    const job = { database: store.path, options: { ...many, format: 'npy' as const, file } };
    const control = new AbortController();
    const canceled = runJob('embeddings', job, {
      signal: control.signal,
      onProgress: (at) => at >= 64 && control.abort(),
    });
    await expect(canceled).rejects.toMatchObject({ kind: 'canceled' });
    // The disk has two chunks, the second of them in part.
    truncateSync(join(partFolder(file), 'values.f32'), 1.5 * 32 * 4 * 8 * 4);
    const done = join(partFolder(file), 'done.jsonl');
    const [first] = readFileSync(done, 'utf8').split('\n');
    writeFileSync(done, `${first}\n\0\0\0\0\n${first}\n`);
    const report = await runJob('embeddings', job);
    expect(report.resumed).toBe(32);
    expect(ended({ files: [file, ...report.beside] })).toEqual(expected);
  });

  test('ended while the file is put together, or where it cannot be put, it keeps what was computed', async () => {
    const file = join(home, 'put.csv');
    const control = new AbortController();
    const onProgress = (_: number, __: number, what: string) => what === 'images, written' && control.abort();
    const asked = { ...many, format: 'csv', file } as const;
    await expect(exportEmbeddings(store, asked, { signal: control.signal, onProgress })).rejects.toMatchObject({
      kind: 'canceled',
      why: `What was computed of 600 of 600 images is kept in ${partFolder(file)}.`,
    });
    mkdirSync(join(file, 'a folder of this name'), { recursive: true });
    await expect(exportEmbeddings(store, asked)).rejects.toMatchObject({
      kind: 'bad-input',
      message: `${file} cannot be written.`,
    });
    rmSync(file, { recursive: true });
    expect((await exportEmbeddings(store, asked)).resumed).toBe(600);
  });

  test('what came under its name, or beside it, while it computed stays; so does a folder that is not its own', async () => {
    const file = join(home, 'late.npy');
    for (const late of [file, join(home, 'late.index.csv')]) {
      const onProgress = (at: number) => at === 600 && writeFileSync(late, 'mine');
      const asked = { ...many, format: 'npy', file } as const;
      await expect(exportEmbeddings(store, asked, { onProgress })).rejects.toMatchObject({
        kind: 'conflict',
        exists: late,
      });
      expect(readFileSync(late, 'utf8')).toBe('mine');
      await expect(exportEmbeddings(store, asked)).rejects.toMatchObject({ kind: 'conflict', exists: late });
      rmSync(late);
      expect(readdirSync(home).filter((name) => name.startsWith('late'))).toEqual(['late.npy.part']);
    }
    expect((await exportEmbeddings(store, { ...many, format: 'npy', file })).resumed).toBe(600);
    const own = partFolder(join(home, 'own.npy'));
    mkdirSync(own);
    writeFileSync(join(own, 'thesis.tex'), 'mine');
    const asked = { ...many, format: 'npy', file: join(home, 'own.npy') } as const;
    await expect(exportEmbeddings(store, asked)).rejects.toMatchObject({ kind: 'conflict' });
    expect(readdirSync(own)).toEqual(['thesis.tex']);
  });

  test('asked for other values under the same name it begins anew; two at once are refused', async () => {
    const file = join(home, 'other.npy');
    const cut = (what: Partial<EmbeddingAsked>) => {
      const control = new AbortController();
      const asked = { ...many, format: 'npy', file, replace: true, ...what } as const;
      const onProgress = (at: number) => at >= 64 && control.abort();
      return exportEmbeddings(store, asked, { signal: control.signal, onProgress });
    };
    await expect(cut({})).rejects.toMatchObject({
      kind: 'canceled',
      why: `What was computed of 64 of 600 images is kept in ${partFolder(file)}.`,
    });
    await expect(cut({ feature: 'projector' })).rejects.toMatchObject({ kind: 'canceled' });
    // The checkpoint of that step is written again with other weights.
    const { run_id, step, epoch, loss, config } = store.checkpoints.get(many.checkpoint);
    const state = untrainedState(config);
    const other = new Map(
      [...state].map(([name, { shape, data }]) => [name, { shape, data: data.map((v) => 1.5 * v) }]),
    );
    const save = (weights: typeof state) =>
      store.checkpoints.save(run_id, { step, epoch, loss, config, state: {} }, { student: weights, teacher: weights });
    await expect(cut({})).rejects.toThrow();
    expect(save(other).id).toBe(many.checkpoint);
    const report = await exportEmbeddings(store, { ...many, format: 'npy', file });
    expect(report.resumed).toBe(0);
    save(state);

    await expect(cut({})).rejects.toThrow();
    const held = lockFile(join(partFolder(file), 'lock'))!;
    await expect(cut({})).rejects.toMatchObject({
      kind: 'conflict',
      message: expect.stringMatching(/^other\.npy is being written by another/),
    });
    held.release();
    const again = exportEmbeddings(store, { ...many, format: 'npy', file, replace: true });
    await expect(again).resolves.toMatchObject({ resumed: 64 });
  });
});
