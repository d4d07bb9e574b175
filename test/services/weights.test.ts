import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { writeSafetensors } from '../../electron/formats/safetensors.ts';
import { importWeights } from '../../electron/services/export/weights.ts';
import { Store } from '../../electron/store/store.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import type { StateDict } from '../../shared/tensors.ts';
import { laterRefusal } from '../harness/refusal.ts';

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

test('names under the wrapper of distributed training are read as those without it', async () => {
  const state = untrainedState(config);
  const file = join(folder, 'wrapped.safetensors');
  writeSafetensors(file, new Map([...state].map(([name, tensor]) => [`module.${name}`, tensor])));
  const { checkpoint, ignored } = await importWeights(store, file, undefined, {});
  expect(ignored).toEqual([]);
  const read = store.checkpoints.load(checkpoint.id, 'student');
  expect([...read.keys()].sort()).toEqual([...state.keys()].sort());
  for (const [name, { data }] of state) expect(read.get(name)!.data).toEqual(data);
});

test('a value that is not finite, of whatever tensor, is refused with its name; nothing is stored', async () => {
  const file = join(folder, 'bad.safetensors');
  const state = untrainedState(config);
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...state.keys()),
      fc.nat(),
      fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e39),
      async (name, at, value) => {
        const { shape, data } = state.get(name)!;
        const changed = data.slice();
        changed[at % data.length] = value;
        writeSafetensors(file, new Map([...state, [name, { shape, data: changed }]]));
        const error = await laterRefusal(() => importWeights(store, file, undefined, {}));
        expect(error.kind).toBe('bad-file');
        expect(error.why).toContain(`"${name}" has 1 of ${data.length} values`);
      },
    ),
    { numRuns: 60 },
  );
  expect(store.runs.list()).toEqual([]);
  // One that is not used does not matter.
  writeSafetensors(file, new Map([...state, ['lm_head.weight', { shape: [1], data: new Float32Array([Number.NaN]) }]]));
  expect((await importWeights(store, file, undefined, {})).ignored).toEqual(['lm_head.weight']);
});

test('a file that names a huge model, and has little of it, is refused before anything of that size is made', async () => {
  const file = join(folder, 'huge.safetensors');
  const small = untrainedState(config);
  const write = (tensors: StateDict, named: object) =>
    writeSafetensors(file, tensors, { 'conmim.config': JSON.stringify(named) });
  const before = process.memoryUsage().rss;
  const began = performance.now();
  const huge = { image_size: 1024, patch_size: 16, embed_dim: 4096, depth: 64, num_heads: 64, mlp_ratio: 16 };
  write(new Map([['cls_token', { shape: [1, 1, 1], data: new Float32Array(1) }]]), { model: huge, projector: {} });
  expect((await laterRefusal(() => importWeights(store, file, undefined, {}))).kind).toBe('bad-file');
  // The encoder is there, and a projector is named that is not.
  const encoder = new Map([...small].filter(([name]) => !name.startsWith('projectors.')));
  write(encoder, { model: config.model, projector: { layers: 8, hidden: 16_384, out: 8 } });
  expect((await laterRefusal(() => importWeights(store, file, undefined, {}))).why).toContain('GB');
  // A block's number in a name is no reason to make as many.
  write(new Map([...small, ['blocks.999999999.norm1.weight', { shape: [1], data: new Float32Array(1) }]]), {
    model: config.model,
    projector: config.projector,
  });
  expect((await importWeights(store, file, 'read', {})).ignored).toEqual(['blocks.999999999.norm1.weight']);
  writeSafetensors(
    file,
    new Map([...small, ['blocks.999999999.norm1.weight', { shape: [1], data: new Float32Array(1) }]]),
  );
  expect((await laterRefusal(() => importWeights(store, file, undefined, {}))).kind).toMatch(/^bad-/);
  expect(process.memoryUsage().rss - before).toBeLessThan(500e6);
  expect(performance.now() - began).toBeLessThan(30_000);
});

test('what a file lacks starts as the seed says, whatever else is drawn', async () => {
  const file = join(folder, 'encoder.safetensors');
  const state = untrainedState(config);
  writeSafetensors(file, new Map([...state].filter(([name]) => name !== 'mask_token')), {
    'conmim.config': JSON.stringify({ model: config.model, projector: config.projector }),
  });
  const { checkpoint } = await importWeights(store, file, undefined, {});
  const read = store.checkpoints.load(checkpoint.id, 'student');
  expect(read.get('mask_token')!.data).toEqual(untrainedState(checkpoint.config).get('mask_token')!.data);
});
