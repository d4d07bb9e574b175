import * as tf from '@tensorflow/tfjs-core';
import type { Network } from '../network.ts';
import { record, Value } from '../tape.ts';

/**
 * Convolutions, in floats whatever the network's storage: images are `[batch, h, w, channels]`, parameters have the
 * published layouts. All are padded so that a side is divided, or multiplied, by the stride.
 */
export type Grid = Value<tf.Tensor4D>;

interface Geometry {
  strides: [number, number];
  pad: 'same';
  dataFormat: 'NHWC';
}
const geometry = (stride: number): Geometry => ({ strides: [stride, stride], pad: 'same', dataFormat: 'NHWC' });

/** Gradient of a convolution by its input. */
const inputGradient = (dy: tf.Tensor4D, filter: tf.Tensor4D, shape: number[], stride: number): tf.Tensor4D =>
  tf.engine().runKernel('Conv2DBackpropInput', { dy, filter }, { ...geometry(stride), inputShape: shape } as never);

/** Gradient of a convolution by its filter. */
const filterGradient = (x: tf.Tensor4D, dy: tf.Tensor4D, shape: number[], stride: number): tf.Tensor4D =>
  tf.engine().runKernel('Conv2DBackpropFilter', { x, dy }, { ...geometry(stride), filterShape: shape } as never);

/**
 * A convolution (`nn.Conv2d`). @param name of NAME.weight `[out, in, size, size]` and NAME.bias `[out]`
 * @param stride 1 for a filter of odd size, 2 for one of size 4 on an even side
 */
export function convolve(network: Network, name: string, x: Grid, stride = 1): Grid {
  const weight = network.weights.get(`${name}.weight`);
  const filter = tf.transpose(weight, [2, 3, 1, 0]) as tf.Tensor4D; // [size, size, in, out]
  const y = tf.tidy(
    () => tf.add(tf.conv2d(x.tensor, filter, stride, 'same'), network.weights.get(`${name}.bias`)) as tf.Tensor4D,
  );
  return record(
    new Value(y),
    (dy, gradients) => {
      gradients.add(`${name}.bias`, tf.sum(dy, [0, 1, 2]));
      if (gradients.wants(`${name}.weight`)) {
        const dfilter = tf.tidy(() => tf.transpose(filterGradient(x.tensor, dy, filter.shape, stride), [3, 2, 0, 1]));
        gradients.add(`${name}.weight`, dfilter);
      }
      x.addGradient(inputGradient(dy, filter, x.tensor.shape, stride));
      dy.dispose();
    },
    [filter],
  );
}

/**
 * A transposed convolution (`nn.ConvTranspose2d`), which makes a side `stride` times as long.
 * @param name of NAME.weight `[in, out, size, size]` and NAME.bias `[out]`
 */
export function deconvolve(network: Network, name: string, x: Grid, stride = 2): Grid {
  const weight = network.weights.get(`${name}.weight`);
  const filter = tf.transpose(weight, [2, 3, 1, 0]) as tf.Tensor4D; // [size, size, out, in]
  const [batch, h, w] = x.tensor.shape;
  const shape = [batch, h * stride, w * stride, weight.shape[1]!];
  const y = tf.tidy(
    () => tf.add(inputGradient(x.tensor, filter, shape, stride), network.weights.get(`${name}.bias`)) as tf.Tensor4D,
  );
  return record(
    new Value(y),
    (dy, gradients) => {
      gradients.add(`${name}.bias`, tf.sum(dy, [0, 1, 2]));
      if (gradients.wants(`${name}.weight`)) {
        // Input and gradient change places: what comes in is the gradient of what would have gone out.
        const dfilter = tf.tidy(() => tf.transpose(filterGradient(dy, x.tensor, filter.shape, stride), [3, 2, 0, 1]));
        gradients.add(`${name}.weight`, dfilter);
      }
      x.addGradient(tf.conv2d(dy, filter, stride, 'same'));
      dy.dispose();
    },
    [filter],
  );
}

/** max(x, 0). */
export function relu(x: Grid): Grid {
  const y = tf.relu(x.tensor);
  const kept = y.clone();
  return record(
    new Value(y),
    (dy) => {
      x.addGradient(tf.tidy(() => tf.mul(dy, tf.cast(tf.greater(kept, 0), 'float32'))));
      dy.dispose();
    },
    [kept],
  );
}

/** x + y. */
export function sum(x: Grid, y: Grid): Grid {
  return record(new Value(tf.add(x.tensor, y.tensor) as tf.Tensor4D), (d) => {
    x.addGradient(d.clone());
    y.addGradient(d);
  });
}
