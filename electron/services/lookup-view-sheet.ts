import sharp from 'sharp';
import { viridisRgb } from '../../shared/colours.ts';
import type { LookupView } from '../../shared/ipc.ts';
import { type Layer, outline, SHEET, saveSheet, sheetWriter } from './sheet.ts';

const MARGIN = 28;
const TOP = 110;
const PICTURE = 256;
const MAP = 96;
const GAP = 10;
const COLUMNS = 10;
const COLOR = { right: '#2f9e55', wrong: '#e8862e' };
/** Of `chances`. */
const TEN_THOUSANDTHS = 10_000;

/** Every look-up of one image: for each masked patch where in the image the student looked for it, as a heat map. */
export async function lookupViewSheet(view: LookupView, name: string, out: string): Promise<void> {
  const { grid, answers } = view;
  const K = grid * grid;
  const rows = Math.ceil(answers.length / COLUMNS);
  const width = 2 * MARGIN + COLUMNS * (MAP + GAP) - GAP;
  const maps = TOP + PICTURE + 60;
  const height = maps + rows * (MAP + 34) + MARGIN;
  const write = await sheetWriter(width - MARGIN);
  const right = answers.filter(({ rank }) => rank === 1).length;
  let body =
    write('Where the student looked for each masked patch', MARGIN, 44, 20, SHEET.ink, true) +
    write(
      `${name}, step ${view.step}. ${view.path}: ${right} of ${answers.length} found; chance 1 in ${K}.`,
      MARGIN,
      66,
      12,
    ) +
    write(view.how, MARGIN, 84, 11, SHEET.quiet);
  const picture = Buffer.from(view.picture.slice(view.picture.indexOf(',') + 1), 'base64');
  const layers: Layer[] = [
    {
      input: await sharp(picture).resize(PICTURE, PICTURE, { kernel: 'cubic' }).png().toBuffer(),
      left: MARGIN,
      top: TOP,
    },
  ];
  const masked = MARGIN + PICTURE + GAP;
  layers.push({ input: layers[0]!.input, left: masked, top: TOP });
  const cell = PICTURE / grid;
  const at = (patch: number, left: number, top: number, side: number) =>
    `x="${left + (patch % grid) * side}" y="${top + Math.floor(patch / grid) * side}" width="${side}" height="${side}"`;
  for (const { patch, rank } of answers) {
    body += `<rect ${at(patch, masked, TOP, cell)} fill="#8a8f94"/>`;
    if (cell < 10) continue;
    const label = String(rank);
    const size = Math.min(13, Math.floor(cell / 2));
    body += write(
      label,
      masked + (patch % grid) * cell + 2,
      TOP + Math.floor(patch / grid) * cell + cell / 2 + size / 3,
      size,
      rank === 1 ? '#c8f7d5' : '#ffffff',
    );
  }
  body += outline(MARGIN, TOP, PICTURE) + outline(masked, TOP, PICTURE);
  body += write(
    'the image; what was hidden, with the rank of the true place',
    MARGIN,
    TOP + PICTURE + 16,
    11,
    SHEET.quiet,
  );
  body += write(
    'One map for each masked patch (row, column): from nothing (dark) to its own most (bright). White: its true place. Green or orange: where it was found.',
    ...([MARGIN, maps - 18, 11, SHEET.quiet] as const),
  );
  for (const [i, { patch, rank, top5, chances }] of answers.entries()) {
    const [left, top] = [MARGIN + (i % COLUMNS) * (MAP + GAP), maps + Math.floor(i / COLUMNS) * (MAP + 34) + 16];
    const most = Math.max(...chances, 1);
    const rgb = Buffer.from(chances.flatMap((chance) => viridisRgb(chance / most)));
    const map = await sharp(rgb, { raw: { width: grid, height: grid, channels: 3 } })
      .png()
      .toBuffer();
    layers.push({ input: await sharp(map).resize(MAP, MAP, { kernel: 'nearest' }).png().toBuffer(), left, top });
    const side = MAP / grid;
    const found = top5[0]!;
    body += `<rect ${at(patch, left, top, side)} fill="none" stroke="#fff" stroke-width="2.5"/>`;
    body += `<rect ${at(found, left, top, side)} fill="none" stroke="${rank === 1 ? COLOR.right : COLOR.wrong}" stroke-width="1.5"/>`;
    const place = `${Math.floor(patch / grid) + 1}, ${(patch % grid) + 1}`;
    body += write(place, left, top - 4, 10, SHEET.ink);
    const chance = ((100 * chances[patch]!) / TEN_THOUSANDTHS).toFixed(1);
    body += write(`rank ${rank}, ${chance} %`, left, top + MAP + 12, 10, rank === 1 ? COLOR.right : SHEET.quiet);
  }
  await saveSheet(width, height, layers, body, out);
}
