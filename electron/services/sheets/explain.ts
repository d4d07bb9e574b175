import type { ExplainView } from '../../../shared/contract/explore.ts';
import type { ExplanationAnswer } from '../../../shared/method.ts';
import type { Target } from '../../files/outputs.ts';
import { bytesOf, enlarged, heatMap, type Layer, outline, patchBox, SHEET, saveSheet, sheetWriter } from './paper.ts';

const [MARGIN, TOP, SIDE, GAP] = [28, 92, 240, 12];
/** Beneath a picture: its title. */
const BELOW = 40;

/** What a method says of an image: a row for each network, with the pictures and maps that its description lists. */
export async function explainSheet(
  title: string,
  answer: ExplanationAnswer,
  networks: readonly { name: string; view: ExplainView }[],
  out: Target,
): Promise<void> {
  const columns = 1 + answer.pictures.length + answer.maps.length;
  const width = 2 * MARGIN + columns * (SIDE + GAP) - GAP;
  const height = TOP + networks.length * (SIDE + BELOW + 24) + MARGIN;
  const write = await sheetWriter(width - MARGIN);
  const { path, words } = networks[0]!.view;
  let body = write(`${title}: ${path}`, MARGIN, 40, 18, SHEET.ink, true) + write(words, MARGIN, 62, 11, SHEET.quiet);
  const layers: Layer[] = [];
  // One scale for all networks, so that they compare.
  const most = new Map(
    answer.maps.map(({ key }) => [key, Math.max(1e-9, ...networks.flatMap(({ view }) => view.maps[key]!.map(Number)))]),
  );
  for (const [row, { name, view }] of networks.entries()) {
    const top = TOP + row * (SIDE + BELOW + 24) + 20;
    const said = answer.figures.map((one) => `${one.title} ${view.figures[one.key]!.toFixed(one.digits)}`).join('; ');
    body += write(`${name}: ${said}`, MARGIN, top - 8, 13, SHEET.ink, true);
    const put = async (column: number, picture: Buffer, label: string) => {
      const left = MARGIN + column * (SIDE + GAP);
      layers.push({ input: picture, left, top });
      body += outline(left, top, SIDE) + write(label, left, top + SIDE + 16, 11, SHEET.quiet);
    };
    await put(0, await enlarged(bytesOf(view.picture), SIDE, 'cubic'), 'the image');
    for (const [i, { key, title }] of answer.pictures.entries())
      await put(1 + i, await enlarged(bytesOf(view.pictures[key]!), SIDE), title);
    for (const [i, { key, title }] of answer.maps.entries()) {
      const column = 1 + answer.pictures.length + i;
      const values = view.maps[key]!;
      const scale = most.get(key)!;
      await put(
        column,
        await heatMap(values.map(Number), view.grid, SIDE, scale),
        `${title}, 0 to ${scale.toFixed(2)}`,
      );
      const at = { x: MARGIN + column * (SIDE + GAP), y: top, side: SIDE };
      for (const [patch, value] of values.entries())
        if (value === null) body += `<rect ${patchBox(patch, view.grid, at)} fill="${SHEET.paper}"/>`;
    }
  }
  await saveSheet(width, height, layers, body, out);
}
