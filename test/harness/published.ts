import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';
import { FrozenNetwork } from '../../electron/engine/inference.ts';
import { channelsLast } from '../../electron/engine/replay.ts';
import { Store } from '../../electron/store/store.ts';
import type { HostTensor, StateDict } from '../../shared/tensors.ts';

/** A store in a folder of its own, until the tests of a file are over. */
export function temporaryStore(): { store: Store; path: (name: string) => string } {
  const folder = mkdtempSync(join(tmpdir(), 'published-'));
  const store = Store.open(join(folder, 'workbench.sqlite'));
  afterAll(() => {
    store.close();
    rmSync(folder, { recursive: true });
  });
  return { store, path: (name) => join(folder, name) };
}

/** A tensor of zeros. */
export const zeros = (...shape: number[]): HostTensor => ({
  shape,
  data: new Float32Array(shape.reduce((a, b) => a * b, 1)),
});

/** Without the bias of the keys, which does nothing, and which is zero in a file that is written here. */
export const withoutKeyBias = (state: StateDict): StateDict =>
  new Map(
    [...state].map(([name, { shape, data }]) => {
      const third = data.length / 3;
      return [name, { shape, data: name.endsWith('qkv.bias') ? data.slice().fill(0, third, 2 * third) : data }];
    }),
  );

const largest = (a: Float32Array) => a.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** Largest error of an imported encoder's tokens, over their largest value. @param of a fixture's `tokens.eval`, and which */
export function tokenError(
  store: Store,
  checkpoint: number,
  of: StateDict,
  { part = 'student' as 'student' | 'teacher', named = 'tokens' } = {},
): number {
  const [input, tokens] = ['input', named].map((name) => of.get(name)!) as [HostTensor, HostTensor];
  const { config } = store.checkpoints.get(checkpoint);
  const network = new FrozenNetwork(config.model, undefined, store.checkpoints.load(checkpoint, part));
  const got = network.tokens(channelsLast(input));
  network.dispose();
  expect(got.length).toBe(tokens.data.length);
  return largest(got.map((value, i) => value - tokens.data[i]!)) / largest(tokens.data);
}
