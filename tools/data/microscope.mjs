#!/usr/bin/env node
/**
 * Images for checks that look as a microscope's do: all framed alike, 640 x 512 pixels, four kinds of cells. They are drawn here,
 * from a seed, so that everybody has the same ones.
 *
 *   node tools/data/microscope.mjs FOLDER [--images 300] [--test 200] [--seed 0]
 *
 * FOLDER/train/<kind>/ and FOLDER/test/<kind>/ hold as many images of each kind. What tells kinds apart is what a cell looks
 * like. How many there are, their places, colours, sizes, the light, focus and noise are drawn the same way for all.
 */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import sharp from 'sharp';

const [WIDTH, HEIGHT] = [640, 512];
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    images: { type: 'string', default: '300' },
    test: { type: 'string', default: '200' },
    seed: { type: 'string', default: '0' },
  },
});
const [images, test, seed] = [Number(values.images), Number(values.test), Number(values.seed)];
if (positionals.length !== 1 || !(images >= 4) || !(test >= 4) || !Number.isInteger(seed)) {
  console.error('usage: node tools/data/microscope.mjs FOLDER [--images 300] [--test 200] [--seed 0]');
  process.exit(2);
}

/** Numbers in [0, 1) that follow from a seed (mulberry32). */
function randomOf(start) {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const oval = (rx, ry, fill, rest = '', x = 0, y = 0) =>
  `<ellipse cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" rx="${rx.toFixed(1)}" ry="${ry.toFixed(1)}" fill="${fill}" ${rest}/>`;

/** A cell about 0, 0; `r` is its size, pixels. */
const KINDS = {
  round: (r, { body, dark, rim }) =>
    oval(r, r * 0.95, body, rim) + oval(r * 0.42, r * 0.4, dark, '', r * 0.12, -r * 0.1),
  spindle: (r, { body, dark, rim }) => oval(r * 1.75, r * 0.55, body, rim) + oval(r * 0.55, r * 0.28, dark),
  granular: (r, { body, dark, rim }, random) =>
    oval(r, r * 0.95, body, rim) +
    Array.from({ length: 9 }, () => {
      const [angle, far] = [random() * 2 * Math.PI, Math.sqrt(random()) * r * 0.72];
      return oval(r * 0.13, r * 0.13, dark, '', Math.cos(angle) * far, Math.sin(angle) * far);
    }).join(''),
  budding: (r, { body, dark, rim }) =>
    oval(r * 0.8, r * 0.75, body, rim, -r * 0.3) +
    oval(r * 0.5, r * 0.48, body, rim, r * 0.75, r * 0.1) +
    oval(r * 0.25, r * 0.25, dark, '', r * 0.2),
};

async function draw(kind, random, file) {
  const between = (a, b) => a + (b - a) * random();
  const hue = between(0, 360);
  const light = between(55, 85);
  const ink = (lightness, alpha) => `hsla(${hue.toFixed(0)}, 35%, ${lightness.toFixed(0)}%, ${alpha})`;
  const colours = {
    body: ink(light - 14, 0.8),
    dark: ink(light - 34, 0.85),
    rim: `stroke="${ink(light - 26, 0.9)}" stroke-width="1.5"`,
  };
  const size = between(15, 26);
  const cells = Array.from({ length: Math.round(between(14, 40)) }, () => {
    const [x, y, turn] = [random() * WIDTH, random() * HEIGHT, random() * 360];
    const r = size * between(0.85, 1.15);
    return `<g transform="translate(${x.toFixed(1)} ${y.toFixed(1)}) rotate(${turn.toFixed(0)})">${KINDS[kind](r, colours, random)}</g>`;
  });
  const [cx, cy] = [between(0.4, 0.6), between(0.4, 0.6)];
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}"><defs><radialGradient id="g" cx="${cx}" cy="${cy}" r="0.8">
<stop offset="0" stop-color="${ink(light, 1)}"/><stop offset="1" stop-color="${ink(light - between(5, 18), 1)}"/></radialGradient></defs>
<rect width="100%" height="100%" fill="url(#g)"/>${cells.join('')}</svg>`;
  const { data, info } = await sharp(Buffer.from(svg))
    .blur(between(0.4, 1.6))
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  const noise = between(3, 9);
  // The sum of four uniform numbers is near enough to a normal one.
  for (let i = 0; i < data.length; i++)
    data[i] = Math.max(0, Math.min(255, data[i] + (random() + random() + random() + random() - 2) * 1.7 * noise));
  await sharp(data, { raw: { width: info.width, height: info.height, channels: 3 } })
    .jpeg({ quality: 88 })
    .toFile(file);
}

const out = resolve(positionals[0]);
const kinds = Object.keys(KINDS);
for (const [part, count] of [
  ['train', images],
  ['test', test],
]) {
  for (const kind of kinds) mkdirSync(join(out, part, kind), { recursive: true });
  for (let i = 0; i < count; i++) {
    const kind = kinds[i % kinds.length];
    const random = randomOf(seed * 1_000_003 + i + (part === 'test' ? 500_000 : 0));
    await draw(kind, random, join(out, part, kind, `${String(i).padStart(5, '0')}.jpg`));
  }
}
console.log(`${images} images to train and ${test} to test of ${kinds.length} kinds, in ${out}`);
