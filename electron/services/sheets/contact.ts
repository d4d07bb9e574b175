import sharp from 'sharp';
import { AppError } from '../../../shared/errors.ts';
import { percent } from '../../../shared/words.ts';
import type { Target } from '../../files/outputs.ts';
import { ending, type Layer, outline, SHEET, saveSheet, sheetWriter, type Write } from './paper.ts';

/** Where a masked patch's query looked, and how far it was from right. */
export interface ContactAnswer {
  /** Index of the masked patch, row by row. */
  patch: number;
  /** Index of the patch whose key was most similar to its query. */
  answer: number;
  /** Probability that the query gave to that answer, 0 to 1. */
  probability: number;
  /** Place of the true patch among all K by similarity; 1 is right. */
  rank: number;
}

/** One image of a contact sheet. */
export interface ContactRow {
  title: string;
  /** The student's view before masking, 8-bit RGB, [size, size, 3]. */
  student: Uint8Array;
  /** The teacher's view, 8-bit RGB, [size, size, 3]. */
  teacher: Uint8Array;
  /** Pixels along a side. */
  size: number;
  /** Patches along a side; divides `size`. */
  grid: number;
  /** [K]: 1 where the student's patch is masked. */
  mask: Uint8Array;
  /** One for every masked patch. */
  answers: ContactAnswer[];
}

export interface ContactOptions {
  /** Lines under the heading, with the figures of the run; a line break starts a new line. */
  caption?: string;
  heading?: string;
}

const PICTURE = 192;
const CROP = 58;
const CROPS = 8;
const CROP_COLUMNS = 4;
const MARGIN = 28;
const GAP = 18;
const PAIR_GAP = 22;
const ROW = 26 + PICTURE + 18;
const CROPS_LEFT = MARGIN + 3 * (PICTURE + GAP) + 10;
const WIDTH = CROPS_LEFT + CROP_COLUMNS * (2 * CROP + 4) + (CROP_COLUMNS - 1) * PAIR_GAP + MARGIN;
const COLOR = { ...SHEET, right: '#2f9e55', wrong: '#e8862e' };

/** The square of patch `index`, pixels. */
function square(row: ContactRow, index: number) {
  const side = row.size / row.grid;
  return { left: (index % row.grid) * side, top: Math.floor(index / row.grid) * side, side };
}

/** [side, side, 3]: one patch of an image. */
function cropPatch(image: Uint8Array, row: ContactRow, index: number): Uint8Array {
  const { left, top, side } = square(row, index);
  const out = new Uint8Array(side * side * 3);
  for (let y = 0; y < side; y++) {
    const from = ((top + y) * row.size + left) * 3;
    out.set(image.subarray(from, from + side * 3), y * side * 3);
  }
  return out;
}

/** The teacher's view with every masked patch replaced by the patch that its query looked up. */
export function reassemble(row: ContactRow): Uint8Array {
  const out = row.teacher.slice();
  for (const { patch, answer } of row.answers) {
    const pixels = cropPatch(row.teacher, row, answer);
    const { left, top, side } = square(row, patch);
    for (let y = 0; y < side; y++)
      out.set(pixels.subarray(y * side * 3, (y + 1) * side * 3), ((top + y) * row.size + left) * 3);
  }
  return out;
}

/** The answers shown as crops: evenly over the masked patches, right and wrong in the proportion they have. */
export function chooseAnswers(answers: ContactAnswer[], count = CROPS): ContactAnswer[] {
  if (answers.length <= count) return answers;
  const right = answers.filter((a) => a.patch === a.answer);
  const wrong = answers.filter((a) => a.patch !== a.answer);
  let rights = Math.round((right.length / answers.length) * count);
  if (right.length > 0) rights = Math.max(1, rights);
  if (wrong.length > 0) rights = Math.min(count - 1, rights);
  const spread = (from: ContactAnswer[], n: number) =>
    Array.from({ length: n }, (_, i) => from[Math.floor(((i + 0.5) * from.length) / n)]!);
  return [...spread(right, rights), ...spread(wrong, count - rights)].sort((a, b) => a.patch - b.patch);
}

const enlarge = (image: Uint8Array, size: number, to: number) =>
  sharp(image, { raw: { width: size, height: size, channels: 3 } })
    .resize(to, to, { kernel: size < to ? 'nearest' : 'lanczos3' })
    .png({ compressionLevel: 1 })
    .toBuffer();

function check(row: ContactRow): void {
  const patches = row.grid ** 2;
  const bytes = row.size ** 2 * 3;
  const bad = (why: string) =>
    new AppError(
      'bad-input',
      `“${row.title}” cannot be drawn on a contact sheet.`,
      why,
      'This is a fault of the caller.',
    );
  if (!(row.grid > 0) || row.size % row.grid !== 0)
    throw bad(`${row.size} pixels do not divide in ${row.grid} patches.`);
  if (row.student.length !== bytes || row.teacher.length !== bytes) throw bad(`A view does not have ${bytes} values.`);
  if (row.mask.length !== patches) throw bad(`The mask has ${row.mask.length} patches, not ${patches}.`);
  for (const { patch, answer } of row.answers)
    if (!row.mask[patch] || !(answer >= 0 && answer < patches))
      throw bad(`Patch ${patch} is not masked, or its answer ${answer} is not one of ${patches} patches.`);
}

/** Pictures of a row and the marks over them, at `top`. */
async function drawRow(row: ContactRow, top: number, write: Write): Promise<{ layers: Layer[]; marks: string }> {
  const y0 = top + 26;
  const scale = PICTURE / row.size;
  const left = (column: number) => MARGIN + column * (PICTURE + GAP);
  const images = [row.teacher, row.student, reassemble(row)];
  const layers: Layer[] = await Promise.all(
    images.map(async (image, i) => ({ input: await enlarge(image, row.size, PICTURE), left: left(i), top: y0 })),
  );
  const found = row.answers.filter((a) => a.patch === a.answer).length;
  const share = row.answers.length > 0 ? `${found} of ${row.answers.length} masked patches found` : 'nothing is masked';
  let marks = `<path d="M${MARGIN} ${top + 0.5}H${WIDTH - MARGIN}" stroke="${COLOR.line}"/>`;
  const title = ending(row.title, 48);
  marks += write(title, MARGIN, top + 18, 12, COLOR.ink, true);
  marks += write(share, left(2), top + 18, 12, COLOR.quiet);
  marks += [0, 1, 2].map((column) => outline(left(column), y0, PICTURE)).join('');
  row.mask.forEach((masked, patch) => {
    if (!masked) return;
    const s = square(row, patch);
    const box = (x: number) =>
      `x="${x + s.left * scale}" y="${y0 + s.top * scale}" width="${s.side * scale}" height="${s.side * scale}"`;
    marks += `<rect ${box(left(1))} fill="#d9d9d2" fill-opacity="0.88"/><rect ${box(left(1))} fill="url(#hatch)"/>`;
  });
  // Wrong frames first, so that a green edge shared with an orange one stays visible.
  for (const a of [...row.answers].sort((p, q) => Number(p.patch === p.answer) - Number(q.patch === q.answer))) {
    const s = square(row, a.patch);
    const color = a.patch === a.answer ? COLOR.right : COLOR.wrong;
    const width = a.patch === a.answer ? 1.2 : 1.8;
    const side = s.side * scale - 2;
    marks +=
      `<rect x="${left(2) + s.left * scale + 1}" y="${y0 + s.top * scale + 1}" width="${side}" height="${side}" ` +
      `fill="none" stroke="${color}" stroke-width="${width}"/>`;
  }
  const side = row.size / row.grid;
  for (const [i, a] of chooseAnswers(row.answers).entries()) {
    const x = CROPS_LEFT + (i % CROP_COLUMNS) * (2 * CROP + 4 + PAIR_GAP);
    const y = y0 + Math.floor(i / CROP_COLUMNS) * (PICTURE / 2 + 10);
    for (const [j, patch] of [a.patch, a.answer].entries()) {
      const input = await enlarge(cropPatch(row.teacher, row, patch), side, CROP);
      layers.push({ input, left: x + j * (CROP + 4), top: y });
    }
    const color = a.patch === a.answer ? COLOR.right : COLOR.wrong;
    marks += outline(x, y, CROP);
    marks += `<rect x="${x + CROP + 5}" y="${y + 1}" width="${CROP - 2}" height="${CROP - 2}" fill="none" stroke="${color}" stroke-width="2"/>`;
    marks += write(`rank ${a.rank} · ${percent(a.probability, 0)}`, x, y + CROP + 15, 11, COLOR.quiet);
  }
  return { layers, marks };
}

/**
 * Draws what masked patches' queries looked up, for a person: per row the teacher's view, the student's masked view,
 * the picture put together from the answers (green frame: the right place, orange: another), and some patches enlarged.
 *
 * @param out the PNG file to write
 * @throws AppError `bad-input` where views, mask and answers of a row do not fit each other
 */
export async function contactSheet(rows: ContactRow[], out: Target, options: ContactOptions = {}): Promise<void> {
  rows.forEach(check);
  const write = sheetWriter(WIDTH - MARGIN);

  const captions = (options.caption ?? '').split('\n').filter((line) => line !== '');
  let y = 44;
  let body = write(options.heading ?? 'What masked patches look up', MARGIN, y, 20, COLOR.ink, true);
  for (const line of captions) {
    y += 20;
    body += write(line, MARGIN, y, 12.5);
  }
  y += 24;
  const swatch = (x: number, color: string) =>
    `<rect x="${x}" y="${y - 10}" width="11" height="11" fill="none" stroke="${color}" stroke-width="2"/>`;
  body += swatch(MARGIN, COLOR.right) + write('the query found its own place', MARGIN + 18, y, 11.5, COLOR.quiet);
  body += swatch(MARGIN + 240, COLOR.wrong) + write('it found another place', MARGIN + 258, y, 11.5, COLOR.quiet);
  body += write(
    'rank: place of the true patch; %: probability given to the answer',
    MARGIN + 440,
    y,
    11.5,
    COLOR.quiet,
  );
  y += 32;
  const heads = ['Full image (teacher)', 'Masked image (student)', 'Put together from the answers'];
  for (const [i, head] of heads.entries()) body += write(head, MARGIN + i * (PICTURE + GAP), y, 11.5, COLOR.quiet);
  body += write('True patch | patch that was looked up', CROPS_LEFT, y, 11.5, COLOR.quiet);
  y += 12;

  const layers: Layer[] = [];
  for (const row of rows) {
    const drawn = await drawRow(row, y, write);
    layers.push(...drawn.layers);
    body += drawn.marks;
    y += ROW;
  }
  const height = y + 8;
  const hatch =
    '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse">' +
    '<path d="M-1 1L1 -1M0 6L6 0M5 7L7 5" stroke="#b5b5ac" stroke-width="0.9"/></pattern></defs>';
  await saveSheet(WIDTH, height, layers, hatch + body, out);
}
