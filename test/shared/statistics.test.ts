import { expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import {
  compare,
  FEWEST_PAIRS,
  kendallTau,
  leastP,
  type Ranked,
  signFlipTest,
  spreadOf,
  studentQuantile,
  tauInterval,
} from '../../shared/statistics.ts';

// scipy 1.17.1: t.ppf
test.each([
  [0.9, [3.0776835371752544, 1.8856180831641272, 1.637744353696209, 1.533206274058944, 1.4758840488244815]],
  [0.975, [12.706204736174694, 4.302652729749462, 3.1824463052837078, 2.7764451051977934, 2.5705818356363146]],
  [0.995, [63.656741162871526, 9.924843200918287, 5.840909309733355, 4.604094871349992, 4.032142983555228]],
])('quantiles of Student’s t at %f', (share, values) => {
  for (const [i, value] of values.entries()) expect(studentQuantile(share, i + 1)).toBeCloseTo(value, 8);
});
test('and of many degrees of freedom', () => {
  expect(studentQuantile(0.975, 9)).toBeCloseTo(2.262157162798205, 10);
  expect(studentQuantile(0.975, 11)).toBeCloseTo(2.200985160091639, 10);
  expect(studentQuantile(0.995, 30)).toBeCloseTo(2.7499956535672254, 10);
});

// numpy's mean and std(ddof=1), scipy's t.interval
test('mean, standard deviation and interval', () => {
  expect(spreadOf([0.612, 0.587, 0.641])).toEqual({
    n: 3,
    mean: expect.closeTo(0.6133333333333333, 12),
    sd: expect.closeTo(0.027024680078279087, 12),
    interval: [expect.closeTo(0.5462003064028923, 10), expect.closeTo(0.6804663602637743, 10)],
  });
  expect(spreadOf([0.31, 0.29, 0.355, 0.342, 0.301])).toMatchObject({
    sd: expect.closeTo(0.027700180504827046, 12),
    interval: [expect.closeTo(0.2852056831234105, 10), expect.closeTo(0.3539943168765895, 10)],
  });
  expect(spreadOf([0.7])).toEqual({ n: 1, mean: 0.7, sd: null, interval: null });
  expect(spreadOf([])).toBeNull();
});

// scipy's permutation_test, permutation_type='samples', exact
test.each([
  [[0.02, 0.01, 0.03], 0.25],
  [[0.02, -0.01, 0.03], 0.5],
  [[0.02, 0.01, 0.03, 0.02, 0.05, 0.04], 0.03125],
  [[0.02, -0.013, 0.031, 0.027, 0.05, -0.04, 0.011], 0.328125],
  [[0, 0, 0], 1],
  [[0.1, -0.1, 0.1, 0.2], 0.5],
])('the permutation test of %j', (differences, p) => {
  expect(signFlipTest(differences)).toBe(p);
  expect(signFlipTest(differences.map((d) => -d))).toBe(p);
});

test('no number of equal signs gives less than the least p; six pairs are the fewest below 0.05', () => {
  for (let n = 1; n <= 8; n++) expect(signFlipTest(Array(n).fill(0.3))).toBe(leastP(n));
  expect(FEWEST_PAIRS).toBe(6);
});

const points = (d: number) => `${(100 * d).toFixed(1)} points`;
const words = (...differences: number[]) => compare('A', 'B', differences, points).words;

test('three seeds cannot tell two methods apart, and it is said what would', () => {
  expect(words(0.02, 0.01, 0.03)).toBe(
    'A is 2.0 points above B on average, and with every seed. Three seeds cannot tell these two apart: the least p that ' +
      'they can give is 0.25, and it takes six seeds for one below 0.05.',
  );
  expect(words(-0.02, 0.01, -0.03)).toContain('B is 1.3 points above A on average. Three seeds cannot');
});

test('enough seeds tell what differs, and do not tell what does not', () => {
  const differ = compare('A', 'B', [0.02, 0.01, 0.03, 0.02, 0.05, 0.04], points);
  expect(differ).toMatchObject({ isTold: true, p: 0.03125 });
  expect(differ.words).toContain('By a permutation test these two differ (p = 0.031).');
  const alike = compare('A', 'B', [0.02, -0.013, 0.031, 0.027, 0.05, -0.04, 0.011], points);
  expect(alike).toMatchObject({ isTold: false });
  expect(alike.words).toContain('Seven seeds cannot tell these two apart (p = 0.33).');
});

test('a single seed, none, and no difference', () => {
  expect(compare('A', 'B', [0.02], points)).toMatchObject({ p: null, isTold: false });
  expect(words(0.02)).toBe('A is 2.0 points above B with the one seed. One seed cannot tell these two apart.');
  expect(words()).toContain('No seed of both A and B is finished yet.');
  expect(words(0.02, -0.02)).toContain('A and B are the same on average.');
});

const ranked = (x: readonly number[], y: readonly number[], group = 'one'): Ranked[] =>
  x.map((value, i) => ({ group, x: value, y: y[i]! }));

test('Kendall’s tau-b, ties and all', () => {
  // scipy.stats.kendalltau, the example of its documentation
  expect(kendallTau(ranked([12, 2, 1, 12, 2], [1, 4, 7, 1, 0]))).toBeCloseTo(-0.4714045207910316, 12);
  expect(kendallTau(ranked([1, 2, 3, 4], [10, 20, 30, 40]))).toBe(1);
  expect(kendallTau(ranked([1, 2, 3, 4], [4, 3, 2, 1]))).toBe(-1);
  expect(kendallTau(ranked([1, 1], [1, 2]))).toBeNull();
  // 5 pairs alike, 1 otherwise.
  expect(kendallTau(ranked([1, 2, 3, 4], [1, 2, 4, 3]))).toBeCloseTo(4 / 6, 12);
});

test('runs of different groups are not compared', () => {
  // Within each group alike; between the groups the other way round.
  const two = [...ranked([1, 2, 3], [7, 8, 9], 'a'), ...ranked([11, 12, 13], [1, 2, 3], 'b')];
  expect(kendallTau(two)).toBe(1);
  expect(kendallTau(two.map((one) => ({ ...one, group: 'all' })))).toBeLessThan(0);
});

test('an interval is wide of few runs, narrow of many, and there where nothing is ranked', () => {
  const random = () => stream(3, 0, 0, 'a test of tau');
  const of = (n: number, follows: number) => {
    const noise = stream(5, n, 0, 'noise');
    return ranked(
      Array.from({ length: n }, (_, i) => i),
      Array.from({ length: n }, (_, i) => follows * i + n * noise.next()),
    );
  };
  const width = ([low, high]: [number, number]) => high - low;
  const [few, many] = [8, 60].map((n) => tauInterval(of(n, 1), random())!);
  expect(width(many!)).toBeLessThan(width(few!));
  expect(many![0]).toBeGreaterThan(0);
  const none = tauInterval(of(40, 0), random())!;
  expect(none[0]).toBeLessThan(0);
  expect(none[1]).toBeGreaterThan(0);
  expect(tauInterval(of(3, 1), random())).toBeNull();
  expect(tauInterval(of(8, 1), random())).not.toEqual(null);
});
