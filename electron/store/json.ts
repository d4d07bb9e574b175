import type { z } from 'zod';
import type { DamagedRow } from '../../shared/damaged-row.ts';
import { AppError } from '../../shared/errors.ts';

/** Where a text stands, as an error names it. */
export interface Place {
  /** With its table: `runs.tags`. */
  column: string;
  /** `run 7 "photos"`. */
  row: string;
  /** What a person can do where the database cannot be restored. */
  last?: string;
}

/** A row is not as this program, or one before it, wrote it. Those beside it can be read all the same. */
export class RowError extends AppError {
  /** With its table. */
  readonly column: string;

  constructor(fault: string, { column, row, last }: Place, cause: unknown) {
    super(
      'bad-file',
      `The row of ${row} cannot be read from the database.`,
      `Its column ${column} is not as this program writes it: ${fault}.`,
      'If a newer version of the program wrote it, use that one; else restore the database from a copy. ' +
        `Before that, export what can still be read.${last ? ` ${last}` : ''}`,
      { cause },
    );
    this.column = column;
  }
}

/**
 * What a row keeps as JSON, in today's form: the schema says what it is, and gives what an older program left out. It is
 * the only way from a column to its users. Where SQL looks into one, it asks `json_valid` first.
 * @throws RowError
 */
export function fromJson<S extends z.ZodType>(schema: S, text: string, place: Place): z.output<S> {
  const { data, error } = schema.safeParse(json(text, place));
  if (!error) return data;
  const { path, message } = error.issues[0]!;
  throw new RowError(path.length > 0 ? `${path.join('.')}: ${message}` : message, place, error);
}

/** The same of a column that may be null. */
export const fromNullable = <S extends z.ZodType>(schema: S, text: string | null, place: Place): z.output<S> | null =>
  text === null ? null : fromJson(schema, text, place);

function json(text: string, place: Place): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new RowError((error as Error).message, place, error);
  }
}

/** What `read` gives of each row, and what is wrong with those that cannot be read. */
export function readEach<R extends { id: number; name: string }, T>(
  rows: readonly R[],
  read: (row: R) => T,
): { sound: T[]; damaged: DamagedRow[] } {
  const sound: T[] = [];
  const damaged: DamagedRow[] = [];
  for (const row of rows)
    orElse(
      () => sound.push(read(row)),
      (error) => damaged.push({ id: row.id, name: row.name, error: error.toJSON() }),
    );
  return { sound, damaged };
}

/** What is wrong with rows that cannot be read. */
export function* errorsOf<R>(rows: Iterable<R>, read: (row: R) => unknown): Generator<RowError> {
  for (const row of rows) {
    const error = orElse(
      () => void read(row),
      (found) => found,
    );
    if (error) yield error;
  }
}

/** What `read` gives, or `instead` of a row that cannot be read. */
export function orElse<T, F>(read: () => T, instead: (error: RowError) => F): T | F {
  try {
    return read();
  } catch (error) {
    if (error instanceof RowError) return instead(error);
    throw error; // the whole database is damaged, or this program has a fault
  }
}
