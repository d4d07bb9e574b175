import type { Uniform } from './random.ts';
import { capital } from './words.ts';

/** What a few repetitions of an experiment say, and what they cannot: mean, spread, interval, and a test of paired differences. */

/** More repetitions than this are not asked for: all flips of the test are counted. */
export const MOST_SEEDS = 12;
/** A difference is said to be one below this p. */
export const LEVEL = 0.05;

/** What repetitions of one figure give. */
export interface Spread {
  n: number;
  mean: number;
  /** Standard deviation, with n - 1; null of a single value. */
  sd: number | null;
  /** The mean lies between these with 95 % confidence, by Student's t; null of a single value. */
  interval: [low: number, high: number] | null;
}

/** Null where there is nothing. */
export function spreadOf(values: readonly number[]): Spread | null {
  const n = values.length;
  if (n === 0) return null;
  const mean = values.reduce((a, b) => a + b, 0) / n;
  if (n === 1) return { n, mean, sd: null, interval: null };
  const sd = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (n - 1));
  const half = (studentQuantile(0.975, n - 1) * sd) / Math.sqrt(n);
  return { n, mean, sd, interval: [mean - half, mean + half] };
}

/** Share of Student's t distribution below t >= 0, of whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4). */
function studentBelow(t: number, df: number): number {
  const angle = Math.atan(t / Math.sqrt(df));
  const cosine = Math.cos(angle);
  let [sum, term] = df % 2 === 1 ? [0, cosine] : [0, 1];
  for (let k = df % 2 === 1 ? 1 : 0; k <= df - 2; k += 2) {
    sum += term;
    term *= (cosine ** 2 * (k + 1)) / (k + 2);
  }
  const within = df % 2 === 1 ? (2 / Math.PI) * (angle + Math.sin(angle) * sum) : Math.sin(angle) * sum;
  return 0.5 + within / 2;
}

/** The t that a share of the distribution lies below. @param share 0.5 to 1 @param df whole degrees of freedom, 1 at least */
export function studentQuantile(share: number, df: number): number {
  let [low, high] = [0, 1];
  while (studentBelow(high, df) < share) high *= 2;
  for (let i = 0; i < 200 && high - low > 1e-13 * high; i++) {
    const middle = (low + high) / 2;
    if (studentBelow(middle, df) < share) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/**
 * Paired permutation test: if two methods were alike, each difference of a pair could as well have the other sign. Of all
 * 2^n choices of signs, the share whose mean lies at least as far from zero as the one that was found (two-sided, exact).
 * @param differences of pairs; 1 to `MOST_SEEDS`
 */
export function signFlipTest(differences: readonly number[]): number {
  const n = differences.length;
  if (n < 1 || n > MOST_SEEDS) throw new RangeError(`A test of ${n} pairs is not counted.`);
  const found = Math.abs(differences.reduce((a, b) => a + b, 0));
  // Sums of the same numbers in another order differ in their last bits.
  const least = found - 1e-12 * differences.reduce((sum, d) => sum + Math.abs(d), 0);
  let far = 0;
  for (let flips = 0; flips < 2 ** n; flips++) {
    let sum = 0;
    for (const [i, d] of differences.entries()) sum += flips & (1 << i) ? -d : d;
    if (Math.abs(sum) >= least) far++;
  }
  return far / 2 ** n;
}

/** The least p that so many pairs can give, whatever they are: all differences of one sign. */
export const leastP = (pairs: number): number => 2 / 2 ** pairs;

/** Pairs that can give a p below `LEVEL`. */
export const FEWEST_PAIRS = Array.from({ length: MOST_SEEDS }, (_, i) => i + 1).find((n) => leastP(n) < LEVEL)!;

const NUMBERS = [
  ...['no', 'one', 'two', 'three', 'four', 'five', 'six'],
  ...['seven', 'eight', 'nine', 'ten', 'eleven', 'twelve'],
] as const;
/** A number of seeds in words: "three seeds". */
export const seedsInWords = (n: number): string => `${NUMBERS[n] ?? n} ${n === 1 ? 'seed' : 'seeds'}`;

export interface Comparison {
  /** Of the first over the second, seed by seed. */
  differences: readonly number[];
  mean: number;
  /** Null of fewer than two pairs. */
  p: number | null;
  isTold: boolean;
  /** Whether these can be told apart, and if not whether more seeds of the same kind could; sentences. */
  words: string;
}

/**
 * Two methods by the seeds that both have.
 * @param show a difference, without its sign, as people read it
 */
export function compare(a: string, b: string, differences: readonly number[], show: (d: number) => string): Comparison {
  const n = differences.length;
  const mean = n === 0 ? 0 : differences.reduce((x, y) => x + y, 0) / n;
  if (n === 0)
    return { differences, mean, p: null, isTold: false, words: `No seed of both ${a} and ${b} is finished yet.` };
  const [above, below] = mean >= 0 ? [a, b] : [b, a];
  const isEven = show(Math.abs(mean)) === show(0);
  const everywhere = differences.every((d) => d * mean > 0);
  const which = n === 1 ? 'with the one seed' : everywhere ? 'on average, and with every seed' : 'on average';
  const found = isEven
    ? `${a} and ${b} are the same ${n === 1 ? 'with the one seed' : 'on average'}.`
    : `${above} is ${show(Math.abs(mean))} above ${below} ${which}.`;
  const cannot = `${capital(seedsInWords(n))} cannot tell these two apart`;
  if (n === 1)
    return { differences, mean, p: null, isTold: false, words: `${found} One seed cannot tell these two apart.` };
  const p = signFlipTest(differences);
  const isTold = p < LEVEL;
  const value = p.toPrecision(2);
  const words = isTold
    ? `By a permutation test these two differ (p = ${value}).`
    : n < FEWEST_PAIRS
      ? `${cannot}: the least p that they can give is ${leastP(n)}, and it takes ${seedsInWords(FEWEST_PAIRS)} for one ` +
        `below ${LEVEL}.`
      : `${cannot} (p = ${value}).`;
  return { differences, mean, p, isTold, words: `${found} ${words}` };
}

/** A run by two figures, in a group of which it is compared with no other: a dataset, say. */
export interface Ranked {
  group: string;
  x: number;
  y: number;
}

/**
 * Kendall's tau-b (Kendall, Biometrika 1945): of the pairs of a group, how many more two figures rank alike than otherwise; 1 where
 * they always do, 0 where one says nothing of the other. Pairs that are level by one figure count for neither. Null where all are.
 */
export function kendallTau(ranked: readonly Ranked[]): number | null {
  let [alike, byX, byY] = [0, 0, 0];
  for (const [i, a] of ranked.entries()) {
    for (const b of ranked.slice(i + 1)) {
      if (a.group !== b.group) continue;
      const [x, y] = [Math.sign(a.x - b.x), Math.sign(a.y - b.y)];
      alike += x * y;
      byX += x ** 2;
      byY += y ** 2;
    }
  }
  return byX * byY > 0 ? alike / Math.sqrt(byX * byY) : null;
}

const DRAWS = 2000;

/**
 * Where tau lies with 95 % confidence: by the percentile bootstrap (Efron, 1979) over the runs of each group. Null of fewer than
 * four, and where draws are level.
 */
export function tauInterval(ranked: readonly Ranked[], random: Uniform): [low: number, high: number] | null {
  if (ranked.length < 4) return null;
  const groups = [...Map.groupBy(ranked, ({ group }) => group).values()];
  const found: number[] = [];
  for (let draw = 0; draw < DRAWS; draw++) {
    const drawn = groups.flatMap((group) => group.map(() => group[Math.floor(random.next() * group.length)]!));
    const tau = kendallTau(drawn);
    if (tau !== null) found.push(tau);
  }
  if (found.length < DRAWS / 2) return null;
  found.sort((a, b) => a - b);
  return [found[Math.floor(0.025 * found.length)]!, found[Math.ceil(0.975 * found.length) - 1]!];
}

/** Entropy of shares that sum to one, nats. */
export const entropyOf = (shares: ArrayLike<number>): number =>
  Array.from(shares).reduce((sum, share) => (share > 0 ? sum - share * Math.log(share) : sum), 0);

/** How often each of the numbers is among them, as shares; those that never are have none. */
export function sharesOf(numbers: ArrayLike<number>): number[] {
  const counts = new Map<number, number>();
  for (const number of Array.from(numbers)) counts.set(number, (counts.get(number) ?? 0) + 1);
  return [...counts.values()].map((count) => count / numbers.length);
}

/** Perplexity: exp of the entropy of how often each number is among them: so many equally frequent ones have this entropy. */
export const inUse = (numbers: ArrayLike<number>): number => Math.exp(entropyOf(sharesOf(numbers)));
