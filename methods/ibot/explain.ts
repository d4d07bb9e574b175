import * as tf from '@tensorflow/tfjs-core';
import { encode } from '../../electron/engine/encoder.ts';
import type { Assign, Explain } from '../../electron/engine/explanation.ts';
import { hostTidy } from '../../electron/engine/host.ts';
import { all, type Images } from '../../electron/engine/layers/embed.ts';
import { patchRows } from '../../electron/engine/layers/tokens.ts';
import { weightNormed } from '../../electron/engine/layers/weight-norm.ts';
import type { Network } from '../../electron/engine/network.ts';
import { gridOf, patchesOf, type RunConfig } from '../../shared/config.ts';
import { ours } from './config.ts';
import { lastLayers } from './network.ts';
import { bottleneck } from './step.ts';

/** What the student says of patches that it all sees: probabilities of the classes, `[batch * K, out]`. */
function classesOf(network: Network, images: Images, config: RunConfig): tf.Tensor2D {
  const own = ours(config);
  const rows = bottleneck(network, patchRows(encode(network, all(images))), own);
  const logits = weightNormed(network, lastLayers(own).patch, rows);
  return tf.softmax(tf.div(logits.tensor, own.temperatures.student) as tf.Tensor2D);
}

/** Which class each patch of an image is given (arXiv 2111.07832, figure 4 and appendix). */
const classes: Explain<RunConfig> = (network, { pixels, image }, config) => {
  const p = hostTidy(() => classesOf(network, image, config));
  const K = patchesOf(config.model);
  const out = p.length / K;
  const said = Array.from({ length: K }, (_, patch) => {
    const of = p.subarray(patch * out, (patch + 1) * out);
    const best = of.reduce((at, v, i) => (v > of[at]! ? i : at), 0);
    return { best, chance: of[best]!, entropy: -of.reduce((sum, v) => sum + (v > 0 ? v * Math.log(v) : 0), 0) };
  });
  return {
    pictures: {
      classes: tinted(
        pixels,
        config,
        said.map(({ best }) => colourOf(best)),
      ),
    },
    // Counted from 1, as people count.
    maps: { class: said.map(({ best }) => best + 1), certainty: said.map(({ chance }) => chance) },
    figures: {
      classes: new Set(said.map(({ best }) => best)).size,
      entropy: said.reduce((sum, { entropy }) => sum + entropy / K, 0),
    },
    words:
      "Each patch in the colour of the class that the student's head gives it, nothing hidden. A class has the same colour " +
      'in every image of a checkpoint; between networks colours do not compare.',
  };
};

/** Of each patch the probability of each class. */
const members: Assign<RunConfig> = classesOf;

export const explain = { classes };
export const assign = { members };

/** Turns of the colour circle from one class to the next: neighbours in number are far in colour. */
const GOLDEN = 0.618_033_988_75;

/** Red, green, blue, 0 to 255. */
export function colourOf(group: number): [number, number, number] {
  const hue = ((group * GOLDEN) % 1) * 6;
  const channel = (shift: number) => {
    const at = (hue + shift) % 6;
    return 255 * Math.min(1, Math.max(0, Math.min(at, 4 - at)));
  };
  return [channel(2), channel(0), channel(4)];
}

/** How much of a patch's picture is its colour. */
const TINT = 0.6;

function tinted(pixels: Uint8Array, config: RunConfig, colours: readonly [number, number, number][]): Uint8Array {
  const { image_size: side, patch_size: p } = config.model;
  const grid = gridOf(config.model);
  const out = new Uint8Array(pixels.length);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const at = (y * side + x) * 3;
      const grey = 0.299 * pixels[at]! + 0.587 * pixels[at + 1]! + 0.114 * pixels[at + 2]!;
      const colour = colours[Math.floor(y / p) * grid + Math.floor(x / p)]!;
      for (let c = 0; c < 3; c++) out[at + c] = Math.round((1 - TINT) * grey + TINT * colour[c]!);
    }
  }
  return out;
}
