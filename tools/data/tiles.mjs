#!/usr/bin/env node
/**
 * Benchmark data that is fetched, never shipped: tiles of the photographs and paintings in two Debian packages.
 *
 *   node tools/data/tiles.mjs FOLDER [--tile 96] [--width 1920] [--packages FOLDER_WITH_DEB_FILES]
 *
 * FOLDER/train/<picture>/ holds tiles of the left 3/4 of each picture, FOLDER/test/<picture>/ of the right 1/4, so a
 * class folder is a picture and no pixel is in both. Pictures wider than --width are made that wide first. Of a picture
 * that comes in several resolutions or colours only the widest in its ordinary colours is used; logos and transparent
 * vector drawings are left out. Needs apt-get and dpkg (Debian, Ubuntu), or --packages with the two files.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import sharp from 'sharp';

const PACKAGES = ['plasma-workspace-wallpapers', 'mate-backgrounds'];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tile: { type: 'string', default: '96' },
    width: { type: 'string', default: '1920' },
    packages: { type: 'string' },
  },
});
const tile = Number(values.tile);
const width = Number(values.width);
if (positionals.length !== 1 || !(tile >= 16) || !(width >= 4 * tile)) {
  console.error('usage: node tools/data/tiles.mjs FOLDER [--tile 96] [--width 1920] [--packages FOLDER]');
  process.exit(2);
}
const out = resolve(positionals[0]);

/** Fetches (unless they are given) and unpacks the packages; returns the folder they were unpacked in. */
function unpack(work) {
  const from = values.packages ? resolve(values.packages) : work;
  if (!values.packages) {
    console.log(`Fetching ${PACKAGES.join(', ')} (140 MB)`);
    execFileSync('apt-get', ['download', '-q', ...PACKAGES], { cwd: work, stdio: ['ignore', 'ignore', 'inherit'] });
  }
  const root = join(work, 'root');
  for (const name of PACKAGES) {
    const deb = readdirSync(from).find((f) => f.startsWith(`${name}_`) && f.endsWith('.deb'));
    if (!deb) throw new Error(`${from} holds no ${name}_*.deb; fetch it with: apt-get download ${name}`);
    execFileSync('dpkg', ['-x', join(from, deb), root]);
  }
  return root;
}

/** The picture with most pixels across of several files. */
async function widest(files) {
  const sizes = await Promise.all(files.map(async (f) => (await sharp(f).metadata()).width));
  return files[sizes.indexOf(Math.max(...sizes))];
}

const isPicture = (name) => /\.(jpe?g|png)$/i.test(name);
const inside = (folder) =>
  readdirSync(folder)
    .filter(isPicture)
    .sort()
    .map((f) => join(folder, f));

/** Distinct pictures as [name, file]: every Plasma wallpaper, and what of MATE's is a photograph or a painting. */
async function pictures(root) {
  const found = [];
  const plasma = join(root, 'usr/share/wallpapers');
  for (const name of readdirSync(plasma).sort()) {
    const images = join(plasma, name, 'contents/images');
    if (statSync(images, { throwIfNoEntry: false })) found.push([name, await widest(inside(images))]);
  }
  const mate = join(root, 'usr/share/backgrounds/mate');
  for (const file of inside(join(mate, 'nature'))) found.push([basename(file).replace(/\..*$/, ''), file]);
  const elephants = inside(join(mate, 'abstract')).filter((f) => basename(f).startsWith('Elephants'));
  found.push(['Elephants', await widest(elephants)]);
  return found;
}

/** Cuts the rectangle's whole tiles, row by row, into a folder; returns how many. */
async function cut(raw, left, right, folder) {
  mkdirSync(folder, { recursive: true });
  const { data, info } = raw;
  let count = 0;
  for (let y = 0; y + tile <= info.height; y += tile) {
    for (let x = left; x + tile <= right; x += tile) {
      await sharp(data, { raw: info })
        .extract({ left: x, top: y, width: tile, height: tile })
        .jpeg({ quality: 95, chromaSubsampling: '4:4:4' })
        .toFile(join(folder, `y${String(y).padStart(4, '0')}-x${String(x).padStart(4, '0')}.jpg`));
      count++;
    }
  }
  return count;
}

const work = mkdtempSync(join(tmpdir(), 'conmim-tiles-'));
try {
  const list = await pictures(unpack(work));
  for (const part of ['train', 'test']) rmSync(join(out, part), { recursive: true, force: true });
  const total = { train: 0, test: 0 };
  for (const [name, file] of list) {
    const raw = await sharp(file)
      .rotate()
      .resize({ width, withoutEnlargement: true })
      .flatten({ background: '#000' })
      .toColourspace('srgb')
      .raw()
      .toBuffer({ resolveWithObject: true });
    const split = Math.floor((raw.info.width * 3) / 4);
    const train = await cut(raw, 0, split, join(out, 'train', name));
    const test = await cut(raw, split, raw.info.width, join(out, 'test', name));
    total.train += train;
    total.test += test;
    console.log(`${name.padEnd(14)} ${raw.info.width} x ${raw.info.height}  train ${train}  test ${test}`);
  }
  console.log(
    `${list.length} pictures, ${total.train} training tiles, ${total.test} test tiles of ${tile} px in ${out}`,
  );
} finally {
  rmSync(work, { recursive: true, force: true });
}
