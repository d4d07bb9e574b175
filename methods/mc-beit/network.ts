import type { NetworkSpec } from '../../electron/engine/network.ts';
import { network as beit, type StudentConfig } from '../beit/network.ts';

/** The temperature of the targets, where it is found by the first batch; 0 before. */
export const TEMPERATURE = 'targets.temperature';

/** BEiT's, and the temperature of its targets. */
export function network(config: StudentConfig & { targets: { temperature: number | null } }): NetworkSpec {
  const spec = beit(config);
  if (config.targets.temperature !== null) return spec;
  return { ...spec, buffers: [...spec.buffers, { name: TEMPERATURE, shape: [], value: 0 }] };
}
