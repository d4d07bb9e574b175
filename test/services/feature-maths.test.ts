import { Matrix, SVD } from 'ml-matrix';
import { describe, expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { layOut } from '../../electron/services/explore/feature-map.ts';
import { mapFigures, nearestRows, normaliseRows } from '../../electron/services/explore/neighbours.ts';
import { principalComponents, projectRows, rescaleColumns } from '../../electron/services/explore/principal.ts';

await loadBackend();
const gauss = (random: { next(): number }) =>
  Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());

describe('principal components', () => {
  /** Rows that vary 5, 3 and 2 times as much along three planted directions as elsewhere, away from the origin. */
  const [n, dim] = [400, 12];
  const random = stream(1, 0, 0, 'test');
  const directions = [0, 1, 2].map((c) => Array.from({ length: dim }, (_, d) => Math.sin((c + 1) * (d + 0.5))));
  const rows = new Float32Array(n * dim);
  for (let i = 0; i < n; i++) {
    const [a, b, c] = [5, 3, 2].map((s) => s * gauss(random));
    for (let d = 0; d < dim; d++)
      rows[i * dim + d] =
        7 + a! * directions[0]![d]! + b! * directions[1]![d]! + c! * directions[2]![d]! + 0.3 * gauss(random);
  }
  const basis = principalComponents(rows, dim, 3);
  const centred = Matrix.from1DArray(n, dim, [...rows]).center('column');
  const svd = new SVD(centred, { autoTranspose: true });

  test('are the singular vectors of the centred rows, and their shares those of the squared singular values', () => {
    const squares = svd.diagonal.map((s) => s * s);
    const whole = squares.reduce((a, b) => a + b);
    for (const c of [0, 1, 2]) {
      const cosine = basis.components[c]!.reduce((sum, v, d) => sum + v * svd.rightSingularVectors.get(d, c), 0);
      expect(Math.abs(cosine)).toBeCloseTo(1, 5);
      expect(basis.explained[c]).toBeCloseTo(squares[c]! / whole, 5);
    }
    expect(basis.explained.reduce((a, b) => a + b)).toBeGreaterThan(0.97); // what was planted, and little else
  });

  test('have one sign, whatever the rows’ order; the largest entry is positive', () => {
    const turned = new Float32Array(n * dim);
    for (let i = 0; i < n; i++) turned.set(rows.subarray((n - 1 - i) * dim, (n - i) * dim), i * dim);
    const again = principalComponents(turned, dim, 3);
    basis.components.forEach((vector, c) => {
      expect(Math.max(...vector)).toBe(Math.max(...vector.map(Math.abs)));
      vector.forEach((v, d) => {
        expect(again.components[c]![d]).toBeCloseTo(v, 4);
      });
    });
  });

  test('a projection has mean zero and the variance that was explained', () => {
    const scores = projectRows(rows, basis);
    for (const c of [0, 1, 2]) {
      const own = Array.from({ length: n }, (_, i) => scores[i * 3 + c]!);
      expect(own.reduce((a, b) => a + b) / n).toBeCloseTo(0, 4);
      const square = own.reduce((a, b) => a + b * b, 0);
      expect(square / svd.diagonal[c]! ** 2).toBeCloseTo(1, 4);
    }
  });

  test('columns are rescaled each to its own range; one that does not vary is grey', () => {
    expect([...rescaleColumns(Float32Array.from([-2, 5, 0, 5, 6, 5]), 2)]).toEqual([0, 0.5, 0.25, 0.5, 1, 0.5]);
  });

  test('rows that do not vary have components that explain nothing, and no NaN', () => {
    const { explained, components } = principalComponents(new Float32Array(40).fill(3), 4, 3);
    expect(explained).toEqual([0, 0, 0]);
    expect(components.every((vector) => vector.every(Number.isFinite))).toBe(true);
  });
});

describe('neighbours', () => {
  /** The rows that scikit-learn was given for the figures below. */
  const [n, dim] = [60, 6];
  const rows = new Float32Array(n * dim);
  for (let i = 0; i < n; i++)
    for (let d = 0; d < dim; d++)
      rows[i * dim + d] = Math.sin(1.7 * i * (d + 1) + 0.3 * d * d) + (d === 0 ? (i % 3) * 0.8 : 0);
  normaliseRows(rows, dim);
  const places = Float32Array.from({ length: 2 * n }, (_, j) => {
    const i = j >> 1;
    return j % 2 === 0 ? rows[i * dim]! + 0.4 * Math.cos(5 * i) : rows[i * dim + 1]! + 0.4 * Math.sin(3 * i);
  });

  test('are those of all distances sorted, each row first among its own', () => {
    const { indices, distances } = nearestRows(rows, dim, 6);
    const far = (i: number, j: number) =>
      Math.hypot(...Array.from({ length: dim }, (_, d) => rows[i * dim + d]! - rows[j * dim + d]!));
    for (let i = 0; i < n; i++) {
      const sorted = [...Array(n).keys()].filter((j) => j !== i).sort((a, b) => far(i, a) - far(i, b));
      expect(indices[i]).toEqual([i, ...sorted.slice(0, 5)]);
      indices[i]!.forEach((j, place) => {
        expect(distances[i]![place]).toBeCloseTo(far(i, j), 3);
      });
    }
  });

  test('equal rows: each is its own first, and nobody is there twice', () => {
    const same = normaliseRows(new Float32Array(30).fill(1), 3);
    const { indices, distances } = nearestRows(same, 3, 4);
    indices.forEach((own, i) => {
      expect(own[0]).toBe(i);
      expect(new Set(own).size).toBe(4);
    });
    expect(Math.max(...distances.flat())).toBeLessThan(1e-3);
  });

  test('trustworthiness and neighbours kept are scikit-learn’s (1.9.1: trustworthiness, NearestNeighbors; k 7)', () => {
    const figures = mapFigures(rows, dim, places, 7, 1000);
    expect(figures).toMatchObject({ k: 7, n: 60, sample: 60 });
    expect(figures.trustworthiness).toBeCloseTo(0.6620991253644315, 6);
    expect(figures.kept).toBeCloseTo(0.20714285714285713, 6);
  });

  test('where all features are alike no neighbour is nearer: the figures are those of guessing', () => {
    const same = normaliseRows(new Float32Array(40 * 3).fill(1), 3);
    const scattered = Float32Array.from(
      { length: 80 },
      (_, i) => Math.sin(i * 12.9898) * 43758.5453 - Math.floor(Math.sin(i * 12.9898) * 43758.5453),
    );
    const figures = mapFigures(same, 3, scattered, 7, 1000);
    expect(Math.abs(figures.trustworthiness - 0.5)).toBeLessThan(0.2);
    expect(figures.kept).toBe(0);
  });

  test('a map that is the features themselves is trusted wholly; a sample is near the whole', () => {
    const circle = Float32Array.from({ length: 200 }, (_, j) =>
      j % 2 === 0 ? Math.cos((j >> 1) ** 1.3) : Math.sin((j >> 1) ** 1.3),
    );
    expect(mapFigures(circle, 2, circle, 5, 1000)).toMatchObject({ trustworthiness: 1, kept: 1 });
    const [whole, some] = [mapFigures(rows, dim, places, 7, 60), mapFigures(rows, dim, places, 7, 30)];
    expect(some.sample).toBe(30);
    expect(Math.abs(some.trustworthiness - whole.trustworthiness)).toBeLessThan(0.05);
  });
});

describe('a map', () => {
  const [clusters, each, dim] = [4, 30, 16];
  const random = stream(2, 0, 0, 'test');
  const rows = new Float32Array(clusters * each * dim);
  for (let i = 0; i < clusters * each; i++)
    for (let d = 0; d < dim; d++) rows[i * dim + d] = (d === i % clusters ? 4 : 0) + 0.5 * gauss(random);
  normaliseRows(rows, dim);
  const told: [number, number, string][] = [];
  const places = layOut(rows, dim, (...progress) => told.push(progress));

  test('keeps planted clusters apart, and can be trusted', () => {
    const distance = (i: number, j: number) =>
      Math.hypot(places[2 * i]! - places[2 * j]!, places[2 * i + 1]! - places[2 * j + 1]!);
    for (let i = 0; i < clusters * each; i++) {
      const others = [...Array(clusters * each).keys()].filter((j) => j !== i);
      const nearest = others.sort((a, b) => distance(i, a) - distance(i, b)).slice(0, 10);
      expect(nearest.every((j) => j % clusters === i % clusters)).toBe(true);
    }
    expect(mapFigures(rows, dim, places, 15, 1000).trustworthiness).toBeGreaterThan(0.9);
  });

  test('is the same again, and says how far it is', () => {
    expect(layOut(rows, dim, () => {})).toEqual(places);
    expect(told.filter(([, , phase]) => phase === 'map').map(([done]) => done)).toEqual(
      Array.from({ length: 500 }, (_, i) => i + 1),
    );
    expect(told[0]).toEqual([120, 120, 'neighbours']);
  });

  test('images that are all the same make a map too', () => {
    const same = layOut(normaliseRows(new Float32Array(60).fill(1), 3), 3, () => {});
    expect(same.every(Number.isFinite)).toBe(true);
  });
});
