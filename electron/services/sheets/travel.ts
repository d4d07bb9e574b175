import sharp from 'sharp';
import type { TravelView } from '../../../shared/contract/retrieval.ts';
import { placeOf } from '../../../shared/patches.ts';
import { count, percent } from '../../../shared/words.ts';
import type { Target } from '../../files/outputs.ts';
import { beginning, bytesOf, type Layer, outline, patchFrame, SHEET, saveSheet, sheetWriter } from './paper.ts';

const TILE = 132;
const GAP = 10;
const LEFT = 210;
const TOP = 84;
const ROW = TILE + 34;
const FRAME = '#d55e00';
const NEW = '#0072b2';

/**
 * A contact sheet: a row for each station, the query first, then its nearest patches framed in their images; orange where
 * the station before had them too, blue where they are new.
 */
export async function drawTravel(view: TravelView, query: { path: string; patches: number[] }, out: Target) {
  const stations = view.stations.filter(({ results }) => results !== null);
  const most = Math.max(1, ...stations.map(({ results }) => results!.length));
  const width = LEFT + most * (TILE + GAP) + GAP;
  const height = TOP + Math.max(1, stations.length) * ROW + GAP;
  const write = sheetWriter(width - GAP);
  const picture = async (url: string, size: number) => sharp(bytesOf(url)).resize(size, size).png().toBuffer();
  const layers: Layer[] = [{ input: await picture(view.picture, 64), left: GAP + 4, top: 10 }];
  const body = [
    write('The same patch through training', 96, 34, 20, SHEET.ink, true),
    write(
      `${query.path}, ` +
        `${query.patches.length > 1 ? `${query.patches.length} patches` : placeOf(query.patches[0]!, view.grid)}. ` +
        'Orange: the station before had it too; blue: new.',
      96,
      58,
      13,
      SHEET.quiet,
    ),
  ];
  for (const [i, { name, step, is_untrained, grid, overlap, beside, results }] of stations.entries()) {
    const y = TOP + i * ROW;
    body.push(
      write(beginning(name, 24), GAP + 4, y + 24, 13, SHEET.ink, true),
      write(is_untrained ? 'untrained' : `step ${count(step)}`, GAP + 4, y + 44, 13),
      ...(overlap === null ? [] : [write(`${percent(overlap, 0)} kept`, GAP + 4, y + 64, 13, SHEET.quiet)]),
      ...(beside === null || beside.overlap === null
        ? []
        : [
            write(`${percent(beside.overlap, 0)} as the first run`, GAP + 4, y + 84, 13, SHEET.quiet),
            write(beside.is_untrained ? 'untrained' : `at step ${beside.step}`, GAP + 4, y + 100, 13, SHEET.quiet),
          ]),
    );
    for (const [n, { image, patch, score, rank_before }] of results!.entries()) {
      const x = LEFT + n * (TILE + GAP);
      const url = view.pictures[image];
      if (url) layers.push({ input: await picture(url, TILE), left: x, top: y });
      const isFirst = overlap === null;
      body.push(
        outline(x, y, TILE),
        patchFrame(patch, grid, { x, y, side: TILE }, isFirst || rank_before !== null ? FRAME : NEW, 2.5),
        write(score.toFixed(2), x, y + TILE + 16, 12, SHEET.quiet),
      );
    }
  }
  await saveSheet(width, height, layers, body.join(''), out);
}
