import type { Evaluation, Metric } from '../../../shared/domain.ts';
import type { RunRow } from '../../../shared/ipc.ts';
import { evaluationFigures } from '../runs/figures.ts';

/** A line of the table: figures by column, ready to be sorted; null where there is none. */
export interface Row {
  id: number;
  name: string;
  cells: Record<string, string | number | null>;
  /** Everything that the filter looks at, lower case. */
  text: string;
}

export interface Column {
  key: string;
  title: string;
  kind: 'text' | 'percent' | 'number' | 'count';
}

const FIXED: Column[] = [
  { key: 'name', title: 'Name', kind: 'text' },
  { key: 'status', title: 'Status', kind: 'text' },
  { key: 'dataset', title: 'Dataset', kind: 'text' },
  { key: 'preset', title: 'Preset', kind: 'text' },
  { key: 'step', title: 'Step', kind: 'count' },
  { key: 'loss', title: 'Loss', kind: 'number' },
  { key: 'top1', title: 'Look-up', kind: 'percent' },
  { key: 'top1_control', title: 'Control', kind: 'percent' },
  { key: 'images_per_s', title: 'Images/s', kind: 'number' },
];

/** The table of runs: their last metrics, and the newest of each kind of evaluation beside the untrained network's. */
export function tableOf(runs: readonly RunRow[], evaluations: readonly (Evaluation & { run_id?: number | null })[]) {
  const columns = new Map(FIXED.map((column) => [column.key, column]));
  const figures = new Map<number, Record<string, number | null>>();
  for (const evaluation of evaluations) {
    const run = evaluation.run_id ?? (evaluation.result as { checkpoint?: { run_id?: number } }).checkpoint?.run_id;
    if (run === undefined || run === null) continue;
    const cells = figures.get(run) ?? {};
    figures.set(run, cells);
    for (const { task, on, label, trained, untrained } of evaluationFigures(evaluation)) {
      const title = `${task}, ${label}, ${on}`;
      columns.set(title, { key: title, title, kind: 'percent' });
      columns.set(`${title} untrained`, { key: `${title} untrained`, title: 'untrained', kind: 'percent' });
      cells[title] = trained;
      cells[`${title} untrained`] = untrained;
    }
  }
  const rows = runs.map((run): Row => {
    const { id, name, status, dataset, preset, step, last, tags, notes } = run;
    const cells = { name, status, dataset, preset, step, ...measured(last), ...figures.get(id) };
    return { id, name, cells, text: `${name} ${status} ${dataset} ${preset} ${tags.join(' ')} ${notes}`.toLowerCase() };
  });
  return { columns: [...columns.values()], rows };
}

const measured = (last: Metric | null) => ({
  loss: last?.loss ?? null,
  top1: last?.top1 ?? null,
  top1_control: last?.top1_control ?? null,
  images_per_s: last?.images_per_s ?? null,
});

/** Rows that hold every word of the filter, in the order of a column; what has no figure comes last either way. */
export function arrange(rows: readonly Row[], filter: string, sort: string, descending: boolean): Row[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const kept = rows.filter(({ text }) => words.every((word) => text.includes(word)));
  const collator = new Intl.Collator('en', { numeric: true });
  const sign = descending ? -1 : 1;
  return kept.sort((a, b) => {
    const [x, y] = [a.cells[sort] ?? null, b.cells[sort] ?? null];
    if (x === null || y === null) return x === y ? b.id - a.id : x === null ? 1 : -1;
    const order = typeof x === 'number' && typeof y === 'number' ? x - y : collator.compare(String(x), String(y));
    return order * sign || b.id - a.id;
  });
}

/** Settings in which configurations differ: key, and each one's value. */
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
    .filter(({ values }) => new Set(values.map((value) => JSON.stringify(value))).size > 1);
}
