import { expect, test } from 'vitest';
import { sizeOf } from '../../electron/engine/parameters.ts';
import { configFields } from '../../electron/services/recipes/configuration.ts';
import { peakOf, sizesFor } from '../../electron/services/recipes/estimate.ts';
import { leastMemory, loaderMemory, requireMemory } from '../../electron/services/recipes/memory-need.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { METHODS, parseRunConfig, schemaFor } from '../../methods/index.ts';
import { networkOf } from '../../methods/networks.ts';
import type { RunConfig } from '../../shared/config.ts';
import type { ConfigField } from '../../shared/contract/recipes.ts';
import { type AppError, toReport } from '../../shared/errors.ts';

const config = (over: Record<string, object> = {}) =>
  runConfigSchema.parse({
    ...over,
    model: { image_size: 256, patch_size: 8, embed_dim: 32, depth: 2, num_heads: 2, ...over.model },
    projector: { hidden: 32, out: 16 },
    mask: { kind: 'uniform' },
  });

test('memory of the run’s own batch is extrapolated from two sizes; a batch that is small enough is measured itself', () => {
  const large = config({ train: { batch_size: 64 } });
  expect(sizesFor(large)).toEqual([2, 4]); // 4096 patches are 4 images of 1024
  const measured = [
    { batch: 2, seconds: 1, peak: 300e6, flops: null },
    { batch: 4, seconds: 2, peak: 370e6, flops: null },
  ];
  expect(peakOf(measured, large)).toBeCloseTo(370e6 + 60 * 35e6);
  const small = config({ train: { batch_size: 4 } });
  expect(sizesFor(small)).toEqual([4]);
  expect(peakOf(measured.slice(1), small)).toBe(370e6);
  expect(sizesFor(config({ model: { patch_size: 2 }, train: { batch_size: 64 } }))).toEqual([1, 2]);
  // Both views of each batch that waits or is in hand.
  const more = (data: object, train: object = {}) =>
    loaderMemory(config({ data: { workers: 1, ...data }, train: { batch_size: 64, ...train } }));
  expect(more({ queue: 9 }) - more({ queue: 4 })).toBe(5 * 2 * 64 * 256 * 256 * 3 * 4);
  expect(more({ queue: 4 }, { accumulation: 6 })).toBe(more({ queue: 9 }));
});

test('logits of a dictionary of the whole batch grow with its square', () => {
  const of = (dictionary: string, batch: number) => ({ contrast: { dictionary }, train: { batch_size: batch } });
  const measured = [
    { batch: 2, seconds: 1, peak: 300e6, flops: null },
    { batch: 4, seconds: 2, peak: 370e6, flops: null },
  ];
  const [image, batch] = ['image', 'batch'].map((one) => peakOf(measured, config(of(one, 64))));
  expect(batch! - image!).toBeGreaterThan(4 * 4 * (64 * 1024) ** 2);
  expect(leastMemory(config(of('batch', 64))) - leastMemory(config(of('image', 64)))).toBe(64 * 63 * 1024 * 1024 * 4);
});

test('what cannot fit is refused with the setting that changes it', () => {
  const said = (memory: number, over: Record<string, object> = {}) => {
    try {
      requireMemory(config({ train: { batch_size: 64 }, ...over }), memory);
    } catch (error) {
      return error as AppError;
    }
    return null;
  };
  const whole = leastMemory(config({ train: { batch_size: 64 } }));
  expect(said(whole)).toBeNull();
  expect(said(whole - 1)).toMatchObject({
    kind: 'out-of-memory',
    message: expect.stringMatching(/needs \d+ MB of memory at least, and there is \d+ MB/),
  });
  // Advice is followed to its end: the run that it names fits.
  for (const memory of [whole - 1, whole / 2, whole / 5, whole / 20]) {
    const { next } = said(memory)!;
    const batch = Number(/train\.batch_size to (\d+)/.exec(next)![1]);
    const recompute = next.startsWith('Set train.recompute');
    expect(said(memory, { train: { batch_size: batch, recompute } })).toBeNull();
    expect(batch).toBeLessThanOrEqual(64);
  }
  const huge = said(20e9, { model: { image_size: 1024, patch_size: 1, embed_dim: 192, depth: 12 } })!;
  expect(huge.next).toMatch(
    /Even train\.batch_size=2 with train\.recompute=true does not fit: take a larger model\.patch_size/,
  );
  expect(said(1, {})).not.toBeNull();
});

test('out of memory is told by whatever says it, and names settings', () => {
  for (const message of [
    'Invalid TF_Status: 8\nMessage: OOM when allocating tensor with shape[67108864,128] and type float',
    'Array buffer allocation failed',
    'RuntimeError: abort(OOM)',
    'Cannot enlarge memory arrays',
    'RESOURCE_EXHAUSTED: failed to allocate',
    'spawn ENOMEM',
  ]) {
    const report = toReport(new Error(message));
    expect(report.kind).toBe('out-of-memory');
    expect(report.next).toMatch(/train\.batch_size.*train\.recompute/);
  }
  expect(toReport(new Error(' OOM when allocating tensor with shape[7,128]')).why).toContain('shape[7,128]');
  for (const message of ['x is not a function', 'the room is small', 'BOOM'])
    expect(toReport(new Error(message)).kind).toBe('internal');
});

test('patches that a method leaves out of its encoder need no memory there', () => {
  const mae = (ratio: number) => parseRunConfig({ method: { name: 'mae' }, mask: { ratio } });
  const { model, train } = mae(0.75);
  // 196 patches: 49 are seen, and 98 at a half; the rest of what is kept does not change.
  const ofPatch = model.depth * model.embed_dim * (8 + model.mlp_ratio) * 4;
  expect(leastMemory(mae(0.5)) - leastMemory(mae(0.75))).toBeCloseTo(train.batch_size * 49 * ofPatch, -3);
});

/** Values of networks, and of buffers beside them, that a run holds. */
const heldBy = (config: RunConfig) => {
  const { parameters, buffers } = networkOf(config);
  return [...parameters, ...buffers].reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);
};
/** Another value of a field, as far from its default as it may be; none for what is no number, choice or switch. */
function otherValue({ kind, choices, default: value, meta, key }: ConfigField): unknown {
  if (kind === 'boolean') return !value;
  if (kind === 'choice') return choices!.find((one) => one !== value);
  // Heads divide the width, patches the side: half and twice do.
  if ((kind === 'integer' || kind === 'number') && typeof value === 'number')
    return key.startsWith('model.') || value >= 16 ? 2 * value : (meta.slider?.max ?? 2 * value + 1);
  return undefined;
}

test.each(METHODS)('$title: what changes its need of memory says so', (method) => {
  const missing: string[] = [];
  const changed: string[] = [];
  const base = parseRunConfig({ method: { name: method.name } });
  for (const field of configFields(method)) {
    const [section, name] = field.key.split('.') as [string, string];
    const read = schemaFor(base).safeParse({ method: { name: method.name }, [section]: { [name]: otherValue(field) } });
    if (otherValue(field) === undefined || !read.success) continue;
    const needs = (config: RunConfig) => [leastMemory(config), loaderMemory(config), heldBy(config)];
    const [before, after] = [needs(base), needs(read.data)];
    if (!after.some((need, i) => Math.abs(need / before[i]! - 1) > 0.01)) continue;
    changed.push(field.key);
    if (!field.meta.affects?.includes('memory')) missing.push(field.key);
  }
  expect(changed).toEqual(expect.arrayContaining(['model.embed_dim', 'train.batch_size', 'train.accumulation']));
  expect(missing).toEqual([]);
});
