import { SvelteMap } from 'svelte/reactivity';
import type { RunRow } from '../../shared/contract/runs.ts';
import type { DamagedRow } from '../../shared/damaged-row.ts';
import { followPace } from '../../shared/pace.ts';
import { call, on, onConnection } from '../api.ts';

/** Every run that can be read, by id, as it is now. A row is replaced whole: what is in it need not be watched. */
const rows = new SvelteMap<number, RunRow>();
/** Newest first; sorted once for all that ask. */
const all = $derived([...rows.values()].sort((a, b) => b.id - a.id));
let damaged = $state.raw<DamagedRow[]>([]);
let isKnown = $state(false);
let error = $state.raw<Error>();

async function reload(): Promise<void> {
  try {
    const [listed, others] = await Promise.all([call('runs.list', {}), call('runs.damaged', {})]);
    const ids = new Set(listed.map(({ id }) => id));
    for (const id of [...rows.keys()]) if (!ids.has(id)) rows.delete(id);
    for (const run of listed) rows.set(run.id, run);
    damaged = others;
    isKnown = true;
    error = undefined;
  } catch (thrown) {
    error = thrown as Error;
  }
}
on('run', ({ run }) => {
  rows.set(run.id, run);
});
on('metrics', ({ run, metrics }) => {
  const row = rows.get(run);
  const last = metrics.at(-1);
  if (row && last)
    rows.set(run, { ...row, last, step: Math.max(row.step, last.step), pace: metrics.reduce(followPace, row.pace) });
});
on('runs', () => void reload());
on('resync', () => void reload());
onConnection((state) => {
  if (state === 'connected' && !isKnown) void reload();
});

export const runs = {
  /** Newest first. */
  get all(): RunRow[] {
    return all;
  },
  get(id: number): RunRow | undefined {
    return rows.get(id);
  },
  /** Those that cannot be read. */
  get damaged(): DamagedRow[] {
    return damaged;
  },
  get isKnown() {
    return isKnown;
  },
  get error() {
    return error;
  },
  reload,
};
