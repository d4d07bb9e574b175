import fc from 'fast-check';
import { expect, test } from 'vitest';
import { escapeXml } from '../../shared/chart-svg.ts';
import { isPrintable, printable, printableLines } from '../../shared/printable.ts';

/** Any code units at all: letters, controls, halves of pairs, what is no character. */
const anything = fc.string({
  unit: fc.oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)),
    fc.constantFrom(
      '\x1b',
      '\n',
      '\r',
      '\t',
      '\x07',
      '\x9b',
      '\u202e',
      '\u2066',
      '\ufffe',
      '\uffff',
      '\ud83d',
      '\u{1fffe}',
    ),
  ),
});
/** Code points that a terminal, a line, the direction of text or XML 1.0 (2.2, Char) cannot be trusted with. */
const isBad = (code: number) =>
  code < 0x20 ||
  (code >= 0x7f && code <= 0x9f) ||
  (code >= 0x2028 && code <= 0x202e) ||
  (code >= 0x2066 && code <= 0x2069) ||
  [0x61c, 0x200e, 0x200f, 0xfeff].includes(code) ||
  (code >= 0xd800 && code <= 0xdfff) ||
  (code & 0xfffe) === 0xfffe ||
  (code >= 0xfdd0 && code <= 0xfdef);
const codes = (text: string) => [...text].map((c) => c.codePointAt(0)!);

test('nothing that steers, breaks or hides is left, whatever the text', () => {
  fc.assert(
    fc.property(anything, (text) => {
      expect(codes(printable(text)).filter(isBad)).toEqual([]);
      expect(codes(escapeXml(text)).filter(isBad)).toEqual([]);
      expect(printable(printable(text))).toBe(printable(text));
      const lines = printableLines(text);
      expect(codes(lines.replaceAll('\n', '')).filter(isBad)).toEqual([]);
      expect(lines.split('\n').length).toBe(text.split('\n').length);
    }),
    { numRuns: 2000 },
  );
});

test('text without any of it stays as it is; what is escaped can be told from what is not', () => {
  fc.assert(
    fc.property(anything, (text) => {
      const hasBad = codes(text).some(isBad);
      if (isPrintable(text)) expect(hasBad).toBe(false);
      if (hasBad) expect(printable(text).length).toBeGreaterThan(text.length);
    }),
  );
  const names = [
    'Mädchen und Jungs.png',
    '写真 été',
    'פיל',
    '🐈‍⬛',
    '🏴󠁧󠁢󠁥󠁮󠁧󠁿',
    'می‌خواهم',
    'it\'s "x" <b> & $HOME \\n',
    'İstanbul ﬀ ␀',
    'e\u0301',
  ];
  for (const name of names) expect(printable(name)).toBe(name);
});

test.each([
  ['a\nb', 'a\\nb'],
  ['\x1b[31mred', '\\x1b[31mred'],
  ['\x1b]0;title\x07', '\\x1b]0;title\\x07'],
  ['\u202efdp.exe', '\\u202efdp.exe'],
  ['x\uffff', 'x\\uffff'],
  ['\ud83d!', '\\ud83d!'],
  ['\u009b1m', '\\x9b1m'],
  ['\u{1ffff}', '\\u{1ffff}'],
])('%j is shown as %s', (text, shown) => {
  expect(printable(text)).toBe(shown);
});
