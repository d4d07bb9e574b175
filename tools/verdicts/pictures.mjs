// Small pictures with classes, the same for each seed.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';

const SIDE = 20;

/** Mulberry32. */
function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Tints, as what is added to red, green and blue. */
const TINTS = { amber: [4, 0, -4], moss: [-3, 5, -2], rose: [4, -5, 1], slate: [-4, 0, 4] };

/**
 * Clouds of light and dark that are another in each image, with a faint tint of the class: what outshines the tint is
 * another in each crop, so that two views of an image share little else.
 */
function clouds(draw, tint) {
  const waves = Array.from({ length: 9 }, (_, i) => ({
    u: i % 3,
    v: Math.floor(i / 3),
    size: (i === 0 ? 70 : 28) * 2 * (draw() - 0.5),
  }));
  const own = tint.map((v) => v + 2 * (draw() - 0.5));
  return (x, y) => {
    const light = waves.reduce(
      (sum, { u, v, size }) => sum + size * Math.cos((Math.PI * u * x) / SIDE) * Math.cos((Math.PI * v * y) / SIDE),
      125,
    );
    return own.map((v) => light + v + 16 * (draw() - 0.5));
  };
}

/** All framed alike: one picture, a little brighter or darker, with a speck somewhere in some. */
function framed(draw, hasSpeck) {
  const light = 0.9 + 0.2 * draw();
  const [cx, cy] = [SIDE * draw(), SIDE * draw()];
  return (x, y) => {
    const base = 90 + 60 * Math.sin(x / 2) * Math.cos(y / 4) + 2 * x - y + (x % 5 === 0 || y % 7 === 0 ? -50 : 0);
    const speck = hasSpeck && Math.hypot(x - cx, y - cy) < 1.5 ? 15 : 0;
    const value = light * base + speck + 6 * (draw() - 0.5);
    return [value, value, value];
  };
}

/** Makes a folder for each class. @param kind clouds or framed @param each images of a class */
export async function makePictures(folder, kind, each, seed = 1) {
  const draw = random(seed);
  const classes = kind === 'framed' ? { whole: false, speck: true } : TINTS;
  for (const [name, how] of Object.entries(classes)) {
    mkdirSync(join(folder, name), { recursive: true });
    for (let i = 0; i < each; i++) {
      const at = kind === 'framed' ? framed(draw, how) : clouds(draw, how);
      const pixels = Buffer.alloc(SIDE * SIDE * 3);
      for (let y = 0; y < SIDE; y++)
        for (let x = 0; x < SIDE; x++)
          at(x, y).forEach((v, c) => {
            pixels[(y * SIDE + x) * 3 + c] = Math.max(0, Math.min(255, Math.round(v)));
          });
      await sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 3 } })
        .png()
        .toFile(join(folder, name, `${String(i).padStart(3, '0')}.png`));
    }
  }
}
