import type { DamagedRow } from '../../../shared/damaged-row.ts';
import { readEach } from '../../store/json.ts';

/** Runs, or bake-offs. */
interface Kept<R> {
  list(): R[];
  damaged(): DamagedRow[];
}

/** What is listed of each, and apart from these what is damaged: in its own row, or in what `row` reads beside it. */
export function listEach<R extends { id: number; name: string }, T>(kept: Kept<R>, row: (one: R) => T) {
  const { sound, damaged } = readEach(kept.list(), row);
  return { rows: sound, damaged: [...kept.damaged(), ...damaged].sort((a, b) => a.id - b.id) };
}
