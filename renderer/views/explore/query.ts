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

export const askedFeature = () => route.query.feature ?? 'tokens';

/** Of the networks that a view has: else the teacher. */
export const askedPart = <P extends string>(parts: readonly P[]): P =>
  parts.find((part) => part === route.query.part) ?? ('teacher' as P);
