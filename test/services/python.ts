import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Python with the packages that a test compares with: `CONMIM_PYTHON`, else `python3`. */
const PYTHON = process.env.CONMIM_PYTHON ?? 'python3';
export const SCRIPTS = join(import.meta.dirname, '../python');

/** What is not installed of these packages, in words; null where all are. */
export function missing(...packages: string[]): string | null {
  const found = spawnSync(PYTHON, ['-c', `import ${packages.join(', ')}`], { encoding: 'utf8' });
  if (found.status === 0) return null;
  const name = /No module named '(\w+)'/.exec(found.stderr ?? '')?.[1];
  return `${name ?? `Python with ${packages.join(', ')}`} is not installed`;
}

/** Standard output. @throws Error with what Python said */
export function python(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(PYTHON, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

/** A file that `numpy.load` reads: float32, row-major (numpy/lib/format.py, version 1.0). */
export function writeNpy(path: string, shape: readonly number[], data: Float32Array): void {
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`;
  const padded = `${header.padEnd(64 * Math.ceil((header.length + 11) / 64) - 11)}\n`;
  const length = Buffer.alloc(2);
  length.writeUInt16LE(padded.length);
  const magic = Buffer.from('\x93NUMPY\x01\x00', 'latin1');
  writeFileSync(path, Buffer.concat([magic, length, Buffer.from(padded), Buffer.from(data.buffer)]));
}
