import { DESCRIPTIONS, describe } from '../../../methods/index.ts';
import type { RunRow } from '../../../shared/contract/runs.ts';
import type { Evaluation } from '../../../shared/evaluation.ts';
import { evaluationFigures } from '../../../shared/evaluation-figures.ts';
import { type FigureColumn, figureColumns } from '../../../shared/figures.ts';
import { naturalOrder } from '../../../shared/natural-order.ts';
import { folded } from '../../../shared/text.ts';
import { count, NETWORKS } from '../../../shared/words.ts';

/** A line of the table: figures by column, ready to be sorted; null where there is none. */
export interface Row {
  /** The run. */
  id: number;
  key: string;
  name: string;
  cells: Record<string, string | number | null>;
  /** Everything that the filter looks at, lower case. */
  text: string;
}

export interface Column {
  key: string;
  title: string;
  kind: 'text' | 'percent' | 'number' | 'count' | 'speed';
}

const FIRST: readonly Column[] = [
  { key: 'name', title: 'Name', kind: 'text' },
  { key: 'status', title: 'Status', kind: 'text' },
  { key: 'dataset', title: 'Dataset', kind: 'text' },
  { key: 'preset', title: 'Preset', kind: 'text' },
  { key: 'step', title: 'Step', kind: 'count' },
];
const SPEED: Column = { key: 'images_per_s', title: 'Images/s', kind: 'speed' };

/** Losses of different methods cannot be held against each other: each has a column of its own. The first method's is plain. */
const lossKey = (method: string) => (method === DESCRIPTIONS[0]!.name ? 'loss' : `${method}_loss`);

/** Columns that are there whatever was evaluated, for runs of these methods. */
function columnsFor(runs: readonly RunRow[]) {
  const names = new Set(runs.map((run) => describe(run).name));
  const present = DESCRIPTIONS.filter(({ name }, i) => names.has(name) || (names.size === 0 && i === 0));
  const losses = present.map(({ name, title }): Column => {
    return { key: lossKey(name), title: present.length === 1 ? 'Loss' : `Loss, ${title}`, kind: 'number' };
  });
  const figures = figureColumns(present, DESCRIPTIONS);
  const shown = figures.map(({ column, title, scale }): Column => {
    return { key: column, title, kind: scale === 'share' ? 'percent' : 'number' };
  });
  return { columns: [...FIRST, ...losses, ...shown, SPEED], figures };
}

type Cells = Record<string, number | null>;

/**
 * The table: a line for each run, with its last metrics and the figures of the newest checkpoint that was evaluated, and
 * one for each other checkpoint that was. Figures of the untrained network stand beside each.
 */
export function tableOf(runs: readonly RunRow[], evaluations: readonly Evaluation[]) {
  const fixed = columnsFor(runs);
  const columns = new Map(fixed.columns.map((column) => [column.key, column]));
  /** By run, then by step. */
  const figures = new Map<number, Map<number, Cells>>();
  for (const evaluation of evaluations) {
    const { run_id, step } = evaluation.result.checkpoint;
    if (run_id === null) continue; // its checkpoint was deleted: no line is its own
    const steps = figures.get(run_id) ?? new Map<number, Cells>();
    figures.set(run_id, steps);
    const cells = steps.get(step) ?? {};
    steps.set(step, cells);
    for (const { task, on, label, scale, trained, untrained, official } of evaluationFigures(evaluation)) {
      const title = `${task}, ${label}, ${on}`;
      const kind = scale === 'share' ? 'percent' : 'number';
      columns.set(title, { key: title, title, kind });
      columns.set(`${title} untrained`, { key: `${title} untrained`, title: 'untrained', kind });
      cells[title] = trained;
      cells[`${title} untrained`] = untrained;
      if (official !== null) {
        columns.set(`${title} ${NETWORKS.official}`, {
          key: `${title} ${NETWORKS.official}`,
          title: NETWORKS.official,
          kind,
        });
        cells[`${title} ${NETWORKS.official}`] = official;
      }
    }
  }
  const rows = runs.flatMap((run): Row[] => {
    const { id, name, status, dataset, preset, step, tags, notes, alarm } = run;
    const text = folded(`${name} ${status} ${alarm ? alarm.word : ''} ${dataset} ${preset} ${tags.join(' ')} ${notes}`);
    const steps = [...(figures.get(id) ?? [])].sort(([a], [b]) => b - a);
    const row = (key: string, label: string, cells: Row['cells']): Row => ({ id, key, name: label, cells, text });
    const of = { status: alarm ? `${status}, ${alarm.word}` : status, dataset, preset };
    return [
      row(`${id}`, name, { name, ...of, step, ...measured(run, fixed.figures), ...steps[0]?.[1] }),
      ...steps.slice(1).map(([at, cells]) => {
        const label = `${name}, checkpoint of step ${count(at)}`;
        return row(`${id} ${at}`, label, { name: label, ...of, step: at, ...cells });
      }),
    ];
  });
  return { columns: [...columns.values()], rows };
}

/** A run's last loss and main figures, under the columns that its method has. */
function measured(run: RunRow, columns: readonly FigureColumn[]): Cells {
  const { last } = run;
  const { name } = describe(run);
  const own = columns.filter(({ methods }) => methods.includes(name));
  return {
    [lossKey(name)]: last?.loss ?? null,
    ...Object.fromEntries(own.map(({ column, key }) => [column, last?.figures[key] ?? null])),
    images_per_s: last?.images_per_s ?? null,
  };
}

/** Rows that hold every word of the filter, in the order of a column; what has no figure comes last either way. */
export function arrange(rows: readonly Row[], filter: string, sort: string, descending: boolean): Row[] {
  const words = folded(filter).split(/\s+/).filter(Boolean);
  const kept = rows.filter(({ text }) => words.every((word) => text.includes(word)));
  const sign = descending ? -1 : 1;
  return kept.sort((a, b) => {
    const [x, y] = [a.cells[sort] ?? null, b.cells[sort] ?? null];
    if (x === null || y === null) return x === y ? b.id - a.id : x === null ? 1 : -1;
    const order = typeof x === 'number' && typeof y === 'number' ? x - y : naturalOrder(String(x), String(y));
    return order * sign || b.id - a.id;
  });
}

/**
 * Settings in which configurations differ: key, and each one's value. A section that one lacks is not known of it, and does
 * not differ.
 */
export function differing(configs: readonly object[]): { key: string; values: unknown[] }[] {
  const flat = configs.map((config) =>
    Object.fromEntries(
      Object.entries(config).flatMap(([section, fields]) =>
        Object.entries(fields as object).map(([field, value]) => [`${section}.${field}`, value]),
      ),
    ),
  );
  const keys = [...new Set(flat.flatMap((config) => Object.keys(config)))];
  return keys
    .map((key) => ({ key, values: flat.map((config) => config[key]) }))
    .filter(({ key, values }) => {
      const section = key.split('.', 1)[0]!;
      const known = values.filter((_, i) => section in configs[i]!);
      return new Set(known.map((value) => JSON.stringify(value))).size > 1;
    });
}
