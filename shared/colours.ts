/** Viridis (Smith and van der Walt, CC0), eleven of its colours: even to the eye, and to one that confuses red and green. */
const VIRIDIS = [
  [68, 1, 84],
  [72, 36, 117],
  [65, 68, 135],
  [53, 95, 141],
  [42, 120, 142],
  [33, 145, 140],
  [34, 168, 132],
  [68, 191, 112],
  [122, 209, 81],
  [189, 223, 38],
  [253, 231, 37],
] as const;

/** A share, 0 to 1, as red, green and blue, each 0 to 255. What is no number has the colour of 0. */
export function viridisRgb(share: number): number[] {
  const at = Math.max(0, Math.min(1, share || 0)) * (VIRIDIS.length - 1);
  const low = VIRIDIS[Math.floor(at)]!;
  const high = VIRIDIS[Math.ceil(at)]!;
  return low.map((value, i) => Math.round(value + (high[i]! - value) * (at % 1)));
}

/** Okabe and Ito's colours but black, which is lost on a dark ground; and a grey of the same use. */
const CLASSES = ['#e69f00', '#56b4e9', '#009e73', '#f0e442', '#0072b2', '#d55e00', '#cc79a7', '#999999'] as const;
const SHAPES = ['circle', 'square', 'triangle', 'diamond'] as const;
export type Shape = (typeof SHAPES)[number];
/** Classes that are told apart; those after them look like the first again. */
export const MARKS = CLASSES.length * SHAPES.length;

/** How points of a class are drawn: shapes tell apart what colours cannot. @param place -1 for no class */
export const classMark = (place: number): { colour: string; shape: Shape } =>
  place < 0
    ? { colour: CLASSES[4], shape: 'circle' }
    : {
        colour: CLASSES[place % CLASSES.length]!,
        shape: SHAPES[Math.floor(place / CLASSES.length) % SHAPES.length]!,
      };
