import { lendersIn, methodOf, settingOf } from '../../../methods/index.ts';
import { suggested } from '../../../shared/command.ts';
import type { RunConfig } from '../../../shared/config.ts';
import type { ConfigProblem } from '../../../shared/contract/recipes.ts';
import { AppError } from '../../../shared/errors.ts';
import { type Borrowing, canLend } from '../../../shared/method.ts';
import type { Run } from '../../../shared/run.ts';
import { count, plural } from '../../../shared/words.ts';
import type { Store } from '../../store/store.ts';
import { countImages, totalSteps } from '../../trainer/training-images.ts';
import { findPreset, parseConfig, withChanges } from './configuration.ts';

interface Named {
  id: number;
  name: string;
}

/** A run that another takes its network over from, and that is not there yet. */
export interface ToMake {
  /** What it lends: `tokenizer`. */
  what: string;
  /** What it is called, unless that is taken. */
  name: string;
  preset: string;
  config: RunConfig;
  steps: number;
}

/** A run that is there, and what another takes over from it. */
export interface Taken {
  what: string;
  run: Run;
}

/** A configuration that says what it takes over, and what has to be trained for it before, the first of all first. */
export interface Lent {
  config: RunConfig;
  missing: ToMake[];
  taken: Taken[];
}

/**
 * A configuration whose networks of other runs are chosen: where none is named, the newest of the same dataset that suits.
 * What of it follows from theirs is taken over; where there is none, from one that could be made.
 * @throws AppError not-found; bad-input where one that is named does not suit
 */
export function lend(store: Store, dataset: Named, config: RunConfig): Lent {
  let whole = config;
  const missing: ToMake[] = [];
  const taken: Taken[] = [];
  for (const one of methodOf(config).borrows?.(config) ?? []) {
    const run = lenderFor(store, dataset, whole, one);
    const lender = run
      ? { config: run.config, missing: [], taken: [{ what: one.what, run }] }
      : toMake(store, dataset, one);
    missing.push(...lender.missing);
    taken.push(...lender.taken);
    const changes = { ...one.takes(lender.config), [one.key]: run?.id ?? null };
    whole = parseConfig(withChanges({ config: whole as never }, changes));
  }
  return { config: whole, missing, taken };
}

/** What has to be made where no run can lend, behind what that needs in turn. */
function toMake(store: Store, dataset: Named, one: Borrowing): Lent {
  const { what, make } = one;
  const { config, missing, taken } = lend(store, dataset, madeFor(one));
  const steps = totalSteps(countImages(store, store.datasets.get(dataset.id), config), config);
  const made = { what, name: `${dataset.name}: ${what}`, preset: make.preset, config, steps };
  return { config, missing: [...missing, made], taken };
}

/** Configuration of the run that is made where no run can lend. */
const madeFor = ({ make }: Borrowing): RunConfig => parseConfig(withChanges(findPreset(make.preset), make.changes));

/** Settings that a run would take over from what is made for it, dotted: where no dataset is in question. */
export const wouldTake = (config: RunConfig): Readonly<Record<string, unknown>> =>
  Object.assign({}, ...(methodOf(config).borrows?.(config) ?? []).map((one) => one.takes(madeFor(one))));

/**
 * Runs that configurations name, and that those name in turn, each once: what is trained first comes first. One that is gone
 * is left out: the run that needs it says so when it begins.
 */
export function lendersOf(store: Store, ...configs: readonly RunConfig[]): Run[] {
  const runs = configs.flatMap((config) =>
    lendersIn(config)
      .filter((id) => store.runs.has(id))
      .map((id) => store.runs.get(id))
      .flatMap((run) => [...lendersOf(store, run.config), run]),
  );
  return [...new Map(runs.map((run) => [run.id, run])).values()];
}

/** The same, where nothing is missing. @throws AppError as `lend`; bad-input where something is */
export function withLenders(store: Store, dataset: Named, config: RunConfig): RunConfig {
  const lent = lend(store, dataset, config);
  const [missing] = lent.missing;
  if (!missing) return lent.config;
  const { title, borrows } = methodOf(config);
  const { what, make } = borrows!(config).find((one) => lent.missing.some((made) => made.what === one.what))!;
  throw new AppError(
    'bad-input',
    `${title} needs a ${what}, and no ${what} that was trained on dataset "${dataset.name}" fits.`,
    'It is a run of its own, on the same images: nothing is downloaded.',
    `Train one first: \`${suggested(make.command, [dataset.name], make.options, process.platform)}\`. Then start this again.`,
  );
}

/** The same as `lend`; where a run that is named does not suit, what is wrong with which setting. */
export function checkLenders(
  store: Store,
  dataset: Named,
  config: RunConfig,
): Lent & { problem: ConfigProblem | null } {
  try {
    return { ...lend(store, dataset, config), problem: null };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const named = methodOf(config).borrows!(config).find(({ key }) => typeof settingOf(config, key) === 'number');
    const message = [error.message, error.why].filter(Boolean).join(' ').replace(/\.$/, '');
    return { config, missing: [], taken: [], problem: { key: named?.key ?? '', message, next: error.next } };
  }
}

/** What a run takes over, and what is trained for it before it begins, in a sentence each. */
export function lendingNotices({ missing, taken }: Pick<Lent, 'missing' | 'taken'>): string[] {
  const there = taken.map(({ what, run: { id, name, status, step, total_steps } }) => {
    const whose = `The ${what} is that of run ${id} "${name}"`;
    if (status === 'finished') return `${whose}.`;
    const resume = suggested('resume', [String(id)], '', process.platform);
    return `${whose}, as it is at step ${count(step)} of ${count(total_steps)}: \`${resume}\` goes on with it before.`;
  });
  const made = missing.map(
    ({ what, preset, steps }) =>
      `The ${what} is trained first, as a run of its own (${preset}, ${plural(steps, 'step')}): no ${what} that was trained on this dataset fits.`,
  );
  return [...new Set([...there, ...made])];
}

/** Null where none is named, and none suits. */
function lenderFor(store: Store, dataset: Named, config: RunConfig, one: Borrowing): Run | null {
  const { key, what } = one;
  const named = settingOf(config, key);
  if (typeof named === 'number') {
    const run = store.runs.get(named);
    const why = run.kind === 'pretrain' ? one.refuses(run.config) : 'It is a fine-tuning.';
    if (why === null) return run;
    const make = suggested(one.make.command, [dataset.name], one.make.options, process.platform);
    throw new AppError(
      'bad-input',
      `Run ${named} ("${run.name}") cannot be the ${what}.`,
      why,
      `Make one: \`${make}\`.`,
    );
  }
  const possible = store.runs
    .list()
    .filter((run) => run.dataset_id === dataset.id && canLend(one, run))
    .sort((a, b) => Number(b.status === 'finished') - Number(a.status === 'finished') || b.id - a.id);
  return possible[0] ?? null;
}
