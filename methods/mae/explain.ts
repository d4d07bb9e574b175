import type { Explain } from '../../electron/engine/explanation.ts';
import { hostTidy } from '../../electron/engine/host.ts';
import { gridOf, type ModelConfig, patchesOf, type RunConfig } from '../../shared/config.ts';
import { AppError } from '../../shared/errors.ts';
import { ours } from './config.ts';
import { keptOf, reconstruct, target } from './step.ts';

/** What a trained autoencoder makes of an image (arXiv 2111.06377, figures 2 and 3). */
const reconstruction: Explain<RunConfig> = (network, { pixels, image, mask }, config) => {
  const { model, target: wanted } = ours(config);
  const K = patchesOf(model);
  const removed = mask.reduce((sum, m) => sum + m, 0);
  if (removed === 0 || removed === K)
    throw new AppError(
      'bad-input',
      removed === 0 ? 'No patch is hidden, so there is nothing to reconstruct.' : 'Every patch is hidden.',
      removed === 0 ? '' : 'The encoder would see nothing of the image.',
      removed === 0 ? 'Hide one at least.' : 'Show one at least.',
    );
  const kept = keptOf(Float32Array.from(mask), K);
  const said = hostTidy(() => reconstruct(network, image, kept, ours(config)).tensor); // [K, 3 patch^2]
  const truth = hostTidy(() => target(image, ours(config)).tensor);
  const values = said.length / K;
  const squared = (of: (at: number) => number) =>
    Array.from(mask, (m, patch) => {
      if (!m) return null;
      let sum = 0;
      for (let v = 0; v < values; v++) sum += of(patch * values + v) ** 2;
      return sum / values;
    });
  const errors = squared((at) => said[at]! - truth[at]!);
  return {
    pictures: {
      masked: withPatches(pixels, model, mask, () => GREY),
      reconstruction: withPatches(pixels, model, mask, painter(image, said, config)),
    },
    maps: { error: errors },
    figures: { error: mean(errors), nothing: mean(squared((at) => truth[at]!)) },
    words: wanted.normalised
      ? "Removed patches: the prediction times the patch's own deviation plus its own mean, so their tone is given, and " +
        'their structure is predicted. Kept patches show the input.'
      : 'Removed patches: the prediction, tone and structure alike. Kept patches show the input.',
  };
};

export const explain = { reconstruction };

const GREY = 128;
/** As `target` has it. */
const EPS = 1e-6;

const mean = (some: readonly (number | null)[]): number => {
  const known = some.filter((one) => one !== null);
  return known.reduce((a, b) => a + b, 0) / known.length;
};

/** Place in `[side, side, 3]` of a value of a patch, which are in the order y, x, channel. */
function placeIn(model: ModelConfig, patch: number, value: number): number {
  const { image_size: side, patch_size: p } = model;
  const grid = gridOf(model);
  const y = Math.floor(patch / grid) * p + Math.floor(value / (3 * p));
  const x = (patch % grid) * p + (Math.floor(value / 3) % p);
  return (y * side + x) * 3 + (value % 3);
}

/** A picture with other bytes in the patches that are hidden. */
function withPatches(
  pixels: Uint8Array,
  model: ModelConfig,
  mask: Uint8Array,
  byteOf: (patch: number, value: number) => number,
): Uint8Array {
  const out = Uint8Array.from(pixels);
  const values = 3 * model.patch_size ** 2;
  for (const [patch, isHidden] of mask.entries())
    if (isHidden) for (let v = 0; v < values; v++) out[placeIn(model, patch, v)] = byteOf(patch, v);
  return out;
}

/**
 * Predictions as bytes. One of normalised pixels is brought to the true patch's mean and deviation first.
 * @param image `[side, side, 3]`, normalised @param said `[K, 3 patch^2]`
 */
function painter(image: Float32Array, said: Float32Array, config: RunConfig) {
  const { model, augment, target } = ours(config);
  const values = 3 * model.patch_size ** 2;
  const tones = Array.from({ length: patchesOf(model) }, (_, patch) => {
    if (!target.normalised) return { mean: 0, deviation: 1 };
    const own = Array.from({ length: values }, (_, v) => image[placeIn(model, patch, v)]!);
    const mean = own.reduce((a, b) => a + b, 0) / values;
    const variance = own.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (values - 1);
    return { mean, deviation: Math.sqrt(variance + EPS) };
  });
  return (patch: number, value: number): number => {
    const { mean, deviation } = tones[patch]!;
    const x = said[patch * values + value]! * deviation + mean;
    const channel = value % 3;
    const byte = (x * augment.std[channel]! + augment.mean[channel]!) * 255;
    return Math.round(Math.min(255, Math.max(0, byte)));
  };
}
