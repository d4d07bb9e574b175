import type { AugmentConfig, RunConfig } from '../../shared/config.ts';
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

/** Everything random about the two views of one image: plain data, so that it can be shown and sent. */
export interface ViewDraw {
  flip: boolean;
  crop: Box;
  student: StrongDraw | null;
  /** 'same' for the very pixels of the student's view. */
  teacher: StrongDraw | null | 'same';
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
 * Draws the two views of an image. Each purpose has a stream of its own, so that the student's view does not change
 * with the teacher's settings.
 * @param random gives the stream of a purpose
 */
export function drawViews(
  width: number,
  height: number,
  config: Pick<RunConfig, 'augment' | 'views'>,
  random: (purpose: string) => Random,
): ViewDraw {
  const { augment, views } = config;
  const geometry = random('geometry');
  return {
    flip: geometry.next() < augment.flip,
    crop: drawCrop(width, height, augment, geometry),
    student: views.student === 'strong' ? drawStrong(augment, random('student')) : null,
    teacher:
      views.teacher === 'same' ? 'same' : views.teacher === 'strong' ? drawStrong(augment, random('teacher')) : null,
  };
}

const COLOUR_OPS = { brightness, contrast, saturation, hue };

function applyStrong(rgb: Uint8Array, draw: StrongDraw, size: number, config: AugmentConfig): void {
  for (const { op, amount } of draw.jitter) COLOUR_OPS[op](rgb, amount);
  if (draw.gray) grayscale(rgb);
  if (draw.blur !== null) gaussianBlur(rgb, size, size, draw.blur);
  if (draw.solarize) solarize(rgb, config.solarize_threshold);
}

/** Memory for the views of one image after the other. */
export interface ViewRoom {
  weak: Scratch;
  student: Scratch;
  teacher: Scratch;
}
export const viewRoom = (): ViewRoom => ({ weak: new Scratch(), student: new Scratch(), teacher: new Scratch() });

/** Both views: RGB, `[size * size * 3]`, in the room that is given. They may be the same array. */
export function applyViews(
  image: Pixels,
  draw: ViewDraw,
  size: number,
  config: AugmentConfig,
  room = viewRoom(),
): { student: Uint8Array; teacher: Uint8Array } {
  // The published code flips before it crops: the same as cropping the mirrored place and flipping that.
  const left = draw.flip ? image.width - draw.crop.left - draw.crop.width : draw.crop.left;
  const weak = resizedCrop(image, { ...draw.crop, left }, size, config.interpolation, room.weak.take(size * size * 3));
  if (draw.flip) flip(weak, size);
  const view = (strong: StrongDraw | null, scratch: Scratch) => {
    if (!strong) return weak;
    const copy = scratch.take(weak.length);
    copy.set(weak);
    applyStrong(copy, strong, size, config);
    return copy;
  };
  const student = view(draw.student, room.student);
  return { student, teacher: draw.teacher === 'same' ? student : view(draw.teacher, room.teacher) };
}
