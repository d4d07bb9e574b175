import { AppError } from '../../shared/errors.ts';

/** The error in words that `act` ends in; any other is thrown on, and none is a fault. */
export function refusal(act: () => unknown): AppError {
  try {
    act();
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

/** The same of what answers later. */
export async function laterRefusal(act: () => Promise<unknown>): Promise<AppError> {
  const error: unknown = await act().then(
    () => null,
    (thrown) => thrown,
  );
  return refusal(() => {
    if (error !== null) throw error;
  });
}
