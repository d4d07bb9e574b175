import type { Component } from 'svelte';
import { methodOf } from '../../../methods/index.ts';
import type { RunConfig } from '../../../shared/config.ts';
import { COMMON_VIEWS, type CommonView } from '../../../shared/method.ts';
import type { ExploreProps } from '../../widgets/explore.ts';
import { ownComponent } from '../own.ts';
import Alike from './Alike.svelte';
import Attention from './Attention.svelte';
import Colours from './Colours.svelte';
import ImageMap from './Map.svelte';
import Retrieve from './Retrieve.svelte';
import Travel from './Travel.svelte';

/** A view of Explore, of which one is shown. */
export interface ExploreView {
  /** In the address. */
  key: string;
  title: string;
  component: Component<ExploreProps>;
  /** Whether it shows one network, which may be the untrained one; others show that beside. */
  isOfOne: boolean;
  /** Whether only this method has it. */
  isOwn: boolean;
}

/** What every method's networks can be asked. */
const COMMON: Record<CommonView, Omit<ExploreView, 'key' | 'isOwn'>> = {
  alike: { title: 'Images like this', component: Alike, isOfOne: false },
  retrieve: { title: 'Patches like this', component: Retrieve, isOfOne: false },
  time: { title: 'Through training', component: Travel, isOfOne: false },
  colours: { title: 'Colours', component: Colours, isOfOne: true },
  attention: { title: 'Attention', component: Attention, isOfOne: true },
  map: { title: 'Map', component: ImageMap, isOfOne: true },
};

/**
 * The views of a run: images alike, which everybody understands, those that only its method has, then the others that all
 * have. The first is shown where none is asked for.
 */
export function viewsOf(config: RunConfig): readonly ExploreView[] {
  const own = methodOf(config).explains.map(({ key, title, view }) => ({
    key,
    title,
    component: ownComponent<ExploreProps>(config, view),
    isOfOne: true,
    isOwn: true,
  }));
  const [first, ...common] = COMMON_VIEWS.map((key) => ({ key, ...COMMON[key], isOwn: false }));
  return [first!, ...own, ...common];
}
