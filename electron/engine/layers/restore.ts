import * as tf from '@tensorflow/tfjs-core';
import { gatherRows } from '../kernels/gather-rows.ts';
import type { Network } from '../network.ts';
import { record } from '../tape.ts';
import { Tokens } from './tokens.ts';

/** Where every token of a whole image comes from. */
interface Places {
  /** `[batch * (1 + K)]`: its row among the tokens that were kept, or for a place that was removed the row after them. */
  from: Int32Array;
  /** `[batch * (1 + n)]`: where each token that was kept goes. */
  to: Int32Array;
  /** `[batch * (1 + K)]`, 1 = removed. */
  removed: Float32Array;
}

function placesOf(kept: Int32Array, batch: number, K: number): Places {
  const n = kept.length / batch;
  const from = new Int32Array(batch * (1 + K)).fill(batch * (1 + n));
  const to = new Int32Array(batch * (1 + n));
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i <= n; i++) {
      const place = i === 0 ? 0 : 1 + kept[b * n + i - 1]!; // CLS stays in front
      to[b * (1 + n) + i] = b * (1 + K) + place;
      from[b * (1 + K) + place] = b * (1 + n) + i;
    }
  }
  return { from, to, removed: Float32Array.from(from, (row) => +(row === batch * (1 + n))) };
}

/**
 * Puts the tokens of a subset back in their places, a learned token in all others, and adds positions
 * (`forward_decoder` of MAE, arXiv 2111.06377).
 * @param x `[batch * (1 + n), width]`, CLS first @param kept `[batch * n]`, as the encoder got them @param K patches
 * @param names of the token `[1, 1, width]`, and of the positions `[1, 1 + K, width]`, which no gradient reaches
 * @returns `[batch * (1 + K), width]`, in floats
 */
export function restore(
  network: Network,
  x: Tokens,
  kept: Int32Array,
  K: number,
  names: { token: string; positions: string },
): Tokens {
  const { batch, width } = x;
  const places = placesOf(kept, batch, K);
  const token = network.weights.get(names.token);
  const positions = network.buffer(names.positions);
  const out = tf.tidy(() => {
    const table = tf.concat([x.tensor, tf.reshape(token, [1, width])]) as tf.Tensor2D;
    const rows = tf.reshape(gatherRows(table, places.from), [batch, 1 + K, width]);
    return tf.reshape(tf.add(rows, positions), [batch * (1 + K), width]) as tf.Tensor2D;
  });
  return record(new Tokens(out, batch), (dout, gradients) => {
    gradients.add(
      names.token,
      tf.tidy(() => {
        const removed = tf.tensor2d(places.removed, [batch * (1 + K), 1]);
        return tf.reshape(tf.sum(tf.mul(dout, removed), 0), [1, 1, width]);
      }),
    );
    x.addGradient(gatherRows(dout as tf.Tensor2D, places.to));
    dout.dispose();
  });
}
