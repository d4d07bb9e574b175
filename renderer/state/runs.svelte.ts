import type { RunRow } from '../../shared/contract/runs.ts';
import type { DamagedRow } from '../../shared/damaged-row.ts';
import { followPace } from '../../shared/pace.ts';
import { call, on, onConnection } from '../api.ts';

/** Every run that can be read, by id, as it is now. */
const rows = $state<Record<number, RunRow>>({});
let damaged = $state.raw<DamagedRow[]>([]);
let isKnown = $state(false);
let error = $state.raw<Error>();

async function reload(): Promise<void> {
  try {
    const [all, others] = await Promise.all([call('runs.list', {}), call('runs.damaged', {})]);
    const ids = new Set(all.map(({ id }) => String(id)));
    for (const id of Object.keys(rows)) if (!ids.has(id)) delete rows[Number(id)];
    for (const run of all) rows[run.id] = run;
    damaged = others;
    isKnown = true;
    error = undefined;
  } catch (thrown) {
    error = thrown as Error;
  }
}
on('run', ({ run }) => {
  rows[run.id] = run;
});
on('metrics', ({ run, metrics }) => {
  const row = rows[run];
  const last = metrics.at(-1);
  if (row && last)
    rows[run] = { ...row, last, step: Math.max(row.step, last.step), pace: metrics.reduce(followPace, row.pace) };
});
on('runs', () => void reload());
on('resync', () => void reload());
onConnection((state) => {
  if (state === 'connected' && !isKnown) void reload();
});

export const runs = {
  /** Newest first. */
  get all(): RunRow[] {
    return Object.values(rows).sort((a, b) => b.id - a.id);
  },
  get(id: number): RunRow | undefined {
    return rows[id];
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
