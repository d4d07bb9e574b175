import { LRUCache } from 'lru-cache';
import sharp from 'sharp';
import { drawMask, methodOf } from '../../../methods/index.ts';
import type { RunConfig } from '../../../shared/config.ts';
import { gridOf } from '../../../shared/config.ts';
import type { LabPreview } from '../../../shared/contract/recipes.ts';
import type { ImageRow } from '../../../shared/dataset.ts';
import type { ViewSpec } from '../../../shared/method.ts';
import { maskPurposes } from '../../../shared/views.ts';
import { decodeImage } from '../../data/decode.ts';
import type { Pixels } from '../../data/pixels.ts';
import { downsized } from '../../data/prepared.ts';
import { stream } from '../../data/random.ts';
import { applyViews, drawViews, type StrongDraw, type ViewDraw } from '../../data/views.ts';
import { fileOf } from '../../store/image-file.ts';
import type { Store } from '../../store/store.ts';

/** Decoded images that are kept, so that a slider answers at once, bytes. */
const kept = new LRUCache<string, Pixels>({ maxSize: 400e6, sizeCalculation: ({ data }) => data.length });

async function decoded(file: string, key: string): Promise<Pixels> {
  const image = kept.get(key) ?? (await decodeImage(file));
  kept.set(key, image);
  return image;
}

/** What the loader makes of images in epoch `draw` of a run: the same draws, operations and mask. */
export async function labPreview(
  store: Store,
  config: RunConfig,
  { images, draw }: { images: readonly number[]; draw: number },
): Promise<LabPreview[]> {
  return Promise.all(images.map((id) => preview(store, config, store.images.get(id), draw)));
}

/** What the loader makes of an image in epoch `epoch` of a run, beside what it drew. @throws AppError bad-file */
export async function viewsOfImage(store: Store, config: RunConfig, row: ImageRow, epoch: number) {
  const { augment, train } = config;
  const dataset = store.datasets.get(row.dataset_id);
  const whole = await decoded(fileOf(dataset, row), `${row.id} ${row.hash}`);
  const image = config.data.prepared === null ? whole : downsized(whole, config.data.prepared);
  const random = (purpose: string) => stream(train.seed, epoch, row.hash, `${purpose} 0`);
  const specs = methodOf(config).views(config);
  const drawn = drawViews(image.width, image.height, augment, specs, random);
  return { image, random, specs, drawn, views: applyViews(image, drawn, augment) };
}

async function preview(store: Store, config: RunConfig, row: ImageRow, epoch: number): Promise<LabPreview> {
  const { model } = config;
  const { image, random, specs, drawn, views } = await viewsOfImage(store, config, row, epoch);
  const pictures = await Promise.all(specs.map(({ name, side }) => dataUrl(views[name]!, side)));
  const masks = new Map(
    maskPurposes(specs).map((purpose, i) => [
      specs.filter(({ isMasked }) => isMasked)[i],
      drawMask(config, random(purpose)) ?? [],
    ]),
  );
  return {
    image: row.id,
    hash: row.hash,
    path: row.path,
    width: image.width,
    height: image.height,
    grid: gridOf(model),
    views: specs.map((spec, i) => ({
      title: spec.title,
      picture: pictures[i]!,
      mask: [...(masks.get(spec) ?? [])].map(Boolean),
      crop: cropOf(drawn[i]!, image.width),
    })),
    drawn: words(specs, drawn),
  };
}

/** Where the crop lies in the image as it is: the published code flips first, and draws it in the mirrored one. */
function cropOf({ crop, flip }: ViewDraw, width: number): LabPreview['views'][number]['crop'] {
  return { ...crop, left: flip ? width - crop.left - crop.width : crop.left };
}

async function dataUrl(pixels: Uint8Array, side: number): Promise<string> {
  const png = await sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
    .png({ compressionLevel: 1 })
    .toBuffer();
  return `data:image/png;base64,${png.toString('base64')}`;
}

function words(specs: readonly ViewSpec[], draws: readonly ViewDraw[]): string[] {
  const strong = (draw: StrongDraw) => [
    ...draw.jitter.map(({ op, amount }) =>
      op === 'hue' ? `hue ${amount >= 0 ? '+' : ''}${amount.toFixed(3)}` : `${op} × ${amount.toFixed(2)}`,
    ),
    ...(draw.gray ? ['grey'] : []),
    ...(draw.blur === null ? [] : [`blur ${draw.blur.toFixed(2)} px`]),
    ...(draw.solarize ? ['solarised'] : []),
  ];
  const isWhole = new Set(draws.map(({ flip }) => flip)).size === 1;
  const flipped = !draws[0]!.flip
    ? []
    : [draws.length === 1 ? 'flipped' : draws.length === 2 ? 'both flipped' : 'all flipped'];
  return [
    ...(isWhole ? flipped : []),
    ...draws.flatMap(({ flip, colours }, i) => {
      const { title } = specs[i]!;
      const own = !isWhole && flip ? ['flipped'] : [];
      if (colours === null) return own.length > 0 ? [`${title}: flipped`] : [];
      if ('same' in colours)
        return [`${title}: the ${specs.find(({ name }) => name === colours.same)!.title}'s very pixels`];
      return [`${title}: ${[...own, ...strong(colours)].join(', ') || 'nothing drawn'}`];
    }),
  ];
}
