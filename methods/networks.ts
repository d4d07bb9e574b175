import type { NetworkSpec } from '../electron/engine/network.ts';
import type { RunConfig } from '../shared/config.ts';
import { METHODS, methodOf } from './index.ts';
import { loadOf } from './load.ts';

/** What networks are made of, without any arithmetic: the window and commands count parameters with it. */
type NetworkOf = (config: RunConfig) => NetworkSpec;

const NETWORKS = new Map(
  await Promise.all(
    METHODS.map(async ({ name }) => [name, (await loadOf<{ network: NetworkOf }>(name, 'network')).network] as const),
  ),
);

/** The network that a run trains, with all its heads. */
export const networkOf: NetworkOf = (config) => NETWORKS.get(methodOf(config).name)!(config);
