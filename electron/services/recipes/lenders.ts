import { methodOf } from '../../../methods/index.ts';
import { suggested } from '../../../shared/command.ts';
import type { RunConfig } from '../../../shared/config.ts';
import type { ConfigProblem } from '../../../shared/contract/recipes.ts';
import { AppError } from '../../../shared/errors.ts';
import type { Borrowing } from '../../../shared/method.ts';
import type { Run } from '../../../shared/run.ts';
import type { Store } from '../../store/store.ts';
import { settingOf } from '../../trainer/lent.ts';
import { parseConfig, withChanges } from './configuration.ts';

/**
 * A configuration whose networks of other runs are chosen: where none is named, the newest of the same dataset that suits.
 * What of it follows from theirs is taken over.
 * @throws AppError not-found; bad-input where there is none, or the one that is named does not suit
 */
export function withLenders(store: Store, dataset: { id: number; name: string }, config: RunConfig): RunConfig {
  return (methodOf(config).borrows?.(config) ?? []).reduce((whole, one) => taking(store, dataset, whole, one), config);
}

/** The same; where that cannot be, what is wrong with which setting. @throws AppError not-found */
export function checkLenders(
  store: Store,
  dataset: { id: number; name: string },
  config: RunConfig,
): { config: RunConfig; problem: ConfigProblem | null } {
  let whole = config;
  for (const one of methodOf(config).borrows?.(config) ?? []) {
    try {
      whole = taking(store, dataset, whole, one);
    } catch (error) {
      if (!(error instanceof AppError) || error.kind === 'internal') throw error;
      const message = [error.message, error.why].filter(Boolean).join(' ').replace(/\.$/, '');
      return { config, problem: { key: one.key, message, next: error.next } };
    }
  }
  return { config: whole, problem: null };
}

function taking(store: Store, dataset: { id: number; name: string }, config: RunConfig, one: Borrowing): RunConfig {
  const lender = lenderFor(store, dataset, config, one);
  const taken = { ...one.takes(lender.config), [one.key]: lender.id };
  return parseConfig(withChanges({ config: config as never }, taken));
}

function lenderFor(store: Store, dataset: { id: number; name: string }, config: RunConfig, one: Borrowing): Run {
  const { key, what } = one;
  const named = settingOf(config, key);
  const make = suggested(one.make.command, [dataset.name], one.make.options, process.platform);
  if (typeof named === 'number') {
    const run = store.runs.get(named);
    const why = run.kind === 'pretrain' ? one.refuses(run.config) : 'It is a fine-tuning.';
    if (why === null) return run;
    throw new AppError(
      'bad-input',
      `Run ${named} ("${run.name}") cannot be the ${what}.`,
      why,
      `Make one: \`${make}\`.`,
    );
  }
  const possible = store.runs
    .list()
    .filter((run) => run.dataset_id === dataset.id && run.kind === 'pretrain' && run.status !== 'failed')
    .filter((run) => one.refuses(run.config) === null)
    .sort((a, b) => Number(b.status === 'finished') - Number(a.status === 'finished') || b.id - a.id);
  if (possible[0]) return possible[0];
  const { title } = methodOf(config);
  throw new AppError(
    'bad-input',
    `${title} needs a ${what}, and dataset "${dataset.name}" has none that suits.`,
    'It is a run of its own, on the same images: nothing is downloaded.',
    `Train one first: \`${make}\`. Then start this again.`,
  );
}
