import { printable } from './printable.ts';

/** A chart as an SVG document of its own: for a paper, a slide or a model card, so on white, with its axes and names in it. */
export interface SvgLine {
  label: string;
  x: readonly number[];
  y: readonly (number | null)[];
}

const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#666666'];
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [900, 480, 70, 20, 40, 50];
const LEGEND_ROW = 18;

/** Round values from `low` to `high`, about `count` of them. */
export function ticks(low: number, high: number, count = 6): number[] {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((m) => m * power >= rough) ?? 10) * power;
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}

/** Text that means itself in XML and HTML; what XML has no way to write is shown as `printable` does. */
export const escapeXml = (text: string) =>
  printable(text).replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);
const short = (value: number) => String(Number(value.toPrecision(6)));

/** @returns the document, and its size in pixels */
export function chartSvg(title: string, xLabel: string, yLabel: string, lines: readonly SvgLine[]) {
  const points = lines.map((line) =>
    line.x.flatMap((x, i) => {
      const y = line.y[i];
      return y === null || y === undefined || !Number.isFinite(y) ? [] : [[x, y] as const];
    }),
  );
  const all = points.flat();
  const bound = (axis: 0 | 1, pick: (a: number, b: number) => number, start: number) =>
    all.reduce((found, point) => pick(found, point[axis]), start);
  const [x0, x1] = all.length > 0 ? [bound(0, Math.min, Infinity), bound(0, Math.max, -Infinity)] : [0, 1];
  let [y0, y1] = all.length > 0 ? [bound(1, Math.min, Infinity), bound(1, Math.max, -Infinity)] : [0, 1];
  const margin = (y1 - y0 || 1) * 0.05;
  [y0, y1] = [y0 - margin, y1 + margin];
  const px = (x: number) => LEFT + ((x - x0) / (x1 - x0 || 1)) * (WIDTH - LEFT - RIGHT);
  const py = (y: number) => HEIGHT - BOTTOM - ((y - y0) / (y1 - y0)) * (HEIGHT - TOP - BOTTOM);
  const height = HEIGHT + lines.length * LEGEND_ROW + 10;
  const parts = [
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<text x="${LEFT}" y="24" font-size="16" font-weight="600">${escapeXml(title)}</text>`,
    ...ticks(y0, y1).map(
      (y) =>
        `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${py(y).toFixed(1)}" y2="${py(y).toFixed(1)}" stroke="#dddddd"/><text x="${LEFT - 6}" y="${(py(y) + 4).toFixed(1)}" text-anchor="end">${short(y)}</text>`,
    ),
    ...ticks(x0, x1, 8).map(
      (x) => `<text x="${px(x).toFixed(1)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${short(x)}</text>`,
    ),
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 10}" text-anchor="middle">${escapeXml(xLabel)}</text>`,
    `<text transform="translate(16 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${escapeXml(yLabel)}</text>`,
    ...points.map(
      (line, i) =>
        `<polyline fill="none" stroke="${COLOURS[i % COLOURS.length]}" stroke-width="1.6" ${i >= COLOURS.length ? 'stroke-dasharray="6 4" ' : ''}points="${line.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(' ')}"/>`,
    ),
    ...lines.map((line, i) => {
      const y = HEIGHT + i * LEGEND_ROW + 4;
      return `<rect x="${LEFT}" y="${y - 9}" width="14" height="4" fill="${COLOURS[i % COLOURS.length]}"/><text x="${LEFT + 22}" y="${y}">${escapeXml(line.label)}</text>`;
    }),
  ];
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12" fill="#222222">${parts.join('')}</svg>`;
  return { svg, width: WIDTH, height };
}
