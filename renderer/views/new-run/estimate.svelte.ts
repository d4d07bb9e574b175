import type { RunConfig } from '../../../shared/config.ts';
import type { Cost, Input } from '../../../shared/contract/index.ts';
import type { ConfigField } from '../../../shared/contract/recipes.ts';
import { call } from '../../api.ts';
import { finished } from '../../state/tasks.svelte.ts';
import { costKey } from './recipe.ts';

/** Measuring takes a process and a core: it begins so long after the last change, ms. */
const DELAY = 600;
/** Measured already since the window opened, by what speed and memory follow from. */
const known = new Map<string, Cost>();

/** What was measured of a recipe since the window opened. */
export const costOf = (config: RunConfig, fields: readonly ConfigField[]): Cost | undefined =>
  known.get(costKey(config, fields));

/** Speed and memory of a recipe on this machine, measured again when what it follows from changes. */
export class Estimate {
  state = $state<'none' | 'measuring' | 'done' | 'canceled' | 'failed'>('none');
  cost = $state.raw<Cost | null>(null);
  error = $state.raw<Error | null>(null);
  #key = '';
  #input: Input<'config.estimate'> | null = null;
  #task: string | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  ask(config: RunConfig, fields: readonly ConfigField[], input: Input<'config.estimate'>): void {
    const key = costKey(config, fields);
    this.#input = input;
    if (key === this.#key) return;
    this.#drop();
    this.#key = key;
    this.cost = known.get(key) ?? null;
    this.state = this.cost ? 'done' : 'measuring';
    if (!this.cost) this.#timer = setTimeout(() => void this.#measure(key), DELAY);
  }

  again = (): void => {
    if (!this.#input) return;
    this.state = 'measuring';
    void this.#measure(this.#key);
  };

  cancel = (): void => {
    this.#drop();
    this.state = 'canceled';
  };

  /** The screen is left: nobody waits for it any more. */
  end(): void {
    this.#drop();
    this.#key = '';
  }

  #drop() {
    clearTimeout(this.#timer);
    const task = this.#task;
    this.#task = null;
    if (task) void call('tasks.cancel', { id: task }).catch(() => {}); // it may just have ended
  }

  async #measure(key: string) {
    try {
      const ref = await call('config.estimate', this.#input!);
      if (key !== this.#key || this.state !== 'measuring') {
        void call('tasks.cancel', { id: ref.task }).catch(() => {});
        return;
      }
      this.#task = ref.task;
      const cost = await finished(ref);
      known.set(key, cost);
      if (this.#task !== ref.task) return;
      this.#task = null;
      Object.assign(this, { cost, state: 'done', error: null });
    } catch (error) {
      if (key !== this.#key || this.state !== 'measuring') return;
      this.#task = null;
      Object.assign(this, { error, state: 'failed' });
    }
  }
}
