import { METHODS } from '../../../methods/index.ts';
import {
  type AskedBakeOff,
  BAKE_OFF_TASKS,
  type BakeOffPlan,
  type BakeOffTask,
  bakeOffSchema,
  ENCODER_KEYS,
  type Encoder,
  type EntryCost,
  tasksFor,
} from '../../../shared/bakeoff.ts';
import type { DatasetRow } from '../../../shared/contract/datasets.ts';
import type { PresetRow } from '../../../shared/contract/recipes.ts';
import type { TaskRef } from '../../../shared/contract/started.ts';
import { call, on } from '../../api.ts';
import { finished } from '../../state/tasks.svelte.ts';

/** A form asks so long after the last change, ms. */
const DELAY = 250;

/** What a person has chosen so far; it outlives the screen. */
const chosen = $state({
  name: '',
  dataset: null as number | null,
  test_dataset: null as number | null,
  // Not those that take over a network of another run: that has to be trained first.
  methods: Object.fromEntries(METHODS.map(({ name, borrows }) => [name, !borrows])) as Record<string, boolean>,
  presets: Object.fromEntries(METHODS.map(({ name, defaultPreset }) => [name, defaultPreset])) as Record<
    string,
    string
  >,
  /** By field; null: as the first method's preset has it. */
  encoder: Object.fromEntries(ENCODER_KEYS.map((key) => [key, null])) as Record<keyof Encoder, number | null>,
  kind: 'images' as 'images' | 'minutes' | 'flops',
  images: 100_000,
  minutes: 30,
  /** In 10^12. */
  teraflops: 1000,
  seeds: 3,
  tasks: [...BAKE_OFF_TASKS] as BakeOffTask[],
  supervised: true,
  pixels: true,
  finetune: false,
  epochs: 20,
});

/** What a bake-off is to be, and what it would take. */
export class Draft {
  chosen = chosen;
  datasets = $state.raw<DatasetRow[] | null>(null);
  presets = $state.raw<PresetRow[]>([]);
  failed = $state.raw<Error | null>(null);
  plan = $state.raw<BakeOffPlan | null>(null);
  error = $state.raw<Error | null>(null);
  measuring = $state(false);
  /** Measured costs of the entries, with the `#key` that they were measured for. */
  #costs = $state.raw<{ key: string; costs: EntryCost[] } | null>(null);
  #task: TaskRef<'bakeoff'> | null = null;
  #turn = 0;

  usable = $derived((this.datasets ?? []).filter(({ image_count }) => image_count > 0));
  dataset = $derived(this.usable.find(({ id }) => id === chosen.dataset) ?? this.usable.at(-1) ?? null);
  /** Whether its images have classes: without them there is nothing to evaluate by. */
  isLabelled = $derived((this.dataset?.classes ?? 0) > 1);
  methods = $derived(METHODS.filter(({ name }) => chosen.methods[name]));
  first = $derived(
    this.presets.find(({ name }) => name === chosen.presets[this.methods[0]?.name ?? '']) ?? this.presets[0] ?? null,
  );
  encoder = $derived(
    this.first &&
      (Object.fromEntries(
        ENCODER_KEYS.map((key) => [key, chosen.encoder[key] ?? this.first!.config.model[key]]),
      ) as unknown as Encoder),
  );

  /** As it is sent; null where something is missing or cannot be. */
  asked = $derived.by((): AskedBakeOff | null => {
    if (!this.dataset || !this.encoder || this.methods.length === 0) return null;
    const parsed = bakeOffSchema.safeParse({
      name: chosen.name.trim() || `${this.dataset.name} bake-off`.slice(0, 190),
      dataset: this.dataset.id,
      test_dataset: this.isLabelled ? chosen.test_dataset : null,
      entries: this.methods.map(({ name }) => ({ preset: chosen.presets[name]!, changes: {} })),
      encoder: this.encoder,
      budget: {
        images: { kind: 'images', images: chosen.images },
        minutes: { kind: 'minutes', minutes: chosen.minutes },
        flops: { kind: 'flops', flops: chosen.teraflops * 1e12 },
      }[chosen.kind],
      seeds: chosen.seeds,
      tasks: tasksFor(this.isLabelled).filter((task) => chosen.tasks.includes(task)),
      supervised: this.isLabelled && chosen.supervised,
      pixels: this.isLabelled && chosen.pixels,
      finetune: this.isLabelled && chosen.finetune ? chosen.epochs : null,
    });
    return parsed.success ? parsed.data : null;
  });
  /** All that the cost of a step depends on. */
  #key = $derived(JSON.stringify([this.asked?.entries, this.asked?.encoder, this.dataset?.id]));
  costs = $derived(this.#costs?.key === this.#key ? this.#costs.costs : []);
  /** Why it cannot be started; empty where it can. */
  hindrance = $derived(
    !this.dataset
      ? 'Choose a dataset.'
      : this.methods.length === 0
        ? 'Choose a method.'
        : !this.asked
          ? 'Some fields cannot be used.'
          : this.error
            ? this.error.message
            : !this.plan
              ? 'Looking at it …'
              : this.plan.entries.some(({ steps }) => steps === null)
                ? 'Measure the methods first: how many steps this budget is depends on them.'
                : '',
  );

  /** While a component is made: it ends with it. */
  constructor() {
    this.load();
    const ends = [on('datasets', this.load), on('presets', this.load), on('resync', this.load)];
    $effect(() => {
      const { asked, costs } = this;
      const turn = ++this.#turn;
      if (!asked) {
        this.plan = null;
        this.error = null;
        return;
      }
      const timer = setTimeout(() => void this.#check(turn, asked, costs), DELAY);
      return () => clearTimeout(timer);
    });
    $effect(() => () => {
      for (const end of ends) end();
      this.cancel();
    });
  }

  load = (): void => {
    void this.#load();
  };

  async #load() {
    try {
      [this.datasets, this.presets] = await Promise.all([call('datasets.list', {}), call('presets.list', {})]);
      this.failed = null;
    } catch (error) {
      this.failed = error as Error;
    }
  }

  async #check(turn: number, asked: AskedBakeOff, costs: EntryCost[]) {
    try {
      const plan = await call('bakeoffs.check', { asked, costs });
      if (turn === this.#turn) Object.assign(this, { plan, error: null });
    } catch (error) {
      if (turn === this.#turn) Object.assign(this, { plan: null, error: error as Error });
    }
  }

  /** Measures what a step of each method costs here. */
  measure = async (): Promise<void> => {
    const { asked } = this;
    if (!asked || this.measuring) return;
    const key = this.#key;
    this.measuring = true;
    try {
      this.#task = await call('bakeoffs.measure', { asked });
      this.#costs = { key, costs: await finished(this.#task) };
    } catch (error) {
      if (this.#task) this.error = error as Error;
    } finally {
      this.measuring = false;
      this.#task = null;
    }
  };

  cancel = (): void => {
    const task = this.#task;
    this.#task = null;
    if (task) void call('tasks.cancel', { id: task.task }).catch(() => {}); // it may just have ended
  };
}
