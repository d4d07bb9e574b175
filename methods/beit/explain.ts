import * as tf from '@tensorflow/tfjs-core';
import { encode } from '../../electron/engine/encoder.ts';
import type { AskedOf, Assign, Explain } from '../../electron/engine/explanation.ts';
import { imageTensor, replace } from '../../electron/engine/layers/embed.ts';
import { linear } from '../../electron/engine/layers/linear.ts';
import { patchRows } from '../../electron/engine/layers/tokens.ts';
import type { Network } from '../../electron/engine/network.ts';
import type { RunConfig } from '../../shared/config.ts';
import { AppError } from '../../shared/errors.ts';
import { logitsOf, withTokenizer } from '../tokenizer/borrowed.ts';
import { bytesOf, draw, read, signed } from '../tokenizer/explain.ts';
import { shapeFor, type VQShape } from '../tokenizer/shape.ts';
import { ours } from './config.ts';
import { forTokenizer } from './step.ts';

/** What a student says of the hidden patches of an image, beside what its tokenizer says of the whole. */
export const tokens: Explain<RunConfig> = (network: Network, { pixels, image, mask }: AskedOf, config: RunConfig) => {
  const { model, tokenizer } = ours(config);
  const shape = shapeFor(model, tokenizer) as VQShape;
  const hidden = [...mask.keys()].filter((patch) => mask[patch]);
  if (hidden.length === 0)
    throw new AppError('bad-input', 'No patch is hidden, so there is nothing to say.', '', 'Hide one at least.');
  const side = model.image_size;
  const small = resized(signed(pixels), side, shape.image_size);
  const said = tf.tidy(() => {
    const logits = linear(network, 'lm_head', patchRows(encode(network, replace(image, Float32Array.from(mask)))));
    return tf.softmax(logits.tensor);
  });
  const best = tf.tidy(() => tf.argMax(said, 1));
  const [shares, likeliest] = [said.dataSync() as Float32Array, Int32Array.from(best.dataSync())];
  tf.dispose([said, best]);
  const { codes: V } = shape;
  return withTokenizer(network, shape, (reader) => {
    const { ids, drawn } = read(reader, small, shape);
    const mixed = ids.map((id, patch) => (mask[patch] ? likeliest[patch]! : id));
    const probabilities = hidden.map((patch) => shares[patch * V + ids[patch]!]!);
    const ofHidden = (value: (patch: number) => number) => [...mask].map((m, patch) => (m ? value(patch) : null));
    return {
      pictures: {
        true: bytesOf(resized(drawn, shape.image_size, side)),
        said: bytesOf(resized(draw(reader, mixed, shape), shape.image_size, side)),
      },
      maps: {
        // Counted from 1, as people count.
        codes: [...ids].map((id) => id + 1),
        said: ofHidden((patch) => likeliest[patch]! + 1),
        probability: ofHidden((patch) => shares[patch * V + ids[patch]!]!),
      },
      figures: {
        accuracy: hidden.filter((patch) => likeliest[patch] === ids[patch]).length / hidden.length,
        loss: probabilities.reduce((sum, p) => sum - Math.log(Math.max(p, 1e-30)), 0) / hidden.length,
        distinct: new Set(ids).size,
      },
      words: 'The tokenizer draws both: of its own tokens, and of the likeliest ones in the place of hidden patches.',
    };
  });
};

export const explain = { tokens };

/** How well each of the tokenizer's tokens suits every patch: it does not change while the student learns. */
const members: Assign<RunConfig> = (network, images, config) => {
  const { model, tokenizer, augment } = ours(config);
  const shape = shapeFor(model, tokenizer);
  const small = forTokenizer(resized(images, model.image_size, shape.image_size), augment);
  return logitsOf(network, small, shape).tensor;
};

export const assign = { members };

/** Pictures of another side, `[n, from, from, 3]`: their means where that is a whole part of it, else between their pixels. */
export function resized(image: Float32Array, from: number, to: number): Float32Array {
  if (from === to) return image;
  const out = tf.tidy(() => {
    const x = imageTensor(image, from);
    return from % to === 0 ? tf.avgPool(x, from / to, from / to, 'valid') : tf.image.resizeBilinear(x, [to, to]);
  });
  const values = Float32Array.from(out.dataSync());
  out.dispose();
  return values;
}
