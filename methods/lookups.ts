import type { Lookups } from '../electron/engine/lookups.ts';
import type { Checkpoint } from '../shared/checkpoint.ts';
import type { RunConfig } from '../shared/config.ts';
import { methodOf, requireLookups } from './index.ts';
import { loadOf } from './load.ts';

/** @throws AppError bad-input for a method that has no look-ups, and for weights without what they need */
export async function lookupsOf(of: Pick<Checkpoint, 'config' | 'lacks'>): Promise<Lookups<RunConfig>> {
  requireLookups(of);
  return (await loadOf<{ lookups: Lookups<RunConfig> }>(methodOf(of.config).name, 'lookups')).lookups;
}
