import { styleText } from 'node:util';
import { AppError, type ErrorReport, toReport } from '../../shared/errors.ts';

/** What a command says: one JSON document on standard output, or words for a person. */
export class Output {
  readonly json: boolean;
  #onBar = false;

  constructor(json: boolean) {
    this.json = json;
  }

  /** The command's result; the one thing on standard output under --json. */
  result(value: unknown, words: string): void {
    this.#clearBar();
    process.stdout.write(this.json ? `${JSON.stringify(value, null, 2)}\n` : `${words}\n`);
  }

  /** A line while it works, on standard error. */
  note(text: string): void {
    this.#clearBar();
    process.stderr.write(`${text}\n`);
  }

  /** A line that the next one replaces, where there is a terminal to see it. */
  progress(text: string): void {
    if (!process.stderr.isTTY) return;
    const width = process.stderr.columns || 80;
    process.stderr.write(`\r\x1b[2K${text.slice(0, width - 1)}`);
    this.#onBar = true;
  }

  #clearBar(): void {
    if (this.#onBar) process.stderr.write('\r\x1b[2K');
    this.#onBar = false;
  }

  /** What, why, next. */
  error(error: unknown): void {
    this.#clearBar();
    const report = toReport(error);
    if (this.json) process.stdout.write(`${JSON.stringify({ error: report }, null, 2)}\n`);
    process.stderr.write(`${errorWords(report)}\n`);
    if (report.kind === 'internal' && error instanceof Error)
      process.stderr.write(`${styleText('dim', error.stack ?? '')}\n`);
  }
}

function errorWords(report: ErrorReport): string {
  return [styleText('red', report.what), report.why, report.next].filter(Boolean).join('\n');
}

/** Values of an option that may be given again. */
export const collect = (value: string, all: string[]): string[] => [...all, value];

/** A number from an option. @throws AppError bad-input */
export function wholeNumber(option: string, least: number) {
  return (text: string): number => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < least) {
      throw new AppError(
        'bad-input',
        `${option} is a whole number from ${least}, not "${text}".`,
        '',
        `The nearest valid value is ${Math.max(least, Math.round(value) || least)}.`,
      );
    }
    return value;
  };
}
