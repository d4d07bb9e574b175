import { z } from 'zod';
import { AppError } from '../../shared/errors.ts';

/** A value that a row keeps as JSON. @throws AppError bad-file where it is not as it was written */
// biome-ignore lint/suspicious/noExplicitAny: as JSON.parse
export function fromJson(text: string): any {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw damaged(`${(error as Error).message}.`, error);
  }
}

/** The same, of a shape that is known: what an older program left out has its default. */
export function parsed<S extends z.ZodType>(schema: S, text: string): z.infer<S> {
  const { data, error } = schema.safeParse(fromJson(text));
  if (error) throw damaged(z.prettifyError(error).replaceAll('\n', ' '), error);
  return data;
}

const damaged = (why: string, cause: unknown) =>
  new AppError(
    'bad-file',
    'The database is damaged: a row of it cannot be read.',
    why,
    '`conmim doctor` checks it. Restore it from a copy; what can still be read can be exported before.',
    { cause },
  );
