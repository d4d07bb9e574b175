import { mkdtempSync, rmSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ImageReader } from '../../electron/data/readable.ts';
import { FrozenNetwork } from '../../electron/engine/inference.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { bothPools, extractAll, type KeptFeatures, pooled } from '../../electron/services/ground/extract.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { runConfigSchema } from '../../shared/config.ts';

await loadBackend();
const config = runConfigSchema.parse({
  model: { image_size: 32, patch_size: 8, embed_dim: 16, depth: 1, num_heads: 2 },
  projector: { hidden: 16, out: 8 },
});
const N = 70;
const GONE = [3, 40];
let folder: string;
let network: FrozenNetwork;
let images: { id: number; path: string; file: string }[];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'extract-'));
  network = new FrozenNetwork(config.model, config.projector, untrainedState(config));
  images = Array.from({ length: N }, (_, id) => ({ id, path: `${id}.png`, file: join(folder, `${id}.png`) }));
  for (const { id, file } of images)
    await sharp({ create: { width: 40, height: 40, channels: 3, background: { r: 3 * id, g: 90, b: 9 } } })
      .png()
      .toFile(file);
  for (const id of GONE) unlinkSync(images[id]!.file);
});
afterEach(() => {
  network.dispose();
  rmSync(folder, { recursive: true });
});

/** Keeps in memory, as the store does: a part with the same start is replaced. */
class Memory implements KeptFeatures {
  readonly kept = new Map<number, Float32Array>();
  parts = () => [...this.kept].sort(([a], [b]) => a - b).map(([start, features]) => ({ start, features }));
  save = (start: number, features: Float32Array) => void this.kept.set(start, features.slice());
}

const all = (reader: ImageReader, kept: KeptFeatures | null, more: { signal?: AbortSignal; seen?: number[] } = {}) =>
  extractAll(network, images, pooled('mean'), {
    ...{ config, reader, kept, width: 16, every: 32, signal: more.signal },
    onDone: (n) => more.seen?.push(n),
  });

test('work that was cut short resumes with what was kept: the same values, and the same images left out', async () => {
  const reader = new ImageReader();
  const whole = await all(reader, null);
  for (const { id } of images) expect(Number.isNaN(whole[id * 16]!), `image ${id}`).toBe(GONE.includes(id));
  expect(reader.leftOut.map(({ path }) => path)).toEqual(['3.png', '40.png']);

  const memory = new Memory();
  const control = new AbortController();
  const save = memory.save;
  memory.save = (start, features) => {
    save(start, features);
    control.abort();
  };
  await expect(all(new ImageReader(), memory, { signal: control.signal })).rejects.toMatchObject({
    name: 'AbortError',
  });
  expect([...memory.kept.keys()]).toEqual([0]);
  memory.save = save;

  const seen: number[] = [];
  const again = new ImageReader();
  expect(await all(again, memory, { seen })).toEqual(whole);
  expect(seen).toEqual([64, 70]);
  expect(again.leftOut.map(({ path }) => path)).toEqual(['3.png', '40.png']);

  // What does not follow the parts before it is of something else.
  memory.kept.delete(0);
  const anew: number[] = [];
  expect(await all(new ImageReader(), memory, { seen: anew })).toEqual(whole);
  expect(anew).toEqual([32, 64, 70]);
});

test('CLS and mean stand beside each other, as each alone', async () => {
  const of = (feature: typeof bothPools, width: number) =>
    extractAll(network, images, feature, {
      ...{ config, reader: new ImageReader(), kept: null, width, every: 32, onDone: () => {} },
    });
  const [both, cls, mean] = [await of(bothPools, 32), await of(pooled('cls'), 16), await of(pooled('mean'), 16)];
  const columns = (from: number) =>
    Float32Array.from({ length: N * 16 }, (_, i) => both[Math.floor(i / 16) * 32 + from + (i % 16)]!);
  expect(columns(0)).toEqual(cls);
  expect(columns(16)).toEqual(mean);
  expect(cls).not.toEqual(mean);
});
