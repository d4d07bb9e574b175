import sharp from 'sharp';
import { classMark, type Shape } from '../../../shared/colours.ts';
import type { AttentionView, ColoursView, MapView } from '../../../shared/contract/explore.ts';
import { placeOf } from '../../../shared/patches.ts';
import { percent } from '../../../shared/words.ts';
import type { Target } from '../../files/outputs.ts';
import {
  bytesOf,
  ending,
  enlarged,
  heatMap,
  type Layer,
  outline,
  patchFrame,
  SHEET,
  saveSheet,
  sheetWriter,
} from './paper.ts';

const MARGIN = 28;
const HEAD = 96;

/** Heading and captions of a sheet. */
async function titled(width: number, heading: string, lines: string[]) {
  const write = sheetWriter(width - MARGIN);
  const body = write(heading, MARGIN, 44, 20, SHEET.ink, true);
  return { write, body: lines.reduce((all, line, i) => all + write(line, MARGIN, 64 + 18 * i, 12), body) };
}

/** Each image beside its patches' colours, of one network or of several. @param pictures of the images, PNG */
export async function coloursSheet(
  views: { name: string; view: ColoursView }[],
  pictures: Buffer[],
  out: Target,
): Promise<void> {
  const [side, gap, columns] = [128, 8, views.length > 1 ? 3 : 4];
  const cell = (1 + views.length) * (side + gap) + 16;
  const { images } = views[0]!.view;
  const across = Math.min(columns, images.length);
  const width = Math.max(900, 2 * MARGIN + across * cell);
  const shares = ({ view: { explained, coloured, patches } }: (typeof views)[number]) =>
    `${explained.map((share) => percent(share)).join(', ')} of the variance of ${coloured} of ${patches} patches`;
  const { write, body: head } = await titled(width, 'Principal components of patch tokens as colours', [
    `Each image, then its patches by ${views.map((one) => one.name).join(', then by ')}`,
    ...views.map((one) => `${one.name}, after block ${one.view.block} of ${one.view.depth}: ${shares(one)}`),
  ]);
  let body = head;
  const layers: Layer[] = [];
  for (const [i, { path }] of images.entries()) {
    const x = MARGIN + (i % across) * cell;
    const y = HEAD + 32 + Math.floor(i / across) * (side + 34);
    const drawn = [
      await enlarged(pictures[i]!, side, 'cubic'),
      ...(await Promise.all(views.map(({ view }) => enlarged(bytesOf(view.images[i]!.colours), side)))),
    ];
    drawn.forEach((input, column) => {
      const left = x + column * (side + gap);
      layers.push({ input, left, top: y });
      body += outline(left, y, side);
    });
    body += write(ending(path, Math.floor(cell / 8)), x, y - 6, 11, SHEET.quiet);
  }
  await saveSheet(width, HEAD + 32 + Math.ceil(images.length / across) * (side + 34), layers, body, out);
}

/** Where one token looks: a row for each block, a column for each head, their mean first. */
export async function attentionSheet(view: AttentionView, name: string, out: Target): Promise<void> {
  const { grid, heads, blocks, patch } = view;
  const [side, gap, left, top] = [104, 8, MARGIN + 70, HEAD + 30];
  const width = Math.max(760, left + (heads + 1) * (side + gap) + MARGIN);
  const token = patch === null ? 'CLS' : `the patch in ${placeOf(patch, grid)}`;
  const { write, body: head } = await titled(width, `Where ${token} looks`, [
    `${name}. ${view.path}`,
    'Each map from nothing (dark) to its own most (bright); below it the share that goes to CLS, and the entropy in nats.',
  ]);
  let body = head;
  const picture = bytesOf(view.picture);
  const layers: Layer[] = [{ input: await enlarged(picture, 64, 'cubic'), left: MARGIN, top: top - 8 }];
  const titles = ['mean', ...Array.from({ length: heads }, (_, i) => `head ${i + 1}`)];
  titles.forEach((title, column) => {
    body += write(title, left + column * (side + gap), top - 8, 11, SHEET.quiet);
  });
  for (const [b, all] of blocks.entries()) {
    const y = top + b * (side + 26);
    body += write(`block ${b + 1}`, MARGIN, y + (b === 0 ? 76 : 14), 11, SHEET.ink, true);
    const mean = all[0]!.patches.map((_, i) => all.reduce((sum, one) => sum + one.patches[i]!, 0) / heads);
    for (const [column, patches] of [mean, ...all.map((one) => one.patches)].entries()) {
      const x = left + column * (side + gap);
      layers.push({ input: await heatMap(patches, grid, side, 1e-9), left: x, top: y });
      if (patch !== null) body += patchFrame(patch, grid, { x, y, side }, '#fff', 1.5);
      const own = all[column - 1];
      if (own) body += write(`${percent(own.cls, 0)}, ${own.entropy.toFixed(2)}`, x, y + side + 13, 10, SHEET.quiet);
    }
  }
  await saveSheet(width, top + blocks.length * (side + 26) + 12, layers, body, out);
}

/** A point of a class as SVG. */
function mark(shape: Shape, x: number, y: number, r: number, fill: string): string {
  const end = `fill="${fill}" stroke="#22262a" stroke-width="0.5"/>`;
  if (shape === 'circle') return `<circle cx="${x}" cy="${y}" r="${r}" ${end}`;
  if (shape === 'square') return `<rect x="${x - r}" y="${y - r}" width="${2 * r}" height="${2 * r}" ${end}`;
  const d =
    shape === 'triangle'
      ? `M${x} ${y - r}L${x + r} ${y + r}H${x - r}z`
      : `M${x} ${y - r}L${x + r} ${y}L${x} ${y + r}L${x - r} ${y}z`;
  return `<path d="${d}" ${end}`;
}

/**
 * A map with thumbnails where they have room, and a point for every image, by class.
 * @param thumbnail a picture of an image, whatever its size, or null where it cannot be had
 */
export async function mapSheet(
  view: MapView,
  name: string,
  thumbnail: (id: number) => Promise<Uint8Array | null>,
  out: Target,
): Promise<void> {
  const [width, side, thumb] = [1600, 1200, 44];
  const { k, trustworthiness, kept, n } = view.figures;
  const { write, body: head } = await titled(width, 'Map of images by features', [
    `${name}. ${view.ids.length} of ${view.total} images, UMAP.`,
    `Trustworthiness ${trustworthiness.toFixed(3)} (k ${k}); ${percent(kept)} of the ${k} nearest are kept, by chance ${percent(k / (n - 1))}.`,
  ]);
  const legend = view.labels.length > 0 ? 200 : 0;
  const [least, span] = [view.x, view.y]
    .map((all) => [Math.min(...all), Math.max(...all) - Math.min(...all) || 1] as const)
    .reduce<[number[], number]>(([starts, most], [start, size]) => [[...starts, start], Math.max(most, size)], [[], 0]);
  const room = side - HEAD - 2 * MARGIN;
  const scaleX = (width - legend - 2 * MARGIN - thumb) / (Math.max(...view.x) - least[0]! || span);
  const scale = Math.min(scaleX, (room - thumb) / (Math.max(...view.y) - least[1]! || span));
  const at = (i: number): [number, number] => [
    MARGIN + thumb / 2 + (view.x[i]! - least[0]!) * scale,
    HEAD + MARGIN + thumb / 2 + (view.y[i]! - least[1]!) * scale,
  ];
  const taken = new Set<string>();
  const layers: Layer[] = [];
  let body = head;
  for (const [i, id] of view.ids.entries()) {
    const [x, y] = at(i);
    const { colour, shape } = classMark(view.label[i]!);
    const cell = `${Math.floor(x / (thumb + 2))} ${Math.floor(y / (thumb + 2))}`;
    const picture = taken.has(cell) ? null : await thumbnail(id);
    if (picture) {
      taken.add(cell);
      // In the middle of its cell, where no other thumbnail reaches.
      const [left, top] = [x, y].map((v) => Math.floor(v / (thumb + 2)) * (thumb + 2) + 1);
      layers.push({
        input: await sharp(picture).resize(thumb, thumb, { fit: 'cover' }).png().toBuffer(),
        left: left!,
        top: top!,
      });
      body += `<rect x="${left! + 0.5}" y="${top! + 0.5}" width="${thumb - 1}" height="${thumb - 1}" fill="none" stroke="${colour}" stroke-width="2"/>`;
    }
    body += mark(shape, Math.round(x * 10) / 10, Math.round(y * 10) / 10, 3, colour);
  }
  view.labels.slice(0, 50).forEach((label, i) => {
    const { colour, shape } = classMark(i);
    const y = HEAD + MARGIN + 20 * i;
    body += mark(shape, width - legend, y - 4, 5, colour) + write(ending(label, 24), width - legend + 14, y, 12);
  });
  await saveSheet(width, side, layers, body, out);
}
