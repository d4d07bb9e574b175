import sharp from 'sharp';
import type { RetrievalView } from '../../../shared/contract/retrieval.ts';
import { placeOf } from '../../../shared/patches.ts';
import type { Target } from '../../files/outputs.ts';
import { bytesOf, ending, type Layer, outline, patchFrame, SHEET, saveSheet, sheetWriter } from './paper.ts';

const TILE = 192;
const GAP = 10;
const TOP = 76;
const ROW = TILE + 44;
const COLUMNS = 6;
const QUERY = '#0072b2';
const ANSWER = '#d55e00';
/** Letters of a line of words, of a name under a tile. */
const [LINE, NAME] = [170, 27];

/** A contact sheet: the query first, then the answers, each framed in its image, its score below; at last what was searched. */
export async function drawRetrieval(view: RetrievalView, out: Target): Promise<void> {
  const { grid, picture, path, patches, results, searched } = view;
  const tiles = [
    { picture, patches, colour: QUERY, score: 'the query', name: path },
    ...results.map((one) => ({
      picture: one.picture,
      patches: [one.patch],
      colour: ANSWER,
      score: one.score.toFixed(3),
      name: one.path,
    })),
  ];
  const words = linesOf(searched.words);
  const width = GAP + COLUMNS * (TILE + GAP);
  const below = TOP + Math.ceil(tiles.length / COLUMNS) * ROW;
  const write = sheetWriter(width - GAP);
  const layers: Layer[] = [];
  const place = patches.length > 1 ? `${patches.length} patches` : placeOf(patches[0]!, grid);
  const body = [
    write('Patches like this one', GAP, 34, 20, SHEET.ink, true),
    write(`${path}, ${place}. Blue: what is asked; orange: answers, the nearest first.`, GAP, 58, 13, SHEET.quiet),
    ...words.map((line, i) => write(line, GAP, below + 16 + 18 * i, 12, SHEET.quiet)),
  ];
  for (const [i, tile] of tiles.entries()) {
    const [x, y] = [GAP + (i % COLUMNS) * (TILE + GAP), TOP + Math.floor(i / COLUMNS) * ROW];
    if (tile.picture !== '') {
      layers.push({ input: await sharp(bytesOf(tile.picture)).resize(TILE, TILE).png().toBuffer(), left: x, top: y });
    }
    const { name } = tile;
    body.push(
      outline(x, y, TILE),
      ...tile.patches.map((patch) => patchFrame(patch, grid, { x, y, side: TILE }, tile.colour, 3)),
      write(tile.score, x, y + TILE + 15, 12, SHEET.ink, true),
      write(ending(name, NAME), x, y + TILE + 31, 11, SHEET.quiet),
    );
  }
  await saveSheet(width, below + 18 * words.length + GAP + 10, layers, body.join(''), out);
}

/** Words in lines that fit. */
function linesOf(text: string): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    if (lines.at(-1)!.length + word.length > LINE) lines.push('');
    lines[lines.length - 1] += `${lines.at(-1) ? ' ' : ''}${word}`;
  }
  return lines;
}
