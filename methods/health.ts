import type { Health } from '../electron/engine/health.ts';
import type { RunConfig } from '../shared/config.ts';
import { methodOf } from './index.ts';
import { loadOf } from './load.ts';

/** What a health report judges of a method's networks; null for no more than of everyone's. */
export async function healthOf(config: RunConfig): Promise<Health<RunConfig> | null> {
  const { name, health } = methodOf(config);
  return health ? (await loadOf<{ health: Health<RunConfig> }>(name, 'health')).health : null;
}
