import type { DamagedRow } from '../../shared/damaged-row.ts';

/** What is said below a list of those that cannot be read: what is wrong, and what to do. */
export const damagedWords = (kind: 'run' | 'bake-off', damaged: readonly DamagedRow[]): string[] =>
  damaged.flatMap(({ id, name, error }) => [
    `DAMAGED: ${kind} ${id} "${name}". ${error.what} ${error.why}`,
    `  ${error.next}`,
  ]);
