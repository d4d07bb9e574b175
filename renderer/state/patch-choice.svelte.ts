import { placeOf } from '../../shared/patches.ts';
import { patchIn } from './query.ts';
import { route, setQuery } from './router.svelte.ts';

/** The patch that the address names, in an image of `grid` by `grid` patches. @param gridOf null while no image is shown */
export function patchChoice(gridOf: () => number | null) {
  const grid = $derived(gridOf());
  const chosen = $derived(grid === null ? null : patchIn(route.query.patch, grid));
  return {
    /** Its number, row by row; null where none is chosen. */
    get chosen() {
      return chosen;
    },
    /** Row and column of a patch, in words. */
    place: (patch: number) => (grid === null ? '' : placeOf(patch, grid)),
    choose: (patch: number | null) => setQuery({ patch, to: null }),
    /** Chooses a patch, or none where it was chosen before. */
    toggle: (patch: number | null) => setQuery({ patch: patch === chosen ? null : patch, to: null }),
  };
}
