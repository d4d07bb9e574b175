import type { z } from 'zod';
import { AppError } from '../../shared/errors.ts';

/** Where a text stands, as an error names it. */
export interface Place {
  /** With its table: `runs.tags`. */
  column: string;
  /** `run 7 "photos"`. */
  row: string;
  /** What a person can do where it is damaged, beside what is said of every row. */
  next?: string;
}

/**
 * What a row keeps as JSON, in today's form: the schema says what it is, and gives what an older program left out. It is
 * the only way from a column to its users; where SQL looks into one (needs.ts, metrics.ts), open.ts says what it cannot read.
 * @throws AppError bad-file where it is not as this program, or one before it, wrote it
 */
export function fromJson<S extends z.ZodType>(schema: S, text: string, place: Place): z.output<S> {
  const { data, error } = schema.safeParse(json(text, place));
  if (!error) return data;
  const { path, message } = error.issues[0]!;
  throw notAsWritten(path.length > 0 ? `${path.join('.')}: ${message}` : message, place, error);
}

/** The same of a column that may be null. */
export const fromNullable = <S extends z.ZodType>(schema: S, text: string | null, place: Place): z.output<S> | null =>
  text === null ? null : fromJson(schema, text, place);

function json(text: string, place: Place): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw notAsWritten((error as Error).message, place, error);
  }
}

const notAsWritten = (fault: string, { column, row, next }: Place, cause: unknown) =>
  new AppError(
    'bad-file',
    `The row of ${row} cannot be read from the database.`,
    `Its column ${column} is not as this program writes it: ${fault}.`,
    `${next ? `${next} ` : ''}If a newer version of the program wrote it, use that one; else restore the database from a copy. ` +
      'What can still be read can be exported before.',
    { cause },
  );
