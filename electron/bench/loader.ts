// biome-ignore lint/style/noRestrictedImports: made-up images, which are removed once they are measured
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { parseRunConfig } from '../../methods/index.ts';
import { preparedSize } from '../../shared/prepared.ts';
import { Loader, type LoaderImage, type LoaderOptions } from '../data/loader.ts';
import { stream } from '../data/random.ts';
import { importDataset } from '../services/datasets/datasets.ts';
import { prepareDataset } from '../services/datasets/prepare.ts';
import { databaseIn } from '../store/home.ts';
import { Store } from '../store/store.ts';
import { preparedImages } from '../trainer/prepared-images.ts';
import { madeOf } from '../trainer/run-data.ts';
import { imagesOf } from '../trainer/training-images.ts';

/** What the loader gives, under the names that tools/reference/loader_torchvision.py has. */
export interface LoaderBench {
  engine: string;
  /** Side of a view, pixels. */
  image: number;
  files: number;
  images: number;
  images_per_second: number;
  /** Images over the processor's seconds of this process, all its threads: what else the machine does counts for little. */
  images_per_second_core: number;
  workers: number;
  /** Mean size of a file, bytes. */
  file_bytes: number;
  /** Shorter side of the prepared images that were read, pixels; null where files were decoded. */
  prepared: number | null;
}

const WIDTH = 500;
const HEIGHT = 375;
/** Bytes of a photograph of ImageNet of that size. */
const FILE_BYTES = 43_000;
/** Layers of noise of a made-up picture: cells across, and strength. The finer a layer, the weaker. */
const LAYERS = [
  [4, 0.5],
  [16, 0.25],
  [64, 0.15],
  [250, 0.1],
] as const;

/** Names of so many made-up photographs. */
export const jpegNames = (count: number): string[] => Array.from({ length: count }, (_, i) => `${1000 + i}.jpg`);

/** Made-up photographs: layers of smooth noise, as JPEG of about the published size. Always the same ones. */
export async function makeJpegs(folder: string, count: number): Promise<LoaderImage[]> {
  await mkdir(folder, { recursive: true });
  const images = jpegNames(count).map((name, i) => ({
    id: i + 1,
    path: join(folder, name),
    hash: `made up ${i + 1}`, // always the same ones
  }));
  for (const { id, path } of images) await writeFile(path, await madeUp(id));
  return images;
}

async function madeUp(id: number): Promise<Buffer> {
  const sum = new Float32Array(WIDTH * HEIGHT * 3);
  for (const [cells, strength] of LAYERS) {
    const height = Math.round((cells * HEIGHT) / WIDTH);
    const random = stream(0, 0, id, `bench ${cells}`);
    const noise = Uint8Array.from({ length: cells * height * 3 }, () => random.int(256));
    const layer = await sharp(noise, { raw: { width: cells, height, channels: 3 } })
      .resize(WIDTH, HEIGHT, { fit: 'fill', kernel: 'cubic' })
      .raw()
      .toBuffer();
    for (let i = 0; i < sum.length; i++) sum[i]! += layer[i]! * strength;
  }
  const picture = sharp(Uint8Array.from(sum), { raw: { width: WIDTH, height: HEIGHT, channels: 3 } });
  // The quality whose file is the largest that does not exceed the size.
  let [low, high] = [10, 100];
  let best = await picture.jpeg({ quality: low }).toBuffer();
  while (high - low > 1) {
    const quality = (low + high) >> 1;
    const file = await picture.jpeg({ quality }).toBuffer();
    if (file.length > FILE_BYTES) high = quality;
    else [low, best] = [quality, file];
  }
  return best;
}

export interface LoaderBenchOptions {
  /** Where the JPEGs are made. */
  folder: string;
  files: number;
  /** Images that are timed, after one pass over the files to warm up. */
  images: number;
  /** Side of a view, pixels: a multiple of 32. */
  side: number;
  workers: number;
  /** Reads images that are prepared first, at the size that fits, in place of decoding files. */
  prepared: boolean;
  signal?: AbortSignal | undefined;
  onProgress?: (done: number, total: number) => void;
}

const BATCH = 20;

/** Times both views and masks of made-up JPEGs by the published settings, as training gets them. */
export async function benchLoader(options: LoaderBenchOptions): Promise<LoaderBench> {
  const images = await makeJpegs(options.folder, options.files);
  if (!options.prepared) return time(options, images, null);
  const home = await mkdtemp(join(tmpdir(), 'conmim-bench-'));
  const store = Store.open(databaseIn(home));
  try {
    const { dataset } = await importDataset(store, { name: 'made-up', folders: [options.folder] });
    const size = preparedSize(benchConfig(options.side, null));
    await prepareDataset(store, { dataset: dataset.id, size, signal: options.signal });
    const known = imagesOf(store, dataset, () => true);
    const { places } = preparedImages(store, dataset.id, size, known);
    return await time(options, known, { size, places });
  } finally {
    store.close();
    await rm(home, { recursive: true, force: true });
  }
}

const benchConfig = (side: number, prepared: number | null) =>
  parseRunConfig({
    model: { image_size: side, patch_size: 16 },
    train: { batch_size: BATCH },
    data: { prepared },
  });

async function time(
  options: LoaderBenchOptions,
  images: readonly LoaderImage[],
  prepared: { size: number; places: NonNullable<LoaderOptions['prepared']> } | null,
): Promise<LoaderBench> {
  const { folder, side, workers, signal, onProgress } = options;
  const config = benchConfig(side, prepared?.size ?? null);
  const sizes = await Promise.all(images.map(async ({ path }) => (await stat(path)).size));
  const loader = new Loader({
    images,
    roots: [folder],
    config,
    workers,
    signal,
    prepared: prepared?.places ?? null,
    ...madeOf(config),
  });
  try {
    for (let done = 0; done < images.length + config.data.queue * BATCH; done += BATCH) await loader.next();
    const batches = Math.ceil(options.images / BATCH);
    const began = performance.now();
    const spent = process.cpuUsage();
    for (let batch = 1; batch <= batches; batch++) {
      await loader.next();
      onProgress?.(batch * BATCH, batches * BATCH);
    }
    const wall = (performance.now() - began) / 1000;
    const { user, system } = process.cpuUsage(spent);
    const total = batches * BATCH;
    return {
      engine: 'conmim',
      image: side,
      files: images.length,
      images: total,
      images_per_second: total / wall,
      images_per_second_core: total / ((user + system) / 1e6),
      workers,
      file_bytes: sizes.reduce((a, b) => a + b, 0) / sizes.length,
      prepared: prepared?.size ?? null,
    };
  } finally {
    await loader.close();
  }
}
