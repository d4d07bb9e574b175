import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { Output } from '../../electron/cli/output.ts';
import { cutTo, table, widthOf } from '../../electron/cli/table.ts';
import { AppError } from '../../shared/errors.ts';
import { isPrintable } from '../../shared/printable.ts';

const anything = fc.string({
  unit: fc.oneof(
    fc.constantFrom('\n', '\x1b[2J', '\r', '\t', '\u202e', '写', '🐈'),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
  ),
});

test('a table has a line for each row, whatever is in its cells, and columns that stand below each other', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(anything, fc.integer()), { minLength: 1, maxLength: 5 }), (rows) => {
      const lines = table(['name', 'n'], rows).split('\n');
      expect(lines).toHaveLength(rows.length + 1);
      for (const line of lines) expect(isPrintable(line)).toBe(true);
      expect(new Set(lines.map(widthOf)).size).toBe(1); // figures end at the right
    }),
  );
});

test('a line is cut to the places that a terminal has, never within a character', () => {
  expect(widthOf('写真a')).toBe(5);
  expect(cutTo('写真a', 3)).toBe('写');
  expect(cutTo('ab🐈', 3)).toBe('ab');
  expect(cutTo('ab', -1)).toBe('');
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 0, max: 20 }), (text, width) => {
      const cut = cutTo(text, width);
      expect(text.startsWith(cut)).toBe(true);
      expect(widthOf(cut)).toBeLessThanOrEqual(width);
    }),
  );
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});
function heard(stream: NodeJS.WriteStream): string[] {
  const said: string[] = [];
  vi.spyOn(stream, 'write').mockImplementation((text) => {
    said.push(String(text));
    return true;
  });
  return said;
}

test('what is said steers no terminal; JSON reads back the same', () => {
  const [out, err] = [heard(process.stdout), heard(process.stderr)];
  const name = 'a\x1b]0;title\x07\n\u202e\x9b\ud800\uffff写';
  new Output(true).result({ name }, '');
  expect(JSON.parse(out[0]!)).toEqual({ name });
  expect(isPrintable(out[0]!.replaceAll('\n', ''))).toBe(true);
  const words = new Output(false);
  words.result({}, `one\n${name}`);
  words.note(name);
  words.error(new AppError('not-found', `There is no "${name}".`, name, name));
  words.error(new Error(name));
  for (const text of [out[1]!, ...err]) expect(isPrintable(text.replaceAll('\n', '')), JSON.stringify(text)).toBe(true);
  expect(err[1]!.split('\n')[0]).toBe('There is no "a\\x1b]0;title\\x07\\n\\u202e\\x9b\\ud800\\uffff写".');
});

test('a narrow terminal shows the end of the line that matters; one that can do nothing shows none', () => {
  const err = heard(process.stderr);
  const terminal = (columns: number) => {
    Object.assign(process.stderr, { isTTY: true, columns });
  };
  const before = { isTTY: process.stderr.isTTY, columns: process.stderr.columns };
  try {
    vi.stubEnv('TERM', 'xterm');
    terminal(40);
    new Output(false).progress('step 12/400  loss 5.123  look-up 3.1 % (control 2.0 %)  12.3 images/s', '3 min left');
    const line = err[0]!.replace('\r\x1b[2K', '');
    expect(line).toMatch(/^step 12\/400 {2}.*3 min left$/);
    expect(line.length).toBeLessThan(40);
    vi.stubEnv('TERM', 'dumb');
    new Output(false).progress('step', 'left');
    expect(err).toHaveLength(1);
  } finally {
    Object.assign(process.stderr, before);
  }
});
