import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DESCRIPTIONS } from '../../methods/index.ts';
import { commonName, grouped, spreadWords } from '../../renderer/views/runs/groups.ts';
import { measures } from '../../renderer/views/runs/measures.ts';
import {
  arrange,
  cellWords,
  differing,
  records,
  settingsOf,
  tableCsv,
  tableOf,
} from '../../renderer/views/runs/table.ts';
import { chartSvg } from '../../shared/chart-svg.ts';
import type { RunRow } from '../../shared/contract/runs.ts';
import type { Evaluation } from '../../shared/evaluation.ts';
import { evaluationFigures, mistakesOf } from '../../shared/evaluation-figures.ts';
import { lineColour, lineDash } from '../../shared/palette.ts';
import { shortened } from '../../shared/words.ts';
import { evaluationResult } from '../harness/evaluation-result.ts';

const run = (id: number, name: string, loss: number | null): RunRow =>
  ({
    id,
    kind: 'pretrain',
    config: {},
    name,
    status: 'finished',
    dataset: 'tiles',
    preset: 'demo',
    step: 10,
    tags: [],
    notes: '',
    last: loss === null ? null : { loss, figures: { top1: 0.5 }, images_per_s: 9 },
  }) as unknown as RunRow;
const evaluation: Evaluation = {
  id: 1,
  checkpoint_id: 1,
  dataset_id: 1,
  task: 'knn',
  created_at: 0,
  result: evaluationResult({
    checkpoint: { id: 1, run_id: 2, step: 10 },
    dataset: 'tiles',
    test_dataset: 'test',
    chance: 0.1,
  }),
};

test('mistakes are the cells off the diagonal, the most frequent first', () => {
  const matrix = [
    [5, 2, 0],
    [3, 4, 0],
    [0, 0, 9],
  ];
  expect(mistakesOf(matrix, ['a', 'b', 'c'])).toEqual([
    { truth: 'b', taken: 'a', count: 3, share: 3 / 7 },
    { truth: 'a', taken: 'b', count: 2, share: 2 / 7 },
  ]);
});

test('what needs no network is named: guessing of look-ups, the largest class of classes', () => {
  const of = (task: Evaluation['task']) => evaluationFigures({ ...evaluation, task })[0]!.chance_of;
  expect([of('lookup'), of('knn'), of('linear'), of('finetune')]).toEqual([
    'guessing',
    'largest class',
    'largest class',
    'largest class',
  ]);
});

test('several measurements give one figure with its deviation; what is not measured yet is null', () => {
  const result = { ...evaluation.result, trained: { shots_5: 0.5, shots_5_sd: 0.02 }, untrained: undefined };
  expect(evaluationFigures({ ...evaluation, task: 'fewshot', result })).toMatchObject([
    { label: '5 known of each class', trained: 0.5, untrained: null, sd: { trained: 0.02 } },
  ]);
});

test('figures of evaluations stand beside those of the untrained network, under their run', () => {
  const { columns, rows } = tableOf([run(1, 'a', 1), run(2, 'b', 2)], [evaluation]);
  const key = 'k-NN, CLS token, tiles → test';
  expect(columns.map((column) => column.key)).toContain(key);
  expect(rows.map(({ cells }) => [cells[key] ?? null, cells[`${key} untrained`] ?? null])).toEqual([
    [null, null],
    [0.7, 0.4],
  ]);
});

test('checkpoints of a run that were evaluated have lines of their own, the newest is the run’s', () => {
  const older = structuredClone(evaluation);
  Object.assign(older.result, { checkpoint: { id: 0, run_id: 2, step: 4 }, trained: { cls: 0.5 } });
  const { rows } = tableOf([run(2, 'b', 2)], [older, evaluation]);
  const key = 'k-NN, CLS token, tiles → test';
  expect(rows.map(({ name, cells }) => [name, cells.step, cells[key], cells.loss ?? null])).toEqual([
    ['b', 10, 0.7, 2],
    ['b, checkpoint of step 4', 4, 0.5, null],
  ]);
});

test('rows are filtered by every word and sorted by figure or by name with its numbers; what lacks one comes last', () => {
  const { rows } = tableOf([run(1, 'run 10', 3), run(2, 'run 9', 1), run(3, 'other', null), run(4, 'run 11', 2)], []);
  const names = (...args: [string, string, boolean]) => arrange(rows, ...args).map(({ name }) => name);
  expect(names('', 'loss', false)).toEqual(['run 9', 'run 11', 'run 10', 'other']);
  expect(names('', 'loss', true)).toEqual(['run 10', 'run 11', 'run 9', 'other']);
  expect(names('RUN tiles', 'name', false)).toEqual(['run 9', 'run 10', 'run 11']);
});

test('losses of look-ups and of classes are no column together, and a speed has the digits that it is known to', () => {
  const tuned = { ...run(2, 'tuned', 0.7), kind: 'finetune', finetune: { start: 'trained' } } as unknown as RunRow;
  const { rows, columns } = tableOf([run(1, 'pretrained', 3), tuned], []);
  expect(rows.map(({ cells }) => [cells.loss, cells.supervised_loss])).toEqual([
    [3, undefined],
    [undefined, 0.7],
  ]);
  expect(columns.find(({ key }) => key === 'images_per_s')!.kind).toBe('speed');
});

test('a run of a method without look-ups has none, and curves are compared by what methods measure', () => {
  const drawn = { ...run(2, 'drawn', 0.6), config: { method: { name: 'mae' } } } as unknown as RunRow;
  const { rows, columns } = tableOf([run(1, 'looks up', 3), drawn], []);
  expect(columns.map(({ title }) => title)).toEqual(
    expect.arrayContaining(['Loss, ConMIM', 'Loss, MAE', 'Look-up', 'Control', 'Images/s']),
  );
  expect(rows.map(({ cells }) => [cells.loss, cells.mae_loss, cells.top1])).toEqual([
    [3, undefined, 0.5],
    [undefined, 0.6, undefined],
  ]);
  expect(tableOf([drawn], []).columns.map(({ title }) => title)).not.toContain('Look-up');
  const [conmim, mae, supervised] = ['conmim', 'mae', 'supervised'].map((name) =>
    DESCRIPTIONS.find((one) => one.name === name),
  );
  expect(Object.keys(measures([mae!]))).toEqual(['loss', 'spread', 'grad_norm', 'images_per_s', 'lr']);
  expect(measures([conmim!, supervised!])).toMatchObject({
    loss: { title: 'Loss', unit: 'nats' },
    top1: { title: 'Look-up, or accuracy', unit: '%', scale: 100 },
    rank_teacher: { unit: 'dimensions', scale: 1 },
    momentum: {},
  });
  expect(measures([conmim!, mae!]).loss!.unit).toBe('');
});

test('a name that is cut keeps its beginning and its end', () => {
  const [trained, untrained] = ['', ', untrained'].map((end) => `seed 1, fine-tuned on a dataset of a long name${end}`);
  expect(shortened(trained!, 40)).not.toBe(shortened(untrained!, 40));
  expect(shortened(untrained!, 40)).toHaveLength(40);
  expect(shortened('short', 40)).toBe('short');
  expect(shortened('🔥🔥🔥🔥', 3)).toBe('🔥…🔥');
});

test('500 runs are sorted and filtered quickly (the time is printed)', () => {
  const many = Array.from({ length: 500 }, (_, i) => run(i + 1, `run ${(i * 7919) % 500}`, Math.sin(i)));
  const began = performance.now();
  const { rows } = tableOf(many, []);
  const sorted = arrange(rows, 'run', 'loss', true);
  console.log(`500 runs: ${(performance.now() - began).toFixed(1)} ms`);
  expect(sorted).toHaveLength(500);
  expect(sorted[0]!.cells.loss as number).toBeGreaterThan(sorted[499]!.cells.loss as number);
});

test('the filter looks at notes and tags; settings that differ are columns, and sorted by their value', () => {
  const of = (id: number, steps: number, notes: string) =>
    ({ ...run(id, `run ${id}`, id), config: { train: { steps, seed: 0 } }, notes }) as unknown as RunRow;
  const { columns, rows } = tableOf([of(1, 100, ''), of(2, 20, 'as in the Paper'), of(3, 3, '')], []);
  expect(columns.filter(({ group }) => group === 'Settings that differ').map(({ title }) => title)).toEqual([
    'train.steps',
  ]);
  expect(arrange(rows, 'paper', 'name', false).map(({ id }) => id)).toEqual([2]);
  expect(arrange(rows, '', 'setting train.steps', false).map(({ id }) => id)).toEqual([3, 2, 1]);
});

test('how long: to the end, or to now where it goes on; not known of what never began', () => {
  const times = { started_at: 1000, ended_at: 61_000, created_at: 500 };
  const of = (changes: object) => tableOf([{ ...run(1, 'a', 1), ...times, ...changes }], [], 181_000).rows[0]!.cells;
  expect([of({}), of({ status: 'running', ended_at: null }), of({ started_at: null })].map((c) => c.duration)).toEqual([
    60_000,
    180_000,
    null,
  ]);
  expect(of({ started_at: null }).started).toBe(500);
  expect(cellWords({ kind: 'duration' }, 60_000)).toBe('1 min 0 s');
});

test('a file of the table has every setting, tags and notes, whatever is shown', () => {
  const whole = {
    ...run(7, 'a, b', 2),
    config: { train: { steps: 5, crop: [0.1, 1] } },
    tags: ['x', 'y'],
    notes: '=1+1',
    started_at: 0,
    ended_at: 1000,
  } as unknown as RunRow;
  const { rows, columns } = tableOf([whole], []);
  expect(records(rows, columns, [whole])).toMatchObject([
    {
      run: 7,
      name: 'a, b',
      tags: 'x, y',
      started: '1970-01-01T00:00:00.000Z',
      'train.steps': 5,
      'train.crop': '[0.1,1]',
    },
  ]);
  const [head, line] = tableCsv(rows, columns, [whole]).split('\r\n');
  expect(head).toMatch(
    /^run,name,status,health,dataset,method,preset,step,loss,.*tags,notes,.*train\.steps,train\.crop$/,
  );
  expect(line).toContain(`"a, b"`);
  expect(line).toContain(`'=1+1`); // no formula
});

test('runs of one recipe are one line, with the mean and its interval by Student’s t; others stay apart', () => {
  const of = (id: number, seed: number, lr: number, loss: number) =>
    ({
      ...run(id, `rate ${lr}, seed ${seed}`, loss),
      config: { train: { seed }, optimizer: { lr } },
    }) as unknown as RunRow;
  const runs = [of(1, 0, 0.1, 1), of(2, 1, 0.1, 2), of(3, 2, 0.1, 3), of(4, 0, 0.2, 9)];
  const { rows, columns } = tableOf(runs, []);
  const lines = (by: string, isOpen = false) =>
    grouped(
      rows,
      columns,
      by,
      ['loss', true],
      () => isOpen,
      (id) => runs.find((one) => one.id === id),
    );
  const groups = lines('seeds').map((line) => ('group' in line ? line.group : null)!);
  expect(groups.map(({ title, rows: own }) => [title, own.map(({ id }) => id)])).toEqual([
    ['rate 0.2, seed 0', [4]],
    ['rate 0.1', [1, 2, 3]],
  ]);
  const loss = columns.find(({ key }) => key === 'loss')!;
  // t of 0.975 with 2 degrees of freedom is 4.3027 (any table of it); 4.3027 / sqrt(3) = 2.484.
  expect(spreadWords(loss, groups[1]!.spreads.loss!).short).toBe('2.000 (-0.484 to 4.484)');
  expect(spreadWords(loss, groups[0]!.spreads.loss!)).toEqual({ short: '9.000', full: '9.000, of a single run' });
  expect(groups[1]!.cells).toMatchObject({ dataset: 'tiles', 'setting train.seed': '3 different' });
  expect(lines('dataset')).toHaveLength(1);
  // Of one name they say in what they differ.
  const alike = [...runs, of(5, 1, 0.2, 8)].map((one) => ({ ...one, name: `run ${one.id}` }));
  const renamed = tableOf(alike, []);
  const titles = grouped(
    renamed.rows,
    renamed.columns,
    'seeds',
    ['loss', true],
    () => false,
    (id) => alike.find((one) => one.id === id),
  );
  expect(titles.map((line) => ('group' in line ? line.group.title : ''))).toEqual([
    'run, optimizer.lr 0.2',
    'run, optimizer.lr 0.1',
  ]);
  expect(lines('setting optimizer.lr', true).map((line) => ('row' in line ? line.row.id : line.group.title))).toEqual([
    'optimizer.lr 0.2',
    4,
    'optimizer.lr 0.1',
    3,
    2,
    1,
  ]);
  expect(commonName(['a, seed 1', 'a, seed 12'])).toBe('a');
  expect(commonName(['tiles run', 'tiles run 2', 'tiles run 3'])).toBe('tiles run');
  expect(commonName(['🔥 x', '🔥 y'])).toBe('🔥');
  expect(commonName(['one', 'two'])).toBe('one');
});

test('only settings that differ', () => {
  const configs = [
    { train: { steps: 1, seed: 0 }, mask: { ratio: 0.5 } },
    { train: { steps: 2, seed: 0 }, mask: { ratio: 0.5 } },
  ];
  const maps = (all: object[]) => all.map((config) => settingsOf({ config, kind: 'pretrain' } as unknown as RunRow));
  expect(differing(maps(configs))).toEqual([{ key: 'train.steps', values: [1, 2] }]);
  // Of imported weights it is not known how they were trained; a setting that is new differs from one that lacks it.
  expect(differing(maps([...configs, { mask: { ratio: 0.6, unit: 2 } }]))).toEqual([
    { key: 'train.steps', values: [1, 2, undefined] },
    { key: 'mask.ratio', values: [0.5, 0.5, 0.6] },
    { key: 'mask.unit', values: [undefined, undefined, 2] },
  ]);
  expect(differing(maps([configs[0]!, { mask: { ratio: 0.5 } }]))).toEqual([]);
});

test('a chart for a paper: gaps left out, names escaped, curves of their own colours and dashes, as in the window', () => {
  const style = { colour: 3, dash: 1 };
  const { svg } = chartSvg('Loss', 'step', 'nats', [{ label: 'a < b', x: [0, 1, 2], y: [1, null, 3], style }]);
  expect(svg).toContain('a &lt; b');
  expect(/<polyline[^>]*points="([^"]*)"/.exec(svg)![1]!.split(' ')).toHaveLength(2);
  const looks = `stroke="${lineColour(style, 'light')}" stroke-dasharray="${lineDash(style).join(' ')}"`;
  expect(svg.split(looks)).toHaveLength(3); // the curve, and its sign in the legend
});

test('a chart for a paper is drawn of any values: every place is a number within it', () => {
  const number = fc.oneof(fc.double(), fc.constantFrom(0, 1e300, -1e300, 1e-300, Number.NaN, Infinity));
  const line = fc.record({ label: fc.string(), x: fc.array(number), y: fc.array(fc.oneof(number, fc.constant(null))) });
  fc.assert(
    fc.property(fc.array(line, { maxLength: 4 }), fc.constantFrom('step', 'time', 'linear'), (lines, kind) => {
      const { svg, width, height } = chartSvg('t', 'x', 'y', lines, kind as 'step');
      const drawn = svg.replaceAll(/<text[^>]*>[^<]*<\/text>/g, '');
      expect(drawn).not.toMatch(/NaN|Infinity|undefined/);
      for (const [, points] of svg.matchAll(/points="([^"]+)"/g)) {
        for (const [x, y] of points!.split(' ').map((point) => point.split(',').map(Number))) {
          expect(x! >= 0 && x! <= width).toBe(true);
          expect(y! >= 0 && y! <= height).toBe(true);
        }
      }
    }),
  );
});
