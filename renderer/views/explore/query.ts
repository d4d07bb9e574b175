import { rectangle } from '../../../shared/patches.ts';
import { patchIn } from '../../state/query.ts';
import { route, setQuery } from '../../state/router.svelte.ts';

/**
 * What is asked of networks, as it stands in the address: a patch (`patch`) or the rectangle from it to another one
 * (`to`), and whose features are compared (`feature`, `part`). Search and travel share it: from one to the other the
 * question stays.
 */
export function askedPatches(grid: number): number[] {
  const patch = patchIn(route.query.patch, grid) ?? 0;
  const opposite = patchIn(route.query.to, grid);
  return opposite === null ? [patch] : rectangle(patch, opposite, grid);
}

export const askPatch = (patch: number) => setQuery({ patch, to: null });
export const askRegion = (opposite: number) => setQuery({ to: opposite });

/** Of those that a run's networks have: else tokens. One that none has is asked for, and refused in words. */
export const askedFeature = (features: readonly string[]): string => {
  const asked = route.query.feature ?? 'tokens';
  return asked === 'projector' && !features.includes(asked) ? 'tokens' : asked;
};

/** Of the networks that a view has, else the first. */
export const askedPart = <P extends string>(parts: readonly P[]): P =>
  parts.find((part) => part === route.query.part) ?? parts[0]!;
