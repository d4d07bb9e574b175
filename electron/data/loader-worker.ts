import { parentPort } from 'node:worker_threads';
import sharp from 'sharp';
import type { RunConfig } from '../../shared/config.ts';
import { AppError } from '../../shared/errors.ts';
import type { RandAugment } from '../../shared/rand-augment.ts';
import { openImage } from './decode.ts';
import { normalise, normaliseTables } from './normalise.ts';
import { applyRandAugment, drawRandAugment, fillOf } from './rand-augment.ts';
import { stream } from './random.ts';
import type { Pixels } from './resample.ts';
import { Scratch } from './scratch.ts';
import { applyViews, drawViews, viewRoom } from './views.ts';

/** One image of a batch: where it is, what its draws are keyed by, and where its views go. */
export interface ViewTask {
  slot: number;
  id: number;
  path: string;
  epoch: number;
  /** Which of the image's crops of this epoch. */
  crop: number;
}

export interface WorkerRequest {
  ticket: number;
  config: Pick<RunConfig, 'model' | 'augment' | 'views' | 'train'>;
  /** What the student's view goes through at last; null for nothing. */
  randAugment: RandAugment | null;
  tasks: ViewTask[];
  /** Shared `[batch, side, side, 3]` float32, each. */
  student: SharedArrayBuffer;
  teacher: SharedArrayBuffer;
}

export interface ViewFailure {
  slot: number;
  id: number;
  path: string;
  message: string;
  /** Of the operating system, as ENOENT; null where the content is at fault. */
  code: string | null;
}

export interface WorkerReply {
  ticket: number;
  failures: ViewFailure[];
}

/** Bytes of decoded images that a worker keeps where each is cropped several times in an epoch. */
const CACHE_BYTES = 256 * 2 ** 20;

// A worker is a thread already; sharp's own would only compete with it.
sharp.concurrency(1);
const cache = new Map<string, Pixels>();
let cached = 0;

/** Of the image that is being cropped. */
const pixels = new Scratch();
const room = viewRoom();

/** Begins to read an image; what it resolves with gives its pixels. */
async function opened(path: string, keep: boolean): Promise<() => Promise<Pixels>> {
  const hit = cache.get(path);
  if (hit) {
    cache.delete(path); // to the end: least recently used first
    cache.set(path, hit);
    return async () => hit;
  }
  const decode = await openImage(path);
  if (!keep) return () => decode(pixels);
  return async () => {
    const image = await decode();
    if (!cache.has(path) && image.data.length <= CACHE_BYTES / 4) {
      cache.set(path, image);
      cached += image.data.length;
      for (const [old, { data }] of cache) {
        if (cached <= CACHE_BYTES) break;
        cache.delete(old);
        cached -= data.length;
      }
    }
    return image;
  };
}

function prepare(
  { config, randAugment, student, teacher }: WorkerRequest,
  task: ViewTask,
  image: Pixels,
  tables: Float32Array,
): void {
  const side = config.model.image_size;
  const random = (purpose: string) => stream(config.train.seed, task.epoch, task.id, `${purpose} ${task.crop}`);
  const draw = drawViews(image.width, image.height, config, random);
  const views = applyViews(image, draw, side, config.augment, room);
  if (randAugment) {
    // Views may be the same pixels: the teacher keeps its own.
    const student = views.student === views.teacher ? views.student.slice() : views.student;
    const drawn = drawRandAugment(randAugment, random('randaugment'));
    applyRandAugment(student, side, drawn, fillOf(config.augment.mean));
    views.student = student;
  }
  const size = side * side * 3;
  normalise(views.student, tables, new Float32Array(student, task.slot * size * 4, size));
  normalise(views.teacher, tables, new Float32Array(teacher, task.slot * size * 4, size));
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
    const image = task && opened(task.path, config.train.crops_per_image > 1);
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
  return { ticket: request.ticket, failures };
}

// One request after the other: the batch that is wanted first is ready first.
let turn = Promise.resolve();
parentPort!.on('message', (request: WorkerRequest) => {
  turn = turn.then(async () => parentPort!.postMessage(await serve(request)));
});
