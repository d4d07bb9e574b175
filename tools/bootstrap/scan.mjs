import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './paths.mjs';

const SOURCE = join(ROOT, 'electron', 'services', 'retrieval', 'scan.wat');
const OUT = join(ROOT, 'out', 'native');

/** out/native/scan.wasm, which searches an index, from its text where that has changed. */
export async function ensureScan() {
  const source = readFileSync(SOURCE, 'utf8');
  const state = createHash('sha256').update(source).digest('hex');
  const [stamp, built] = [join(OUT, '.built-scan'), join(OUT, 'scan.wasm')];
  if (existsSync(built) && existsSync(stamp) && readFileSync(stamp, 'utf8') === state) return;
  const { default: wabt } = await import('wabt'); // among the packages, which are there by now
  const { parseWat } = await wabt();
  const { buffer } = parseWat('scan.wat', source, { simd: true }).toBinary({});
  mkdirSync(OUT, { recursive: true });
  const part = `${built}.${process.pid}.part`; // two may write at once
  writeFileSync(part, buffer);
  renameSync(part, built);
  writeFileSync(stamp, state);
}
