import { basename } from 'node:path';
import type { RunConfig } from '../../../shared/config.ts';
import type { Input, RunRow, TaskRef } from '../../../shared/contract/index.ts';
import type { DamagedRow } from '../../../shared/damaged-row.ts';
import { AppError, toReport } from '../../../shared/errors.ts';
import type { FeatureMeasure } from '../../../shared/feature-measures.ts';
import { PACE_STEPS, paceOf } from '../../../shared/pace.ts';
import type { QueueItem } from '../../../shared/queue.ts';
import type { Run, RunStatus } from '../../../shared/run.ts';
import type { Verdict } from '../../../shared/verdict.ts';
import type { FileLock } from '../../store/file-lock.ts';
import { orElse } from '../../store/json.ts';
import type { RunHead } from '../../store/runs.ts';
import type { Store, WatchedList } from '../../store/store.ts';
import type { TrainerHandle } from '../../trainer/host.ts';
import type { TrainerMessage } from '../../trainer/protocol.ts';
import type { EvaluationQueue } from '../evaluation/queue.ts';
import type { Events } from '../ground/events.ts';
import { listEach } from '../ground/list-each.ts';
import type { Deletions } from '../ground/undo.ts';
import { UsageMeter } from '../machine/usage.ts';
import { configOf } from '../recipes/presets.ts';
import { alarmOfRun } from './alarms.ts';
import { queueFineTunings } from './fine-tune.ts';
import {
  createLenders,
  createRun,
  queueRun,
  recoverLostRuns,
  requestRun,
  seedName,
  startRun,
  withSeeds,
} from './runs.ts';
import { measuresOf, verdictOfRun } from './verdicts.ts';

/** The store is looked at this often, ms: runs of other processes are seen as those of this one. */
const LOOK_EVERY = 400;
const USAGE_EVERY = 2000;
/** Rows of a run that are sent at once. */
const MOST_METRICS = 5000;
/** How long a run may take to save itself when the program ends, ms. */
const PATIENCE = 120_000;

type Judged = Pick<RunRow, 'alarm' | 'pace'>;

/** What is known of a run's worth, and by what. */
interface Appraisal {
  verdict: Verdict | null;
  status: RunStatus;
  step: number;
  /** The newest evaluation of any run; it counts where the run measured nothing itself. */
  evaluation: number;
  at: number;
  own: readonly FeatureMeasure[];
}
/** A run that trains is appraised this often, ms: it reads the whole curve. */
const APPRAISE_EVERY = 2000;
/** A list, and then each look, appraises runs for this long, ms: hundreds are listed at once, and told of as they are known. */
const APPRAISE_FOR = 60;

/** What windows see of runs, and the queue that starts one after the other. */
export class LiveRuns {
  readonly #store: Store;
  readonly #events: Events;
  readonly #deletions: Deletions;
  readonly #evaluations: EvaluationQueue;
  readonly #handles = new Map<number, TrainerHandle>();
  readonly #meter = new UsageMeter();
  readonly #timers: NodeJS.Timeout[] = [];
  #known = new Map<number, { signature: string; checkpoint: number | null }>();
  #lists: Record<WatchedList, string>;
  #version = -1;
  /** Last step whose metrics were sent, by run that trains. */
  readonly #sent = new Map<number, number>();
  readonly #judgements = new Map<number, { step: number; judged: Judged }>();
  readonly #appraisals = new Map<number, Appraisal>();
  /** Runs that were listed without being appraised. */
  readonly #unappraised = new Set<number>();
  readonly #before: (() => void)[] = [];
  #isClosing = false;
  #isMeasuring = false;
  /** Why the store could not be read the last time. */
  #fault = '';

  constructor(store: Store, events: Events, deletions: Deletions, evaluations: EvaluationQueue) {
    this.#store = store;
    this.#events = events;
    this.#deletions = deletions;
    this.#evaluations = evaluations;
    store.runs.recoverLost({ first: true });
    this.#known = store.runs.signatures();
    this.#lists = store.lists();
    this.#timers.push(
      setInterval(() => this.#tryToLook(), LOOK_EVERY),
      setInterval(() => void this.#tellUsage().catch(() => {}), USAGE_EVERY),
    );
    this.look();
  }

  /** Does something at every look, before what is next in the queue begins: runs may have ended. */
  before(act: () => void): void {
    this.#before.push(act);
    act();
  }

  rows(): RunRow[] {
    return this.#shown(this.#listed().rows);
  }

  /** Those that cannot be read. */
  damaged(): DamagedRow[] {
    return this.#shown(this.#listed().damaged);
  }

  row(id: number): RunRow {
    return this.#row(this.#store.runs.get(id), this.#store.datasets.names());
  }

  /** Runs that a process trains now, whichever started it. */
  running(): RunHead[] {
    return this.#store.runs.heads({ status: 'running' });
  }

  /**
   * Puts runs at the end of the queue: one, or one for each combination of the grid's values; with each of so many seeds.
   * @throws AppError bad-input
   */
  create({ preset, changes, dataset, name, grid, seeds = 1 }: Input<'runs.create'>): RunRow[] {
    if (seeds > 1 && grid.some(({ key }) => key === 'train.seed'))
      throw new AppError(
        'bad-input',
        'Seeds are among the values that are tried already.',
        '',
        'Leave out one of the two.',
      );
    const combinations = grid.reduce<Record<string, unknown>[]>(
      (all, { key, values }) => all.flatMap((one) => values.map((value) => ({ ...one, [key]: value }))),
      [{}],
    );
    // Every combination is checked before the first run is made.
    const configs = combinations.map((c) => configOf(this.#store, { preset, changes: { ...changes, ...c } }));
    const base = name ?? `${this.#store.datasets.get(dataset).name} run`;
    const make = (config: RunConfig, i: number, nameOf: (base: string) => string) => {
      const words = Object.entries(combinations[i]!).map(
        ([key, value]) => `${basename(key.replace('.', '/'))} ${value}`,
      );
      const wanted = words.length > 0 ? `${base}, ${words.join(', ')}` : seeds > 1 ? base : name;
      const isOfMany = words.length > 0 || seeds > 1;
      const free = wanted === null ? null : isOfMany ? this.#store.runs.freeName(nameOf(wanted)) : wanted;
      const before = createLenders(this.#store, { dataset, config });
      const run = createRun(this.#store, { dataset, config, preset, ...(free !== null && { name: free }) });
      for (const { id } of [...before, run]) this.#store.queue.put({ kind: 'run', id });
      return run.id;
    };
    const runs = this.#store.atomically(() =>
      configs.flatMap((config, i) =>
        seeds === 1
          ? make(config, i, (one) => one)
          : withSeeds(config, seeds).map((own) => make(own, i, (one) => seedName(one, own))),
      ),
    );
    this.look();
    return runs.map((id) => this.row(id));
  }

  /** Puts fine-tunings of a checkpoint, of its untrained network and of imported weights at the end of the queue. */
  fineTune({ test_dataset, official, ...asked }: Input<'finetune.start'>): RunRow[] {
    const runs = queueFineTunings(this.#store, {
      ...asked,
      ...(test_dataset !== null && { testDataset: test_dataset }),
      ...(!official && { official: null }),
    });
    this.look();
    return runs.map(({ id }) => this.row(id));
  }

  /** @throws AppError conflict where it is trained, about to be, or finished */
  resume(id: number): RunRow {
    queueRun(this.#store, id);
    this.look();
    return this.row(id);
  }

  /** Pauses or stops a run, or takes it out of the queue. */
  request(id: number, request: 'pause' | 'stop'): RunRow {
    requestRun(this.#store, id, request);
    this.look();
    return this.row(id);
  }

  /** Puts an evaluation at the end of the queue. */
  evaluate(input: Input<'evaluations.start'>): TaskRef<'evaluate'> {
    const ref = this.#evaluations.add(input);
    this.look();
    return ref;
  }

  /** @throws AppError not-found; conflict for what does not wait */
  move({ item, before }: Input<'queue.move'>): void {
    const { kind, id } = item;
    const { runs, queuedEvaluations, queue } = this.#store;
    const { queue_position } = kind === 'run' ? runs.get(id) : queuedEvaluations.get(id);
    if (queue_position === null)
      throw new AppError('conflict', `${kind === 'run' ? 'Run' : 'Evaluation'} ${id} does not wait in the queue.`);
    queue.put(item, before);
    this.look();
    this.#events.emit({ type: 'runs' });
  }

  annotate({ id, name, notes, tags, before = {} }: Input<'runs.annotate'>): RunRow {
    const change = {
      ...(name !== undefined && { name }),
      ...(notes !== undefined && { notes }),
      ...(tags !== undefined && { tags: [...new Set(tags)] }),
    };
    this.#store.runs.update(id, change, before);
    this.look();
    return this.row(id);
  }

  /** Finds what has changed, tells windows, and starts what is next in the queue when nothing is being computed. */
  look(): void {
    if (this.#isClosing) return;
    recoverLostRuns(this.#store);
    for (const act of this.#before) act();
    this.#evaluations.look();
    const version = this.#store.version();
    const signatures = this.#store.runs.signatures();
    for (const [id, { signature, checkpoint }] of signatures) {
      const before = this.#known.get(id);
      if (before?.signature !== signature || before.checkpoint !== checkpoint) this.#tell(id);
      if (before && before.checkpoint !== checkpoint) this.#events.emit({ type: 'checkpoint', run: id });
    }
    if ([...this.#known.keys()].some((id) => !signatures.has(id))) this.#events.emit({ type: 'runs' });
    this.#known = signatures;
    if (version !== this.#version) {
      this.#tellMetrics();
      this.#tellLists();
    }
    this.#version = version;
    this.#appraiseMore();
    this.#startNext();
  }

  /** A disk that is gone or full for a while does not end the program that watches it; it is said once. */
  #tryToLook(): void {
    try {
      this.look();
      this.#fault = '';
    } catch (error) {
      const { what, why } = toReport(error);
      if (what !== this.#fault) {
        process.stderr.write(`${what} ${why}\n`);
        this.#events.emit({ type: 'notice', text: [what, why].filter(Boolean).join(' '), run: null });
      }
      this.#fault = what;
    }
  }

  /** Ends the watch; runs of this process pause, stop, or go on alone. */
  async close(mode: 'pause' | 'keep' | 'stop'): Promise<void> {
    this.#isClosing = true;
    for (const timer of this.#timers) clearInterval(timer);
    const ends = [...this.#handles.values()].map(async (handle) => {
      if (mode === 'keep') {
        await handle.claimed; // before that nobody holds the run, and another program could start it
        handle.detach();
        return null;
      }
      handle[mode]();
      return handle.ended;
    });
    const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE).unref());
    await Promise.race([Promise.all(ends), patience]);
  }

  #listed() {
    const datasets = this.#store.datasets.names();
    const until = performance.now() + APPRAISE_FOR;
    return listEach(this.#store.runs, (run) => this.#row(run, datasets, until));
  }

  #shown<R extends { id: number }>(rows: readonly R[]): R[] {
    return rows.filter(({ id }) => !this.#deletions.isHidden('run', id));
  }

  /** @param until when no more runs are appraised that were not before, ms */
  #row(run: Run, datasets: ReadonlyMap<number, string>, until = Number.POSITIVE_INFINITY): RunRow {
    const { metrics, checkpoints, notices } = this.#store;
    const dataset = run.dataset_id === null ? null : (datasets.get(run.dataset_id) ?? null);
    const last = metrics.last(run.id);
    const known = { has_checkpoint: checkpoints.has(run.id), notice_count: notices.list(run.id).length };
    const judged = this.#judged(run, last?.step ?? 0);
    return { ...run, dataset, last, ...known, ...judged, health: this.#appraised(run, judged.alarm, until) };
  }

  /** What is said of a run: again where there is something new, and seldom while it trains. */
  #appraised(run: Run, alarm: RunRow['alarm'], until: number): Verdict | null {
    const known = this.#appraisals.get(run.id);
    const { status, step } = run;
    const evaluation = this.#store.evaluations.lastId();
    const isSame =
      known?.status === status &&
      (known.step === step || performance.now() - known.at < APPRAISE_EVERY) &&
      (known.own.some(({ task }) => task === 'knn') || known.evaluation === evaluation);
    if (isSame) return known.verdict;
    if (performance.now() > until) {
      this.#unappraised.add(run.id);
      return known?.verdict ?? null;
    }
    // After a resume the steps behind the checkpoint are made again.
    const before = known && known.step <= step ? known.own : [];
    const { own, all } = measuresOf(this.#store, run, before);
    const verdict = verdictOfRun(this.#store, run, alarm, all);
    this.#appraisals.set(run.id, { verdict, status, step, evaluation, at: performance.now(), own });
    return verdict;
  }

  /** Goes on with what a list left. */
  #appraiseMore(): void {
    const until = performance.now() + APPRAISE_FOR;
    for (const id of this.#unappraised) {
      if (performance.now() > until) return;
      this.#unappraised.delete(id); // of one that is gone or cannot be read there is nothing to say
      this.#tell(id);
    }
  }

  /** What is derived from a run's last steps: computed again only when there are new ones. */
  #judged(run: Run, step: number): Judged {
    const known = this.#judgements.get(run.id);
    if (known?.step === step) return known.judged;
    const pace = paceOf(this.#store.metrics.tail(run.id, PACE_STEPS));
    const judged = { alarm: alarmOfRun(this.#store, run), pace };
    this.#judgements.set(run.id, { step, judged });
    return judged;
  }

  #tell(id: number) {
    if (this.#deletions.isHidden('run', id)) return;
    this.#events.emit(
      orElse(
        () => ({ type: 'run', run: this.row(id) }),
        () => ({ type: 'runs' }), // it is among the damaged ones from now on
      ),
    );
  }

  /** What the command line, or another window's program, has added, changed or deleted. */
  #tellLists() {
    const lists = this.#store.lists();
    for (const type of Object.keys(lists) as WatchedList[])
      if (lists[type] !== this.#lists[type]) this.#events.emit({ type });
    this.#lists = lists;
  }

  #tellMetrics() {
    const training = new Set(this.running().map(({ id }) => id));
    for (const id of new Set([...training, ...this.#sent.keys()]))
      orElse(
        () => this.#tellMetricsOf(id),
        () => {}, // its page says what cannot be read
      );
    for (const id of this.#sent.keys()) if (!training.has(id)) this.#sent.delete(id);
  }

  #tellMetricsOf(id: number) {
    const last = this.#store.metrics.last(id)?.step ?? 0;
    // The first look at a run: a window asks for what was before it. After a resume the later steps are made again.
    const from = Math.min(this.#sent.get(id) ?? last, last);
    if (last > from) {
      const metrics = this.#store.metrics.list(id, { from: Math.max(from + 1, last - MOST_METRICS), to: last });
      const before = this.#judgements.get(id)?.judged.alarm?.kind;
      this.#events.emit({ type: 'metrics', run: id, metrics });
      // Windows are told of an alarm, and of its end, when it comes.
      if (this.#judged(this.#store.runs.get(id), last).alarm?.kind !== before) this.#tell(id);
    }
    this.#sent.set(id, last);
  }

  #startNext() {
    if (!this.#nextItem()) return;
    // Of several programs one chooses, and the others then see what it has chosen.
    const next = this.#store.atomically(() => {
      const item = this.#nextItem();
      return item?.kind === 'run' ? { ...item, place: this.#store.runs.reserve(item.id) } : item;
    });
    if (next?.kind === 'evaluation') this.#evaluations.start(next.id);
    else if (next && 'place' in next) this.#startRun(next.id, next.place);
  }

  /** What is to begin now; null while something runs that the queue waits for. */
  #nextItem(): QueueItem | null {
    const { queue, runs } = this.#store;
    if (this.#handles.size > 0 || this.#evaluations.isBusy) return null;
    const next = queue
      .order()
      .find(({ kind, id }) => (kind === 'run' ? this.#canStart(id) : this.#evaluations.canStart(id)));
    return next && runs.held().length === 0 ? next : null;
  }

  /** Whether it may begin: it is not about to be deleted, and no process holds it, whatever its row says. */
  #canStart(id: number): boolean {
    return !this.#deletions.isHidden('run', id) && !this.#store.runs.isHeld(id);
  }

  #startRun(id: number, place: FileLock) {
    try {
      const next = this.#store.runs.get(id);
      const tell = (message: TrainerMessage) => {
        if (message.type === 'notice') this.#events.emit({ type: 'notice', text: message.text, run: next.id });
      };
      const handle = startRun(this.#store, this.#store.path, next.id, tell, place);
      this.#handles.set(next.id, handle);
      this.#sent.set(next.id, 0);
      void handle.ended.then(() => {
        this.#handles.delete(next.id);
        if (next.kind === 'finetune') this.#events.emit({ type: 'evaluations' });
        this.#tryToLook();
      });
    } catch (error) {
      place.remove();
      this.#store.runs.update(id, { status: 'failed', error: toReport(error), ended_at: Date.now() });
      const { message } = error as Error;
      this.#events.emit({ type: 'notice', text: message, run: id });
    }
    this.#tell(id);
  }

  async #tellUsage() {
    if (!this.#events.hasListeners || this.#isMeasuring) return;
    this.#isMeasuring = true;
    const run = this.running().find(({ pid }) => pid !== null);
    const usage = await this.#meter
      .measure(run ? { run: run.id, pid: run.pid! } : null)
      .catch(() => null)
      .finally(() => {
        this.#isMeasuring = false;
      });
    if (usage && !this.#isClosing) this.#events.emit({ type: 'usage', usage });
  }
}
