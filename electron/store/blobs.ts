// Numbers as SQLite keeps them: little-endian, as on every machine that Node runs on today.

/** Without a copy. */
export const toBlob = ({ buffer, byteOffset, byteLength }: Float32Array | Int32Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

export function floatsOf(blob: Buffer): Float32Array {
  const { buffer, byteOffset, byteLength } = aligned(blob);
  return new Float32Array(buffer, byteOffset, byteLength / 4);
}

export function integersOf(blob: Buffer): Int32Array {
  const { buffer, byteOffset, byteLength } = aligned(blob);
  return new Int32Array(buffer, byteOffset, byteLength / 4);
}

/** Copied only where no number can begin at its first byte. */
const aligned = (blob: Buffer): Uint8Array => (blob.byteOffset % 4 === 0 ? blob : new Uint8Array(blob));
