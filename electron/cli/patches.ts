import { AppError } from '../../shared/errors.ts';
import { rectangle } from '../../shared/patches.ts';

/**
 * Patches of a rectangle: `2,3`, or by its corners `2,3-4,5`, rows and columns from 1.
 * @returns indices, row by row @throws AppError bad-input
 */
export function patchesFrom(text: string, grid: number, option = '--patch'): number[] {
  const found = /^(\d+),(\d+)(?:-(\d+),(\d+))?$/.exec(text);
  const [top, left, bottom, right] = found
    ? [found[1], found[2], found[3] ?? found[1], found[4] ?? found[2]].map((n) => Number(n) - 1)
    : [];
  const isWithin = [top, left, bottom, right].every((n) => n !== undefined && n >= 0 && n < grid);
  if (!isWithin || bottom! < top! || right! < left!)
    throw new AppError(
      'bad-input',
      `${option} cannot be "${text}".`,
      '',
      `Rows and columns go from 1 to ${grid}: 2,3 or 2,3-4,5.`,
    );
  return rectangle(top! * grid + left!, bottom! * grid + right!, grid);
}
