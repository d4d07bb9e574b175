import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { OwnReplay, ReplayFolder } from '../../electron/engine/replay.ts';
import { readSafetensors, writeSafetensors } from '../../electron/formats/safetensors.ts';
import type { StateDict } from '../../shared/tensors.ts';

const load = (folder: string, name: string): StateDict => readSafetensors(join(folder, `${name}.safetensors`)).tensors;

/** A fixture's folder for a replay, which writes to another. */
export const folderOf = (from: string, to: string): ReplayFolder => ({
  has: (name) => existsSync(join(from, `${name}.safetensors`)),
  load: (name) => load(from, name),
  write: (name, tensors) => writeSafetensors(join(to, `${name}.safetensors`), tensors),
  writeJson: (name, value) => writeFileSync(join(to, name), JSON.stringify(value)),
});

/** Replays a fixture. @returns what it says of its steps, and fixture.json */
export function replayed(replay: OwnReplay, from: string, to: string): { result: Tree; said: Tree } {
  mkdirSync(to, { recursive: true });
  const said = JSON.parse(readFileSync(join(from, 'fixture.json'), 'utf8')) as Tree;
  const found = replay(folderOf(from, to), said);
  return { result: (Array.isArray(found) ? { steps: found } : found) as Tree, said };
}

/** Parts of a fixture or of a result, by name. */
// biome-ignore lint/suspicious/noExplicitAny: JSON of any shape
export type Tree = Record<string, any>;

/** Bounds of numbers that are said: of their value. */
const BOUNDS: Record<string, number> = { grad_norm: 1e-4, grad_norm_before_clip: 1e-4, kl: 2e-4 };

/** Numbers that a fixture says of its steps, or of a part, and that are not what was said here: `path: wanted, got`. */
export function unlike(got: unknown, want: unknown, keys: readonly string[], path = ''): string[] {
  if (typeof want === 'object' && want !== null)
    return Object.entries(want).flatMap(([key, value]) => {
      const isAsked = keys.includes(key) || Array.isArray(want) || key === 'steps';
      return isAsked && value !== null ? unlike((got as Tree)?.[key], value, keys, `${path}.${key}`) : [];
    });
  const [a, b] = [got as number, want as number];
  const bound = BOUNDS[path.split('.').at(-1)!] ?? 1e-5;
  return typeof a === 'number' && Math.abs(a - b) <= bound * Math.abs(b) ? [] : [`${path}: ${b}, ${a}`];
}

const largest = (a: ArrayLike<number>) => Array.from(a).reduce((m, v) => Math.max(m, Math.abs(v)), 0);
const length = (a: ArrayLike<number>) => Math.hypot(...Array.from(a));
const less = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a, (v, i) => v - b[i]!);

export interface Compared {
  file: string;
  tensor: string;
  /** Of a final state: distance over how far it moved. Of all else: largest difference over the largest value. */
  off: number;
}

/** Of every tensor of a fixture that is a result how far what was written is from it. Inputs (`batch.*`, `*.init`) are none. */
export function compared(from: string, to: string): Compared[] {
  const names = readdirSync(from)
    .filter((name) => name.endsWith('.safetensors') && !/^batch\.|\.init\./.test(name))
    .map((name) => name.replace('.safetensors', ''));
  return names.flatMap((file) => {
    const [want, got] = [load(from, file), existsSync(join(to, `${file}.safetensors`)) ? load(to, file) : new Map()];
    const init = file.endsWith('.final') ? load(from, file.replace('.final', '.init')) : null;
    return [...want].map(([tensor, { data, shape }]): Compared => {
      const found = got.get(tensor);
      if (!found || found.data.length !== data.length || found.shape.join() !== shape.join())
        return { file, tensor, off: Number.POSITIVE_INFINITY };
      const difference = less(found.data, data);
      const off = init
        ? length(difference) / Math.max(length(less(data, init.get(tensor)!.data)), 1e-30)
        : largest(difference) / Math.max(largest(data), 1e-30);
      return { file, tensor, off };
    });
  });
}

/** Those of `compared` that pass what may be asked of single precision. */
export const beyond = (all: readonly Compared[]): Compared[] =>
  all.filter(({ file, tensor, off }) => !(off <= (file.endsWith('.final') ? 1e-2 : tensor === 'ids' ? 0 : 1e-4)));
