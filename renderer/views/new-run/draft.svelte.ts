import { DEFAULT_PRESET, findMethod } from '../../../methods/index.ts';
import { BUDGETS, type BudgetKey } from '../../../shared/budgets.ts';
import type { DatasetRow } from '../../../shared/contract/datasets.ts';
import type { ConfigCheck, ConfigField, PresetRow } from '../../../shared/contract/recipes.ts';
import { MOST_SEEDS } from '../../../shared/statistics.ts';
import type { Suggestion } from '../../../shared/suggestion.ts';
import { call, on } from '../../api.ts';
import { wholeFrom } from '../../state/query.ts';
import { route, setQuery } from '../../state/router.svelte.ts';
import { Estimate } from './estimate.svelte.ts';
import { type Axis, type Combination, combinations, MOST_RUNS, parseAxes, writeAxes } from './grid.ts';
import { Live } from './live.svelte.ts';
import {
  type Changes,
  isSame,
  type JsonValue,
  overPreset,
  parseChanges,
  problemsOf,
  valueAt,
  withChange,
} from './recipe.ts';

/** Browsers refuse many changes of the address a second; a slider makes many. */
const WRITE_DELAY = 250;

interface Question {
  preset: string;
  changes: Changes;
  dataset: number | null;
}
/** What was chosen when the screen was left: a link without a recipe comes back to it. */
let left: (Question & { name: string; axes: Axis[]; budget: BudgetKey | null; seeds: number; seen: string }) | null =
  null;
/** What someone gets who says nothing. */
const USUAL_BUDGET: BudgetKey = 'good';

const changesOf = (combination: Combination): Changes =>
  Object.fromEntries(combination.map(({ key, value }) => [key, value]));

/** What was said of each combination as it is now; null where not yet said. */
export function combinationsOf({ gridChecker, combinations: all, changes }: Draft): (ConfigCheck | null)[] {
  const { asked, answer } = gridChecker;
  const key = (combination: Combination) => JSON.stringify(combination);
  const said = new Map(asked?.changes === changes ? asked.combinations.map((c, i) => [key(c), answer![i]!]) : []);
  return all.map((combination) => said.get(key(combination)) ?? null);
}

/** A run that is being put together: what is chosen, what the program says of it, and the address that holds it. */
export class Draft {
  /** By method. */
  allFields = $state.raw<Record<string, ConfigField[]>>({});
  presets = $state.raw<PresetRow[]>([]);
  datasets = $state.raw<DatasetRow[] | null>(null);
  failed = $state.raw<Error | null>(null);

  datasetId = $state<number | null>(left?.dataset ?? null);
  presetName = $state(left?.preset ?? DEFAULT_PRESET);
  changes = $state.raw<Changes>(left?.changes ?? {});
  axes = $state.raw<Axis[]>(left?.axes ?? []);
  name = $state(left?.name ?? '');
  /** The suggestion that the recipe follows, whatever the dataset; null once a setting was chosen by hand. */
  budget = $state<BudgetKey | null>(left ? left.budget : USUAL_BUDGET);
  /** What it follows now; its minutes are null while the machine's speed is not known. */
  suggestion = $state.raw<Suggestion | null>(null);
  /** How often each run is made, with other seeds. */
  seeds = $state(left?.seeds ?? 1);

  readonly checker = new Live<Question, ConfigCheck>((input) =>
    call('config.check', { ...input, changes: { ...input.changes } }),
  );
  readonly estimate = new Estimate();
  /** What the program says of each combination of an ablation. */
  readonly gridChecker = new Live<Question & { combinations: Combination[] }, ConfigCheck[]>(
    ({ combinations: all, preset, changes, dataset }) =>
      Promise.all(
        all.map((combination) =>
          call('config.check', { preset, dataset, changes: { ...changes, ...changesOf(combination) } }),
        ),
      ),
  );

  dataset = $derived(this.datasets?.find(({ id }) => id === this.datasetId) ?? null);
  preset = $derived(this.presets.find(({ name }) => name === this.presetName) ?? null);
  /** The method of the preset. */
  method = $derived(this.preset ? findMethod(this.preset.config) : null);
  /** Networks of other runs that it takes over. */
  borrows = $derived.by(() => {
    const config = this.checker.answer?.config ?? this.preset?.config;
    return (config && this.method?.borrows?.(config)) ?? [];
  });
  fields = $derived<ConfigField[]>(this.allFields[this.method?.name ?? ''] ?? []);
  check = $derived(this.checker.answer);
  problems = $derived(this.check?.problems ?? []);
  plan = $derived(this.check?.plan ?? null);
  combinations = $derived(combinations(this.axes));
  /** Why it cannot be started; empty where it can. */
  hindrance = $derived.by(() => {
    if (!this.dataset) return 'Choose a dataset.';
    if (!this.preset) return 'Choose a preset.';
    if (this.dataset.image_count === 0) return 'This dataset has no usable images.';
    if (!Number.isInteger(this.seeds) || this.seeds < 1 || this.seeds > MOST_SEEDS)
      return `Seeds are 1 to ${MOST_SEEDS}.`;
    if (this.seeds > 1 && this.axes.some(({ key }) => key === 'train.seed'))
      return 'Seeds are in the ablation already.';
    if (Math.max(1, this.combinations.length) * this.seeds > MOST_RUNS) return `At most ${MOST_RUNS} runs at once.`;
    if (this.combinations.length > 0)
      return combinationsOf(this).every((check) => check?.config) ? '' : 'Not every run of the ablation can be used.';
    if (this.problems.length > 0) return 'Some settings cannot be used.';
    // Too few steps would be begun.
    if (this.budget && (!this.suggestion || (this.suggestion.minutes === null && this.estimate.state === 'measuring')))
      return 'How fast this machine is, is being measured: a few seconds.';
    return '';
  });

  /** The address as it was read or written last: what was changed since is newer than it, and is here. */
  #seen = left?.seen ?? '';
  #visits = route.visits;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** While a component is made: it ends with it. */
  constructor() {
    const ends = [
      on('datasets', () => void this.#loadDatasets()),
      on('presets', () => void this.#loadPresets()),
      on('resync', () => this.load()),
    ];
    this.load();
    $effect(() => this.#readAddress(route.query));
    $effect(() => this.#writeLater());
    $effect(() => {
      if (!this.preset) return;
      this.checker.ask({ preset: this.presetName, changes: this.changes, dataset: this.dataset?.id ?? null });
    });
    $effect(() => {
      const { combinations: all, presetName: preset, changes, dataset } = this;
      if (this.preset && all.length > 0 && all.length <= MOST_RUNS)
        this.gridChecker.ask({ combinations: all, preset, changes, dataset: dataset?.id ?? null });
    });
    $effect(() => {
      const { answer, asked } = this.checker;
      if (answer?.config && answer.plan && asked?.dataset)
        this.estimate.ask(answer.config, this.fields, {
          ...asked,
          changes: { ...asked.changes },
          dataset: asked.dataset,
        });
    });
    $effect(() => () => {
      for (const end of ends) end();
      clearTimeout(this.#timer);
      this.checker.end();
      this.gridChecker.end();
      this.estimate.end();
      const { presetName: preset, changes, datasetId: dataset, name, axes, budget, seeds } = this;
      left = { preset, changes, dataset, name, axes, budget, seeds, seen: this.#seen };
    });
  }

  load = (): void => {
    this.failed = null;
    void this.#loadDatasets();
    void this.#loadPresets();
    void this.#guard(async () => {
      this.allFields = await call('config.fields', {});
    });
  };

  value = (key: string): JsonValue => (this.preset ? valueAt(this.preset, this.changes, key) : null);

  set = (key: string, value: JsonValue): void => {
    if (!this.preset) return;
    this.changes = withChange(this.preset, this.changes, key, value);
    this.unfollow();
  };

  reset = (key: string): void => {
    const { [key]: _, ...rest } = this.changes;
    this.changes = rest;
    this.unfollow();
  };

  resetAll = (): void => {
    this.changes = {};
    this.unfollow();
  };

  /** The recipe stays as it is, whatever is suggested. */
  unfollow = (): void => {
    this.budget = null;
    this.suggestion = null;
  };

  /** The recipe becomes what is suggested. */
  follow = (suggestion: Suggestion): void => {
    const { preset: name, changes, budget } = suggestion;
    this.suggestion = suggestion;
    const preset = this.presets.find((p) => p.name === name);
    if (!preset) return;
    this.budget = budget.key;
    const next = overPreset(preset, changes);
    if (this.presetName === name && isSame(this.changes, next)) return;
    this.presetName = name;
    this.changes = next;
  };

  problemsOf = (key: string) => problemsOf(this.problems, key);

  /**
   * What was changed by hand stays changed, over the other preset; but for what its method does not have. What was
   * suggested belongs to the preset that it was suggested for.
   */
  choosePreset = (name: string): void => {
    const preset = this.presets.find((p) => p.name === name);
    if (!preset) return;
    if (this.budget) this.changes = {};
    this.unfollow();
    this.presetName = name;
    const known = this.allFields[preset.config.method.name];
    const has = (key: string) => !known || known.some((field) => field.key === key);
    this.changes = overPreset(preset, Object.fromEntries(Object.entries(this.changes).filter(([key]) => has(key))));
    this.axes = this.axes.filter(({ key }) => has(key));
  };

  async #guard(act: () => Promise<void>) {
    try {
      await act();
    } catch (error) {
      this.failed = error as Error;
    }
  }

  #loadDatasets = () =>
    this.#guard(async () => {
      this.datasets = await call('datasets.list', {});
      const usable = this.datasets.filter(({ image_count }) => image_count > 0);
      this.datasetId ??= (usable.at(-1) ?? this.datasets.at(-1))?.id ?? null;
    });

  #loadPresets = () =>
    this.#guard(async () => {
      this.presets = await call('presets.list', {});
    });

  #readAddress(query: Record<string, string>) {
    if (route.parts[0] !== 'new') return;
    const text = JSON.stringify([query.dataset, query.plan, query.preset, query.set, query.grid]);
    if (text === this.#seen && route.visits === this.#visits) return;
    this.#seen = text;
    this.#visits = route.visits;
    clearTimeout(this.#timer); // what was typed last and not written yet gives way to the link
    this.datasetId = wholeFrom(query.dataset, 1) ?? this.datasetId;
    const plan = BUDGETS.find(({ key }) => key === query.plan);
    if (plan) this.budget = plan.key;
    else if (query.preset || query.set) {
      this.unfollow();
      this.presetName = query.preset ?? DEFAULT_PRESET;
      this.changes = parseChanges(query.set);
    }
    if (query.grid) this.axes = parseAxes(query.grid);
    this.#write(); // a link may have said a part only
  }

  #writeLater() {
    // Read here, so that the effect runs again when any of them changes.
    void [this.datasetId, this.presetName, this.changes, this.axes, this.budget];
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#write(), WRITE_DELAY);
  }

  #write() {
    if (route.parts[0] !== 'new') return;
    const { budget: plan } = this;
    const set = !plan && Object.keys(this.changes).length > 0 ? JSON.stringify(this.changes) : null;
    const grid = writeAxes(this.axes);
    // A suggestion is worked out anew from the dataset and the speed of the machine.
    const query = { dataset: this.datasetId, plan, preset: plan ? null : this.presetName, set, grid };
    this.#seen = JSON.stringify([
      query.dataset === null ? undefined : String(query.dataset),
      plan ?? undefined,
      query.preset ?? undefined,
      set ?? undefined,
      grid ?? undefined,
    ]);
    setQuery(query);
  }
}
