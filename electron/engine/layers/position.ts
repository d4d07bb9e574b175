import * as tf from '@tensorflow/tfjs-core';
import type { ModelConfig } from '../../../shared/config.ts';
import { gridOf, patchesOf } from '../../../shared/config.ts';
import { gatherRows, gatherRowsGradient } from '../kernels/gather-rows.ts';
import type { Network } from '../network.ts';
import { record, Value } from '../tape.ts';

/**
 * For each pair of tokens (CLS first) its row in the relative position table: `[(K + 1)^2]`
 * (BEiT, arXiv 2106.08254; RelativePositionBias of modeling_finetune.py).
 */
export function relativePositionIndex(grid: number): Int32Array {
  const n = grid * grid + 1;
  const span = 2 * grid - 1;
  const index = new Int32Array(n * n);
  for (let i = 1; i < n; i++) {
    const [yi, xi] = [Math.floor((i - 1) / grid), (i - 1) % grid];
    for (let j = 1; j < n; j++) {
      const [yj, xj] = [Math.floor((j - 1) / grid), (j - 1) % grid];
      index[i * n + j] = (yi - yj + grid - 1) * span + (xi - xj + grid - 1);
    }
  }
  for (let j = 0; j < n; j++) {
    index[j] = span * span; // CLS to token
    index[j * n] = span * span + 1; // token to CLS
  }
  index[0] = span * span + 2; // CLS to CLS
  return index;
}

/** The bias that blocks add to their attention logits, `[heads, K + 1, K + 1]`, from a table; null where there is none. */
export function positionBias(network: Network, table: string): Value<tf.Tensor3D> | null {
  const rows = network.weights.find(table);
  if (!rows) return null;
  const { model } = network;
  return record(new Value(relativePositionBias(rows, model)), (dbias, gradients) => {
    gradients.add(table, relativePositionGradient(dbias, model));
  });
}

/** @param table `[rows, heads]` */
function relativePositionBias(table: tf.Tensor, model: ModelConfig): tf.Tensor3D {
  const n = patchesOf(model) + 1;
  return tf.tidy(() => {
    const rows = gatherRows(table as tf.Tensor2D, relativePositionIndex(gridOf(model)));
    return tf.transpose(tf.reshape(rows, [n, n, model.num_heads]), [2, 0, 1]) as tf.Tensor3D;
  });
}

/** The gradient of the table. Disposes of `dbias`, `[heads, K + 1, K + 1]`. */
function relativePositionGradient(dbias: tf.Tensor3D, model: ModelConfig): tf.Tensor2D {
  const n = patchesOf(model) + 1;
  const index = relativePositionIndex(gridOf(model));
  const table = tf.tidy(() => {
    const rows = tf.reshape(tf.transpose(dbias, [1, 2, 0]), [n * n, model.num_heads]) as tf.Tensor2D;
    return gatherRowsGradient(rows, index, (2 * gridOf(model) - 1) ** 2 + 3);
  });
  dbias.dispose();
  return table;
}
