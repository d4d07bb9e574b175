#!/usr/bin/env node
// Draws a run's curves for the documentation:
//   npm run --silent conmim -- show RUN --metrics 200 --json > run.json && node tools/docs/curve.mjs run.json OUT.png
import { readFileSync } from 'node:fs';
import sharp from 'sharp';

const [input, output] = process.argv.slice(2);
const { name, metrics, total_steps, config } = JSON.parse(readFileSync(input, 'utf8'));
const K = (config.model.image_size / config.model.patch_size) ** 2;
const [WIDTH, PANEL, LEFT, TOP, GAP] = [900, 210, 70, 50, 60];
const ranks = metrics.filter((m) => m.rank_teacher !== null);
const panels = [
  {
    title: 'loss',
    top: Math.log(K) * 1.1,
    lines: [{ label: 'loss', colour: '#0072b2', points: metrics.map((m) => [m.step, m.loss]) }],
    marks: [[Math.log(K), `ln K = ${Math.log(K).toFixed(2)}`]],
  },
  {
    title: 'look-up top-1',
    top: 1,
    lines: [
      { label: 'own image', colour: '#0072b2', points: metrics.map((m) => [m.step, m.top1]) },
      {
        label: "another image's keys (position alone)",
        colour: '#d55e00',
        points: metrics.map((m) => [m.step, m.top1_control]),
      },
    ],
    marks: [[1 / K, `chance ${((100 * 1) / K).toFixed(1)} %`]],
  },
  {
    title: 'effective rank',
    top: Math.max(...ranks.flatMap((m) => [m.rank_teacher, m.rank_student])) * 1.15,
    lines: [
      { label: 'keys (teacher)', colour: '#0072b2', points: ranks.map((m) => [m.step, m.rank_teacher]) },
      { label: 'queries (student)', colour: '#d55e00', points: ranks.map((m) => [m.step, m.rank_student]) },
    ],
    marks: [],
  },
];
const text = (x, y, words, { size = 13, colour = '#333', anchor = 'start' } = {}) =>
  `<text x="${x}" y="${y}" font-size="${size}" fill="${colour}" text-anchor="${anchor}">${words.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</text>`;
const x = (step) => LEFT + (step / total_steps) * (WIDTH - LEFT - 30);
let body = text(LEFT, 28, `Run "${name}": ${metrics.length} points over ${total_steps} steps, K = ${K}`, { size: 16 });
panels.forEach(({ title, top, lines, marks }, i) => {
  const base = TOP + i * (PANEL + GAP) + PANEL;
  const y = (value) => base - (value / top) * (PANEL - 20);
  body += text(LEFT, base - PANEL + 8, title);
  for (let tick = 0; tick <= 4; tick++) {
    const value = (top * tick) / 4;
    body +=
      `<path d="M${LEFT} ${y(value)}H${WIDTH - 30}" stroke="#ddd"/>` +
      `${text(LEFT - 8, y(value) + 4, value.toFixed(top > 10 ? 0 : 2), { anchor: 'end', size: 11 })}`;
  }
  for (const [value, words] of marks) {
    body +=
      `<path d="M${LEFT} ${y(value)}H${WIDTH - 30}" stroke="#555" stroke-dasharray="5 4"/>` +
      `${text(WIDTH - 34, y(value) - 5, words, { anchor: 'end', size: 12 })}`;
  }
  lines.forEach(({ label, colour, points }, n) => {
    body +=
      `<polyline fill="none" stroke="${colour}" stroke-width="1.8" ` +
      `points="${points.map(([s, v]) => `${x(s).toFixed(1)},${y(v).toFixed(1)}`).join(' ')}"/>`;
    body += text(LEFT + 120 + n * 150, base - PANEL + 8, label, { colour });
  });
  for (let tick = 0; tick <= 4; tick++)
    body += text(x((total_steps * tick) / 4), base + 18, String(Math.round((total_steps * tick) / 4)), {
      anchor: 'middle',
      size: 11,
    });
});
const height = TOP + panels.length * (PANEL + GAP) + 10;
body += text(WIDTH - 30, height - 8, 'step', { anchor: 'end', size: 11 });
const svg =
  `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" font-family="DejaVu Sans, Arial, ` +
  `sans-serif"><rect width="100%" height="100%" fill="#fafaf7"/>${body}</svg>`;
await sharp(Buffer.from(svg)).png().toFile(output);
