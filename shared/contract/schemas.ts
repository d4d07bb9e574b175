import { z } from 'zod';
import { nameSchema } from '../names.ts';

/** What channels of several concerns are made of. */

export const id = z.number().int().positive();
export const text = z.string().max(10_000);
export const name = nameSchema;
/** The name of something that exists. Older names are accepted too: the rules for new ones are stricter. */
export const known = z.string().min(1).max(10_000);
export const path = z.string().min(1).max(4096);
/** Overwrites what has this name; without it that is refused, with `exists` in the error. */
export const replace = z.boolean().default(false);
export const nothing = z.strictObject({});
export const byId = z.strictObject({ id });
/** Settings over a preset, by dotted key: `{ 'train.batch_size': 32 }`. Values are checked as a configuration. */
export const changes = z.record(z.string().max(100), z.json());
export const recipe = { preset: known, changes };
export const part = z.enum(['student', 'teacher']);

/** Declares a channel: `channel<Result>()(schema of the argument)`. */
export const channel =
  <R>() =>
  <S extends z.ZodType>(input: S): { input: S; result?: R } => ({ input });
