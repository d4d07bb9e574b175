import { wholeFrom } from '../state/query.ts';
import { route, setQuery } from '../state/router.svelte.ts';

/** Colours of patches by which hidden ones are grey. */
export const hiddenColours = (mask: readonly boolean[]): (string | null)[] =>
  mask.map((isHidden) => (isHidden ? 'rgb(128 128 128)' : null));

export type MaskTool = 'choose' | 'mask' | 'show';

/**
 * Which patches of an image are hidden: a mask of the run's generator by the address's `draw`, or one drawn by hand.
 * Call it while a component is made.
 * @param of names the image and run: a mask that was drawn for another is not shown
 * @param shown the mask that is seen, which drawing begins from
 */
export function handMask(of: () => string, shown: () => readonly boolean[] | undefined) {
  let drawn = $state.raw<{ of: string; mask: boolean[] } | null>(null);
  let tool = $state<MaskTool>('choose');
  const own = $derived(drawn?.of === of() ? drawn.mask : null);
  const draw = $derived(wholeFrom(route.query.draw, 0) ?? 0);
  function paint(patch: number) {
    const from = own ?? shown();
    if (!from) return;
    const mask = [...from];
    mask[patch] = tool === 'mask';
    drawn = { of: of(), mask };
  }
  return {
    /** Null while the generator's is shown. */
    get own() {
      return own;
    },
    get draw() {
      return draw;
    },
    get tool() {
      return tool;
    },
    set tool(to: MaskTool) {
      tool = to;
    },
    /** For a picture: null while the pointer chooses. */
    get onpaint() {
      return tool === 'choose' ? undefined : paint;
    },
    /** The generator's next; after one drawn by hand, the generator's again. */
    another() {
      drawn = null;
      setQuery({ draw: draw + 1, patch: null });
    },
  };
}

export type HandMask = ReturnType<typeof handMask>;
