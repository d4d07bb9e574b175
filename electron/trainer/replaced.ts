import { relative } from 'node:path';
import { plural } from '../../shared/words.ts';
import type { Failure } from '../data/loader.ts';

/** Files that are named at most. */
const NAMED = 3;

/**
 * Words for images that could not be read, and were replaced by others in training.
 * @param times how often that was so, in steps that were trained
 * @param of images of the run
 * @param roots folders that hold them
 */
export function replacedNotice(
  failures: readonly Failure[],
  times: number,
  of: number,
  roots: readonly string[],
): string {
  const names = failures.slice(0, NAMED).map(({ path, message }) => {
    const root = roots.find((one) => path.startsWith(one));
    return `${root === undefined ? path : relative(root, path)} (${message.trim().replace(/\s+/g, ' ')})`;
  });
  const more = failures.length > NAMED ? `, and ${failures.length - NAMED} more` : '';
  const counted = plural(failures.length, 'image');
  return (
    `${counted} of ${of} could not be read, and others were trained on instead, ` +
    `${times === 1 ? 'once' : `${times} times`}: ${names.join(', ')}${more}. Look at these files, or import the ` +
    'folder again: it leaves out what cannot be read.'
  );
}
