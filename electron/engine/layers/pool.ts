import * as tf from '@tensorflow/tfjs-core';
import { floats } from '../kernels/device.ts';
import { record } from '../tape.ts';
import { clsRows, Tokens } from './tokens.ts';

/** One token an image, `[batch, width]`, in floats: the mean of its patches, or CLS. @param tokens CLS first */
export function pool(tokens: Tokens, by: 'mean' | 'cls'): Tokens {
  if (by === 'cls') return clsRows(tokens);
  const { batch, n, width } = tokens;
  const x = tf.tidy(() => {
    const all = tf.reshape(floats(tokens.tensor), [batch, n, width]);
    return tf.mean(tf.slice(all, [0, 1, 0], [batch, n - 1, width]), 1);
  }) as tf.Tensor2D;
  return record(new Tokens(x, batch), (dpooled) => {
    tokens.addGradient(
      tf.tidy(() => {
        const each = tf.reshape(dpooled, [batch, 1, width]);
        const spread = tf.concat([tf.zerosLike(each), tf.tile(tf.div(each, n - 1), [1, n - 1, 1])], 1);
        return tf.reshape(spread, [batch * n, width]);
      }),
    );
    dpooled.dispose();
  });
}
