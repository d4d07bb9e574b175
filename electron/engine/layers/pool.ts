import * as tf from '@tensorflow/tfjs-core';
import { floats } from '../kernels/device.ts';
import { record } from '../tape.ts';
import { clsRows, patchRows, Tokens } from './tokens.ts';

/** One token an image, `[batch, width]`, in floats: the mean of its patches, or CLS. @param tokens CLS first */
export const pool = (tokens: Tokens, by: 'mean' | 'cls'): Tokens =>
  by === 'cls' ? clsRows(tokens) : meanRows(patchRows(tokens));

/** The mean of all tokens of each image, in floats, `[batch, width]`. */
export function meanRows(tokens: Tokens): Tokens {
  const { batch, n, width } = tokens;
  const x = tf.tidy(() => tf.mean(tf.reshape(floats(tokens.tensor), [batch, n, width]), 1)) as tf.Tensor2D;
  return record(new Tokens(x, batch), (dmean) => {
    tokens.addGradient(
      tf.tidy(() => {
        const each = tf.div(tf.reshape(dmean, [batch, 1, width]), n);
        return tf.reshape(tf.tile(each, [1, n, 1]), [batch * n, width]);
      }),
    );
    dmean.dispose();
  });
}
