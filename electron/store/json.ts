import { AppError } from '../../shared/errors.ts';

/** A value that a row keeps as JSON. @throws AppError bad-file where it is not as it was written */
// biome-ignore lint/suspicious/noExplicitAny: as JSON.parse
export function fromJson(text: string): any {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError(
      'bad-file',
      'The database is damaged: a row of it cannot be read.',
      `${(error as Error).message}.`,
      '`conmim doctor` checks it. Restore it from a copy; what can still be read can be exported before.',
      { cause: error },
    );
  }
}
