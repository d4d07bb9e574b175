import type { Metric } from '../../shared/run.ts';
import { type AppError, call, on } from '../api.ts';
import { sayError } from './toasts.svelte.ts';

/** Points that are asked for: the program takes means where there are more steps. */
const POINTS = 1200;
/** Charts are drawn at most this often while a run trains, ms. */
const DRAW_EVERY = 250;

/** A run's curves: asked once, then what arrives is added. Make it while a component is made. */
export class Curves {
  /** By step. */
  metrics = $state.raw<Metric[]>([]);
  #waiting: Metric[] = [];
  #timer: ReturnType<typeof setTimeout> | null = null;
  #zoom = $state.raw<[number, number] | null>(null);
  readonly #run: number;

  constructor(run: number) {
    this.#run = run;
    void this.load();
    $effect(() => {
      const ends = [
        on('metrics', (event) => {
          if (event.run === run) this.#add(event.metrics);
        }),
        on('resync', () => void this.load()),
      ];
      return () => {
        for (const end of ends) end();
        if (this.#timer) clearTimeout(this.#timer);
      };
    });
  }

  /** False for a part that was zoomed into. */
  get isWhole(): boolean {
    return this.#zoom === null;
  }

  /** Steps between two, finer; null for all. */
  async zoom(zoom: [number, number] | null): Promise<void> {
    this.#zoom = zoom;
    await this.load();
  }

  async load(): Promise<void> {
    const [from, to] = this.#zoom ?? [null, null];
    const whole = (n: number | null) => (n === null ? null : Math.max(0, Math.round(n)));
    try {
      this.metrics = await call('runs.metrics', { id: this.#run, points: POINTS, from: whole(from), to: whole(to) });
    } catch (error) {
      if ((error as AppError).kind !== 'not-found') sayError(error); // the run's screen says that it is not there
    }
  }

  #add(metrics: readonly Metric[]) {
    if (this.#zoom) return; // the part that is looked at does not move
    this.#waiting.push(...metrics);
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      const added = this.#waiting;
      this.#waiting = [];
      const first = added[0]?.step ?? 0;
      // After a resume from a checkpoint the steps behind it are made again.
      const before = this.metrics.filter(({ step }) => step < first);
      this.metrics = [...before, ...added];
      if (this.metrics.length > 2 * POINTS) void this.load();
    }, DRAW_EVERY);
  }
}
