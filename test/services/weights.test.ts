import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { writeSafetensors } from '../../electron/formats/safetensors.ts';
import { importWeights } from '../../electron/services/weights.ts';
import { Store } from '../../electron/store/store.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { runConfigSchema } from '../../shared/config.ts';

let folder: string;
let store: Store;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weights-'));
  store = Store.open(join(folder, 'workbench.sqlite'));
});
afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

const config = runConfigSchema.parse({
  model: { image_size: 32, patch_size: 16, embed_dim: 64, depth: 1, num_heads: 1, position: 'absolute' },
  projector: { layers: 1, out: 8 },
  mask: { kind: 'uniform' },
});

test('names under the wrapper of distributed training are read as those without it', () => {
  const state = untrainedState(config);
  const file = join(folder, 'wrapped.safetensors');
  writeSafetensors(file, new Map([...state].map(([name, tensor]) => [`module.${name}`, tensor])));
  const { checkpoint, ignored } = importWeights(store, file, undefined, {});
  expect(ignored).toEqual([]);
  const read = store.checkpoints.load(checkpoint.id, 'student');
  expect([...read.keys()].sort()).toEqual([...state.keys()].sort());
  for (const [name, { data }] of state) expect(read.get(name)!.data).toEqual(data);
});
