import type { Asked } from '../../shared/contract/index.ts';
import { type ErrorReport, fromReport } from '../../shared/errors.ts';
import { type AppError, call, on } from '../api.ts';

/** A message at the corner: a word on what was done, with its undo; or an error that belongs to no place on a screen. */
export interface Toast {
  key: number;
  text: string;
  error: ErrorReport | null;
  action: { label: string; run: () => void } | null;
  /** When it came, ms since 1970. */
  at: number;
}

let next = 1;
export const toasts = $state<Toast[]>([]);
const SHOWN_MS = 10_000;
/** As long as what a button offers is possible: the program keeps what was deleted for 30 s. */
const SHOWN_WITH_ACTION_MS = 28_000;

export function dismiss(key: number): void {
  const at = toasts.findIndex((toast) => toast.key === key);
  if (at >= 0) toasts.splice(at, 1);
}

export function dismissAll(): void {
  toasts.splice(0);
}

/** An error that was there to be read for so long does not follow to another screen, ms. */
const READ_MS = 8000;
/** Another screen is shown. What offers to do something stays. */
export function leave(): void {
  const read = ({ error, action, at }: Toast) => error !== null && action === null && Date.now() - at > READ_MS;
  for (const { key } of toasts.filter(read)) dismiss(key);
}

export function say(text: string, action: Toast['action'] = null): void {
  const key = next++;
  toasts.push({ key, text, error: null, action, at: Date.now() });
  setTimeout(() => dismiss(key), action ? SHOWN_WITH_ACTION_MS : SHOWN_MS);
}

/** Stays until it is closed, or read and another screen is shown. */
export function sayError(error: unknown, action: Toast['action'] = null): void {
  const report = reportOf(error);
  const same = toasts.findIndex((toast) => toast.error?.what === report.what);
  if (same >= 0) toasts.splice(same, 1); // the newest counts, with its action
  toasts.push({ key: next++, text: report.what, error: report, action, at: Date.now() });
}

function reportOf(error: unknown): ErrorReport {
  if (typeof (error as ErrorReport).what === 'string') return error as ErrorReport;
  const what = String((error as Error).message ?? error);
  return (error as AppError).toJSON?.() ?? { kind: 'internal', what, why: '', next: '' };
}

on('failure', ({ error }) => sayError(fromReport(error)));

type Deletes = 'runs.delete' | 'datasets.delete' | 'prepared.delete' | 'retrieval.delete';
/** Deletions that were asked for and are not answered. */
const asked = new Set<string>();

/**
 * Deletes, and says what was deleted, with a button that brings it back. Of a button that is pressed twice the first press
 * counts.
 * @returns whether this call deleted it @throws AppError
 */
export async function deleteWithUndo<C extends Deletes>(channel: C, input: Asked<C>): Promise<boolean> {
  const key = `${channel} ${JSON.stringify(input)}`;
  if (asked.has(key)) return false;
  asked.add(key);
  try {
    const { undo, what } = await call(channel, input);
    say(what, { label: 'Undo', run: () => void attempt(() => call('undo.restore', { undo })) });
    return true;
  } finally {
    asked.delete(key);
  }
}

/** Does something; its error becomes a message. @returns its result, or undefined */
export async function attempt<T>(act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    sayError(error);
    return undefined;
  }
}
