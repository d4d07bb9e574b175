import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { replay } from '../../electron/bench/replay.ts';
import { readSafetensors } from '../../electron/formats/safetensors.ts';
import type { StateDict } from '../../shared/tensors.ts';

// What a replay wrote beside what the published code gave. Bounds as fp32 itself allows them: losses 1e-5 of their value,
// gradients, features and buffers 1e-4 of a tensor's largest value, final states 1e-2 of how far a tensor moved, tokens 1e-3.

export interface Checked {
  /** Tensors whose true gradient is zero: what is stored is rounding, which Adam turns into steps. */
  noise?: readonly string[];
  /** The bias of the last LayerNorm where it is among these: tokens are compared without it. */
  normBias?: string;
  /** The file of states that has it. */
  network?: string;
  /** Keys that result.json's steps have beside their loss. */
  says?: readonly string[];
}

const load = (folder: string, file: string): StateDict => readSafetensors(join(folder, file)).tensors;
const largest = (a: ArrayLike<number>) => Array.from(a).reduce((m, v) => Math.max(m, Math.abs(v)), 0);
const distance = (a: ArrayLike<number>, b: ArrayLike<number>) => Math.hypot(...Array.from(a, (v, i) => v - b[i]!));

/** Without the bias of the keys, which has no influence on any output. */
const meaningful = (name: string, data: ArrayLike<number>): number[] => {
  const all = Array.from(data);
  const third = all.length / 3;
  return name.endsWith('attn.qkv.bias') ? [...all.slice(0, third), ...all.slice(2 * third)] : all;
};

/** Inputs, and what is none of the engine's results. */
const isResult = (file: string) =>
  file.endsWith('.safetensors') && !/^batch\.|\.init\.safetensors$/.test(file) && !/^masks/.test(file);

/** @returns what is off, each as `file: tensor value`; nothing where a replay equals the fixture within its bounds */
export function differencesOf(
  from: string,
  to: string,
  { noise = [], normBias, network = 'student', says = [] }: Checked = {},
): string[] {
  const said = JSON.parse(readFileSync(join(from, 'fixture.json'), 'utf8'));
  const { steps } = JSON.parse(readFileSync(join(to, 'result.json'), 'utf8'));
  const off: string[] = [];
  const note = (what: string, value: number, bound: number) => {
    if (!(value <= bound)) off.push(`${what} ${value.toExponential(2)}`);
  };
  for (const [i, got] of steps.entries()) {
    const want = said.steps[i];
    for (const [key, value] of Object.entries(got as Record<string, number>)) {
      if (typeof want[key] !== 'number') continue;
      const by = Math.abs(want[key]) || 1;
      note(`step ${i}: ${key}`, Math.abs(value - want[key]) / by, key.startsWith('loss') ? 1e-5 : 1e-4);
    }
  }
  for (const key of ['loss', ...says]) if (!(key in steps[0])) off.push(`step 0: no ${key}`);
  if (steps.length !== said.steps.length) off.push(`${steps.length} steps`);
  const bias = (folder: string) => (normBias ? load(folder, `${network}.final.safetensors`).get(normBias)!.data : null);
  for (const file of readdirSync(from).filter(isResult)) {
    if (!existsSync(join(to, file))) {
      off.push(`${file} is missing`);
      continue;
    }
    const [want, got] = [load(from, file), load(to, file)];
    const [inits, isState] = [file.replace('.final.', '.init.'), /\.final\./.test(file)];
    const init = isState ? load(from, inits) : null;
    for (const [name, { data, shape }] of want) {
      if (noise.includes(name)) continue;
      const found = got.get(name);
      if (!found || found.shape.join() !== shape.join()) {
        off.push(`${file}: ${name} has the shape [${found?.shape}], not [${shape}]`);
        continue;
      }
      let [a, b] = [meaningful(name, found.data), meaningful(name, data)];
      if (file.startsWith('tokens.eval')) {
        const [mine, theirs] = [bias(to), bias(from)];
        if (mine && theirs && name.startsWith('tokens')) {
          a = a.map((v, i) => v - mine[i % mine.length]!);
          b = b.map((v, i) => v - theirs[i % theirs.length]!);
        }
        note(`${file}: ${name}`, distance(a, b) / Math.sqrt(b.length), 1e-3);
      } else if (init && !/^(queue|centers)\./.test(file)) {
        const moved = distance(b, meaningful(name, init.get(name)!.data));
        // Rounding alone moves what an average of two that are the same gives, and a running mean of what has none.
        const variance = want.get(name.replace(/running_mean$/, 'running_var'))!.data;
        const still = name.endsWith('running_mean')
          ? 1e-2 * Math.sqrt(largest(variance))
          : 1e-4 *
            distance(
              b,
              b.map(() => 0),
            );
        note(`${file}: ${name}`, distance(a, b) / Math.max(moved, still, 1e-6), 1e-2);
      } else note(`${file}: ${name}`, largest(b.map((v, i) => v - a[i]!)) / Math.max(largest(b), 1e-30), 1e-4);
    }
    const more = [...got.keys()].filter((name) => !want.has(name));
    if (more.length > 0) off.push(`${file}: also ${more}`);
  }
  return off;
}

/** Replays a fixture, and compares. @returns what is off */
export async function replayed(from: string, how: Checked = {}): Promise<string[]> {
  const to = mkdtempSync(join(tmpdir(), 'replayed-'));
  try {
    await replay(from, to);
    return differencesOf(from, to, how);
  } finally {
    rmSync(to, { recursive: true });
  }
}
