/** What is wrong with the keys of a JSON text, beyond its grammar. */
export type KeyFault = { repeated: string } | 'too many' | 'too deep';

const [QUOTE, BACKSLASH, COLON, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST] = Buffer.from('"\\:{}[]');
const SPACES = new Set(Buffer.from(' \t\n\r'));

/**
 * The first key that occurs twice in one object of a JSON text, or that there are more keys or levels than `most` allows;
 * null where neither is so. `JSON.parse` silently keeps the last of two equal keys, so two readers could see different
 * tensors in one file; and it would build an object of millions of keys. For text that is no JSON the answer means nothing.
 */
export function keyFault(text: string, most: { keys: number; depth: number }): KeyFault | null {
  const open: (Set<string> | null)[] = [];
  let keys = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === OPEN || code === OPEN_LIST) {
      if (open.push(code === OPEN ? new Set() : null) > most.depth) return 'too deep';
    } else if (code === CLOSE || code === CLOSE_LIST) open.pop();
    else if (code === QUOTE) {
      const start = at;
      // By hand: a regular expression recurses once for each character of a long text.
      for (at++; at < text.length && text.charCodeAt(at) !== QUOTE; at++) if (text.charCodeAt(at) === BACKSLASH) at++;
      let next = at + 1;
      while (SPACES.has(text.charCodeAt(next))) next++;
      if (text.charCodeAt(next) !== COLON) continue;
      if (++keys > most.keys) return 'too many';
      const key = keyOf(text.slice(start, at + 1));
      const known = open.at(-1);
      if (known?.has(key)) return { repeated: key };
      known?.add(key);
    }
  }
  return null;
}

function keyOf(quoted: string): string {
  if (!quoted.includes('\\')) return quoted.slice(1, -1);
  try {
    return JSON.parse(quoted);
  } catch {
    return quoted; // no JSON: who parses all of it says so
  }
}
