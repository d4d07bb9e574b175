/**
 * Makes foreign text (names of files, classes, tensors, runs; messages of libraries) safe to show. Whatever would control a
 * terminal, change the direction of text, break a line or a table, or is no valid character becomes a visible escape.
 * Letters and signs of any script stay as they are.
 */

/**
 * What is escaped: control characters, halves of surrogate pairs, separators of lines and paragraphs, marks of direction
 * (UAX #9), code points that never are characters, and what takes no room. The joiners U+200C and U+200D stay: scripts
 * and emoji are written with them.
 */
const HIDDEN =
  /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Noncharacter_Code_Point}\u00ad\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb]/gu;

const SHORT: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escapeOf(character: string): string {
  const code = character.codePointAt(0)!;
  const hex = code.toString(16);
  if (code < 0x100) return SHORT[character] ?? `\\x${hex.padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\u{${hex}}`;
}

/** Text in one line, with nothing hidden in it: `a\nb`, `\x1b[31m`, `\u202e`. */
export const printable = (text: string): string => text.replace(HIDDEN, escapeOf);

/** `printable` for text of several lines: the line breaks stay. */
export const printableLines = (text: string): string => text.split('\n').map(printable).join('\n');

/** Whether text can be shown as it is. */
export const isPrintable = (text: string): boolean => printable(text) === text;

/** A value as JSON that reads back the same, in which nothing hidden stands as it is. */
export const exactJson = (value: unknown): string =>
  JSON.stringify(value, null, 2)
    .split('\n')
    .map((line) =>
      line.replace(HIDDEN, (character) =>
        character.replace(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
      ),
    )
    .join('\n');
