import { expect } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import type { HostTensor, StateDict } from '../../shared/tensors.ts';

const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a, (v, i) => v * b[i]!).reduce((x, y) => x + y, 0);
const length = (a: ArrayLike<number>) => Math.sqrt(dot(a, a));

export interface DifferenceOptions {
  /** Names of the tensors that are moved. */
  names: readonly string[];
  /** How far along a direction of unit length. */
  by: number;
  /** Of the differences at most: by two points or by four. */
  order?: 2 | 4;
  /** Largest difference, over the gradient's length. */
  within: number;
  /** The same, over the longest of all gradients: rounding, where the true gradient is zero. */
  floor: number;
}

/**
 * Expects gradients to be those of differences, for each tensor along its gradient, along the largest value of it, and
 * along two directions that know nothing of it. Points are asked only until they agree with it as closely as they must:
 * most do from one beside the state itself; where the loss is bent, central differences follow.
 * @param lossAt in as much precision as can be had
 */
export function expectDifferences(
  state: StateDict,
  gradients: StateDict,
  lossAt: (state: StateDict) => number,
  { names, by, order = 4, within, floor }: DifferenceOptions,
): void {
  const here = lossAt(state);
  const longest = Math.max(...names.map((name) => length(gradients.get(name)?.data ?? [])));
  for (const name of names) {
    const { data, shape } = state.get(name) as HostTensor;
    const gradient = gradients.get(name)?.data;
    expect(gradient?.length, `${name} has a gradient`).toBe(data.length);
    const g = Array.from(gradient!);
    const random = stream(11, 0, 0, `direction ${name}`);
    const largest = g.reduce((best, v, i) => (Math.abs(v) > Math.abs(g[best]!) ? i : best), 0);
    const ways: Record<string, number[]> = {
      'its gradient': g,
      'its largest value': g.map((_, i) => +(i === largest)),
      'one direction': g.map(() => random.next() * 2 - 1),
      another: g.map(() => random.next() * 2 - 1),
    };
    for (const [way, values] of Object.entries(ways)) {
      const scale = length(values);
      if (scale < 1e-12) continue;
      const at = (distance: number) => {
        const moved = data.map((v, i) => v + (distance * values[i]!) / scale);
        return lossAt(new Map(state).set(name, { shape, data: moved }));
      };
      const [wanted, bound] = [dot(g, values) / scale, within * length(g) + floor * longest];
      const offOf = (difference: number) => Math.abs(difference - wanted);
      const ahead = at(by);
      if (offOf((ahead - here) / by) < bound) continue;
      const near = (ahead - at(-by)) / (2 * by);
      if (order === 4 && offOf(near) < bound) continue;
      const difference = order === 2 ? near : (4 * near - (at(2 * by) - at(-2 * by)) / (4 * by)) / 3;
      expect(offOf(difference), `${name} along ${way}`).toBeLessThan(bound);
    }
  }
}
