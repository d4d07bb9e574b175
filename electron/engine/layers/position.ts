import * as tf from '@tensorflow/tfjs-core';
import { gridOf, patchesOf } from '../../../shared/config.ts';
import { gatherRows, gatherRowsGradient } from '../kernels/gather-rows.ts';
import type { Network } from '../network.ts';
import type { BufferSpec, EncoderConfig } from '../parameters.ts';
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
function relativePositionBias(table: tf.Tensor, model: EncoderConfig): tf.Tensor3D {
  const n = patchesOf(model) + 1;
  return tf.tidy(() => {
    const rows = gatherRows(table as tf.Tensor2D, relativePositionIndex(gridOf(model)));
    return tf.transpose(tf.reshape(rows, [n, n, model.num_heads]), [2, 0, 1]) as tf.Tensor3D;
  });
}

/** The gradient of the table. Disposes of `dbias`, `[heads, K + 1, K + 1]`. */
function relativePositionGradient(dbias: tf.Tensor3D, model: EncoderConfig): tf.Tensor2D {
  const n = patchesOf(model) + 1;
  const index = relativePositionIndex(gridOf(model));
  const table = tf.tidy(() => {
    const rows = tf.reshape(tf.transpose(dbias, [1, 2, 0]), [n * n, model.num_heads]) as tf.Tensor2D;
    return gatherRowsGradient(rows, index, (2 * gridOf(model) - 1) ** 2 + 3);
  });
  dbias.dispose();
  return table;
}

/**
 * Fixed positions (arXiv 1706.03762, in two dimensions): `[1 + grid^2, width]`, a row of zeros for CLS, then for each
 * place sine and cosine of one coordinate, and of the other, a quarter of the width each. Never trained, never decayed.
 * @param first which coordinate comes first: MAE's code has the column, MoCo v3's the row
 * @param width a multiple of 4
 */
export function sincosPositions(grid: number, width: number, first: 'column' | 'row' = 'column'): Float32Array {
  if (width % 4 !== 0) throw new RangeError(`fixed positions need a width that is a multiple of 4, not ${width}`);
  const quarter = width / 4;
  const rates = Array.from({ length: quarter }, (_, i) => 10_000 ** (-i / quarter));
  const along = (at: number) => [
    ...rates.map((rate) => Math.sin(at * rate)),
    ...rates.map((rate) => Math.cos(at * rate)),
  ];
  const rows = [new Array<number>(width).fill(0)];
  for (let y = 0; y < grid; y++) {
    for (let x = 0; x < grid; x++) {
      const [a, b] = first === 'column' ? [x, y] : [y, x];
      rows.push([...along(a), ...along(b)]);
    }
  }
  return Float32Array.from(rows.flat());
}

/** The buffer that holds them: `[1, 1 + grid^2, width]`. */
export const sincosBuffer = (name: string, grid: number, width: number, first?: 'column' | 'row'): BufferSpec => ({
  name,
  shape: [1, 1 + grid * grid, width],
  value: () => sincosPositions(grid, width, first),
});
