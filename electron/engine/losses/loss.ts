import * as tf from '@tensorflow/tfjs-core';
import { record, Value } from '../tape.ts';

/**
 * A loss whose gradients were computed with it. @param loss a scalar @param inputs each with the loss's gradient by it, in its
 * shape; freed with the tape
 */
export function lossOf(
  loss: tf.Scalar,
  ...inputs: readonly (readonly [input: Value, gradient: tf.Tensor])[]
): Value<tf.Scalar> {
  return record(
    new Value(loss),
    (dloss) => {
      for (const [input, gradient] of inputs) input.addGradient(tf.mul(gradient, dloss));
      dloss.dispose();
    },
    inputs.map(([, gradient]) => gradient),
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
