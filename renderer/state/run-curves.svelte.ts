import type { Metric } from '../../shared/run.ts';
import { call, on } from '../api.ts';
import { runs } from './runs.svelte.ts';
import { attempt } from './toasts.svelte.ts';

/** Points of a curve: fewer where there are many, as each is narrow then. */
const [POINTS, FEW_POINTS, MANY] = [800, 200, 12];
/** While one types a filter nothing is asked for, and curves that come together are drawn together, ms. */
const [SETTLE, TOGETHER] = [120, 80];
/** Of a run that trains, ms: enough to compare. */
const AGAIN_EVERY = 2000;

/** Curves of several runs: each is asked for once, and again while its run trains. Make it while a component is made. */
export class RunCurves {
  /** By run. */
  all = $state.raw<ReadonlyMap<number, Metric[]>>(new Map());
  /** Each is asked for once, whatever comes of it: what came for one run says nothing of the others. */
  readonly #asked = new Map<number, number>();
  readonly #came = new Map<number, Metric[]>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(wanted: () => readonly number[]) {
    $effect(() => {
      const ids = wanted();
      const timer = setTimeout(() => {
        for (const id of ids) if (!this.#asked.has(id)) void this.#load(id, ids.length > MANY ? FEW_POINTS : POINTS);
      }, SETTLE);
      return () => clearTimeout(timer);
    });
    $effect(() => {
      const due = new Set<number>();
      const again = (ids: Iterable<number>) => {
        for (const id of ids) if (runs.get(id)) void this.#load(id, this.#asked.get(id) ?? POINTS);
      };
      const ends = [
        on('resync', () => again([...this.#asked.keys()])),
        on('metrics', ({ run }) => this.#asked.has(run) && due.add(run)),
      ];
      const timer = setInterval(() => {
        again(due);
        due.clear();
      }, AGAIN_EVERY);
      return () => {
        for (const end of ends) end();
        clearInterval(timer);
        clearTimeout(this.#timer);
      };
    });
  }

  async #load(id: number, points: number) {
    this.#asked.set(id, points);
    await attempt(async () => {
      this.#came.set(id, await call('runs.metrics', { id, points, from: null, to: null }));
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.all = new Map([...this.all, ...this.#came]);
        this.#came.clear();
      }, TOGETHER);
    });
  }
}
