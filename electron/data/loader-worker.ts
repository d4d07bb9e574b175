import { parentPort } from 'node:worker_threads';
import sharp from 'sharp';
import type { RunConfig } from '../../shared/config.ts';
import { decodeImage } from './decode.ts';
import { stream } from './random.ts';
import type { Pixels } from './resample.ts';
import { applyViews, drawViews } from './views.ts';

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
  tasks: ViewTask[];
  /** Shared `[batch, side, side, 3]` float32, each. */
  student: SharedArrayBuffer;
  teacher: SharedArrayBuffer;
}

export interface WorkerReply {
  ticket: number;
  failures: { slot: number; id: number; path: string; message: string; code: string | null }[];
}

/** Bytes of decoded images that a worker keeps where each is cropped several times in an epoch. */
const CACHE_BYTES = 256 * 2 ** 20;

// A worker is a thread already; sharp's own would only compete with it.
sharp.concurrency(1);
const cache = new Map<string, Pixels>();
let cached = 0;

async function decoded(path: string, keep: boolean): Promise<Pixels> {
  const hit = cache.get(path);
  if (hit) {
    cache.delete(path); // to the end: least recently used first
    cache.set(path, hit);
    return hit;
  }
  const image = await decodeImage(path);
  if (keep && image.data.length <= CACHE_BYTES / 4) {
    cache.set(path, image);
    cached += image.data.length;
    for (const [old, { data }] of cache) {
      if (cached <= CACHE_BYTES) break;
      cache.delete(old);
      cached -= data.length;
    }
  }
  return image;
}

async function prepare(
  { config, student, teacher }: WorkerRequest,
  task: ViewTask,
  tables: Float32Array[],
): Promise<void> {
  const side = config.model.image_size;
  const image = await decoded(task.path, config.train.crops_per_image > 1);
  const draw = drawViews(image.width, image.height, config, (purpose) =>
    stream(config.train.seed, task.epoch, task.id, `${purpose} ${task.crop}`),
  );
  const views = applyViews(image, draw, side, config.augment);
  const size = side * side * 3;
  const write = (buffer: SharedArrayBuffer, pixels: Uint8Array) => {
    const out = new Float32Array(buffer, task.slot * size * 4, size);
    for (let i = 0; i < size; i += 3) {
      out[i] = tables[0]![pixels[i]!]!;
      out[i + 1] = tables[1]![pixels[i + 1]!]!;
      out[i + 2] = tables[2]![pixels[i + 2]!]!;
    }
  };
  write(student, views.student);
  write(teacher, views.teacher);
}

parentPort!.on('message', async (request: WorkerRequest) => {
  const { mean, std } = request.config.augment;
  const tables = mean.map((m, c) => Float32Array.from({ length: 256 }, (_, v) => (v / 255 - m) / std[c]!));
  const reply: WorkerReply = { ticket: request.ticket, failures: [] };
  for (const task of request.tasks) {
    try {
      await prepare(request, task, tables);
    } catch (error) {
      const { message, code } = error as NodeJS.ErrnoException;
      reply.failures.push({ slot: task.slot, id: task.id, path: task.path, message, code: code ?? null });
    }
  }
  parentPort!.postMessage(reply);
});
