import { expect, test } from 'vitest';
import { alphaReq, lidar, rankMe } from '../../electron/trainer/spectrum.ts';

/** Noise whose dimensions fall off, about a mean that is not zero: the same numbers as numpy was given. */
function features(n: number, width: number): Float32Array {
  return Float32Array.from({ length: n * width }, (_, at) => {
    const [i, d] = [Math.floor(at / width), at % width];
    const t = Math.sin(12.9898 * i + 78.233 * d) * 43758.5453;
    return (t - Math.floor(t) - 0.5) * (1 + d) ** -0.6 + 0.1;
  });
}

// numpy 2.4 in double precision: SVD of the features, eigvalsh of the covariances, the weighted line by solving its equations.
test('each is what numpy gives', () => {
  const [many, few] = [features(300, 40), features(20, 40)];
  const digits = 4; // features are floats
  expect(rankMe(many, 40)).toBeCloseTo(25.72658855818183, digits);
  expect(rankMe(few, 40)).toBeCloseTo(13.234184884934793, digits);
  expect(alphaReq(many, 40)).toBeCloseTo(1.4708526139160636, digits);
  expect(lidar(many, 40, 4)).toBeCloseTo(27.58765227686677, digits);
  expect(lidar(many, 40, 2)).toBeCloseTo(30.796351350621677, digits);
  expect(lidar(few, 40, 4)).toBeCloseTo(3.5614638000132985, digits);
  expect(lidar(few, 40, 2)).toBeCloseTo(7.061114981927425, digits);
});

test('what a collapse and an even spread give', () => {
  const one = new Float32Array(100 * 16).fill(0.25);
  expect(rankMe(one, 16)).toBeCloseTo(1, 2);
  expect(alphaReq(one, 16)).toBeNull();
  // Images on the axes, their views a little apart: every axis tells images apart, and noise within images is no direction.
  const views = 4;
  const axes = Float32Array.from({ length: 64 * views * 16 }, (_, at) => {
    const [row, d] = [Math.floor(at / 16), at % 16];
    const sign = Math.floor(row / views / 16) % 2 ? -1 : 1;
    return (Math.floor(row / views) % 16 === d ? sign : 0) + 1e-3 * Math.sin(at);
  });
  expect(lidar(axes, 16, views)).toBeGreaterThan(15.5);
  expect(rankMe(axes, 16)).toBeGreaterThan(15.5);
});

test('alpha is null where eigenvalues are too few for a line', () => {
  expect(alphaReq(features(300, 16), 16)).toBeNull();
  expect(alphaReq(features(12, 40), 40)).toBeNull();
});
