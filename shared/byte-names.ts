/**
 * Names of files are bytes. Those that are UTF-8 are kept as that text. Bytes that are not are written `\xHH`, and so that
 * every name has a text of its own, a backslash that would begin such an escape is written `\x5c`.
 */
const ESCAPE = /\\x([0-9a-f]{2})/g;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** Text of a name (or path) that is given as bytes; `bytesOfName` gives the bytes back. */
export function textOfName(bytes: Uint8Array): string {
  try {
    return escaped(decoder.decode(bytes));
  } catch {
    return byPieces(bytes);
  }
}

/** The bytes that a text of `textOfName` stands for. */
export function bytesOfName(text: string): Uint8Array {
  const parts: Uint8Array[] = [];
  let from = 0;
  for (const found of text.matchAll(ESCAPE)) {
    parts.push(encoder.encode(text.slice(from, found.index)), Uint8Array.of(Number.parseInt(found[1]!, 16)));
    from = found.index + found[0].length;
  }
  parts.push(encoder.encode(text.slice(from)));
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Whether a text holds an escape, so that its bytes are not simply its UTF-8. */
export const hasEscapedBytes = (text: string): boolean => text.search(ESCAPE) >= 0;

/** The text that a name has which is known as a string. */
export const escaped = (text: string): string => text.replace(/\\(?=x[0-9a-f]{2})/g, '\\x5c');

/** Longest stretches of UTF-8 as they are, every other byte as an escape. */
function byPieces(bytes: Uint8Array): string {
  let text = '';
  let valid = 0;
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at);
    if (length > 0) {
      at += length;
      continue;
    }
    text += `${escaped(decoder.decode(bytes.subarray(valid, at)))}\\x${bytes[at]!.toString(16).padStart(2, '0')}`;
    valid = ++at;
  }
  return text + escaped(decoder.decode(bytes.subarray(valid)));
}

/** Bytes of the UTF-8 sequence that begins here; 0 where none does. (Unicode 15, table 3-7.) */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at]!;
  if (lead < 0x80) return 1;
  const length =
    lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  const second = bytes[at + 1]!;
  // Overlong forms, surrogates, and what is above U+10FFFF.
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  for (let i = 2; i < length; i++) if ((bytes[at + i]! & 0xc0) !== 0x80) return 0;
  return length;
}
