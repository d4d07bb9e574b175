import type { Input, TaskRef, TaskResults } from '../../../shared/contract/index.ts';
import { AppError, type ErrorReport, fromReport, toReport } from '../../../shared/errors.ts';
import type { QueuedEvaluation } from '../../../shared/evaluation.ts';
import { TASKS } from '../../../shared/evaluation-figures.ts';
import { capital } from '../../../shared/words.ts';
import type { Store } from '../../store/store.ts';
import type { Events } from '../ground/events.ts';
import { runJob } from '../ground/jobs.ts';
import type { TaskControl, Tasks } from '../ground/tasks.ts';
import type { Deletions } from '../ground/undo.ts';
import { queueEvaluation } from './evaluation.ts';

/** After so many crashes of its process an evaluation is not started again: it may be what kills the process. */
const MOST_DEATHS = 3;

interface Shown {
  state: 'waiting' | 'here' | 'elsewhere' | 'failed' | 'ended';
  /** When it is begun, by which process. */
  turn: PromiseWithResolvers<'here' | 'elsewhere'>;
  /** Resolves when an evaluation that another process works at has left the queue. */
  gone: PromiseWithResolvers<null>;
}

/**
 * Evaluations of the queue as tasks that windows see. What counts is the store's: it outlives the program, and other
 * processes write it too. `LiveRuns` says when one is to begin.
 */
export class EvaluationQueue {
  readonly #store: Store;
  readonly #events: Events;
  readonly #tasks: Tasks;
  readonly #deletions: Deletions;
  readonly #shown = new Map<number, Shown>();
  #running: number | null = null;
  #isClosing = false;

  constructor(store: Store, events: Events, tasks: Tasks, deletions: Deletions) {
    this.#store = store;
    this.#events = events;
    this.#tasks = tasks;
    this.#deletions = deletions;
  }

  /** Puts one at the end of the queue. @throws AppError not-found; bad-input for a checkpoint that cannot be evaluated */
  add({ test_dataset, official, ...asked }: Input<'evaluations.start'>): TaskRef<'evaluate'> {
    const { id } = queueEvaluation(this.#store, {
      ...asked,
      ...(test_dataset !== null && { testDataset: test_dataset }),
      ...(!official && { official: null }),
    });
    this.look();
    return { task: taskOf(id), kind: 'evaluate' };
  }

  /** Whether one is being worked at, by whichever process. */
  get isBusy(): boolean {
    return this.#running !== null || this.#store.queuedEvaluations.list().some(({ pid }) => pid !== null);
  }

  /** Whether its checkpoint and its datasets stay: none of them is about to be deleted. */
  canStart(id: number): boolean {
    const { run_id, dataset_id, test_dataset_id } = this.#store.queuedEvaluations.get(id);
    const datasets = [dataset_id, test_dataset_id ?? dataset_id];
    return (
      this.#shown.get(id)?.state === 'waiting' &&
      !this.#deletions.isHidden('run', run_id) &&
      !datasets.some((dataset) => this.#deletions.isHidden('dataset', dataset))
    );
  }

  /** Its turn has come. */
  start(id: number): void {
    const shown = this.#shown.get(id)!;
    this.#running = id;
    shown.state = 'here';
    shown.turn.resolve('here');
  }

  /** Brings the tasks up to what the store says. */
  look(): void {
    if (this.#isClosing) return;
    const { queuedEvaluations } = this.#store;
    queuedEvaluations.recoverLost(MOST_DEATHS, gaveUp);
    const rows = queuedEvaluations.list();
    for (const row of rows) this.#see(row);
    const ids = new Set(rows.map(({ id }) => id));
    for (const [id, shown] of [...this.#shown]) {
      if (ids.has(id) || shown.state === 'here') continue; // this process tells the end of its own evaluations itself
      this.#shown.delete(id);
      if (shown.state === 'waiting') this.#tasks.cancel(taskOf(id));
      shown.gone.resolve(null);
      if (shown.state === 'elsewhere') this.#events.emit({ type: 'evaluations' });
    }
  }

  /** From now on, evaluations whose tasks end stay in the queue: the program is closing. */
  close(): void {
    this.#isClosing = true;
  }

  #see(row: QueuedEvaluation) {
    const shown = this.#shown.get(row.id);
    const state = this.#running === row.id ? 'here' : row.error ? 'failed' : row.pid === null ? 'waiting' : 'elsewhere';
    if (shown?.state === 'here') {
      if (row.is_canceled) this.#tasks.cancel(taskOf(row.id));
    } else if (shown?.state === 'waiting' && state === 'elsewhere') {
      shown.state = state;
      shown.turn.resolve(state);
    } else if (shown?.state === 'waiting' && state === 'waiting') {
      this.#tasks.update(taskOf(row.id), { title: this.#title(row), queued: placeOf(row) });
    } else if (shown?.state !== state && shown?.state !== 'ended') {
      this.#show(row, state);
    }
  }

  #show(row: QueuedEvaluation, state: Shown['state']) {
    const shown: Shown = { state, turn: Promise.withResolvers(), gone: Promise.withResolvers() };
    shown.gone.promise.catch(() => {}); // most often nobody waits for it
    if (state === 'elsewhere') shown.turn.resolve(state);
    this.#shown.set(row.id, shown);
    this.#tasks.start('evaluate', this.#title(row), (control) => this.#work(row, shown, control), {
      id: taskOf(row.id),
      queued: placeOf(row),
      phase: cutShort(row),
      onDismiss: () => this.#store.queuedEvaluations.remove(row.id),
    });
  }

  async #work(row: QueuedEvaluation, shown: Shown, control: TaskControl): Promise<TaskResults['evaluate']> {
    if (shown.state === 'failed') throw fromReport(row.error!);
    const cancel = () => {
      const error = new AppError('canceled', 'It was canceled.');
      if (shown.state !== 'here') {
        if (!this.#isClosing) this.#store.queuedEvaluations.cancel(row.id);
        shown.state = 'ended';
      }
      shown.turn.reject(error);
      shown.gone.reject(error);
    };
    if (control.signal.aborted) cancel();
    control.signal.addEventListener('abort', cancel);
    if ((await shown.turn.promise) === 'elsewhere') {
      control.begin('in another process of the program');
      return shown.gone.promise;
    }
    control.begin(cutShort(row));
    return this.#run(row, shown, control);
  }

  async #run(
    { id, ...row }: QueuedEvaluation,
    shown: Shown,
    { signal, progress }: TaskControl,
  ): Promise<TaskResults['evaluate']> {
    const { queuedEvaluations } = this.#store;
    const options = {
      checkpoint: row.checkpoint_id,
      dataset: row.dataset_id,
      task: row.task,
      ...row.options,
      queued: id,
      ...(row.test_dataset_id !== null && { testDataset: row.test_dataset_id }),
    };
    try {
      const job = { database: this.#store.path, options };
      const result = await runJob('evaluate', job, { signal, onProgress: progress });
      this.#events.emit({ type: 'evaluations' });
      return result;
    } catch (error) {
      const { kind } = toReport(error);
      if (signal.aborted && this.#isClosing) queuedEvaluations.putBack(id);
      else if (signal.aborted || kind === 'canceled') queuedEvaluations.remove(id);
      // Where another process was quicker it is in the queue still.
      else if (kind !== 'conflict') {
        queuedEvaluations.fail(id, toReport(error));
        shown.state = 'failed';
      }
      throw error;
    } finally {
      this.#running = null;
      if (shown.state !== 'failed') this.#shown.delete(id);
    }
  }

  #title({ run_id, task, step }: QueuedEvaluation): string {
    return `${capital(TASKS[task])} of ${this.#store.runs.head(run_id).name}, step ${step}`;
  }
}

const taskOf = (id: number) => `evaluation-${id}`;
const placeOf = ({ id, queue_position }: QueuedEvaluation) => ({ id, position: queue_position });

/** What a window says of one that was begun before. */
const cutShort = ({ begun, task }: QueuedEvaluation) =>
  begun === 0
    ? ''
    : task === 'lookup'
      ? 'cut short before: begins anew'
      : 'cut short before: goes on with its features';

const gaveUp = ({ deaths }: QueuedEvaluation): ErrorReport =>
  new AppError(
    'trainer-died',
    `The evaluation was begun ${deaths + 1} times, and each time its process ended without a word.`,
    'Too little memory does this, and so does ending the program by force.',
    'Ask for it again, with fewer images, or while less else is going on.',
  ).toJSON();
