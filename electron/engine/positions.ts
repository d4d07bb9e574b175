import type { HostTensor } from '../../shared/tensors.ts';
import type { BufferSpec } from './specs.ts';

/**
 * Fixed positions (arXiv 1706.03762, in two dimensions): `[1 + grid^2, width]`, a row of zeros for CLS, then for each
 * place sine and cosine of one coordinate, and of the other, a quarter of the width each. Never trained, never decayed.
 * @param first which coordinate comes first: MAE's code has the column, MoCo v3's the row
 * @param width a multiple of 4
 */
export function sincosPositions(grid: number, width: number, first: 'column' | 'row' = 'column'): Float32Array {
  if (width % 4 !== 0) throw new RangeError(`fixed positions need a width that is a multiple of 4, not ${width}`);
  const quarter = width / 4;
  const rates = Array.from({ length: quarter }, (_, i) => 10_000 ** (-i / quarter));
  const along = (at: number) => [
    ...rates.map((rate) => Math.sin(at * rate)),
    ...rates.map((rate) => Math.cos(at * rate)),
  ];
  const rows = [new Array<number>(width).fill(0)];
  for (let y = 0; y < grid; y++) {
    for (let x = 0; x < grid; x++) {
      const [a, b] = first === 'column' ? [x, y] : [y, x];
      rows.push([...along(a), ...along(b)]);
    }
  }
  return Float32Array.from(rows.flat());
}

/** The buffer that holds them: `[1, 1 + grid^2, width]`. */
export const sincosBuffer = (name: string, grid: number, width: number, first?: 'column' | 'row'): BufferSpec => ({
  name,
  shape: [1, 1 + grid * grid, width],
  value: () => sincosPositions(grid, width, first),
});

/** What rounding in 32 or 16 bits, and another order of operations, may change of them. */
const ROUNDING = 2e-3;

/** Which coordinate comes first in positions that are the fixed ones; null for all others. Of `[1, 1 + grid^2, width]`. */
export function sincosOrder(positions: HostTensor | undefined): 'column' | 'row' | null {
  if (!positions) return null;
  const { shape, data } = positions;
  const [one, rows, width] = shape as [number, number, number];
  const grid = Math.sqrt(rows - 1);
  const isOne = shape.length === 3 && one === 1 && grid >= 1 && Number.isInteger(grid) && width > 0 && width % 4 === 0;
  if (!isOne) return null;
  const are = (first: 'column' | 'row') =>
    sincosPositions(grid, width, first).every((value, i) => Math.abs(value - data[i]!) <= ROUNDING);
  return are('column') ? 'column' : are('row') ? 'row' : null;
}
