import { requireMask } from '../../../methods/index.ts';
import { lookupsOf } from '../../../methods/lookups.ts';
import { gridOf, type RunConfig } from '../../../shared/config.ts';
import { AppError } from '../../../shared/errors.ts';
import { leftOutWords } from '../../../shared/left-out.ts';
import type { StateDict } from '../../../shared/tensors.ts';
import { stream } from '../../data/random.ts';
import { ImageReader } from '../../data/readable.ts';
import type { Target } from '../../files/outputs.ts';
import { wholeNetwork } from '../ground/networks.ts';
import { centrePixels, normalisePixels, stack } from '../ground/pictures.ts';
import { type ContactRow, contactSheet } from './contact.ts';

export interface SheetOptions {
  config: RunConfig;
  student: StateDict;
  teacher: StateDict;
  images: { path: string; title: string }[];
  /** So many of them are drawn; the others are company for BatchNorm. */
  rows: number;
  seed: number;
  caption: string;
  out: Target;
}

/** Draws masked patches of images with the answers that the student's queries found among the teacher's keys. */
export async function drawLookups(options: SheetOptions): Promise<void> {
  const { config } = options;
  const lookups = await lookupsOf({ config, lacks: [] });
  const { image_size: side } = config.model;
  const grid = gridOf(config.model);
  const reader = new ImageReader();
  const files = options.images.map(({ path, title }, id) => ({ id, file: path, path: title, title }));
  const read = await reader.read(files, (file) => centrePixels(file, side));
  if (read.length === 0)
    throw new AppError('bad-input', 'No image can be drawn.', leftOutWords(reader.leftOut, files.length), '');
  const images = read.map(({ image }) => image);
  const pixels = read.map(({ value }) => value);
  const input = stack(pixels.map((p) => normalisePixels(p, config.augment)));
  const masks = images.map(({ id }) => requireMask(config, stream(options.seed, 0, id, 'sheet mask')));
  const student = wholeNetwork(config, options.student);
  const teacher = wholeNetwork(config, options.teacher);
  const answers = lookups.answers({ student, teacher }, { images: input, masks }, config);
  student.dispose();
  teacher.dispose();
  const rows: ContactRow[] = images.slice(0, options.rows).map((image, i) => ({
    title: image.title,
    student: pixels[i]!,
    teacher: pixels[i]!,
    size: side,
    grid,
    mask: masks[i]!,
    answers: answers[i]!.map(({ patch, best, probability, rank }) => ({ patch, answer: best, probability, rank })),
  }));
  await contactSheet(rows, options.out, { caption: options.caption });
}
