/** Numbers as files hold them (little-endian), turned into float32. */

export type Dtype = keyof typeof BYTES_OF;

/** Bytes of one element, by the names of safetensors. */
export const BYTES_OF = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
} as const;

export const isDtype = (name: unknown): name is Dtype => typeof name === 'string' && Object.hasOwn(BYTES_OF, name);

/**
 * Elements as float32. Doubles are rounded; integers above 2^24 lose their last digits (the published files hold only
 * BatchNorm's batch counters that way).
 * @param bytes exactly `count * BYTES_OF[dtype]` bytes
 */
export function toFloat32(dtype: Dtype, bytes: Uint8Array): Float32Array {
  const count = bytes.byteLength / BYTES_OF[dtype];
  const out = new Float32Array(count);
  if (dtype === 'F32') {
    new Uint8Array(out.buffer).set(bytes);
    return out;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const read = READERS[dtype];
  const step = BYTES_OF[dtype];
  for (let i = 0; i < count; i++) out[i] = read(view, i * step);
  return out;
}

const widen = new Float32Array(1);
const widenBits = new Uint32Array(widen.buffer);

const READERS: Record<Exclude<Dtype, 'F32'>, (view: DataView, at: number) => number> = {
  F64: (view, at) => view.getFloat64(at, true),
  F16: (view, at) => halfToNumber(view.getUint16(at, true)),
  BF16: (view, at) => {
    widenBits[0] = view.getUint16(at, true) << 16;
    return widen[0]!;
  },
  I64: (view, at) => Number(view.getBigInt64(at, true)),
  I32: (view, at) => view.getInt32(at, true),
  I16: (view, at) => view.getInt16(at, true),
  I8: (view, at) => view.getInt8(at),
  U64: (view, at) => Number(view.getBigUint64(at, true)),
  U32: (view, at) => view.getUint32(at, true),
  U16: (view, at) => view.getUint16(at, true),
  U8: (view, at) => view.getUint8(at),
  BOOL: (view, at) => (view.getUint8(at) === 0 ? 0 : 1),
};

/** IEEE 754 binary16: sign, five bits of exponent, ten of fraction. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
