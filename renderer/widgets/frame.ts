/** Half of the widest stroke of a frame, and the least side of a picture that is framed, pixels. */
const [HALF, SIDE] = [2.5, 150];

/** A frame of a patch whose stroke stays within the picture, in patches: at an edge half of it would be cut off. */
export function framed(x: number, y: number, grid: number): { x: number; y: number; width: number; height: number } {
  const inset = Math.min(0.2, (HALF * grid) / SIDE);
  const from = (at: number) => Math.max(at + 0.03, inset);
  const to = (at: number) => Math.min(at + 0.97, grid - inset);
  return { x: from(x), y: from(y), width: to(x) - from(x), height: to(y) - from(y) };
}
