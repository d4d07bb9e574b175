import type { Command } from 'commander';
import { toReport } from '../../shared/errors.ts';
import { bytes } from '../../shared/words.ts';
import { span } from '../processes/spans.ts';
import { checkBeforeOpening } from '../store/check.ts';
import { databaseIn, defaultHome } from '../store/home.ts';
import { Store } from '../store/store.ts';
import { interruption } from './interruption.ts';
import { Output } from './output.ts';
import { requireOutputs } from './output-option.ts';

/** What every command works with. */
export interface Context {
  out: Output;
  /** Path of the database. */
  database: string;
  store: Store;
  signal: AbortSignal;
}

/** Where everything is kept: --home, CONMIM_HOME, or the user's data folder. */
export function homeFolder(command: Command): string {
  const { home } = command.optsWithGlobals() as { home?: string };
  return defaultHome(home);
}

/** Runs a command over an open store. Errors are printed and give an exit code; Ctrl-C and the like abort a signal. */
export function withStore<A extends unknown[]>(
  action: (context: Context, options: Record<string, unknown>, ...args: A) => Promise<void> | void,
) {
  return withOutput<A>(async (out, command, options, ...args) => {
    const database = databaseIn(homeFolder(command));
    const damage = checkBeforeOpening(database, (size) =>
      out.note(`The program was not closed the last time: checking its database (${bytes(size)}).`),
    );
    if (damage) for (const line of [damage.message, damage.why, damage.next]) out.note(line);
    const opened = span('database opened');
    const store = Store.open(database);
    opened();
    try {
      await action({ out, database, store, signal: interruption.signal }, options, ...args);
    } finally {
      store.close();
    }
  });
}

/** Runs work that Ctrl-C aborts. */
export const withAbort = <T>(act: (signal: AbortSignal) => Promise<T>): Promise<T> => act(interruption.signal);

/** Runs work that must end by itself after Ctrl-C, however long that takes: a run saves a checkpoint first. */
export async function unhurried<T>(act: () => Promise<T>): Promise<T> {
  interruption.wait();
  try {
    return await act();
  } finally {
    interruption.hurry();
  }
}

/** Runs a command that needs no store. Its output paths are checked first, and become `Target`s. */
export function withOutput<A extends unknown[]>(
  action: (out: Output, command: Command, options: Record<string, unknown>, ...args: A) => Promise<void> | void,
) {
  return async (...all: unknown[]): Promise<void> => {
    const command = all.at(-1) as Command;
    const given = command.optsWithGlobals() as Record<string, unknown>;
    const out = new Output(given.json === true);
    interruption.listen(out);
    try {
      const { options, args } = requireOutputs(command, given, all.slice(0, -2) as A);
      interruption.signal.throwIfAborted(); // asked before there was anything to end
      await action(out, command, options, ...args);
    } catch (error) {
      out.error(error);
      process.exitCode = toReport(error).kind === 'canceled' ? interruption.exitCode : 1;
    } finally {
      interruption.close();
    }
  };
}
