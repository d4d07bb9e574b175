import { expect, test } from 'vitest';
import { maskedPatches, planNotices } from '../../electron/trainer/plan-notices.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';

const config = (over: Record<string, object> = {}) =>
  runConfigSchema.parse({
    ...over,
    model: { image_size: 32, patch_size: 8, ...over.model },
    mask: { unit: 8, ...over.mask },
    train: { batch_size: 8, ...over.train },
  });
const run = { images: 80, steps: 100, perEpoch: 10 };

test('settings that say what is done need no notice', () => {
  expect(planNotices(config(), run)).toEqual([]);
  expect(planNotices(runConfigSchema.parse({}), { images: 10_000, steps: 1000, perEpoch: 156.25 })).toEqual([]);
});

test('a warm-up that is longer than the run is said, in epochs and in steps', () => {
  const [notice, ...others] = planNotices(config(), { ...run, steps: 49 });
  expect(notice).toMatch(/^The warm-up of 50 steps is longer than the run of 49: .* optimizer\.warmup_epochs/);
  expect(others).toEqual([]);
  expect(planNotices(config(), { ...run, steps: 50 })).toEqual([]);
  expect(planNotices(config({ optimizer: { warmup_steps: 101 } }), run)).toHaveLength(1);
});

test('a step of more images than there are is said, with accumulation and crops', () => {
  expect(planNotices(config({ train: { batch_size: 200 } }), { images: 39, steps: 100, perEpoch: 0.195 })[0]).toMatch(
    /A step takes 200 images, and there are 39: each is in it 5\.1 times\. A batch_size of 39/,
  );
  const few = { ...run, images: 20 };
  expect(planNotices(config({ train: { accumulation: 3 } }), few)).toHaveLength(1);
  expect(planNotices(config({ train: { accumulation: 3, crops_per_image: 2 } }), few)).toEqual([]);
});

test('a mask that cannot have the share that was asked for is said; blocks are left alone, as is a fine-tuning', () => {
  const whole = config({ mask: { unit: 32, ratio: 0.5 } });
  expect(maskedPatches(whole)).toBe(15); // all but one, whatever the ratio says
  expect(planNotices(whole, run)[0]).toMatch(
    /15 of 16 patches are masked \(94 %\), and mask\.ratio is 0\.5: .*1 unit of mask\.unit=32/,
  );
  expect(planNotices(whole, run, false)).toEqual([]);
  expect(planNotices(config({ mask: { unit: 16, ratio: 0.6 } }), run)[0]).toContain('12 of 16'); // three of four units
  expect(planNotices(config({ mask: { kind: 'uniform', ratio: 0.1 }, model: { patch_size: 16 } }), run)[0]).toContain(
    'model.patch_size',
  );
  expect(planNotices(config({ mask: { kind: 'block', ratio: 0.1 } }), run)).toEqual([]);
});
