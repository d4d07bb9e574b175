import { styleText } from 'node:util';
import { AppError, type ErrorReport, toReport } from '../../shared/errors.ts';
import { exactJson, printable, printableLines } from '../../shared/printable.ts';
import { cutTo, widthOf } from './table.ts';

/**
 * What a command says: one JSON document on standard output, or words for a person. Everything goes through here, so that
 * no name or message of another steers the terminal.
 */
export class Output {
  readonly json: boolean;
  #onBar = false;

  constructor(json: boolean) {
    this.json = json;
  }

  /** Whether there is a terminal that can show a line which the next one replaces. */
  get hasBar(): boolean {
    return process.stderr.isTTY === true && process.env.TERM !== 'dumb';
  }

  /** The command's result; the one thing on standard output under --json. */
  result(value: unknown, words: string): void {
    this.#clearBar();
    process.stdout.write(this.json ? `${exactJson(value)}\n` : `${printableLines(words)}\n`);
  }

  /** A line while it works, on standard error. */
  note(text: string): void {
    this.#clearBar();
    process.stderr.write(`${printableLines(text)}\n`);
  }

  /** A line that the next one replaces, where there is a terminal to see it. @param last its end, which a narrow one shows too */
  progress(text: string, last = ''): void {
    if (!this.hasBar) return;
    const room = (process.stderr.columns || 80) - 1;
    const end = last && `  ${printable(last)}`;
    const line = cutTo(printable(text), room - widthOf(end)) + end;
    process.stderr.write(`\r\x1b[2K${cutTo(line, room)}`);
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
    if (this.json) process.stdout.write(`${exactJson({ error: report })}\n`);
    process.stderr.write(`${errorWords(report)}\n`);
    if (report.kind === 'internal' && error instanceof Error)
      process.stderr.write(`${styled('dim', printableLines(error.stack ?? ''))}\n`);
  }
}

const styled = (style: 'red' | 'dim', text: string) => styleText(style, text, { stream: process.stderr });

/** One line each; only the reason may have more, as it may be the message of another program. */
function errorWords({ what, why, next }: ErrorReport): string {
  return [styled('red', printable(what)), printableLines(why), printable(next)].filter(Boolean).join('\n');
}

/** Nobody reads any more: `conmim runs | head -1`, or a terminal that was closed. */
const GONE = new Set(['EPIPE', 'EIO', 'ECONNRESET', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_WRITE_AFTER_END']);

/**
 * What happens where standard output or error cannot be written to. A reader that has gone had what it wanted: that is no
 * fault, and the work goes on to its end. Output that is lost otherwise, on a full disk, is said and fails the command.
 */
export function watchOutput(): void {
  let isSaid = false;
  process.stderr.on('error', () => {}); // nowhere to say it
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (GONE.has(code ?? '')) return;
    if (!isSaid) {
      const next = 'The command itself was carried out; only its output is lost. Free some room, and ask for it again.';
      process.stderr.write(`Standard output cannot be written to.\n${printable(message)}\n${next}\n`);
    }
    isSaid = true;
  });
  process.on('exit', () => {
    if (isSaid) process.exitCode = 1; // whatever the command itself came to
  });
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
