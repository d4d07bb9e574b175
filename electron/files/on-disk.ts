import { readdirSync, type Stats, statSync } from 'node:fs';
import { join, sep } from 'node:path';
import { bytesOfName, escaped, hasEscapedBytes, textOfName } from '../../shared/byte-names.ts';

// Names are UTF-16 on Windows, and `\x41` is a folder there.
const areBytes = process.platform !== 'win32';

/** What the file system is given for a path that the store keeps (see shared/byte-names.ts). */
export function onDisk(path: string): string | Buffer {
  return areBytes && hasEscapedBytes(path) ? Buffer.from(bytesOfName(path)) : path;
}

/** The text that the store keeps of a name that the file system gave. */
export const kept = (name: Buffer): string => (areBytes ? textOfName(name) : name.toString());

/** The text that the store keeps of a path that is known as a string, as a person or a shell gives it. */
export const keptPath = (path: string): string => (areBytes ? escaped(path) : path);

/**
 * The system's error message for a file, without the path. Messages name the path themselves, and the system's form of it
 * may contain line breaks or have lost bytes.
 */
export const withoutPath = (message: string): string =>
  message.replace(/^([A-Z][A-Z0-9]+: [^,]*), \w+ '[\s\S]*$/, '$1');

/** The character that replaces bytes that are no UTF-8 in arguments from a shell. */
const LOST = '\ufffd';

/** Whether bytes of a path were lost on the way to the program. */
export const hasLostBytes = (path: string): boolean => areBytes && path.includes(LOST);

/** A folder that a person or a shell names, in the form of the store; one that is typed as it is shown is understood. */
export const namedFolder = (path: string): string => named(path, (there) => there.isDirectory());

/** The same of a file. */
export const namedFile = (path: string): string => named(path, (there) => there.isFile());

type Kind = (there: Stats) => boolean;

function named(path: string, isKind: Kind): string {
  const literal = keptPath(path);
  if (is(literal, isKind)) return literal;
  if (literal !== path && is(path, isKind)) return path;
  return (hasLostBytes(path) && (withLostBytes(literal, isKind) ?? withLostBytes(path, isKind))) || literal;
}

function is(path: string, isKind: Kind): boolean {
  try {
    return isKind(statSync(onDisk(path)));
  } catch {
    return false;
  }
}

/** The one path, of this kind, that becomes this text where its bytes are lost; null for none, or several. */
function withLostBytes(path: string, isKind: Kind): string | null {
  let found: string = sep;
  const parts = path.split(sep).filter(Boolean);
  for (const [i, part] of parts.entries()) {
    const isWanted: Kind = i < parts.length - 1 ? (there) => there.isDirectory() : isKind;
    const next = join(found, part);
    if (!part.includes(LOST) || is(next, isWanted)) {
      found = next;
      continue;
    }
    const same = namesIn(found).filter((name) => keptPath(name.toString()) === part);
    const places = same.map((name) => join(found, kept(name))).filter((place) => is(place, isWanted));
    if (places.length !== 1) return null;
    found = places[0]!;
  }
  return is(found, isKind) ? found : null;
}

function namesIn(folder: string): Buffer[] {
  try {
    return readdirSync(onDisk(folder), { encoding: 'buffer' });
  } catch {
    return [];
  }
}
