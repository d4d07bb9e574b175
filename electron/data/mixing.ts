import type { Random } from './random.ts';

interface MixSettings {
  /** Alphas of mixup and of cutmix; 0 for none. */
  mixup: number;
  cutmix: number;
  /** Share of batches that are mixed, and of those that take cutmix where both are on. */
  mixup_prob: number;
  mixup_switch_prob: number;
}

/** What is done to a batch: nothing, a blend, or a rectangle of the other image. */
export type Mixing =
  | { kind: 'none' }
  | { kind: 'mixup'; lambda: number }
  | { kind: 'cutmix'; lambda: number; top: number; left: number; bottom: number; right: number };

/** Beta(alpha, alpha) by Jöhnk's method (1964), which is quick for the small alphas of mixing. */
function beta(alpha: number, random: Random): number {
  for (;;) {
    const x = random.next() ** (1 / alpha);
    const y = random.next() ** (1 / alpha);
    if (x + y > 0 && x + y <= 1) return x / (x + y);
  }
}

/**
 * Draws how a batch is mixed (`Mixup` of timm, mode batch): mixup (arXiv 1710.09412) or cutmix (arXiv 1905.04899), whose
 * lambda is corrected by the area that the cut really has.
 */
export function drawMixing(settings: MixSettings, side: number, random: Random): Mixing {
  const { mixup, cutmix } = settings;
  if ((mixup === 0 && cutmix === 0) || random.next() >= settings.mixup_prob) return { kind: 'none' };
  const isCut = cutmix > 0 && (mixup === 0 || random.next() < settings.mixup_switch_prob);
  const lambda = beta(isCut ? cutmix : mixup, random);
  if (!isCut) return { kind: 'mixup', lambda };
  const cut = Math.trunc(side * Math.sqrt(1 - lambda));
  const [y, x] = [random.int(side), random.int(side)];
  const clip = (v: number) => Math.min(side, Math.max(0, v));
  const [top, bottom] = [clip(y - (cut >> 1)), clip(y + (cut >> 1))];
  const [left, right] = [clip(x - (cut >> 1)), clip(x + (cut >> 1))];
  return { kind: 'cutmix', lambda: 1 - ((bottom - top) * (right - left)) / (side * side), top, left, bottom, right };
}

/** Mixes each image with the one at the same place from the end, in place. @param images `[batch, side, side, 3]` */
export function mixImages(images: Float32Array, side: number, mixing: Mixing): void {
  if (mixing.kind === 'none') return;
  const size = side * side * 3;
  const batch = images.length / size;
  const other = images.slice();
  for (let i = 0; i < batch; i++) {
    const [to, from] = [i * size, (batch - 1 - i) * size];
    if (mixing.kind === 'mixup') {
      for (let v = 0; v < size; v++)
        images[to + v] = mixing.lambda * other[to + v]! + (1 - mixing.lambda) * other[from + v]!;
    } else {
      for (let y = mixing.top; y < mixing.bottom; y++) {
        const [start, end] = [(y * side + mixing.left) * 3, (y * side + mixing.right) * 3];
        images.set(other.subarray(from + start, from + end), to + start);
      }
    }
  }
}

/** Soft targets of a mixed batch, `[batch, classes]`, rows summing to one (`mixup_target` of timm). */
export function mixTargets(labels: Int32Array, classes: number, smoothing: number, mixing: Mixing): Float32Array {
  const lambda = mixing.kind === 'none' ? 1 : mixing.lambda;
  const batch = labels.length;
  const targets = new Float32Array(batch * classes).fill(smoothing / classes);
  for (let i = 0; i < batch; i++) {
    targets[i * classes + labels[i]!]! += lambda * (1 - smoothing);
    targets[i * classes + labels[batch - 1 - i]!]! += (1 - lambda) * (1 - smoothing);
  }
  return targets;
}

/** Tries at a rectangle that fits (timm). */
const TRIES = 10;

/**
 * Random erasing, in place (arXiv 1708.04896; `RandomErasing` of timm, mode pixel): with `probability` a rectangle of 2 %
 * to a third of the image becomes normal noise. @param image `[side, side, 3]`, normalised
 */
export function randomErase(image: Float32Array, side: number, probability: number, random: Random): void {
  if (random.next() >= probability) return;
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const area = random.uniform(0.02, 1 / 3) * side * side;
    const aspect = Math.exp(random.uniform(Math.log(0.3), Math.log(1 / 0.3)));
    const [height, width] = [Math.round(Math.sqrt(area * aspect)), Math.round(Math.sqrt(area / aspect))];
    if (height >= side || width >= side) continue;
    const [top, left] = [random.int(side - height + 1), random.int(side - width + 1)];
    for (let y = top; y < top + height; y++) {
      for (let v = (y * side + left) * 3; v < (y * side + left + width) * 3; v++) image[v] = random.normal();
    }
    return;
  }
}
