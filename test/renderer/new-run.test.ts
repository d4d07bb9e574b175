import { describe, expect, test } from 'vitest';
import { configFields } from '../../electron/services/recipes/configuration.ts';
import { method } from '../../methods/conmim/method.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { METHODS, schemaFor } from '../../methods/index.ts';
import { linePath, nearest, softmax } from '../../renderer/views/new-run/chart.ts';
import {
  affectsWords,
  groupFields,
  labelOf,
  nudge,
  parseNumber,
  show,
  sliderInput,
  sliderOf,
  sliderValue,
  writeNumber,
} from '../../renderer/views/new-run/fields.ts';
import { combinations, parseAxes, parseValues, withAxis, writeAxes } from '../../renderer/views/new-run/grid.ts';
import {
  costKey,
  diskOf,
  labChanges,
  offered,
  overPreset,
  parseChanges,
  problemsOf,
  secondsOf,
  slug,
  spread,
  valueAt,
  withChange,
} from '../../renderer/views/new-run/recipe.ts';
import type { PresetRow } from '../../shared/contract/recipes.ts';

const config = runConfigSchema.parse({ mask: { ratio: 0.6 } });
const preset: PresetRow = { name: 'p', title: '', source: '', meant_for: '', own: false, config };
const fields = configFields(method);
const field = (key: string) => fields.find((f) => f.key === key)!;

describe('changes over a preset', () => {
  test('a value that the preset says anyway is no change', () => {
    const changes = withChange(preset, {}, 'mask.ratio', 0.75);
    expect(changes).toEqual({ 'mask.ratio': 0.75 });
    expect(valueAt(preset, changes, 'mask.ratio')).toBe(0.75);
    expect(valueAt(preset, {}, 'mask.ratio')).toBe(0.6);
    expect(withChange(preset, changes, 'mask.ratio', 0.6)).toEqual({});
    expect(withChange(preset, {}, 'augment.crop_scale', [0.08, 1])).toEqual({});
    expect(withChange(preset, {}, 'optimizer.clip_grad', null)).toEqual({ 'optimizer.clip_grad': null });
  });
  test('what another preset says already is dropped', () => {
    expect(overPreset(preset, { 'mask.ratio': 0.6, 'mask.unit': 16 })).toEqual({ 'mask.unit': 16 });
  });
  test.each([
    ['{"mask.ratio":0.5}', { 'mask.ratio': 0.5 }],
    ['{"mask.ra', {}],
    ['[1]', {}],
    ['null', {}],
    [undefined, {}],
  ])('the address %s gives %o', (text, changes) => expect(parseChanges(text)).toEqual(changes));
  test('the lab follows from views, crop and mask alone', () => {
    const changes = {
      'mask.ratio': 0.5,
      'optimizer.lr': 'x',
      'model.depth': 0,
      'model.patch_size': 8,
      'train.seed': 3,
    };
    expect(Object.keys(labChanges(changes, fields))).toEqual(['mask.ratio', 'model.patch_size', 'train.seed']);
  });
});

describe('what follows', () => {
  test('more epochs need no other measurement; a wider model, products in bf16 and recomputation do', () => {
    const other = (input: object) => costKey(runConfigSchema.parse({ mask: { ratio: 0.6 }, ...input }), fields);
    expect(other({ train: { epochs: 7 } })).toBe(costKey(config, fields));
    for (const input of [
      { model: { embed_dim: 768 } },
      { train: { mixed_precision: 'on' } },
      { train: { recompute: true } },
      { contrast: { dictionary: 'batch' } },
      { train: { accumulation: 2 } }, // what the loader holds, not the speed
      { data: { queue: 9 } },
    ])
      expect(other(input)).not.toBe(costKey(config, fields));
  });
  test('what a field changes is said beside it', () => {
    expect(affectsWords(field('train.batch_size').meta)).toBe('changes speed and memory');
    expect(affectsWords(field('model.image_size').meta)).toBe('changes speed, memory and views');
    expect(affectsWords(field('data.queue').meta)).toBe('changes memory');
    expect(affectsWords(field('optimizer.lr').meta)).toBe('');
  });
  test('seconds: 100 steps of 2 × 32 images at 64 images/s', () => {
    const c = runConfigSchema.parse({ train: { batch_size: 32, accumulation: 2 } });
    expect(secondsOf(c, 100, 64)).toBe(100);
  });
  test('disk: two whole checkpoints, the best at half, and one at half every 10 of 30 epochs', () => {
    const plan = { steps: 300, steps_per_epoch: 10, checkpoint_bytes: 100 };
    const c = (keep_every_epochs: number | null) => runConfigSchema.parse({ checkpoint: { keep_every_epochs } });
    expect(diskOf(c(null), plan)).toBe(250);
    expect(diskOf(c(10), plan)).toBe(450);
  });
  test('images are spread, distinct, and others from another place', () => {
    expect(spread(100, 4, 0)).toEqual([0, 25, 50, 75]);
    expect(spread(100, 4, 30)).toEqual([30, 55, 80, 5]);
    expect(spread(3, 4, 1)).toEqual([1, 2, 0]);
    expect(spread(0, 4, 0)).toEqual([]);
  });
});

test("a preset's name from its title", () => expect(slug(' Über Mask 0.6! ')).toBe('ber-mask-0-6'));

test('a problem of a part is its field’s, and offers its nearest value', () => {
  const problem = (key: string, message: string, next = '') => ({ key, message, next });
  const all = [problem('augment.crop_scale.0', ''), problem('augment.crop_scale_x', '')];
  expect(problemsOf(all, 'augment.crop_scale')).toEqual([all[0]]);
  expect(offered(problem('mask.unit', 'must be a multiple; nearest: 8'))).toBe(8);
  expect(offered(problem('k', '', 'The nearest valid value of k is 1.'))).toBe(1);
  expect(offered(problem('k', '', 'The nearest valid value of k is 0.9.'))).toBe(0.9);
  expect(offered(problem('k', '', 'The nearest valid value of k is "strong"; all: strong.'))).toBe('strong');
  expect(offered(problem('k', '', 'The nearest valid value of k is just above 0.'))).toBeUndefined();
  expect(offered(problem('k', 'nearest: undefined'))).toBeUndefined();
});

describe('fields', () => {
  test('every field is in one group; views come first', () => {
    const groups = groupFields(fields, '', method.titles);
    expect(groups.flatMap((g) => g.fields)).toHaveLength(fields.length);
    expect(groups[0]!.name).toBe('views');
    expect(groupFields([{ ...fields[0]!, key: 'later.thing' }], '', method.titles).at(-1)!.title).toBe('later');
  });
  test('search looks in names and meanings', () => {
    const found = (text: string) => groupFields(fields, text, method.titles).flatMap((g) => g.fields.map((f) => f.key));
    expect(found('mask ratio')).toContain('mask.ratio');
    expect(found('t_momentum')).toEqual(['momentum.start']);
    expect(found('no such words')).toEqual([]);
  });
  test('labels', () => {
    expect(labelOf('augment.crop_scale')).toBe('Crop scale');
    expect(labelOf('optimizer.lr')).toBe('Peak learning rate');
  });
  test.each([
    ['1e-5', 1e-5],
    [' 0.5 ', 0.5],
    ['0,5', 0.5],
    ['3/4', 0.75],
    ['abc', 'abc'],
    ['', ''],
    ['1.2.3', '1.2.3'],
    ['Infinity', 'Infinity'],
  ])('typed %j is %j', (text, value) => expect(parseNumber(text)).toBe(value));
  test('numbers are written as a person would', () => {
    expect(show(null)).toBe('none');
    expect(show([0.75, 4 / 3])).toBe('0.75 – 1.333');
    expect(writeNumber(1e-8)).toBe('1e-8');
    expect(writeNumber(0.0005)).toBe('0.0005');
    expect(writeNumber(0)).toBe('0');
  });
  test('sliders: linear, logarithmic, or none for an epsilon', () => {
    const lr = sliderOf(field('optimizer.lr'))!;
    expect(sliderValue(lr, sliderInput(lr, 5e-4).value)).toBeCloseTo(5e-4, 5);
    expect(sliderInput(lr, 0).value).toBe(0);
    expect(sliderOf(field('augment.gray'))).toEqual({ min: 0, max: 1, step: 0.01 });
    expect(sliderOf(field('model.layer_norm_eps'))).toBeNull();
  });
  test('arrow keys go on by a step of the slider, or by the second digit', () => {
    expect(nudge(0.75, 1, sliderOf(field('mask.ratio')), false)).toBe(0.76);
    expect(nudge(3, -1, null, true)).toBe(2);
    expect(nudge(0.002, 1, sliderOf(field('optimizer.lr')), false)).toBe(0.0021);
  });
});

describe('ablations', () => {
  test.each([
    ['0.4, .6,0.75', [0.4, 0.6, 0.75]],
    ['strong, weak, strong', ['strong', 'weak']],
    [
      '[0.1, 0.5], [0.2, 1]',
      [
        [0.1, 0.5],
        [0.2, 1],
      ],
    ],
    ['true, null,,', [true, null]],
    ['', []],
  ])('values of %j', (text, values) => expect(parseValues(text)).toEqual(values));
  test('every combination; the last axis changes first', () => {
    const axes = [
      { key: 'a', text: '1, 2' },
      { key: 'b', text: 'x, y' },
    ];
    expect(combinations(axes).map((c) => c.map((part) => part.value).join(''))).toEqual(['1x', '1y', '2x', '2y']);
    expect(combinations([axes[0]!, { key: 'b', text: '' }])).toHaveLength(2);
    expect(combinations([])).toEqual([]);
  });
  test('at most two axes; the same field once', () => {
    const [a, b, c] = method.ablations.map(({ key, values }) => ({ key, text: values })) as [never, never, never];
    expect(withAxis(withAxis(withAxis([], a), b), c)).toEqual([b, c]);
    expect(withAxis([a], { ...(a as object), text: '1' } as never)).toHaveLength(1);
  });
  test('through the address and back', () => {
    const axes = [{ key: 'mask.ratio', text: '0.4, 0.6' }];
    expect(parseAxes(writeAxes(axes)!)).toEqual(axes);
    expect(writeAxes([])).toBeNull();
    expect(parseAxes('[[1')).toEqual([]);
    expect(parseAxes('[[1, 2]]')).toEqual([]);
  });
  test.each(METHODS)("$title: the paper's ablations are of fields that exist, with values that they take", (method) => {
    const known = configFields(method).map(({ key }) => key);
    expect(method.ablations.length).toBeGreaterThan(2);
    for (const { key, values } of method.ablations) {
      const [section, name] = key.split('.') as [string, string];
      expect(known).toContain(key);
      for (const value of parseValues(values))
        expect(
          schemaFor({ method }).safeParse({ method: { name: method.name }, [section]: { [name]: value } }).success,
          `${key} ${value}`,
        ).toBe(true);
    }
  });
});

describe('charts', () => {
  test('a line from the lower left to the upper right', () => {
    expect(linePath([0, 1], [0, 1], 10, 20)).toBe('M0.0 20.0L10.0 0.0');
    expect(nearest([0, 10, 20], 14)).toBe(1);
  });
  test('a lower temperature sharpens', () => {
    const [warm, cold] = [softmax([0.7, 0.5], 1), softmax([0.7, 0.5], 0.05)];
    expect(warm.reduce((a, b) => a + b)).toBeCloseTo(1);
    expect(warm[0]).toBeCloseTo(1 / (1 + Math.exp(-0.2)));
    expect(cold[0]).toBeCloseTo(1 / (1 + Math.exp(-4)));
  });
});
