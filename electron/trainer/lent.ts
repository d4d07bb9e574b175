import { createHash } from 'node:crypto';
import { methodOf, settingOf, steadiestOf } from '../../methods/index.ts';
import type { Checkpoint } from '../../shared/checkpoint.ts';
import { suggested } from '../../shared/command.ts';
import type { RunConfig } from '../../shared/config.ts';
import { AppError } from '../../shared/errors.ts';
import type { Borrowing } from '../../shared/method.ts';
import type { TensorSource } from '../../shared/tensors.ts';
import type { Store } from '../store/store.ts';

/** @throws AppError bad-input where no run is named, or it has no weights yet; not-found for one that is gone */
function lenderOf(store: Store, config: RunConfig, { key, what, make }: Borrowing): Checkpoint {
  const id = settingOf(config, key);
  if (typeof id !== 'number')
    throw new AppError(
      'bad-input',
      `This run names no ${what}.`,
      '',
      `Train one first: \`${suggested(make.command, ['DATASET'], make.options, process.platform)}\`.`,
    );
  const { name } = store.runs.get(id);
  const latest = store.checkpoints.latest(id);
  if (latest) return latest;
  throw new AppError(
    'bad-input',
    `Run ${id} ("${name}"), whose ${what} this run takes over, has no checkpoint.`,
    'It was not trained yet, or its checkpoints were deleted.',
    `Train it first, or name another run: ${key}.`,
  );
}

const borrowed = (config: RunConfig): readonly Borrowing[] => methodOf(config).borrows?.(config) ?? [];

/** What a run starts from, with the networks in their places that it takes over from other runs. @throws AppError */
export function withLent(store: Store, config: RunConfig, start: TensorSource): TensorSource {
  const lenders = borrowed(config).map((one) => {
    const { id, config: of } = lenderOf(store, config, one);
    return { prefix: one.prefix, source: store.checkpoints.source(id, steadiestOf(of)) };
  });
  return {
    get(name) {
      const lender = lenders.find(({ prefix }) => name.startsWith(prefix));
      return lender ? lender.source.get(name.slice(lender.prefix.length)) : start.get(name);
    },
  };
}

/** Which networks a run takes over, each with a checksum of what it is. @throws AppError */
export function lentNotices(store: Store, config: RunConfig): string[] {
  return borrowed(config).map((one) => {
    const { id, run_id, step, config: of } = lenderOf(store, config, one);
    const run = store.runs.get(run_id);
    const hash = createHash('sha256');
    for (const [name, { data }] of store.checkpoints.load(id, steadiestOf(of)))
      hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    const early = run.status === 'finished' ? '' : ' That run is not finished.';
    return (
      `Its ${one.what} is of run ${run_id} ("${run.name}"), step ${step}, with the checksum ` +
      `${hash.digest('hex').slice(0, 16)}; it is kept in this run's own checkpoints.${early}`
    );
  });
}
