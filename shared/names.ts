import { z } from 'zod';
import { isPrintable } from './printable.ts';

/** What datasets, runs, bake-offs, presets and tags may be called. Names that were given before this was asked stay as they are. */

/** Most letters of a name: it stands in a row of a table. */
export const MOST_NAME = 200;
export const MOST_TAG = 50;

const label = (most: number) =>
  z
    .string()
    .transform((text) => text.normalize('NFC').trim()) // typed or pasted, it is the same name
    .pipe(
      z
        .string()
        .min(1, 'must not be empty')
        .max(most, `must have at most ${most} letters`)
        .refine(isPrintable, 'must not have control characters, line breaks, or marks that are not seen'),
    );

export const nameSchema = label(MOST_NAME);
export const tagSchema = label(MOST_TAG);

/** Why a dataset, run or bake-off cannot be called so, or null: numbers stand for ids, and `run:NAME` for the latest checkpoint of a run. */
export function ambiguity(kind: 'dataset' | 'run' | 'bake-off', name: string): string | null {
  if (/^\d+$/.test(name)) return 'Numbers stand for ids.';
  if (kind === 'run' && /^run:/i.test(name)) return '"run:" before a name asks for the latest checkpoint of that run.';
  return null;
}
