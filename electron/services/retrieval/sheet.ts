import sharp from 'sharp';
import type { RetrievalView } from '../../../shared/ipc.ts';

const TILE = 192;
const GAP = 8;
const COLUMNS = 6;

/** A contact sheet: the query's image first, then the answers, each with its patch framed. Scores are in the words. */
export async function drawRetrieval({ grid, picture, patches, results }: RetrievalView, out: string): Promise<void> {
  const tiles = [{ picture, patches, colour: '#0072b2' }].concat(
    results.map((one) => ({ picture: one.picture, patches: [one.patch], colour: '#d55e00' })),
  );
  const columns = Math.min(COLUMNS, tiles.length);
  const rows = Math.ceil(tiles.length / columns);
  const cell = TILE / grid;
  const drawn = await Promise.all(
    tiles
      .filter((tile) => tile.picture !== '')
      .map(async (tile, i) => {
        const frames = tile.patches.map(
          (patch) =>
            `<rect x="${(patch % grid) * cell}" y="${Math.floor(patch / grid) * cell}" width="${cell}" height="${cell}" fill="none" stroke="${tile.colour}" stroke-width="3"/>`,
        );
        const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${TILE}" height="${TILE}">${frames.join('')}</svg>`;
        const input = await sharp(Buffer.from(tile.picture.split(',')[1]!, 'base64'))
          .resize(TILE, TILE)
          .composite([{ input: Buffer.from(svg) }])
          .png()
          .toBuffer();
        const [x, y] = [i % columns, Math.floor(i / columns)];
        return { input, left: GAP + x * (TILE + GAP), top: GAP + y * (TILE + GAP) };
      }),
  );
  await sharp({
    create: {
      width: GAP + columns * (TILE + GAP),
      height: GAP + rows * (TILE + GAP),
      channels: 3,
      background: '#ffffff',
    },
  })
    .composite(drawn)
    .png()
    .toFile(out);
}
