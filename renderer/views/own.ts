import type { Component } from 'svelte';
import { methodOf } from '../../methods/index.ts';
import type { RunConfig } from '../../shared/config.ts';

/** Components of methods, by their files. */
const OWN = import.meta.glob<Component<never>>('../../methods/*/*.svelte', { eager: true, import: 'default' });

/** A component that a run's method has of its own, by its name. @throws RangeError where its folder has no such file */
export function ownComponent<Props extends object>(config: RunConfig, view: string): Component<Props> {
  const { name } = methodOf(config);
  const component = OWN[`../../methods/${name}/${view}.svelte`];
  if (!component) throw new RangeError(`methods/${name} has no ${view}.svelte`);
  return component as Component<Props>;
}
