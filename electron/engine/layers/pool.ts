import * as tf from '@tensorflow/tfjs-core';
import { record } from '../tape.ts';
import { Tokens } from './tokens.ts';

/** One token an image, `[batch, width]`: the mean of its patches, or CLS. @param tokens in floats, CLS first */
export function pool(tokens: Tokens, by: 'mean' | 'cls'): Tokens {
  const { batch, n, width } = tokens;
  const x = tf.tidy(() => {
    const all = tf.reshape(tokens.tensor, [batch, n, width]);
    return by === 'mean'
      ? tf.mean(tf.slice(all, [0, 1, 0], [batch, n - 1, width]), 1)
      : tf.reshape(tf.slice(all, [0, 0, 0], [batch, 1, width]), [batch, width]);
  }) as tf.Tensor2D;
  return record(new Tokens(x, batch), (dpooled) => {
    tokens.addGradient(
      tf.tidy(() => {
        const each = tf.reshape(dpooled, [batch, 1, width]);
        const spread =
          by === 'mean'
            ? tf.concat([tf.zerosLike(each), tf.tile(tf.div(each, n - 1), [1, n - 1, 1])], 1)
            : tf.concat([each, tf.zeros([batch, n - 1, width])], 1);
        return tf.reshape(spread, [batch * n, width]);
      }),
    );
    dpooled.dispose();
  });
}
