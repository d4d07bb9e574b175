/**
 * A command of this program that a message suggests, as it can be pasted into the machine's shell.
 * @param names arguments that a user has chosen: dataset, run, file
 * @param options come before them, and need no quotes
 * @param platform as Node's `process.platform`: on "win32" for cmd and PowerShell, else for a POSIX shell
 */
export function suggested(command: string, names: readonly string[], options: string, platform: string): string {
  const quote = platform === 'win32' ? quoteForWindows : quoteForShell;
  const isLikeOption = names.some((name) => name.startsWith('-'));
  return ['conmim', command, options, isLikeOption ? '--' : '', ...names.map(quote)].filter(Boolean).join(' ');
}

const isPlain = (word: string) => /^[\p{L}\p{N}_.,/:@%+=-]+$/u.test(word);

/** Nothing is special between single quotes (POSIX.1-2017, Shell Command Language, 2.2.2). */
const quoteForShell = (word: string): string => (isPlain(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`);

/** As the C runtime splits a command line: backslashes count double before a quote. */
const quoteForWindows = (word: string): string =>
  isPlain(word) && !/[,@%=]/.test(word)
    ? word
    : `"${word.replace(/(\\*)("|$)/g, (_, b, q) => b + b + (q && `\\${q}`))}"`;
