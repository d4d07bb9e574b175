import type { LookupView } from '../../../shared/contract/explore.ts';
import { rowAndColumn } from '../../../shared/patches.ts';
import { percent } from '../../../shared/words.ts';
import type { Target } from '../../files/outputs.ts';
import {
  bytesOf,
  enlarged,
  heatMap,
  type Layer,
  outline,
  patchBox,
  patchFrame,
  SHEET,
  saveSheet,
  sheetWriter,
} from './paper.ts';

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
export async function lookupViewSheet(view: LookupView, name: string, out: Target): Promise<void> {
  const { grid, answers } = view;
  const K = grid * grid;
  const rows = Math.ceil(answers.length / COLUMNS);
  const width = 2 * MARGIN + COLUMNS * (MAP + GAP) - GAP;
  const maps = TOP + PICTURE + 60;
  const height = maps + rows * (MAP + 34) + MARGIN;
  const write = sheetWriter(width - MARGIN);
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
  const picture = await enlarged(bytesOf(view.picture), PICTURE, 'cubic');
  const masked = MARGIN + PICTURE + GAP;
  const layers: Layer[] = [MARGIN, masked].map((left) => ({ input: picture, left, top: TOP }));
  const cell = PICTURE / grid;
  for (const { patch, rank } of answers) {
    body += `<rect ${patchBox(patch, grid, { x: masked, y: TOP, side: PICTURE })} fill="#8a8f94"/>`;
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
    layers.push({ input: await heatMap(chances, grid, MAP, 1), left, top });
    const map = { x: left, y: top, side: MAP };
    body += patchFrame(patch, grid, map, '#fff', 2.5);
    body += patchFrame(top5[0]!, grid, map, rank === 1 ? COLOR.right : COLOR.wrong, 1.5);
    body += write(rowAndColumn(patch, grid).join(', '), left, top - 4, 10, SHEET.ink);
    const chance = percent(chances[patch]! / TEN_THOUSANDTHS);
    body += write(`rank ${rank}, ${chance}`, left, top + MAP + 12, 10, rank === 1 ? COLOR.right : SHEET.quiet);
  }
  await saveSheet(width, height, layers, body, out);
}
