import type { BakeOffRow, BakeOffSummary } from '../../../shared/bakeoff.ts';
import type { Input } from '../../../shared/contract/index.ts';
import type { TaskRef } from '../../../shared/contract/started.ts';
import type { DamagedRow } from '../../../shared/damaged-row.ts';
import type { Store } from '../../store/store.ts';
import type { Tasks } from '../ground/tasks.ts';
import type { LiveRuns } from '../runs/live.ts';
import { bakeOffPage } from './page.ts';
import { measureBakeOff, planBakeOff } from './plan.ts';
import { bakeOffRows, damagedBakeOffs, summaryOf } from './summary.ts';
import { continueBakeOff, createBakeOff, tendBakeOffs } from './work.ts';

/** Bake-offs as windows see them; whenever a run has ended, what follows from it is put in the queue. */
export class LiveBakeOffs {
  readonly #store: Store;
  readonly #tasks: Tasks;
  readonly #live: LiveRuns;

  constructor(store: Store, tasks: Tasks, live: LiveRuns) {
    this.#store = store;
    this.#tasks = tasks;
    this.#live = live;
    live.before(() => tendBakeOffs(store));
  }

  rows(): BakeOffRow[] {
    return bakeOffRows(this.#store);
  }

  damaged(): DamagedRow[] {
    return damagedBakeOffs(this.#store);
  }

  /** @throws AppError not-found */
  get(id: number): BakeOffSummary {
    return summaryOf(this.#store, id);
  }

  check({ asked, costs }: Input<'bakeoffs.check'>) {
    return planBakeOff(this.#store, asked, costs);
  }

  /** Its result is a cost for each entry. @throws AppError as `planBakeOff` */
  measure({ asked }: Input<'bakeoffs.measure'>): TaskRef<'bakeoff'> {
    planBakeOff(this.#store, asked);
    return this.#tasks.start('bakeoff', `Measuring what "${asked.name}" costs`, ({ signal, progress }) =>
      measureBakeOff(this.#store, asked, progress, signal),
    );
  }

  /** Puts all of its pretrainings at the end of the queue. @throws AppError as `createBakeOff` */
  start({ asked, costs }: Input<'bakeoffs.start'>): { id: number } {
    const id = this.#store.atomically(() => {
      const made = createBakeOff(this.#store, asked, costs);
      continueBakeOff(this.#store, made.id);
      return made.id;
    });
    this.#live.look();
    return { id };
  }

  /** Puts all that is left to do in the queue. @throws AppError not-found */
  goOn(id: number): void {
    continueBakeOff(this.#store, id);
    this.#live.look();
  }

  /** Forgets it; its runs stay. @throws AppError not-found */
  delete(id: number): void {
    this.#store.bakeOffs.delete(id);
    this.#live.look();
  }

  report(id: number): { html: string } {
    return { html: bakeOffPage(summaryOf(this.#store, id)) };
  }
}
