// Gradients of TensorFlow.js, to compare ours with; tfjs-core alone has none.
import { createRequire } from 'node:module';
import '@tensorflow/tfjs';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import * as attention from '../../electron/engine/kernels/attention.ts';
import * as batch from '../../electron/engine/kernels/batch-norm.ts';
import {
  isCompiled,
  type Storage,
  storageOf,
  store,
  useCompiledKernels,
} from '../../electron/engine/kernels/device.ts';
import { gatherRows, gatherRowsGradient } from '../../electron/engine/kernels/gather-rows.ts';
import * as gelu from '../../electron/engine/kernels/gelu.ts';
import * as heads from '../../electron/engine/kernels/heads.ts';
import * as layer from '../../electron/engine/kernels/layer-norm.ts';
import { matMul, matMulPlain, multiplyFloats, widenProducts } from '../../electron/engine/kernels/matrices.ts';
import * as residual from '../../electron/engine/kernels/residual.ts';
import * as softmax from '../../electron/engine/kernels/softmax.ts';
import * as sums from '../../electron/engine/kernels/sums.ts';
import * as update from '../../electron/engine/kernels/update.ts';
import { addonPath } from '../../electron/files/built.ts';
import { type CompiledKernels, loadBackend } from '../../electron/runtime/backend.ts';
import { hasBf16 } from '../../electron/runtime/machine.ts';

const backend = await loadBackend();
const hasCompiled = isCompiled();
const why = backend.name === 'tensorflow' ? 'the compiled kernels were not built' : `no TensorFlow: ${backend.why}`;

const addon = hasCompiled ? (createRequire(import.meta.url)(addonPath('kernels')!) as CompiledKernels) : null;
const holders = (['tiles', 'pairs', 'vectors'] as const).filter((name) => addon?.holdProductsIn(name));
addon?.holdProductsIn('automatic');

let kept: tf.Tensor[] = [];
const keep = <T extends tf.Tensor>(tensor: T): T => {
  kept.push(tensor);
  return tensor;
};
const normal = <T extends tf.Tensor>(shape: number[], seed: number): T =>
  keep(tf.randomNormal(shape, 0.3, 1.5, 'float32', seed)) as unknown as T;
const off = (a: tf.Tensor, b: tf.Tensor) =>
  tf.tidy(() => tf.max(tf.abs(tf.sub(store(a, 'fp32'), store(b, 'fp32')))).dataSync()[0]!);

let tensors = 0;
beforeAll(() => {
  tensors = tf.memory().numTensors;
});
afterEach(() => {
  tf.dispose(kept);
  kept = [];
  expect(tf.memory().numTensors).toBe(tensors);
});

/** Gradients that are written out, beside those that TensorFlow.js's tape finds for the same forward pass. */
function againstTape(
  forward: (...inputs: tf.Tensor[]) => tf.Tensor,
  inputs: tf.Tensor[],
  backward: (dy: tf.Tensor) => (tf.Tensor | null)[],
) {
  const dy = keep(tf.randomNormal(keep(tf.tidy(() => forward(...inputs))).shape, 0, 1, 'float32', 7));
  const { value, grads } = tf.valueAndGrads(forward)(inputs, dy);
  value.dispose();
  const own = backward(keep(dy.clone()));
  own.forEach((gradient, i) => {
    expect(gradient!.shape, `input ${i}`).toEqual(grads[i]!.shape);
    expect(off(gradient!, grads[i]!), `input ${i}`).toBeLessThan(3e-5);
  });
  tf.dispose([...grads, ...own.map((g) => g!)]);
}

// The plain kernels free what they take: the tape is asked about the formulas themselves.
const rows = 12;
const width = 24;
const upstream = <T extends tf.Tensor>(dy: tf.Tensor): T => dy.clone() as unknown as T;

describe('gradients are those of the tape', () => {
  test('LayerNorm', () => {
    const [x, w, b] = [normal<tf.Tensor2D>([rows, width], 1), normal([width], 2), normal([width], 3)];
    const forward = (...t: tf.Tensor[]) => {
      const { mean, variance } = tf.moments(t[0]!, -1, true);
      return tf.add(tf.mul(tf.div(tf.sub(t[0]!, mean), tf.sqrt(tf.add(variance, 1e-6))), t[1]!), t[2]!);
    };
    againstTape(forward, [x, w, b], (dy) => {
      const { y, stats } = layer.layerNormPlain(x, w, b, 1e-6);
      expect(off(y, keep(tf.tidy(() => forward(x, w, b))))).toBeLessThan(1e-5);
      const zero: tf.Tensor2D = tf.zerosLike(x);
      const { dx, dw, db } = layer.layerNormGradientPlain(dy as tf.Tensor2D, x, w, stats, zero);
      tf.dispose([y, stats]);
      return [dx, dw, db];
    });
  });
  test('GELU of a sum', () => {
    const [h, b] = [normal<tf.Tensor2D>([rows, width], 4), normal([width], 5)];
    const forward = (...t: tf.Tensor[]) => {
      const x = tf.add(t[0]!, t[1]!);
      return tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.div(x, Math.SQRT2)), 1));
    };
    againstTape(forward, [h, b], (dy) => {
      const { dh, db, y } = gelu.geluGradientPlain(upstream(dy), h.clone(), b);
      expect(off(keep(y), keep(gelu.geluPlain(h, b)))).toBe(0);
      return [dh, db];
    });
  });
  test.each([true, false])('residual sum, scaled: %s', (isScaled) => {
    const t = normal<tf.Tensor2D>([rows, width], 6);
    const [branch, bias] = [normal<tf.Tensor2D>([rows, width], 7), normal([width], 8)];
    const scales = {
      gamma: isScaled ? normal([width], 9) : null,
      factors: isScaled ? keep(tf.tensor1d([0, 1.5, 2])) : null,
    };
    const forward = (...x: tf.Tensor[]) => {
      const added = tf.add(x[0]!, x[1]!);
      if (!isScaled) return tf.add(t, added);
      const scaled = tf.reshape(tf.mul(added, x[2]!), [3, 4, width]);
      const each = tf.reshape(tf.mul(scaled, tf.reshape(scales.factors!, [3, 1, 1])), [rows, width]);
      return tf.add(t, each);
    };
    againstTape(forward, [branch, bias, ...(scales.gamma ? [scales.gamma] : [])], (dy) => {
      const found = residual.residualGradientPlain(dy as tf.Tensor2D, branch, bias, scales);
      return [found.dbranch, found.dbias, ...(found.dgamma ? [found.dgamma] : [])];
    });
    const y = residual.residualPlain(t, branch, bias, scales);
    const inputs = [branch, bias, ...(scales.gamma ? [scales.gamma] : [])];
    expect(off(keep(y), keep(tf.tidy(() => forward(...inputs))))).toBeLessThan(1e-5);
  });
  test('softmax with a bias of every image', () => {
    const [logits, bias] = [normal<tf.Tensor4D>([2, 3, 5, 5], 10), normal<tf.Tensor3D>([3, 5, 5], 11)];
    againstTape(
      (x, b) => tf.softmax(tf.add(x!, b!)),
      [logits, bias],
      (dy) => {
        const p = softmax.softmax(upstream(logits), bias);
        const { dlogits, dbias } = softmax.softmaxGradient(upstream(dy), p, true);
        p.dispose();
        return [dlogits, dbias];
      },
    );
  });
  test.each([true, false])('BatchNorm, with scale, shift and ReLU: %s', (isAffine) => {
    const x = normal<tf.Tensor2D>([40, 9], 12);
    const affine = isAffine ? { gamma: normal([9], 13), beta: normal([9], 14) } : null;
    const forward = (...t: tf.Tensor[]) => {
      const { mean, variance } = tf.moments(t[0]!, 0);
      const y = tf.div(tf.sub(t[0]!, mean), tf.sqrt(tf.add(variance, 1e-5)));
      return isAffine ? tf.relu(tf.add(tf.mul(y, t[1]!), t[2]!)) : y;
    };
    againstTape(forward, affine ? [x, affine.gamma, affine.beta] : [x], (dy) => {
      const { y, stats } = batch.batchNormPlain(x, affine, 1e-5);
      const found = batch.batchNormGradientPlain(upstream(dy), x, stats, affine, 1e-5);
      tf.dispose([y, stats]);
      return found.affine ? [found.dx, found.affine.dgamma, found.affine.dbeta] : [found.dx];
    });
  });
  test('heads, taken apart and joined', () => {
    const [qkv, q, v] = [normal<tf.Tensor2D>([2 * 5, 3 * 12], 15), normal([12], 16), normal([12], 17)];
    // All three, stacked, so that one upstream gradient reaches them.
    const forward = (...t: tf.Tensor[]) => {
      const all = tf.add(t[0]!, tf.concat([t[1]!, tf.zeros([12]), t[2]!]));
      const split = tf.transpose(tf.reshape(all, [2, 5, 3, 3, 4]), [2, 0, 3, 1, 4]);
      return tf.mul(split, tf.reshape(tf.tensor1d([0.5, 1, 1]), [3, 1, 1, 1, 1])); // 0.5 = 4^-1/2
    };
    const apart = heads.splitHeads(qkv, q, v, 3, 5);
    const stacked = keep(tf.stack([apart.q, apart.k, apart.v]));
    tf.dispose(Object.values(apart));
    expect(off(stacked, keep(tf.tidy(() => forward(qkv, q, v))))).toBeLessThan(1e-6);
    againstTape(forward, [qkv, q, v], (dy) => {
      const [a, b, c] = tf.unstack(dy) as tf.Tensor4D[];
      const { dqkv, dqBias, dvBias } = heads.joinHeads({ q: a!, k: b!, v: c! });
      return [dqkv, dqBias, dvBias];
    });
  });
  test('gather of rows, repeated ones too', () => {
    const index = Int32Array.of(3, 0, 3, 1, 3);
    const table = normal<tf.Tensor2D>([4, 3], 18);
    const forward = (t?: tf.Tensor) =>
      tf.matMul(tf.cast(tf.oneHot(tf.tensor1d(index, 'int32'), 4), 'float32'), t as tf.Tensor2D);
    expect(off(keep(gatherRows(table, index)), keep(tf.tidy(() => forward(table))))).toBe(0);
    againstTape(forward, [table], (dy) => [gatherRowsGradient(dy as tf.Tensor2D, index, 4)]);
  });
});

/** Both versions of a kernel on the same inputs; what they take are copies. */
function both(run: () => (tf.Tensor | null)[], tolerance: number) {
  const fast = run();
  useCompiledKernels(false);
  const plain = run();
  useCompiledKernels(true);
  fast.forEach((tensor, i) => {
    expect(tensor!.shape, `output ${i}`).toEqual(plain[i]!.shape);
    expect(storageOf(tensor!), `output ${i}`).toBe(storageOf(plain[i]!));
    const largest = tf.tidy(() => tf.max(tf.abs(store(plain[i]!, 'fp32'))).dataSync()[0]!);
    expect(off(tensor!, plain[i]!), `output ${i}`).toBeLessThan(tolerance * Math.max(1, largest));
  });
  tf.dispose([...fast, ...plain].map((t) => t!));
}

/** Rows enough for several chunks, and a width that no vector divides. */
const many = 203;
const odd = 45;
/** A copy with values of its own: what overwrites its input must not reach another's. */
const own = <T extends tf.Tensor>(x: T): T => tf.tidy(() => store(tf.add(store(x, 'fp32'), 0), storageOf(x))) as T;

describe.skipIf(!hasCompiled)(`compiled kernels equal the plain ones${hasCompiled ? '' : ` (skipped: ${why})`}`, () => {
  describe.each([
    ['fp32', 2e-5],
    ['bf16', 1e-2],
  ] as [Storage, number][])('%s', (storage, tolerance) => {
    const stored = <T extends tf.Tensor>(shape: number[], seed: number): T =>
      keep(store(normal<T>(shape, seed), storage));
    test('LayerNorm', () => {
      const [x, w, b] = [normal<tf.Tensor2D>([many, odd], 1), normal([odd], 2), normal([odd], 3)];
      const dy = stored<tf.Tensor2D>([many, odd], 4);
      const start = normal<tf.Tensor2D>([many, odd], 5);
      both(() => {
        const { y, stats } = layer.layerNorm(x, w, b, 1e-6, storage);
        const { dx, dw, db } = layer.layerNormGradient(dy, x, w, stats, own(start));
        return [y, stats, dx, dw, db];
      }, tolerance);
    });
    test('GELU', () => {
      const [h, dy, bias] = [
        stored<tf.Tensor2D>([many, odd], 1),
        stored<tf.Tensor2D>([many, odd], 2),
        normal([odd], 3),
      ];
      both(() => {
        const { dh, db, y } = gelu.geluGradient(own(dy), own(h), bias);
        return [gelu.gelu(h, bias), dh, db, y];
      }, tolerance);
    });
    test.each([true, false])('residual sum, scaled: %s', (isScaled) => {
      const [t, bias] = [normal<tf.Tensor2D>([many, odd], 1), normal([odd], 2)];
      const branch = stored<tf.Tensor2D>([many, odd], 3);
      const factors = keep(tf.tensor1d([0, 1, 2, 3, 1, 0, 2])); // 203 = 7 images of 29 tokens
      const scales = isScaled ? { gamma: normal([odd], 4), factors } : { gamma: null, factors: null };
      both(() => {
        const { dbranch, dbias, dgamma } = residual.residualGradient(t, branch, bias, scales);
        return [residual.residual(t, branch, bias, scales), dbranch, dbias, ...(dgamma ? [dgamma] : [])];
      }, tolerance);
    });
    test.each([true, false])('BatchNorm, with scale, shift and ReLU: %s', (isAffine) => {
      const [x, dy] = [stored<tf.Tensor2D>([many, 301], 1), stored<tf.Tensor2D>([many, 301], 2)];
      const affine = isAffine ? { gamma: normal([301], 3), beta: normal([301], 4) } : null;
      both(() => {
        const { y, stats } = batch.batchNorm(x, affine, 1e-5);
        const { dx, affine: found } = batch.batchNormGradient(own(dy), x, stats, affine, 1e-5);
        return [y, stats, dx, ...(found ? [found.dgamma, found.dbeta] : [])];
      }, tolerance);
    });
    test('sums over rows', () => {
      const x = stored<tf.Tensor2D>([many, odd], 1);
      both(() => [sums.columnSum(x)], tolerance);
    });
  });
  test('BatchNorm far from zero, and of a column that is all one value', () => {
    const spread = keep(tf.mul(normal([many, 301], 1), keep(tf.linspace(0, 1, 301)))); // the first column does not vary
    const x = keep(tf.add(spread, 300)) as tf.Tensor2D;
    const found = batch.batchNorm(x, null, 1e-5);
    const [mean, variance] = [0, 1].map((row) => keep(tf.slice(keep(found.stats), [row, 0], [1, 301])).dataSync());
    keep(found.y);
    const values = x.dataSync();
    for (let column = 0; column < 301; column++) {
      const own = Float64Array.from({ length: many }, (_, r) => values[r * 301 + column]!);
      const exact = own.reduce((sum, value) => sum + value, 0) / many;
      const square = own.reduce((sum, value) => sum + (value - exact) ** 2, 0) / many;
      expect(Math.abs(mean![column]! - exact)).toBeLessThan(1e-4);
      expect(Math.abs(variance![column]! - square)).toBeLessThan(1e-4 * square + 1e-12);
    }
  });
  test('BatchNorm of what is not a number is not a number, in its column alone', () => {
    const x = new Float32Array(many * 3).map((_, i) => i % 7);
    x[5 * 3 + 1] = Number.NaN;
    const affine = { gamma: keep(tf.ones([3])), beta: keep(tf.ones([3])) };
    const { y, stats } = batch.batchNorm(keep(tf.tensor2d(x, [many, 3])), affine, 1e-5);
    const isNumber = [...keep(stats).dataSync()].map(Number.isFinite);
    expect(isNumber).toEqual([true, false, true, true, false, true]);
    expect(
      keep(y)
        .dataSync()
        .every((value, i) => Number.isNaN(value) === (i % 3 === 1)),
    ).toBe(true);
  });
  test('GELU and attention of what is not a number are none either, in its place or image alone', () => {
    const place = 5 * odd + 1;
    const x = normal<tf.Tensor2D>([many, odd], 1).dataSync().slice();
    x[place] = Number.NaN;
    const h = keep(tf.tensor2d(x, [many, odd]));
    const { dh, db, y } = gelu.geluGradient(own(normal<tf.Tensor2D>([many, odd], 2)), own(h), normal([odd], 3));
    keep(db);
    for (const found of [gelu.gelu(h, normal([odd], 3)), dh, y])
      expect([...keep(found).dataSync()].flatMap((value, i) => (Number.isNaN(value) ? [i] : []))).toEqual([place]);
    const [n, dim] = [29, 15];
    const qkv = normal<tf.Tensor2D>([2 * n, 3 * dim], 4)
      .dataSync()
      .slice();
    qkv.fill(Number.NaN, 0, dim); // of the first token the queries
    const bias = normal<tf.Tensor1D>([dim], 5);
    const out = attention.attention({
      qkv: keep(tf.tensor2d(qkv, [2 * n, 3 * dim])),
      qBias: bias,
      vBias: bias,
      bias: null,
      heads: 3,
      n,
    });
    expect([...keep(out).dataSync()].every((value, i) => Number.isNaN(value) === i < dim)).toBe(true);
  });
  test('sum of squares, AdamW and average, in place', () => {
    const size = [211, 701]; // more than two chunks
    const [p, g, m, student] = [normal(size, 1), normal(size, 2), normal(size, 3), normal(size, 4)];
    const v = keep(tf.square(normal(size, 5)));
    const numbers = { clip: 0.7, keep: 0.99, betas: [0.9, 0.98], correction: 1.3, eps: 1e-8, rate: 1e-2 } as const;
    const small = normal([3], 6); // beside a large one
    const other = { ...numbers, clip: 1, keep: 1, rate: 0.1 };
    both(() => {
      const first = { p: own(p), m: own(m), v: own(v), gradient: g, numbers };
      const second = { p: own(small), m: own(small), v: keep(tf.square(small)), gradient: small, numbers: other };
      return update.adamW([first, { ...second, v: own(second.v) }]).flatMap((found) => Object.values(found));
    }, 2e-5);
    both(() => [...update.average([own(p), own(small)], [student, small], 0.996)], 1e-6);
    both(() => [sums.sumSquares([p, small])], 1e-6);
  });
});

describe.each(holders)('attention, its products held in %s', (name) => {
  beforeAll(() => addon!.holdProductsIn(name));
  afterAll(() => addon!.holdProductsIn('automatic'));
  describe.each([
    [4, 29, 3, 5, true],
    [4, 29, 3, 5, false],
    [1, 70, 2, 40, true], // one image, and more than a panel either way
    [6, 17, 1, 16, true], // more images than groups of them
  ])('attention: %i images of %i tokens, %i heads of %i, with a bias: %s', (images, n, h, width, isBiased) => {
    const dim = h * width;
    const all = (qkv: tf.Tensor2D, dout: tf.Tensor2D) => {
      const bias = isBiased ? normal<tf.Tensor3D>([h, n, n], 3) : null;
      const inputs = { qkv, qBias: normal([dim], 4), vBias: normal([dim], 5), heads: h, n, bias };
      const { dqkv, dqBias, dvBias, dbias } = attention.attentionGradient(dout, inputs);
      return [attention.attention(inputs), dqkv, dqBias, dvBias, ...(dbias ? [dbias] : [])];
    };
    test('fp32', () => {
      const [qkv, dout] = [normal<tf.Tensor2D>([images * n, 3 * dim], 1), normal<tf.Tensor2D>([images * n, dim], 2)];
      both(() => all(qkv, dout), 2e-5);
    });
    test('bf16: nearer to that of floats than operations that each round what they give', () => {
      const stored = (shape: number[], seed: number) => keep(store(normal<tf.Tensor2D>(shape, seed), 'bf16'));
      const [qkv, dout] = [stored([images * n, 3 * dim], 1), stored([images * n, dim], 2)];
      const ours = all(qkv, dout).map(keep);
      useCompiledKernels(false);
      const plain = all(qkv, dout).map(keep);
      const exact = all(keep(store(qkv, 'fp32')), keep(store(dout, 'fp32'))).map(keep);
      useCompiledKernels(true);
      for (const [i, tensor] of ours.entries()) {
        expect(storageOf(tensor), `output ${i}`).toBe(storageOf(plain[i]!));
        const largest = tf.tidy(() => tf.max(tf.abs(exact[i]!)).dataSync()[0]!);
        expect(off(tensor, exact[i]!), `output ${i}`).toBeLessThan(1.2 * off(plain[i]!, exact[i]!) + 1e-3 * largest);
        expect(off(plain[i]!, exact[i]!), `output ${i}`).toBeLessThan(0.1 * largest);
      }
    });
  });
});

test('GELU at hand-worked values: x Phi(x)', () => {
  // Phi(1) = .8413447461, Phi(-2) = .0227501319 (tables of the normal distribution)
  const zero = keep(tf.zeros([3]));
  const y = keep(gelu.gelu(keep(tf.tensor2d([[0, 1, -2]])), zero)).dataSync();
  expect(y[0]).toBe(0);
  expect(y[1]).toBeCloseTo(0.8413447, 6);
  expect(y[2]).toBeCloseTo(-0.0455003, 6);
});

const rounded = (x: number) => {
  const bits = new Uint32Array(Float32Array.of(x).buffer);
  bits[0] = ((bits[0]! + 0x7fff + ((bits[0]! >>> 16) & 1)) & 0xffff0000) >>> 0;
  return new Float32Array(bits.buffer)[0]!;
};

/** Products of a stack in doubles, and for each the length of what was added up: errors are a share of that. */
function exactProducts(
  [a, b]: [ArrayLike<number>, ArrayLike<number>],
  [stack, m, n, k]: [number, number, number, number],
  [transposeA, transposeB]: [boolean, boolean],
) {
  const [values, lengths] = [new Float64Array(stack * m * n), new Float64Array(stack * m * n)];
  for (let s = 0; s < stack; s++)
    for (let i = 0; i < m; i++)
      for (let j = 0; j < n; j++) {
        let [sum, square] = [0, 0];
        for (let x = 0; x < k; x++) {
          const left = a[s * m * k + (transposeA ? x * m + i : i * k + x)]!;
          const term = left * b[s * k * n + (transposeB ? j * k + x : x * n + j)]!;
          sum += term;
          square += term * term;
        }
        values[(s * m + i) * n + j] = sum;
        lengths[(s * m + i) * n + j] = Math.sqrt(square);
      }
  return { values, lengths };
}

describe.skipIf(!addon)(`compiled products${addon ? '' : ` (skipped: ${why})`}`, () => {
  beforeAll(() => multiplyFloats(true));
  afterAll(() => multiplyFloats(addon!.hasTiles));
  test('are held in what the processor has', () => {
    expect(holders).toContain('vectors');
    expect(holders.includes('tiles')).toBe(addon!.hasTiles);
    expect(addon!.holdProductsIn('registers' as 'vectors')).toBe(false);
  });
});

describe.each(holders)('compiled products held in %s', (name) => {
  beforeAll(() => {
    multiplyFloats(true);
    addon!.holdProductsIn(name);
  });
  afterAll(() => {
    multiplyFloats(addon!.hasTiles);
    addon!.holdProductsIn('automatic');
  });
  const flags: [boolean, boolean][] = [
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ];
  const optionsOf = ([transposeA, transposeB]: readonly [boolean, boolean]) => ({ transposeA, transposeB });
  const sizes: [number, number, number, number][] = [
    [1, 1, 1, 1],
    [1, 5, 3, 40],
    [1, 530, 37, 301], // more than a block, and more than one turn of k
    [1, 33, 523, 129],
    [6, 29, 31, 17],
  ];
  const cases = sizes.flatMap((size) => flags.map((transposed) => [size, transposed] as const));
  const operands = ([stack, m, n, k]: (typeof sizes)[number], [ta, tb]: [boolean, boolean]) => {
    const shape = (rows: number, width: number) => (stack === 1 ? [rows, width] : [2, stack / 2, rows, width]);
    return [normal(ta ? shape(k, m) : shape(m, k), 1), normal(tb ? shape(n, k) : shape(k, n), 2)] as const;
  };
  test.each(cases)('of floats are as exact as floats are: %j, transposed %j', (size, transposed) => {
    const [a, b] = operands(size, transposed);
    const { values, lengths } = exactProducts([a.dataSync(), b.dataSync()], size, transposed);
    const largest = (product: tf.Tensor) => {
      const found = keep(product).dataSync();
      return Math.max(...found.map((x, i) => Math.abs(x - values[i]!) / (lengths[i]! + 1e-30)));
    };
    const options = optionsOf(transposed);
    const [ours, plain] = [largest(matMul(a, b, options)), largest(matMulPlain(a, b, options))];
    // Rounding of k terms, one after the other, goes by the root of k. What TensorFlow adds up in which order differs by machine.
    expect(ours).toBeLessThan(Math.max(2e-7, 2 * plain, 4 * Math.sqrt(size[3]) * 2 ** -24));
  });
  test.each([
    ['fp32', 'bf16', 'bf16'],
    ['bf16', 'fp32', 'fp32'],
    ['bf16', 'bf16', 'fp32'],
    ['bf16', 'bf16', 'bf16'],
  ] as Storage[][])('of %s and %s as %s are those of operands rounded to bf16', (ofA, ofB, storage) => {
    for (const [size, transposed] of cases) {
      const [a, b] = operands(size, transposed);
      const product = keep(matMul(keep(store(a, ofA!)), keep(store(b, ofB!)), { ...optionsOf(transposed), storage }));
      expect(storageOf(product)).toBe(storage);
      const found = keep(store(product, 'fp32')).dataSync();
      const terms = [a.dataSync(), b.dataSync()].map((x) => x.map(rounded)) as [Float32Array, Float32Array];
      const { values, lengths } = exactProducts(terms, size, transposed);
      const off = found.map((x, i) => {
        const rounding = storage === 'bf16' ? Math.abs(values[i]!) * 2 ** -8 : 0;
        return (Math.abs(x - values[i]!) - rounding) / (lengths[i]! + 1e-30);
      });
      expect(Math.max(...off), JSON.stringify([size, transposed])).toBeLessThan(4e-6);
    }
  });
  test.each([
    [700, 650, 300], // more of both factors than is worked on at once
    [650, 700, 300],
    [600, 610, 30_000], // and more of the smaller one than is packed at once
  ])('of large matrices of bf16: %i x %i, sums of %i', (m, n, k) => {
    for (const [ta, tb] of k > 1000 ? [[false, true] as const] : flags) {
      const [a, b] = [normal(ta ? [k, m] : [m, k], 1), normal(tb ? [n, k] : [k, n], 2)].map((x) =>
        keep(store(x, 'bf16')),
      );
      const ours = keep(matMul(a!, b!, { ...optionsOf([ta, tb]), storage: 'fp32' }));
      const exact = keep(matMulPlain(keep(store(a!, 'fp32')), keep(store(b!, 'fp32')), optionsOf([ta, tb])));
      expect(off(ours, exact)).toBeLessThan(2e-6 * k); // a slab of k adds some 20
    }
  });
  test('what is not finite is seen in its row and column, and nowhere else', () => {
    const a = new Float32Array(40 * 200).fill(1);
    a[3 * 200 + 150] = Number.NaN;
    a[35 * 200] = Number.POSITIVE_INFINITY;
    const found = keep(matMul(keep(tf.tensor2d(a, [40, 200])), keep(tf.ones<tf.Rank.R2>([200, 50])))).dataSync();
    for (let i = 0; i < 40; i++)
      for (let j = 0; j < 50; j++) {
        if (i === 3 || i === 35) expect(Number.isFinite(found[i * 50 + j]!)).toBe(false);
        else expect(found[i * 50 + j]).toBe(200);
      }
  });
  test('refuses matrices that have no product', () => {
    const a = normal<tf.Tensor2D>([3, 4], 1);
    expect(() => matMul(a, normal<tf.Tensor2D>([3, 4], 2))).toThrow(/no product/);
  });
});

test.skipIf(backend.name !== 'tensorflow').each([
  ["TensorFlow's own", false],
  ['of floats, rounded once', true],
])('products in bf16 are those of operands rounded to bf16: %s', (_how, widen) => {
  onTestFinished(() => widenProducts(!hasBf16()));
  widenProducts(widen);
  const [a, b] = [normal<tf.Tensor2D>([6, 40], 1), normal<tf.Tensor2D>([5, 40], 2)];
  const [x, y] = [a.dataSync(), b.dataSync()];
  const product = keep(matMulPlain(keep(store(a, 'bf16')), keep(store(b, 'bf16')), { transposeB: true }));
  expect(storageOf(product)).toBe('bf16');
  const found = keep(store(product, 'fp32')).dataSync();
  for (let i = 0; i < 6; i++)
    for (let j = 0; j < 5; j++) {
      let sum = 0;
      for (let k = 0; k < 40; k++) sum += rounded(x[i * 40 + k]!) * rounded(y[j * 40 + k]!);
      expect(Math.abs(found[i * 5 + j]! - sum)).toBeLessThan(2 ** -7 * Math.max(1, Math.abs(sum)));
    }
});
