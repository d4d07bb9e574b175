import { type AxisKind, axisOf, hasPlace, reachOf } from './axis.ts';
import { type LineStyle, lineColour, lineDash, styleAt } from './palette.ts';
import { printable } from './printable.ts';

/** A chart as an SVG document of its own: for a paper, a slide or a model card, so on white, with its axes and names in it. */
export interface SvgLine {
  label: string;
  x: readonly number[];
  y: readonly (number | null)[];
  /** Default: by the line's place among the lines. */
  style?: LineStyle;
}

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [900, 480, 90, 20, 40, 50];
const LEGEND_ROW = 18;
/** Lines of an axis that there is room for: across, and up. */
const WANTED = { x: 8, y: 7 };

/** Text that means itself in XML and HTML; what XML has no way to write is shown as `printable` does. */
export const escapeXml = (text: string) =>
  printable(text).replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);

/**
 * Any values can be drawn: what is no number is left out, and a chart without any has its axes alone.
 * @returns the document, and its size in pixels
 */
export function chartSvg(
  title: string,
  xLabel: string,
  yLabel: string,
  lines: readonly SvgLine[],
  xKind: AxisKind = 'step',
) {
  const points = lines.map((line) =>
    line.x.flatMap((x, i) => {
      const y = line.y[i];
      return hasPlace(x, false) && hasPlace(y, false) ? [[x, y] as const] : [];
    }),
  );
  const reach = (axis: 0 | 1) => reachOf(points.map((line) => line.map((point) => point[axis]))) ?? [0, 1];
  const x = axisOf(xKind, reach(0), { wanted: WANTED.x });
  const y = axisOf('linear', reach(1), { wanted: WANTED.y, margin: 0.05 });
  const px = (at: number) => (LEFT + at * (WIDTH - LEFT - RIGHT)).toFixed(1);
  const py = (at: number, down = 0) => (HEIGHT - BOTTOM - at * (HEIGHT - TOP - BOTTOM) + down).toFixed(1);
  const stroke = (i: number) => {
    const style = lines[i]!.style ?? styleAt(i);
    const dash = lineDash(style);
    return `stroke="${lineColour(style, 'light')}"${dash.length > 0 ? ` stroke-dasharray="${dash.join(' ')}"` : ''}`;
  };
  const height = HEIGHT + lines.length * LEGEND_ROW + 10;
  const parts = [
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<text x="${LEFT}" y="24" font-size="16" font-weight="600">${escapeXml(title)}</text>`,
    ...y.ticks.map(
      ({ at, label }) =>
        `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${py(at)}" y2="${py(at)}" stroke="#dddddd"/><text x="${LEFT - 6}" ` +
        `y="${py(at, 4)}" text-anchor="end">${label}</text>`,
    ),
    ...x.ticks.map(
      ({ at, label }) => `<text x="${px(at)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${label}</text>`,
    ),
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 10}" text-anchor="middle">${escapeXml(xLabel)}</text>`,
    `<text transform="translate(16 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${escapeXml(yLabel)}</text>`,
    ...points.map(
      (line, i) =>
        `<polyline fill="none" ${stroke(i)} stroke-width="1.6" ` +
        `points="${line.map((point) => `${px(x.place(point[0]))},${py(y.place(point[1]))}`).join(' ')}"/>`,
    ),
    ...lines.map((line, i) => {
      const at = HEIGHT + i * LEGEND_ROW + 4;
      return (
        `<line x1="${LEFT}" x2="${LEFT + 30}" y1="${at - 4}" y2="${at - 4}" stroke-width="3" ${stroke(i)}/><text ` +
        `x="${LEFT + 38}" y="${at}">${escapeXml(line.label)}</text>`
      );
    }),
  ];
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" ` +
    `font-family="sans-serif" font-size="12" fill="#222222">${parts.join('')}</svg>`;
  return { svg, width: WIDTH, height };
}
