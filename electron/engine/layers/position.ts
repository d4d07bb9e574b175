import * as tf from '@tensorflow/tfjs-core';
import { gridOf, patchesOf } from '../../../shared/config.ts';
import { gatherRows, gatherRowsGradient } from '../kernels/gather-rows.ts';
import type { Network } from '../network.ts';
import type { EncoderConfig } from '../parameters.ts';
import { record, Value } from '../tape.ts';
import type { Gradients } from '../weights.ts';

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

/**
 * The bias that blocks add to their attention logits, `[heads, n, n]`, from a table; null where there is none.
 * @param n tokens of an image @throws RangeError where these are not the whole grid of the model
 */
export function positionBias(network: Network, table: string, n: number): Value<tf.Tensor3D> | null {
  const rows = network.weights.find(table);
  if (!rows) return null;
  const { model } = network;
  if (n !== patchesOf(model) + 1)
    throw new RangeError(`relative positions are of ${patchesOf(model) + 1} tokens, not of ${n}`);
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

/** The weights of four neighbours at a distance `t` in [0, 1) after the second (Keys' cubic, a = -0.75, as PyTorch has it). */
function cubic(t: number): number[] {
  const a = -0.75;
  const near = (x: number) => ((a + 2) * x - (a + 3)) * x * x + 1;
  const far = (x: number) => ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return [far(t + 1), near(t), near(1 - t), far(2 - t)];
}

/** Of each place of a row of `to` its weights in a row of `from`: `[to][from]`; beyond the ends the last one counts. */
function cubicRow(from: number, to: number): number[][] {
  return Array.from({ length: to }, (_, i) => {
    // DINO's ratio has a tenth more, so that its own code gets the size that it asks for.
    const at = ((i + 0.5) * from) / (to + 0.1) - 0.5;
    const first = Math.floor(at);
    const row = new Array<number>(from).fill(0);
    cubic(at - first).forEach((weight, j) => {
      row[Math.min(from - 1, Math.max(0, first - 1 + j))]! += weight;
    });
    return row;
  });
}

/**
 * How positions of one grid make those of another: bicubic (`interpolate_pos_encoding` of DINO, arXiv 2104.14294, and
 * iBOT's); CLS keeps its own.
 * @returns `[1 + to^2, 1 + from^2]`, row-major
 */
export function resampling(from: number, to: number): Float32Array {
  const along = cubicRow(from, to);
  const width = 1 + from * from;
  const matrix = new Float32Array((1 + to * to) * width);
  matrix[0] = 1;
  for (let y = 0; y < to; y++) {
    for (let x = 0; x < to; x++) {
      const row = (1 + y * to + x) * width;
      for (let v = 0; v < from; v++) {
        for (let u = 0; u < from; u++) matrix[row + 1 + v * from + u] = along[y]![v]! * along[x]![u]!;
      }
    }
  }
  return matrix;
}

/** Positions at a network's input, on the grid of its images. */
export interface Positions {
  /** `[1, 1 + grid^2, dim]`, CLS first. */
  tensor: tf.Tensor3D;
  /** What they were interpolated by; null on the network's own grid. */
  matrix: tf.Tensor2D | null;
}

/**
 * Learned or fixed positions, on a grid that may be another than the network's own; null where it has none. The caller owns
 * both tensors.
 */
export function positionsOn(network: Network, grid: number): Positions | null {
  const own = (network.weights.find('pos_embed') ?? network.findBuffer('pos_embed')) as tf.Tensor3D | null;
  if (!own) return null;
  const from = gridOf(network.model);
  if (from === grid) return { tensor: own.clone(), matrix: null };
  const [, rows, dim] = own.shape;
  const matrix = tf.tensor2d(resampling(from, grid), [1 + grid * grid, rows]);
  const tensor = tf.tidy(() => {
    const table = tf.reshape(own, [rows, dim]) as tf.Tensor2D;
    return tf.reshape(tf.matMul(matrix, table), [1, 1 + grid * grid, dim]) as tf.Tensor3D;
  });
  return { tensor, matrix };
}

/** Adds the gradient of learned positions. @param dplaces `[1, 1 + grid^2, dim]`, the caller's */
export function addPositionGradient({ matrix }: Positions, dplaces: tf.Tensor3D, gradients: Gradients): void {
  const [, rows, dim] = dplaces.shape;
  gradients.add(
    'pos_embed',
    tf.tidy(() => {
      if (!matrix) return dplaces.clone();
      const table = tf.reshape(dplaces, [rows, dim]) as tf.Tensor2D;
      return tf.reshape(tf.matMul(matrix, table, true), [1, matrix.shape[1], dim]);
    }),
  );
}
