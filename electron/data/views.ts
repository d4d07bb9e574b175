import type { AugmentConfig } from '../../shared/config.ts';
import type { ViewSpec } from '../../shared/method.ts';
import { brightness, contrast, flip, gaussianBlur, grayscale, hue, saturation, solarize } from './augment-ops.ts';
import type { Pixels } from './pixels.ts';
import type { Random } from './random.ts';
import { type Box, resizedCrop } from './resample.ts';
import { Scratch } from './scratch.ts';

export type ColourOp = { op: 'brightness' | 'contrast' | 'saturation' | 'hue'; amount: number };

/** What was drawn for the strong view of one image; nothing where a draw said no. */
export interface StrongDraw {
  jitter: ColourOp[];
  gray: boolean;
  /** Radius, pixels. */
  blur: number | null;
  solarize: boolean;
}

/** Everything random about one view of an image: plain data, so that it can be shown and sent. */
export interface ViewDraw {
  /** Of the view. */
  name: string;
  side: number;
  /** Views of one geometry have the same. */
  geometry: string;
  flip: boolean;
  crop: Box;
  /** Where it is not the run's. */
  interpolation?: AugmentConfig['interpolation'];
  /** Null for the crop alone; `same` for the very pixels of another view. */
  colours: StrongDraw | null | { same: string };
  /** Purpose of colours that the whole image gets before it is cropped. */
  whole?: string;
}

const CROP_ATTEMPTS = 10;

/** `RandomResizedCropAndInterpolationWithTwoPic.get_params` of transforms.py. */
function drawCrop(width: number, height: number, { crop_scale, crop_ratio }: AugmentConfig, random: Random): Box {
  for (let attempt = 0; attempt < CROP_ATTEMPTS; attempt++) {
    const area = random.uniform(...crop_scale) * width * height;
    const ratio = Math.exp(random.uniform(Math.log(crop_ratio[0]), Math.log(crop_ratio[1])));
    const w = Math.round(Math.sqrt(area * ratio));
    const h = Math.round(Math.sqrt(area / ratio));
    if (w >= 1 && h >= 1 && w <= width && h <= height) {
      return { left: random.int(width - w + 1), top: random.int(height - h + 1), width: w, height: h };
    }
  }
  // The middle, as near to the whole as the ratios allow.
  const [w, h] =
    width / height < crop_ratio[0]
      ? [width, Math.max(1, Math.min(height, Math.round(width / crop_ratio[0])))]
      : width / height > crop_ratio[1]
        ? [Math.max(1, Math.min(width, Math.round(height * crop_ratio[1]))), height]
        : [width, height];
  return { left: (width - w) >> 1, top: (height - h) >> 1, width: w, height: h };
}

/** The strong augmentation of datasets.py: colour jitter in a random order, grey, blur, solarisation. */
function drawStrong(config: AugmentConfig, random: Random): StrongDraw {
  const around = (strength: number) => random.uniform(Math.max(0, 1 - strength), 1 + strength);
  const jitter: ColourOp[] = [];
  if (random.next() < config.jitter) {
    const ops: ColourOp[] = [];
    if (config.brightness > 0) ops.push({ op: 'brightness', amount: around(config.brightness) });
    if (config.contrast > 0) ops.push({ op: 'contrast', amount: around(config.contrast) });
    if (config.saturation > 0) ops.push({ op: 'saturation', amount: around(config.saturation) });
    if (config.hue > 0) ops.push({ op: 'hue', amount: random.uniform(-config.hue, config.hue) });
    jitter.push(...random.shuffle(ops));
  }
  const gray = random.next() < config.gray;
  const blur = random.next() < config.blur ? random.uniform(...config.blur_radius) : null;
  return { jitter, gray, blur, solarize: random.next() < config.solarize };
}

/**
 * Draws the views of an image. Each purpose has a stream of its own, so that one view does not change with another's
 * settings.
 * @param random gives the stream of a purpose
 */
export function drawViews(
  width: number,
  height: number,
  augment: AugmentConfig,
  specs: readonly ViewSpec[],
  random: (purpose: string) => Random,
): ViewDraw[] {
  const places = new Map<string, Pick<ViewDraw, 'flip' | 'crop'>>();
  const wholes = new Map<string, StrongDraw>();
  return specs.map(({ name, side, geometry, colours, interpolation, augment: own }) => {
    const settings = { ...augment, ...own };
    let place = places.get(geometry);
    if (!place) {
      const draw = random(geometry);
      place = { flip: draw.next() < settings.flip, crop: drawCrop(width, height, settings, draw) };
      places.set(geometry, place);
    }
    const view = { name, side, geometry, ...place, ...(interpolation && { interpolation }) };
    if (typeof colours === 'object' && 'whole' in colours) {
      const { whole } = colours;
      const drawn = wholes.get(whole) ?? drawStrong(settings, random(whole));
      wholes.set(whole, drawn);
      return { ...view, colours: drawn, whole };
    }
    const drawn = colours === 'weak' ? null : colours === 'strong' ? drawStrong(settings, random(name)) : colours;
    return { ...view, colours: drawn };
  });
}

const COLOUR_OPS = { brightness, contrast, saturation, hue };

function applyStrong(rgb: Uint8Array, draw: StrongDraw, width: number, height: number, config: AugmentConfig): void {
  for (const { op, amount } of draw.jitter) COLOUR_OPS[op](rgb, amount);
  if (draw.gray) grayscale(rgb);
  if (draw.blur !== null) gaussianBlur(rgb, width, height, draw.blur);
  if (draw.solarize) solarize(rgb, config.solarize_threshold);
}

/** Memory for the views of one image after the other. */
export class ViewRoom {
  readonly #scratch = new Map<string, Scratch>();

  of(purpose: string): Scratch {
    const found = this.#scratch.get(purpose) ?? new Scratch();
    this.#scratch.set(purpose, found);
    return found;
  }
}

/** The views by name: RGB, `[side * side * 3]`, in the room that is given. Several may be the same array. */
export function applyViews(
  image: Pixels,
  draws: readonly ViewDraw[],
  config: AugmentConfig,
  room = new ViewRoom(),
): Record<string, Uint8Array> {
  const crops = new Map<string, Uint8Array>();
  const wholes = new Map<string, Pixels>();
  const views: Record<string, Uint8Array> = {};
  for (const { name, side, geometry, flip: isFlipped, crop, colours, whole, interpolation } of draws) {
    const filter = interpolation ?? config.interpolation;
    const key = `crop ${geometry} ${side} ${filter} ${whole ?? ''}`;
    const source = whole === undefined ? image : colouredWhole(whole, colours as StrongDraw);
    let weak = crops.get(key);
    if (!weak) {
      // The published code flips before it crops: the same as cropping the mirrored place and flipping that.
      const left = isFlipped ? image.width - crop.left - crop.width : crop.left;
      const place = room.of(key).take(side * side * 3);
      weak = resizedCrop(source, { ...crop, left }, side, filter, place);
      if (isFlipped) flip(weak, side);
      crops.set(key, weak);
    }
    if (colours === null || whole !== undefined) views[name] = weak;
    else if ('same' in colours) views[name] = views[colours.same]!;
    else {
      const copy = room.of(`view ${name}`).take(weak.length);
      copy.set(weak);
      applyStrong(copy, colours, side, side, config);
      views[name] = copy;
    }
  }
  return views;

  function colouredWhole(purpose: string, draw: StrongDraw): Pixels {
    const known = wholes.get(purpose);
    if (known) return known;
    const { data, width, height } = image;
    const copy = room.of(`whole ${purpose}`).take(data.length);
    copy.set(data);
    applyStrong(copy, draw, width, height, config);
    const coloured = { ...image, data: copy };
    wholes.set(purpose, coloured);
    return coloured;
  }
}
