import { resolve } from 'node:path';
import type { Command } from 'commander';
import { checkBeforeOpening } from '../store/check.ts';
import { databaseIn, defaultHome } from '../store/home.ts';
import { Store } from '../store/store.ts';
import { span } from '../trainer/spans.ts';
import { Output } from './output.ts';
import { requireOutputs } from './output-option.ts';
import { bytes } from './words.ts';

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
  return resolve(home ?? process.env.CONMIM_HOME ?? defaultHome());
}

/** Runs a command over an open store; errors become words and an exit code, Ctrl-C becomes an abort. */
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
      await withAbort(async (signal) => action({ out, database, store, signal }, options, ...args));
    } finally {
      store.close();
    }
  });
}

/** Runs what Ctrl-C aborts. */
export async function withAbort<T>(act: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const abort = () => controller.abort();
  process.once('SIGINT', abort);
  try {
    return await act(controller.signal);
  } finally {
    process.removeListener('SIGINT', abort);
  }
}

/** Runs a command that needs no store. What it is to write is looked at first: each place is a `Target` from here on. */
export function withOutput<A extends unknown[]>(
  action: (out: Output, command: Command, options: Record<string, unknown>, ...args: A) => Promise<void> | void,
) {
  return async (...all: unknown[]): Promise<void> => {
    const command = all.at(-1) as Command;
    const given = command.optsWithGlobals() as Record<string, unknown>;
    const out = new Output(given.json === true);
    try {
      const { options, args } = requireOutputs(command, given, all.slice(0, -2) as A);
      await action(out, command, options, ...args);
    } catch (error) {
      out.error(error);
      process.exitCode = 1;
    }
  };
}
