#!/usr/bin/env node
// Draws the loss of runs that differ in precision beside runs that differ in their seed, and prints how far they are apart:
//   npm run --silent conmim -- show RUN --metrics 300 --json > fp32.json      # and so on
//   node tools/docs/precision.mjs OUT.png fp32.json bf16.json fp32-seed-1.json fp32-seed-2.json
// The first two have one seed; all have the same length, and a metric of every step.
import { readFileSync } from 'node:fs';
import sharp from 'sharp';

const [output, ...inputs] = process.argv.slice(2);
const runs = inputs.map((input) => JSON.parse(readFileSync(input, 'utf8')));
const [WIDTH, HEIGHT, LEFT, TOP, PANEL] = [900, 560, 70, 60, 200];
const WINDOW = 15;
const COLOURS = ['#0072b2', '#d55e00', '#999999', '#555555']; // Okabe and Ito, and greys for the other seeds
const steps = runs[0].metrics.length;
for (const { name, metrics } of runs)
  if (metrics.some(({ step }, i) => step !== i + 1) || metrics.length !== steps)
    throw new Error(`Run "${name}" has no metric of every step from 1 to ${steps}: ask for more with --metrics.`);

/** Mean over the last `WINDOW` steps, from the first step that has so many. */
const smooth = (values) =>
  values.slice(WINDOW - 1).map((_, i) => values.slice(i, i + WINDOW).reduce((a, b) => a + b, 0) / WINDOW);
const curves = runs.map(({ metrics }) => smooth(metrics.map(({ loss }) => loss)));
const apart = (a, b) => curves[a].map((value, i) => value - curves[b][i]);
const largest = (values) => Math.max(...values.map(Math.abs));
const mean = (values) => values.reduce((sum, value) => sum + Math.abs(value), 0) / values.length;
const words = ({ config }) => `${config.train.mixed_precision === 'off' ? 'fp32' : 'bf16'}, seed ${config.train.seed}`;
const seeds = runs.map((_, i) => i).filter((i) => i !== 1);
const pairs = [[0, 1], ...seeds.flatMap((a, n) => seeds.slice(n + 1).map((b) => [a, b]))];
for (const [a, b] of pairs) {
  const values = apart(a, b);
  console.log(
    `${words(runs[a])} - ${words(runs[b])}: largest ${largest(values).toFixed(3)}, mean ${mean(values).toFixed(3)}`,
  );
}

const text = (x, y, content, { size = 13, colour = '#333', anchor = 'start' } = {}) =>
  `<text x="${x}" y="${y}" font-size="${size}" fill="${colour}" text-anchor="${anchor}">${content}</text>`;
const x = (i) => LEFT + ((i + WINDOW) / steps) * (WIDTH - LEFT - 30);
const line = (values, y, colour) =>
  `<polyline fill="none" stroke="${colour}" stroke-width="1.8" points="${values.map((v, i) => `${x(i).toFixed(1)},${y(v).toFixed(1)}`).join(' ')}"/>`;
function panel(top, title, [low, high], lines) {
  const y = (value) => top + PANEL - ((value - low) / (high - low)) * (PANEL - 24);
  let body = text(LEFT, top + 10, title);
  for (let tick = 0; tick <= 4; tick++) {
    const value = low + ((high - low) * tick) / 4;
    body += `<path d="M${LEFT} ${y(value)}H${WIDTH - 30}" stroke="#ddd"/>${text(LEFT - 8, y(value) + 4, value.toFixed(2), { anchor: 'end', size: 11 })}`;
  }
  for (let tick = 0; tick <= 4; tick++)
    body += text(LEFT + ((WIDTH - LEFT - 30) * tick) / 4, top + PANEL + 16, Math.round((steps * tick) / 4), {
      anchor: 'middle',
      size: 11,
    });
  return body + lines.map(({ values, colour }) => line(values, y, colour)).join('');
}
const range = (rows) => [Math.floor(Math.min(...rows.flat()) * 10) / 10, Math.ceil(Math.max(...rows.flat()) * 10) / 10];
const drawn = runs.map((_, i) => i).toReversed(); // the two that are compared lie on top
const others = seeds.slice(1).map((i) => ({ values: apart(0, i), colour: COLOURS[i] }));
const precision = { values: apart(0, 1), colour: COLOURS[1] };
let body = text(LEFT, 28, `Loss over ${steps} steps, mean of ${WINDOW} each`, { size: 16 });
runs.forEach((run, i) => {
  body += text(LEFT + i * 150, 48, `▬ ${words(run)}`, { colour: COLOURS[i] });
});
body += panel(
  TOP,
  'loss',
  range(curves),
  drawn.map((i) => ({ values: curves[i], colour: COLOURS[i] })),
);
const bound = Math.ceil(largest([precision, ...others].flatMap(({ values }) => values)) * 10) / 10;
body += panel(TOP + PANEL + 50, `difference from ${words(runs[0])}`, [-bound, bound], [...others, precision]);
const svg =
  `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" font-family="sans-serif"><rect ` +
  `width="100%" height="100%" fill="#fff"/>${body}</svg>`;
await sharp(Buffer.from(svg)).png({ palette: true }).toFile(output);
