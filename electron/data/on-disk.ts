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
