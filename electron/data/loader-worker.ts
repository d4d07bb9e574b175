import { parentPort, workerData } from 'node:worker_threads';
import { LRUCache } from 'lru-cache';
import sharp from 'sharp';
import type { RunConfig } from '../../shared/config.ts';
import { AppError } from '../../shared/errors.ts';
import type { ViewSpec } from '../../shared/method.ts';
import type { RandAugment } from '../../shared/rand-augment.ts';
import { openImage } from './decode.ts';
import type { MappedBytes } from './mapped-file.ts';
import { shareMemory } from './memory.ts';
import { normalise, normaliseTables } from './normalise.ts';
import type { Pixels } from './pixels.ts';
import { downsized, isSound, type MappedPlace, PreparedFiles, preparedRows } from './prepared.ts';
import { applyRandAugment, drawRandAugment, fillOf } from './rand-augment.ts';
import { stream } from './random.ts';
import { Scratch } from './scratch.ts';
import { applyViews, drawViews, ViewRoom } from './views.ts';

/** One image of a batch: where it is, what its draws are keyed by, and where its views go. */
export interface ViewTask {
  slot: number;
  id: number;
  path: string;
  hash: string;
  epoch: number;
  /** Which of the image's crops of this epoch. */
  crop: number;
  /** Where its downsized pixels lie; null where it is to be decoded. */
  prepared: MappedPlace | null;
}

export interface WorkerRequest {
  ticket: number;
  config: Pick<RunConfig, 'augment' | 'train'>;
  /** Shorter side that images are brought to; null for as they are. */
  size: number | null;
  /** The last change to the first view; null for none. */
  randAugment: RandAugment | null;
  tasks: ViewTask[];
  /** What is made of each image, and where it goes: shared `[batch, side, side, 3]` float32. */
  views: { spec: ViewSpec; pixels: SharedArrayBuffer }[];
}

export interface ViewFailure {
  slot: number;
  id: number;
  path: string;
  message: string;
  /** The operating system's error code, such as ENOENT; null where the content is at fault. */
  code: string | null;
}

export interface WorkerReply {
  ticket: number;
  /** Paths of images whose prepared pixels were not what was written: they were decoded. */
  damaged: string[];
  failures: ViewFailure[];
}

/** Bytes of decoded images that a worker keeps where each is cropped several times in an epoch. */
const CACHE_BYTES = 256 * 2 ** 20;

// A worker is a thread already; sharp's own would only compete with it.
sharp.concurrency(1);
shareMemory((workerData as { memory: SharedArrayBuffer }).memory);
const cache = new LRUCache<string, Pixels>({
  maxSize: CACHE_BYTES,
  maxEntrySize: CACHE_BYTES / 4,
  sizeCalculation: ({ data }) => data.length,
});

/** Pixels of the image that is being cropped. */
const pixels = new Scratch();
const smaller = new Scratch();
const room = new ViewRoom();
const files = new PreparedFiles();
/** Prepared images that were looked at once, and whether they are sound: a run reads each many times. */
const looked = new Map<string, boolean>();
let damaged: string[] = [];

function isUsable(bytes: MappedBytes, place: MappedPlace, path: string): boolean {
  const key = `${place.file} ${place.start}`;
  let sound = looked.get(key);
  if (sound === undefined) {
    sound = isSound(bytes, place, pixels);
    looked.set(key, sound);
    if (!sound) damaged.push(path);
  }
  return sound;
}

/** An image of which any rows can be had. */
interface Source {
  width: number;
  height: number;
  rows(top: number, height: number): Uint8Array;
}

const decoded = ({ data, width, height }: Pixels): Source => ({
  width,
  height,
  rows: (top, height) => data.subarray(3 * width * top, 3 * width * (top + height)),
});

/** Begins to read an image; what it resolves with gives its pixels. */
async function opened(
  { path, prepared }: Pick<ViewTask, 'path' | 'prepared'>,
  size: number | null,
  keep: boolean,
): Promise<() => Promise<Source> | Source> {
  const bytes = prepared && files.bytesOf(prepared);
  if (bytes) {
    return () =>
      isUsable(bytes, prepared, path)
        ? { ...prepared, rows: (top, height) => preparedRows(bytes, prepared, top, height, pixels) }
        : decodedNow();
  }
  async function decodedNow(): Promise<Source> {
    return (await opened({ path, prepared: null }, size, keep))();
  }
  // Not prepared, or its file is gone: decoding gives the same pixels.
  const hit = cache.get(path);
  if (hit) return () => decoded(hit);
  const decode = await openImage(path);
  const fit = (image: Pixels, into?: Scratch) => (size === null ? image : downsized(image, size, into));
  if (!keep) return async () => decoded(fit(await decode(pixels), smaller));
  return async () => {
    const image = fit(await decode());
    if (!cache.has(path)) cache.set(path, image);
    return decoded(image);
  };
}

function prepare(
  { config, randAugment, views: wanted }: WorkerRequest,
  task: ViewTask,
  image: Source,
  tables: Float32Array,
): void {
  const random = (purpose: string) => stream(config.train.seed, task.epoch, task.hash, `${purpose} ${task.crop}`);
  const specs = wanted.map(({ spec }) => spec);
  const draws = drawViews(image.width, image.height, config.augment, specs, random);
  // Of the image only the rows of the crops are read, unless its colours are changed as a whole.
  const isWhole = draws.some(({ whole }) => whole !== undefined);
  const top = isWhole ? 0 : Math.min(...draws.map(({ crop }) => crop.top));
  const height = isWhole ? image.height : Math.max(...draws.map(({ crop }) => crop.top + crop.height)) - top;
  const rows = { data: image.rows(top, height), width: image.width, height };
  const shifted = draws.map((draw) => ({ ...draw, crop: { ...draw.crop, top: draw.crop.top - top } }));
  const views = applyViews(rows, shifted, config.augment, room);
  if (randAugment) {
    const { name, side } = specs[0]!;
    // Views may be the same pixels: the others keep theirs.
    const isShared = Object.entries(views).some(([other, pixels]) => other !== name && pixels === views[name]);
    const first = isShared ? views[name]!.slice() : views[name]!;
    applyRandAugment(first, side, drawRandAugment(randAugment, random('randaugment')), fillOf(config.augment.mean));
    views[name] = first;
  }
  for (const { spec, pixels } of wanted) {
    const size = spec.side * spec.side * 3;
    normalise(views[spec.name]!, tables, new Float32Array(pixels, task.slot * size * 4, size));
  }
}

function failureOf({ slot, id, path }: ViewTask, error: unknown): ViewFailure {
  const { message, cause } = error as Error;
  const why = error instanceof AppError ? error.why : '';
  return { slot, id, path, message: why || message, code: (cause as NodeJS.ErrnoException | undefined)?.code ?? null };
}

async function serve(request: WorkerRequest): Promise<WorkerReply> {
  const { tasks, config } = request;
  const tables = normaliseTables(config.augment);
  const failures: ViewFailure[] = [];
  const open = (task: ViewTask | undefined) => {
    const image = task && opened(task, request.size, config.train.crops_per_image > 1);
    image?.catch(() => {}); // said where it is awaited
    return image;
  };
  let next = open(tasks[0]);
  for (const [i, task] of tasks.entries()) {
    const current = next!;
    next = open(tasks[i + 1]); // in libuv's threads, while this one augments here
    try {
      const pixelsOf = await current;
      prepare(request, task, await pixelsOf(), tables);
    } catch (error) {
      failures.push(failureOf(task, error));
    }
  }
  const reply = { ticket: request.ticket, failures, damaged };
  damaged = [];
  return reply;
}

// One request after the other: the batch that is wanted first is ready first.
let turn = Promise.resolve();
parentPort!.on('message', (request: WorkerRequest) => {
  turn = turn.then(async () => parentPort!.postMessage(await serve(request)));
});
