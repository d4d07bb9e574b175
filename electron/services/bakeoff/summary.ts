import type {
  BakeOff,
  BakeOffRow,
  BakeOffRun,
  BakeOffState,
  BakeOffSummary,
  BakeOffTask,
  Cell,
  Column,
  Pair,
  SummaryRun,
  TableRow,
} from '../../../shared/bakeoff.ts';
import { shownIn } from '../../../shared/bakeoff-words.ts';
import type { DamagedRow } from '../../../shared/damaged-row.ts';
import type { Evaluation, Scores } from '../../../shared/evaluation.ts';
import { LABEL_FREE, labelOf, TASKS } from '../../../shared/evaluation-figures.ts';
import { PACE_STEPS, paceOf } from '../../../shared/pace.ts';
import { compare, seedsInWords, spreadOf } from '../../../shared/statistics.ts';
import { capital, percent, plural } from '../../../shared/words.ts';
import { orElse } from '../../store/json.ts';
import type { Store } from '../../store/store.ts';
import { listEach } from '../ground/list-each.ts';
import { foundOf } from './work.ts';

type Judging = Exclude<BakeOffTask, 'labelfree'> | 'finetune';
/** Figures of an evaluation that are shown at once: of few-shot k-NN the first of these that was measured. */
const MAIN: Record<Exclude<Judging, 'finetune'>, readonly string[]> = {
  knn: ['mean_pooled'],
  linear: ['mean_pooled'],
  fewshot: ['shots_5', 'shots_2', 'shots_1'],
};
const ABOUT: Record<Judging, string> = {
  knn: 'Accuracy of nearest neighbours in frozen features.',
  linear: 'Accuracy of a linear classifier on frozen features.',
  fewshot: 'Accuracy of nearest neighbours among a few known images of each class, drawn ten times.',
  finetune: 'Accuracy of the whole network, trained with labels.',
};
const SPREAD = '_sd';
/** Of the figures without labels, those that are shown at once. */
const MAIN_LABEL_FREE = ['rankme', 'lidar'];

/** All that the page of a bake-off shows, as far as it has come. @throws AppError not-found */
export function summaryOf(store: Store, id: number): BakeOffSummary {
  const bakeOff = store.bakeOffs.get(id);
  const found = new Figures(store, bakeOff);
  const columns = found.columns();
  const rows = found.rows(columns);
  const pairs = pairsOf(columns, rows);
  const { runs, ...kept } = bakeOff;
  return {
    ...kept,
    columns,
    rows,
    pairs,
    findings: findingsOf(columns, rows, pairs),
    notices: [...bakeOff.plan.notices, ...found.notices(), ...damageOf(store, bakeOff)],
    runs: runs.map((run): SummaryRun => {
      const { name, status, step, total_steps } = store.runs.head(run.run_id);
      return { ...run, name, status, step, total_steps };
    }),
    ...progressOf(store, bakeOff),
    failed: failuresOf(store, bakeOff),
  };
}

/** Which of its runs are damaged. */
function damageOf(store: Store, { runs }: BakeOff): string[] {
  const ids = new Set(runs.map(({ run_id }) => run_id));
  return store.runs.damaged().flatMap(({ id, error }) => (ids.has(id) ? [`${error.what} ${error.why}`] : []));
}

/** Every bake-off that can be read, the newest first. */
export const bakeOffRows = (store: Store): BakeOffRow[] => rowsOf(store).rows;

/** The others. */
export const damagedBakeOffs = (store: Store): DamagedRow[] => rowsOf(store).damaged;

const rowsOf = (store: Store) =>
  listEach(store.bakeOffs, (bakeOff) => ({
    id: bakeOff.id,
    name: bakeOff.name,
    created_at: bakeOff.created_at,
    dataset: bakeOff.plan.dataset,
    methods: bakeOff.plan.entries.map(({ title }) => title),
    ...progressOf(store, bakeOff),
  }));

/** Runs and evaluations: how many are done, and whether the rest goes on by itself. */
function progressOf(store: Store, bakeOff: BakeOff): { state: BakeOffState; done: number; total: number } {
  const { plan, asked, runs } = bakeOff;
  const states = runs.map((link) => ({ ...link, ...store.runs.head(link.run_id) }));
  const finished = states.filter(({ status }) => status === 'finished');
  const evaluated = runs
    .filter(({ role }) => role === 'pretrain')
    .reduce((sum, { run_id }) => sum + asked.tasks.filter((task) => foundOf(store, bakeOff, run_id, task)).length, 0);
  const done = finished.length + evaluated;
  const total = plan.runs + plan.labelled_runs + plan.evaluations;
  const ids = new Set(runs.map(({ run_id }) => run_id));
  const isGoing =
    store.bakeOffs.isHeld(bakeOff.id) ||
    states.some(
      ({ status, queue_position, run_id }) =>
        status === 'running' || (status === 'queued' && (queue_position !== null || store.runs.isHeld(run_id))),
    ) ||
    finished.some(({ role, is_tended }) => role === 'pretrain' && !is_tended) ||
    store.queuedEvaluations.list().some(({ run_id, error }) => error === null && ids.has(run_id));
  return { state: done >= total ? 'finished' : isGoing ? 'going' : 'halted', done, total };
}

function failuresOf(store: Store, { runs }: BakeOff): BakeOffSummary['failed'] {
  const ids = new Set(runs.map(({ run_id }) => run_id));
  return store.queuedEvaluations
    .list()
    .flatMap(({ run_id, task, error }) =>
      error && ids.has(run_id)
        ? [{ name: `${capital(TASKS[task])} of ${store.runs.head(run_id).name}`, what: error.what }]
        : [],
    );
}

/** What the runs and evaluations of a bake-off have given. */
class Figures {
  readonly #store: Store;
  readonly #bakeOff: BakeOff;
  /** By task, of each pretraining. */
  readonly #found = new Map<BakeOffTask, { entry: number; seed: number; evaluation: Evaluation }[]>();
  /** Of trainings with labels: whose, and what they gave. */
  readonly #labelled: { role: string; entry: number; seed: number; scores: Scores; evaluation: Evaluation }[];

  constructor(store: Store, bakeOff: BakeOff) {
    this.#store = store;
    this.#bakeOff = bakeOff;
    const pretrained = bakeOff.runs.filter(({ role }) => role === 'pretrain');
    for (const task of bakeOff.asked.tasks)
      this.#found.set(
        task,
        pretrained.flatMap(({ run_id, entry, seed }) => {
          const evaluation = foundOf(store, bakeOff, run_id, task);
          return evaluation ? [{ entry, seed, evaluation }] : [];
        }),
      );
    const tunings = pretrained
      .flatMap(({ run_id }) => store.evaluations.list({ run_id }))
      .filter(({ task }) => task === 'finetune');
    this.#labelled = bakeOff.runs.flatMap(({ run_id, role, entry, seed }) => {
      const start = role === 'supervised' ? 'untrained' : 'trained';
      const evaluation = tunings.find(({ result }) => result.runs?.[start]?.id === run_id);
      const scores = evaluation?.result[start];
      return role === 'pretrain' || !scores ? [] : [{ role, entry, seed, scores, evaluation }];
    });
  }

  columns(): Column[] {
    const { asked } = this.#bakeOff;
    const share = (task: Judging, key: string, isMain: boolean): Column => ({
      key: `${task} ${key}`,
      title: `${capital(TASKS[task])}, ${labelOf(key)}`,
      scale: 'share',
      isMain,
      isHigherBetter: true,
      about: ABOUT[task],
    });
    const ofTasks = asked.tasks.flatMap((task) => {
      if (task === 'labelfree') return Object.keys(LABEL_FREE).map(withoutLabels);
      const known = new Set(
        this.#found.get(task)!.flatMap(({ evaluation }) => Object.keys(evaluation.result.trained ?? {})),
      );
      const keys = [...known].filter((key) => !key.endsWith(SPREAD));
      const main = MAIN[task].find((key) => keys.includes(key)) ?? MAIN[task][0]!;
      return (keys.length > 0 ? keys : [main]).map((key) => share(task, key, key === main));
    });
    const hasLabelled = asked.supervised || asked.finetune !== null;
    const keys = [...new Set(this.#labelled.flatMap(({ scores }) => Object.keys(scores)))];
    const ofLabels = !hasLabelled ? [] : keys.length > 0 ? keys : ['accuracy'];
    return [
      ...ofTasks,
      ...ofLabels.map((key) => share('finetune', key, key === 'accuracy')),
      {
        key: 'images_per_s',
        title: 'Images/s',
        scale: 'number',
        isMain: true,
        isHigherBetter: true,
        about: `Of the last ${PACE_STEPS} steps of a pretraining.`,
      },
      {
        key: 'memory',
        title: 'Memory',
        scale: 'bytes',
        isMain: true,
        isHigherBetter: false,
        about: 'The most that the process of a pretraining had resident.',
      },
    ];
  }

  rows(columns: readonly Column[]): TableRow[] {
    const { plan, asked } = this.#bakeOff;
    const row = (
      kind: TableRow['kind'],
      title: string,
      entry: number | null,
      of: (column: string) => Cell['values'],
      starts: readonly number[] = [],
    ): TableRow => {
      const cells = columns.flatMap(({ key }) => {
        const values = of(key);
        const spread = spreadOf(values.map(({ value }) => value));
        return spread ? [[key, { values, spread }] as const] : [];
      });
      return { kind, title, entry, starts, cells: Object.fromEntries(cells) };
    };
    const frozen = asked.tasks.length > 0;
    const starts = frozen ? this.#starts(columns) : [];
    const named = (entries: readonly number[]) =>
      starts.length === 1 ? 'Untrained' : `Untrained: ${entries.map((entry) => plan.entries[entry]!.title).join(', ')}`;
    return [
      ...plan.entries.map(({ title }, entry) => row('method', title, entry, (key) => this.#ofMethod(entry, key))),
      ...starts.map((entries) =>
        row('untrained', named(entries), null, (key) => this.#frozen(key, entries[0]!, 'untrained'), entries),
      ),
      ...(asked.supervised
        ? [row('supervised', 'With labels, from scratch', null, (key) => this.#supervised(key))]
        : []),
      ...(asked.pixels && frozen ? [row('pixels', 'Raw pixels', null, (key) => this.#pixels(key))] : []),
    ];
  }

  /**
   * Entries that begin as the same network. The encoder is of one size, but each method says how it knows places and how its
   * weights are drawn, which makes some untrained networks better than others. One that is not evaluated yet counts to the
   * first ones.
   */
  #starts(columns: readonly Column[]): number[][] {
    const valuesOf = (entry: number) =>
      new Map(
        columns.flatMap(({ key }) =>
          this.#frozen(key, entry, 'untrained').map(({ seed, value }) => [`${key} ${seed}`, value] as const),
        ),
      );
    const groups: { entries: number[]; values: Map<string, number> }[] = [];
    for (const entry of this.#bakeOff.plan.entries.keys()) {
      const values = valuesOf(entry);
      const group = groups.find((one) => {
        const both = [...values].filter(([key]) => one.values.has(key));
        return values.size === 0 || (both.length > 0 && both.every(([key, value]) => one.values.get(key) === value));
      });
      if (group) group.entries.push(entry);
      else groups.push({ entries: [entry], values });
    }
    return groups.map(({ entries }) => entries);
  }

  /** What a person should know of the images that were evaluated. */
  notices(): string[] {
    const evaluations = [...this.#found.values()].flat().map(({ evaluation }) => evaluation);
    const first = evaluations.find(({ result }) => result.classes !== null);
    const said = new Set(this.#bakeOff.plan.notices);
    const others = new Set(
      [...evaluations, ...this.#labelled.map(({ evaluation }) => evaluation)].flatMap(({ result }) => result.notices),
    );
    return [
      ...(first
        ? [
            `${plural(first.result.test_images, 'test image')} of ${first.result.classes} classes; always saying the largest class ` +
              `gives ${percent(first.result.chance)}.`,
          ]
        : []),
      ...[...others].filter((text) => !said.has(text)),
    ];
  }

  #ofMethod(entry: number, column: string): Cell['values'] {
    const { runs } = this.#bakeOff;
    const own = runs.filter((run) => run.role === 'pretrain' && run.entry === entry);
    if (column === 'images_per_s')
      return this.#measured(own, (id) => {
        const pace = paceOf(this.#store.metrics.tail(id, PACE_STEPS));
        return pace === null ? null : 1 / pace;
      });
    if (column === 'memory') return this.#measured(own, (id) => this.#store.runs.get(id).runtime?.peak_memory);
    if (column.startsWith('finetune ')) return this.#withLabels('finetune', entry, column);
    return this.#frozen(column, entry, 'trained');
  }

  /** A figure of each of these runs; none of one that is damaged. */
  #measured(runs: readonly BakeOffRun[], of: (run: number) => number | null | undefined): Cell['values'] {
    return runs.flatMap(({ run_id, seed }) =>
      valuesOf(
        seed,
        orElse(
          () => of(run_id),
          () => null,
        ),
      ),
    );
  }

  #supervised = (column: string) => this.#withLabels('supervised', 0, column);

  #withLabels(role: string, entry: number, column: string): Cell['values'] {
    const [task, key] = column.split(' ') as [string, string];
    if (task !== 'finetune') return [];
    return this.#labelled
      .filter((one) => one.role === role && one.entry === entry)
      .flatMap(({ seed, scores }) => valuesOf(seed, scores[key]));
  }

  /** @param column `task key` */
  #frozen(column: string, entry: number, of: 'trained' | 'untrained'): Cell['values'] {
    const [task, key] = column.split(' ') as [BakeOffTask, string];
    const own = (this.#found.get(task) ?? []).filter((one) => one.entry === entry);
    return own.flatMap(({ seed, evaluation }) => valuesOf(seed, evaluation.result[of]?.[key]));
  }

  /** Scores of raw pixels: one evaluation of each task has them. */
  #pixels(column: string): Cell['values'] {
    const [task, key] = column.split(' ') as [BakeOffTask, string];
    const asked = (this.#found.get(task) ?? []).find(({ evaluation }) => evaluation.result.pixels);
    return valuesOf(null, asked?.evaluation.result.pixels?.[key]);
  }
}

/** A figure without labels, of the mean of patch tokens. */
function withoutLabels(key: string): Column {
  const { title, says, isHigherBetter } = LABEL_FREE[key]!;
  return {
    key: `labelfree ${key}`,
    title: capital(title),
    scale: 'number',
    isHigherBetter,
    isMain: MAIN_LABEL_FREE.includes(key),
    about: `Without labels: ${says}.`,
  };
}

const valuesOf = (seed: number | null, value: number | null | undefined): Cell['values'] =>
  typeof value === 'number' ? [{ seed, value }] : [];

/** Every two methods, and each beside its network untrained, in the columns that are shown at once; by seeds that both have. */
function pairsOf(columns: readonly Column[], rows: readonly TableRow[]): Pair[] {
  const compared = rows.filter(({ kind }) => kind === 'method' || kind === 'untrained');
  const judged = columns.filter(({ isMain, scale }) => isMain && scale === 'share');
  return judged.flatMap((column) =>
    compared.flatMap((a, i) =>
      compared.slice(i + 1).flatMap((b): Pair[] => {
        const [ofA, ofB] = [a.cells[column.key], b.cells[column.key]];
        if (!ofA || !ofB || (b.kind === 'untrained' && !b.starts.includes(a.entry ?? -1))) return [];
        const differences = ofA.values.flatMap(({ seed, value }) => {
          const other = ofB.values.find((one) => one.seed === seed);
          return other ? [value - other.value] : [];
        });
        return [{ column: column.key, a: a.title, b: b.title, ...compare(a.title, b.title, differences, points) }];
      }),
    ),
  );
}

/** A difference of shares, in percentage points. */
const points = (d: number) => `${(100 * d).toFixed(1)} points`;

/** How far a method's mean is above its own network's before training; null where that is not known. */
function gainOf(key: string, { cells, entry }: TableRow, rows: readonly TableRow[]): number | null {
  const start = rows.find(({ kind, starts }) => kind === 'untrained' && starts.includes(entry ?? -1));
  const [after, before] = [cells[key], start?.cells[key]];
  return after && before ? after.spread.mean - before.spread.mean : null;
}

/** For each column that is judged: which method is highest, and from which others the seeds cannot tell it. */
function findingsOf(columns: readonly Column[], rows: readonly TableRow[], pairs: readonly Pair[]): string[] {
  if (!columns.some(({ isMain, scale }) => isMain && scale === 'share')) return findingsWithoutLabels(columns, rows);
  return columns.flatMap(({ key, title, scale, isMain }) => {
    if (!isMain || scale !== 'share') return [];
    const methods = rows.filter(({ kind, cells }) => kind === 'method' && cells[key]);
    const best = methods.toSorted((a, b) => b.cells[key]!.spread.mean - a.cells[key]!.spread.mean)[0];
    if (!best) return [];
    const { mean, n } = best.cells[key]!.spread;
    const open = pairs.filter(
      (pair) => pair.column === key && !pair.isTold && (pair.a === best.title || pair.b === best.title),
    );
    const others = open
      .map(({ a, b }) => (a === best.title ? b : a))
      .filter((one) => methods.some((row) => row.title === one));
    const gain = gainOf(key, best, rows);
    const above =
      gain === null ? '' : `, ${points(Math.abs(gain))} ${gain < 0 ? 'below' : 'above'} the same network untrained`;
    const first = `${title}: ${best.title} is highest, ${percent(mean)}${n === 1 ? ' with a single seed' : ''}${above}.`;
    if (methods.length < 2) return [first];
    if (others.length === 0) return [`${first} It differs from every other method.`];
    const fewest = Math.min(...open.map(({ differences }) => differences.length));
    return [`${first} ${capital(seedsInWords(fewest))} cannot tell it apart from ${listed(others)}.`];
  });
}

const listed = (names: readonly string[]): string =>
  names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;

/** Where no figure judges the methods. */
function findingsWithoutLabels(columns: readonly Column[], rows: readonly TableRow[]): string[] {
  const column = columns.find(({ key }) => key === `labelfree ${MAIN_LABEL_FREE[0]}`);
  const known = rows.filter(({ kind, cells }) => kind === 'method' && column && cells[column.key]);
  const most = known.toSorted((a, b) => b.cells[column!.key]!.spread.mean - a.cells[column!.key]!.spread.mean)[0];
  if (!column || !most) return [];
  return [
    'Without classes nothing here says which method suits these images: figures without labels do not judge.',
    `${column.title}: features of ${most.title} use the most directions, ${shownIn(column, most.cells[column.key]!.spread.mean)}. ` +
      'Very few are a sign of collapse; many are not yet a sign of use.',
  ];
}
