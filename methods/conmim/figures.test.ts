import { describe, expect, test } from 'vitest';
import type { RunConfigInput } from '../../shared/config.ts';
import { lastStepsOf } from '../../shared/figures.ts';
import type { Metric } from '../../shared/run.ts';
import { metric } from '../../test/store/helpers.ts';
import { account, collapseOf } from './figures.ts';
import { conmimSchema } from './schema.ts';

const K = 64;
const configOf = (config: RunConfigInput = {}) =>
  conmimSchema.parse({
    ...config,
    model: { image_size: 64, patch_size: 8, ...config.model },
    mask: { unit: 16 },
    projector: { out: 64 },
  });
const FIGURES = {
  top1: 0.8,
  top5: 0.9,
  top1_control: 0.4,
  rank_student: 40,
  rank_teacher: 40,
  cosine_student: 0.01,
  cosine_teacher: 0.01,
};
type Given = { step?: number; loss?: number } & { [K in keyof typeof FIGURES]?: number | null };
/** Of a sound run, but for what is given. */
const steps = (n: number, at: (i: number) => Given = () => ({})): Metric[] =>
  Array.from({ length: n }, (_, i) => {
    const { step = 10 * (i + 1), loss = 2, ...figures } = at(i);
    return metric(step, { loss, figures: { ...FIGURES, ...figures } });
  });
const alarm = (metrics: Metric[], config?: RunConfigInput) =>
  account.alarm(lastStepsOf(metrics, account.charts), configOf(config));

describe('alarms', () => {
  test('a sound run has none, and neither has one that has just begun', () => {
    expect(alarm(steps(50))).toBeNull();
    expect(account.notes(steps(50), configOf())).toEqual([]);
    expect(alarm(steps(3, () => ({ loss: 9 })))).toBeNull();
    // What the first step measures is the untrained network.
    const first = (i: number) =>
      i === 0 ? { step: 1, rank_teacher: 1.5 } : { rank_teacher: null, cosine_teacher: null };
    expect(alarm(steps(12, first))).toBeNull();
  });

  test('a collapse is told by the figure that says so', () => {
    const few = alarm(steps(50, (i) => ({ rank_teacher: Math.max(2.96, 40 - i), cosine_teacher: 0.23 })))!;
    expect(few).toMatchObject({ kind: 'collapsed', level: 'alarm' });
    expect(few.text).toContain('2.96 of 64 directions');
    expect(few.text).not.toContain('cosine');
    expect(alarm(steps(50, () => ({ cosine_teacher: 0.95 })))!.text).toContain('mean cosine of 0.95');
  });

  test('the health report calls the same keys collapsed', () => {
    for (const rank of [1, 2.9, 3.19, 3.21, 9, 40]) {
      for (const cosine of [0, 0.89, 0.91]) {
        const inReport = collapseOf({ rank, cosine, width: 64, rows: 4096 }) !== null;
        const inWindow = alarm(steps(50, () => ({ rank_teacher: rank, cosine_teacher: cosine })))?.kind === 'collapsed';
        expect(inWindow).toBe(inReport);
      }
    }
  });

  test.each<[RunConfigInput, string, string]>([
    [{ momentum: { schedule: 'none' } }, 'momentum.schedule=cosine', 'momentum.start'],
    [{ contrast: { temperature: 5 } }, 'contrast.temperature is 5', 'momentum'],
    [{ optimizer: { lr: 0.02 } }, 'optimizer.lr is 0.02', 'momentum'],
    [{ views: { teacher: 'same' } }, 'views.teacher is same', 'momentum'],
    [{ momentum: { start: 0.5 } }, 'momentum.start is 0.5', 'schedule'],
    [{ optimizer: { clip_grad: null } }, 'optimizer.clip_grad is null', 'momentum'],
    [{ train: { batch_size: 2 } }, 'train.batch_size is 2', 'momentum'],
  ])('advice names what is unusual in the configuration: %j', (config, named, other) => {
    const collapsed = steps(50, () => ({ rank_teacher: 2, loss: 3 }));
    const { advice } = alarm(collapsed, config)!;
    expect(advice).toContain(named);
    expect(advice).not.toContain(other);
  });

  test('where nothing is unusual, advice names settings with what they are now', () => {
    const { advice } = alarm(steps(50, () => ({ rank_teacher: 2 })))!;
    expect(advice).toContain('momentum.start above 0.996');
    expect(advice).toContain('optimizer.lr (now 0.0005)');
  });

  test('worse than guessing, and nothing learned, are told apart', () => {
    expect(alarm(steps(50, () => ({ loss: 4.6 })))!.kind).toBe('worse-than-guessing');
    const still = alarm(steps(50, () => ({ loss: Math.log(K), top1: 0.016, top1_control: 0.016 })))!;
    expect(still.kind).toBe('not-learning');
    expect(still.advice).toContain('model.position is shared-relative-bias');
    const absolute = { model: { position: 'absolute' as const }, optimizer: { lr: 1e-3 } };
    expect(
      alarm(
        steps(50, () => ({ loss: Math.log(K) })),
        absolute,
      )!.advice,
    ).toContain('train.epochs');
  });

  test('among the keys of a batch a loss above ln K is no alarm, and one above ln(K·B) is', () => {
    const batch: RunConfigInput = { contrast: { dictionary: 'batch' }, train: { batch_size: 16 } };
    expect(
      alarm(
        steps(50, () => ({ loss: 5 })),
        batch,
      ),
    ).toBeNull(); // ln 64 is 4.16, ln 1024 is 6.93
    expect(
      alarm(
        steps(50, () => ({ loss: 7.2 })),
        batch,
      )!.text,
    ).toContain('ln(K·B) (6.93)');
    // Its look-ups cannot be held against a control among fewer keys.
    expect(
      account.notes(
        steps(50, () => ({ loss: 5, top1: 0.1, top1_control: 0.4 })),
        configOf(batch),
      ),
    ).toEqual([]);
  });
});

describe('notes', () => {
  test('a rank that falls and stays, with look-ups that forget position, is no alarm', () => {
    const forgets = steps(100, (i) => ({
      top1: 0.88 - 0.15 * (i / 100),
      top1_control: 0.46 - 0.24 * (i / 100),
      rank_teacher: 42 - 18 * (i / 100),
    }));
    expect(account.notes(forgets, configOf())).toMatchObject([
      { level: 'note', text: expect.stringContaining('not a collapse') },
    ]);
  });

  test('position alone is called so, with the setting that would show more content', () => {
    const [note] = account.notes(
      steps(50, () => ({ top1: 0.4, top1_control: 0.395 })),
      configOf(),
    );
    expect(note).toMatchObject({
      kind: 'position-alone',
      advice: expect.stringContaining('augment.crop_scale, now 0.08 to 1'),
    });
  });

  test('a loss that rises again while keys lose directions is an alarm, before it is a collapse', () => {
    const rises = (i: number) => ({
      loss: 1.7 + 0.7 * (i / 100),
      rank_teacher: 13.7 - 4.7 * (i / 100),
      top1_control: 0.1,
    });
    const shared: RunConfigInput = { momentum: { schedule: 'none' } };
    const [sign] = account.notes(steps(100, rises), configOf(shared));
    expect(sign).toMatchObject({
      kind: 'rising',
      level: 'alarm',
      advice: expect.stringContaining('momentum.schedule'),
    });
    expect(sign!.text).toContain('13.7 to 9.0');
    // A loss that only varies is none.
    expect(
      account.notes(
        steps(100, (i) => ({ loss: 2 + 0.2 * Math.sin(i), top1_control: 0.1 })),
        configOf(),
      ),
    ).toEqual([]);
  });
});

test('a query chooses among the patches of its image', () => {
  const config = conmimSchema.parse({ model: { image_size: 64, patch_size: 8 }, mask: { unit: 16 } });
  const { loss, words, figures } = account.chance(config);
  expect(figures).toEqual({ top1: 1 / 64, top5: 5 / 64, top1_control: 1 / 64 });
  expect([loss, words]).toEqual([expect.closeTo(4.158883, 6), 'ln K']); // ln 64
});

test('where the dictionary is the batch, among those of every image of it; its control still among one image’s', () => {
  const config = conmimSchema.parse({
    model: { image_size: 64, patch_size: 8 },
    mask: { unit: 16 },
    contrast: { dictionary: 'batch' },
    train: { batch_size: 32, accumulation: 4 },
  });
  const { loss, words, figures } = account.chance(config);
  expect(figures).toMatchObject({ top1: 1 / 2048, top1_control: 1 / 64 });
  expect([loss, words]).toEqual([expect.closeTo(7.624619, 6), 'ln(K·B)']); // ln 2048
  expect(account.chance(config, { batch: 4 }).figures.top1).toBe(1 / 256);
});
