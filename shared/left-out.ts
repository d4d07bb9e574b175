import { z } from 'zod';
import { printable } from './printable.ts';

/** An image that could not be read, and so is not in what was computed. */
export const leftOutSchema = z.object({
  /** In its dataset's folder. */
  path: z.string(),
  why: z.string(),
});
export type LeftOut = z.infer<typeof leftOutSchema>;

/** Names that a sentence gives. */
const NAMED = 3;

/**
 * What is said wherever images were left out, the same everywhere; empty for none.
 * @param total of how many images
 */
export function leftOutWords(images: readonly LeftOut[], total: number): string {
  const n = images.length;
  if (n === 0) return '';
  const [is, they] = n === 1 ? ['is', 'it'] : ['are', 'they'];
  const named = images.slice(0, NAMED).map(({ path, why }) => printable(why ? `${path} (${why})` : path));
  const more = n > NAMED ? `, and ${n - NAMED} more` : '';
  return (
    `${n} of ${total} images ${is} left out, because ${they} cannot be read: ${named.join(', ')}${more}. Replace or ` +
    `remove the ${n === 1 ? 'file' : 'files'}, then import the folder again.`
  );
}
