import * as tf from '@tensorflow/tfjs-core';
import { record, Value } from '../tape.ts';

/**
 * A loss of one input, whose gradient was computed with it. @param loss a scalar @param gradient of the loss by `input`, in
 * its shape; freed with the tape
 */
export function lossOf<T extends tf.Tensor>(input: Value<T>, loss: tf.Scalar, gradient: T): Value<tf.Scalar> {
  return record(
    new Value(loss),
    (dloss) => {
      input.addGradient(tf.mul(gradient, dloss));
      dloss.dispose();
    },
    [gradient],
  );
}

/** A sum of losses, each times its weight. */
export function weightedSum(terms: readonly (readonly [loss: Value<tf.Scalar>, weight: number])[]): Value<tf.Scalar> {
  const sum = tf.tidy(() => tf.addN(terms.map(([{ tensor }, weight]) => tf.mul(tensor, weight)))) as tf.Scalar;
  return record(new Value(sum), (dsum) => {
    for (const [loss, weight] of terms) loss.addGradient(tf.mul(dsum, weight));
    dsum.dispose();
  });
}
