import type { RandAugment } from '../../shared/rand-augment.ts';
import { brightness, contrast, saturation, solarize } from './augment-ops.ts';
import * as ops from './rand-augment-ops.ts';
import type { Random } from './random.ts';

/** timm's names (auto_augment.py, `_RAND_TRANSFORMS`); those whose amount depends on `increasing` have no other one here. */
export const OPERATIONS = [
  'AutoContrast',
  'Equalize',
  'Invert',
  'Rotate',
  'Posterize',
  'Solarize',
  'SolarizeAdd',
  'Color',
  'Contrast',
  'Brightness',
  'Sharpness',
  'ShearX',
  'ShearY',
  'TranslateXRel',
  'TranslateYRel',
] as const;
export type Operation = (typeof OPERATIONS)[number];

/** One operation as it was drawn: its amount in the operation's own unit, null where it has none. */
export interface Augmentation {
  op: Operation;
  amount: number | null;
}

const MOST = 10;
/** An operation that was drawn is done with this probability. */
const DONE = 0.5;

/**
 * What a magnitude means (timm's LEVEL_TO_ARG).
 * @param level 0 to 10 @param sign 1 or -1, for operations that have two directions
 */
export function amountOf(op: Operation, level: number, sign: 1 | -1, increasing: boolean): number | null {
  const share = level / MOST;
  switch (op) {
    case 'AutoContrast':
    case 'Equalize':
    case 'Invert':
      return null;
    case 'Rotate':
      return sign * share * 30;
    case 'Posterize':
      return increasing ? 4 - Math.trunc(share * 4) : Math.trunc(share * 4);
    case 'Solarize':
      return increasing ? 256 - Math.trunc(share * 256) : Math.trunc(share * 256);
    case 'SolarizeAdd':
      return Math.trunc(share * 110);
    case 'ShearX':
    case 'ShearY':
      return sign * share * 0.3;
    case 'TranslateXRel':
    case 'TranslateYRel':
      return sign * share * 0.45;
    default:
      return increasing ? 1 + sign * share * 0.9 : share * 1.8 + 0.1;
  }
}

/** Draws what is done to an image (timm's RandAugment: with replacement, all operations as likely). */
export function drawRandAugment({ magnitude, layers, std, increasing }: RandAugment, random: Random): Augmentation[] {
  const chosen = Array.from({ length: layers }, () => OPERATIONS[random.int(OPERATIONS.length)]!);
  return chosen.flatMap((op) => {
    if (random.next() > DONE) return [];
    const level = Math.max(0, Math.min(MOST, std > 0 ? magnitude + std * random.normal() : magnitude));
    return [{ op, amount: amountOf(op, level, random.next() > 0.5 ? -1 : 1, increasing) }];
  });
}

type Act = (rgb: Uint8Array, side: number, amount: number, fill: readonly number[]) => void;
/** Makes an operation that moves pixels, from the matrix for its amount. */
const moving =
  (matrixOf: (amount: number, side: number) => ops.Affine | null): Act =>
  (rgb, side, amount, fill) => {
    const matrix = matrixOf(amount, side);
    if (matrix) ops.transform(rgb, side, side, matrix, fill);
  };
const ACTS: Record<Operation, Act> = {
  AutoContrast: ops.autoContrast,
  Equalize: ops.equalize,
  Invert: ops.invert,
  Rotate: moving((degrees, side) => ops.rotation(degrees, side, side)),
  Posterize: (rgb, _side, bits) => ops.posterize(rgb, bits),
  Solarize: (rgb, _side, threshold) => solarize(rgb, threshold),
  SolarizeAdd: (rgb, _side, add) => ops.solarizeAdd(rgb, add),
  Color: (rgb, _side, factor) => saturation(rgb, factor),
  Contrast: (rgb, _side, factor) => contrast(rgb, factor),
  Brightness: (rgb, _side, factor) => brightness(rgb, factor),
  Sharpness: (rgb, side, factor) => ops.sharpness(rgb, side, side, factor),
  ShearX: moving(ops.shearX),
  ShearY: moving(ops.shearY),
  TranslateXRel: moving((share, side) => ops.translateX(share * side)),
  TranslateYRel: moving((share, side) => ops.translateY(share * side)),
};

/** Does it, in place. @param rgb `[side * side * 3]` @param fill RGB of what comes from outside: the mean of the data */
export function applyRandAugment(
  rgb: Uint8Array,
  side: number,
  drawn: readonly Augmentation[],
  fill: readonly number[],
): void {
  for (const { op, amount } of drawn) ACTS[op](rgb, side, amount ?? 0, fill);
}

/** Colour of what comes from outside (timm's `img_mean`). @param mean of channels, 0 to 1 */
export const fillOf = (mean: readonly number[]): number[] => mean.map((m) => Math.min(255, Math.round(255 * m)));
