import { crc32 } from 'node:zlib';
import type { TensorPart } from '../../shared/checkpoint.ts';

// SQLite notices what is wrong with its own structure, and nothing of what a disk changed in a value. CRC-32, because
// Node computes it at gigabytes a second: a checkpoint takes longer to be read than to be checked.

/** Checksum of a tensor as it is stored: part, name, shape and values. */
export function checksumOfTensor(
  part: TensorPart,
  { name, shape, data }: { name: string; shape: string; data: Uint8Array },
): number {
  return crc32(data, crc32(JSON.stringify([part, name, shape])));
}

/** Checksum of a checkpoint's settings and state, which are kept beside its tensors. */
export const checksumOfCheckpoint = ({ config, state }: { config: string; state: string }): number =>
  crc32(JSON.stringify([config, state]));
