import { DESCRIPTIONS, describe } from '../../../methods/index.ts';
import type { RunRow } from '../../../shared/contract/runs.ts';
import { csv } from '../../../shared/csv.ts';
import type { Evaluation } from '../../../shared/evaluation.ts';
import { evaluationFigures } from '../../../shared/evaluation-figures.ts';
import { type FigureColumn, figureColumns } from '../../../shared/figures.ts';
import { naturalOrder } from '../../../shared/natural-order.ts';
import { folded } from '../../../shared/text.ts';
import { count, dayAndTime, duration, fixed, NETWORKS, NONE, percent, setting } from '../../../shared/words.ts';

export type Cell = string | number | null;

/** A line of the table: figures by column, ready to be sorted; null where there is none. */
export interface Row {
  /** The run. */
  id: number;
  key: string;
  name: string;
  cells: Record<string, Cell>;
  /** Everything that the filter looks at, lower case. */
  text: string;
  /** Of a checkpoint that was evaluated, and is not the newest such of its run. */
  isOlder: boolean;
}

/** What columns belong together where they are chosen. */
export type ColumnGroup = 'Run' | 'Figures' | 'Evaluations' | 'Settings that differ';
export interface Column {
  key: string;
  title: string;
  kind: 'text' | 'percent' | 'number' | 'count' | 'speed' | 'duration' | 'date';
  group: ColumnGroup;
  /** In words, where the title is short. */
  about?: string;
  /** Shown where nobody has chosen. */
  isUsual: boolean;
}

const columnOf =
  (group: ColumnGroup) =>
  (key: string, title: string, kind: Column['kind'], isUsual = true, about = ''): Column => ({
    ...{ key, title, kind, group, isUsual },
    ...(about && { about }),
  });
const ofRun = columnOf('Run');
const ofFigures = columnOf('Figures');
const ofEvaluations = columnOf('Evaluations');
const ofSettings = columnOf('Settings that differ');

const FIRST: readonly Column[] = [
  ofRun('name', 'Name', 'text'),
  ofRun('status', 'Status', 'text'),
  ofRun('health', 'Health', 'text', true, 'What is to be said of it, by what its features are worth'),
  ofRun('dataset', 'Dataset', 'text'),
  ofRun('method', 'Method', 'text', false),
  ofRun('preset', 'Preset', 'text', false),
  ofRun('step', 'Step', 'count'),
];
const LAST: readonly Column[] = [
  ofFigures('images_per_s', 'Images/s', 'speed', false),
  ofRun('tags', 'Tags', 'text'),
  ofRun('notes', 'Notes', 'text', false),
  ofRun('duration', 'Duration', 'duration', true, 'From its start to its end, pauses too'),
  ofRun('started', 'Started', 'date', true, 'When it began; when it was made, where it waits'),
];
/** What begins the key of a setting's column. */
const SETTING = 'setting ';

/** Losses of different methods cannot be held against each other: each has a column of its own. The first method's is plain. */
const lossKey = (method: string) => (method === DESCRIPTIONS[0]!.name ? 'loss' : `${method}_loss`);

/** Columns of what runs of these methods measure. */
function figuresOf(runs: readonly RunRow[]) {
  const names = new Set(runs.map((run) => describe(run).name));
  const present = DESCRIPTIONS.filter(({ name }, i) => names.has(name) || (names.size === 0 && i === 0));
  const losses = present.map(({ name, title }) =>
    ofFigures(lossKey(name), present.length === 1 ? 'Loss' : `Loss, ${title}`, 'number'),
  );
  const figures = figureColumns(present, DESCRIPTIONS);
  const shown = figures.map(({ column, title, scale, about }) =>
    ofFigures(column, title, scale === 'share' ? 'percent' : 'number', true, about),
  );
  return { columns: [...losses, ...shown], figures };
}

type Cells = Record<string, number | null>;

const known = new WeakMap<object, ReadonlyMap<string, unknown>>();
/**
 * Settings of a run by their dotted keys. A file of weights says what the network is, and nothing of how it was trained.
 */
export function settingsOf({ config, kind }: Pick<RunRow, 'config' | 'kind'>): ReadonlyMap<string, unknown> {
  let found = known.get(config);
  if (!found) {
    const { model, projector } = config;
    const said: object = kind === 'imported' ? { model, projector } : config;
    found = new Map(
      Object.entries(said).flatMap(([section, fields]) =>
        Object.entries((fields ?? {}) as object).map(([field, value]) => [`${section}.${field}`, value] as const),
      ),
    );
    known.set(config, found);
  }
  return found;
}
const asCell = (value: unknown): Cell =>
  value === undefined ? null : typeof value === 'number' ? value : setting(value);

/** When it began and how long it took: until now, where it goes on. */
function timesOf({ started_at, ended_at, created_at, status }: RunRow, now: number) {
  const end = status === 'running' ? now : ended_at;
  const isOver = started_at !== null && end !== null;
  return { started: started_at ?? created_at, duration: isOver ? Math.max(0, end - started_at) : null };
}

/**
 * The table: a line for each run, with its last metrics and the figures of the newest checkpoint that was evaluated, and
 * one for each other checkpoint that was. Figures of the untrained network stand beside each; last come settings that differ.
 */
export function tableOf(runs: readonly RunRow[], evaluations: readonly Evaluation[], now = Date.now()) {
  const measures = figuresOf(runs);
  const found = new Map<string, Column>();
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
      const add = (key: string, words: string, value: number | null) => {
        found.set(key, ofEvaluations(key, words, scale === 'share' ? 'percent' : 'number', true, key));
        cells[key] = value;
      };
      add(title, title, trained);
      add(`${title} untrained`, 'untrained', untrained);
      if (official !== null) add(`${title} ${NETWORKS.official}`, NETWORKS.official, official);
    }
  }
  const settings = differing(runs.map(settingsOf)).map(({ key }) => key);
  const rows = runs.flatMap((run): Row[] => {
    const { id, name, status, dataset, preset, step, tags, notes, alarm, health } = run;
    const method = describe(run).title;
    const text = folded(
      [name, status, alarm?.word ?? '', health?.word ?? '', dataset, method, preset, ...tags, notes]
        .map((part) => part ?? '')
        .join(' '),
    );
    const steps = [...(figures.get(id) ?? [])].sort(([a], [b]) => b - a);
    const own = settingsOf(run);
    const shared = {
      ...{ status, health: (health ?? alarm)?.word ?? null, dataset, method, preset },
      ...{ tags: tags.join(', ') || null, notes: notes || null, ...timesOf(run, now) },
      ...Object.fromEntries(settings.map((key) => [SETTING + key, asCell(own.get(key))])),
    };
    const row = (key: string, label: string, isOlder: boolean, cells: Row['cells']): Row => ({
      ...{ id, key, name: label, text, isOlder },
      cells: { name: label, ...shared, ...cells },
    });
    return [
      row(`${id}`, name, false, { step, ...measured(run, measures.figures), ...steps[0]?.[1] }),
      ...steps
        .slice(1)
        .map(([at, cells]) =>
          row(`${id} ${at}`, `${name}, checkpoint of step ${count(at)}`, true, { step: at, ...cells }),
        ),
    ];
  });
  const ofSetting = settings.map((key) => ofSettings(SETTING + key, key, 'text', false));
  return { columns: [...FIRST, ...measures.columns, ...found.values(), ...LAST, ...ofSetting], rows };
}

/** A cell as people read it. */
export function cellWords({ kind }: Pick<Column, 'kind'>, value: Cell | undefined): string {
  if (value === null || value === undefined) return NONE;
  if (typeof value === 'string') return value;
  if (kind === 'text') return String(value);
  if (kind === 'date') return dayAndTime(value);
  if (kind === 'duration') return duration(value);
  if (kind === 'speed') return fixed(value, 1);
  return kind === 'percent' ? percent(value) : kind === 'count' ? count(value) : fixed(value, 3);
}

/** Lines of the table as a file has them: every column, and every setting, of those that are shown. */
export function records(rows: readonly Row[], columns: readonly Column[], runs: readonly RunRow[]) {
  const byId = new Map(runs.map((run) => [run.id, run]));
  const kept = columns.filter(({ key }) => !key.startsWith(SETTING));
  const settings = [...new Set(runs.flatMap((run) => [...settingsOf(run).keys()]))];
  return rows.map(({ id, cells }) => {
    const own = settingsOf(byId.get(id)!);
    const time = (value: Cell | undefined) => (typeof value === 'number' ? new Date(value).toISOString() : null);
    return {
      run: id as Cell,
      ...Object.fromEntries(
        kept.map(({ key, kind }) => [key, kind === 'date' ? time(cells[key]) : (cells[key] ?? null)]),
      ),
      ...Object.fromEntries(settings.map((key) => [key, asCell(own.get(key))])),
    };
  });
}

/** The same as CSV. */
export function tableCsv(...of: Parameters<typeof records>): string {
  const all = records(...of);
  const keys = Object.keys(all[0] ?? { run: null });
  return csv(
    keys,
    all.map((record) => keys.map((key) => (record as Record<string, Cell>)[key])),
  );
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

/** Rows that hold every word of the filter, in the order of a column. */
export function arrange(rows: readonly Row[], filter: string, sort: string, descending: boolean): Row[] {
  const words = folded(filter).split(/\s+/).filter(Boolean);
  return sorted(
    rows.filter(({ text }) => words.every((word) => text.includes(word))),
    sort,
    descending,
  );
}

/** In the order of a column; what has no figure comes last either way, and of equals the newest first. */
export function sorted<R extends Pick<Row, 'id' | 'cells'>>(rows: readonly R[], key: string, descending: boolean): R[] {
  const sign = descending ? -1 : 1;
  return rows.toSorted((a, b) => {
    const [x, y] = [a.cells[key] ?? null, b.cells[key] ?? null];
    if (x === null || y === null) return x === y ? b.id - a.id : x === null ? 1 : -1;
    const order = typeof x === 'number' && typeof y === 'number' ? x - y : naturalOrder(String(x), String(y));
    return order * sign || b.id - a.id;
  });
}

/**
 * Settings in which configurations differ: key, and each one's value. A section that one lacks is not known of it, and does
 * not differ.
 */
export function differing(all: readonly ReadonlyMap<string, unknown>[]): { key: string; values: unknown[] }[] {
  const keys = new Set(all.flatMap((one) => [...one.keys()]));
  const sections = new Map(all.map((one) => [one, new Set([...one.keys()].map((key) => key.split('.', 1)[0]!))]));
  const text = (value: unknown) => (typeof value === 'object' ? JSON.stringify(value) : value);
  return [...keys].flatMap((key) => {
    const section = key.split('.', 1)[0]!;
    const first = all.find((one) => sections.get(one)!.has(section))!;
    const own = text(first.get(key));
    const isSame = all.every((one) => !sections.get(one)!.has(section) || text(one.get(key)) === own);
    return isSame ? [] : [{ key, values: all.map((one) => one.get(key)) }];
  });
}
