import { methodOf } from '../../../methods/index.ts';
import { suggested } from '../../../shared/command.ts';
import type { RunConfig } from '../../../shared/config.ts';
import { AppError } from '../../../shared/errors.ts';
import type { Borrowing } from '../../../shared/method.ts';
import type { Run } from '../../../shared/run.ts';
import type { Store } from '../../store/store.ts';
import { settingOf } from '../../trainer/lent.ts';
import { parseConfig, withChanges } from '../recipes/configuration.ts';

/**
 * A configuration whose networks of other runs are chosen: where none is named, the newest of the same dataset that suits.
 * What of it follows from theirs is taken over.
 * @throws AppError not-found; bad-input where there is none, or the one that is named does not suit
 */
export function withLenders(store: Store, dataset: { id: number; name: string }, config: RunConfig): RunConfig {
  let whole = config;
  for (const one of methodOf(config).borrows?.(config) ?? []) {
    const lender = lenderFor(store, dataset, whole, one);
    const taken = { ...one.takes(lender.config), [one.key]: lender.id };
    whole = parseConfig(withChanges({ config: whole as never }, taken));
  }
  return whole;
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
