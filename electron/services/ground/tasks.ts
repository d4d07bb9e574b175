import { randomUUID } from 'node:crypto';
import type { TaskKind, TaskRef } from '../../../shared/contract/started.ts';
import type { Task, TaskResults } from '../../../shared/contract/tasks.ts';
import { AppError, toReport } from '../../../shared/errors.ts';
import { type LeftOut, leftOutWords } from '../../../shared/left-out.ts';
import type { Store } from '../../store/store.ts';
import type { Events } from './events.ts';

/** Windows hear of progress this often, ms. */
const TELL_EVERY = 150;
/** Ended tasks that are remembered. */
const KEPT = 50;

export interface TaskControl {
  signal: AbortSignal;
  progress(done: number, total: number, phase: string): void;
  /** It has waited, and is worked at now. */
  begin(phase: string): void;
}

/** What a service starts a task with. */
export interface Starting {
  store: Store;
  tasks: Tasks;
  events: Events;
}

/** What titles call a checkpoint. @throws AppError not-found */
export function checkpointWords(store: Store, id: number): string {
  const { run_id, step } = store.checkpoints.get(id);
  return `${store.runs.get(run_id).name}, step ${step}`;
}

export interface TaskOptions {
  /** A task that has ended under this number is replaced. */
  id?: string;
  /** It waits in the queue until it begins. */
  queued?: Task['queued'];
  phase?: string;
  onDismiss?: () => void;
}

/** A task while it changes. Only `start` gives it a result, which is that of its kind. */
type Kept = { [F in Exclude<keyof Task, 'result'>]: Task[F] } & { result: unknown };

interface Entry {
  task: Kept;
  controller: AbortController;
  ended: Promise<void>;
  onDismiss: (() => void) | undefined;
}

/** It waits or is worked at. */
const isGoing = ({ ended_at }: Kept) => ended_at === null;

const shown = (task: Kept) => ({ ...task }) as Task;

/** Kinds of tasks whose result no view shows: what they left out is said as a notice. */
const SILENT = new Set<TaskKind>(['health', 'embeddings', 'index']);

/** Words for the images that a task left out; empty for none. */
function lostWords(result: unknown): string {
  const { left_out, unreadable, images, index } = (result ?? {}) as {
    left_out?: LeftOut[];
    unreadable?: LeftOut[] | number;
    images?: number;
    index?: { images: number };
  };
  const lost = left_out ?? (Array.isArray(unreadable) ? unreadable : []);
  return leftOutWords(lost, (images ?? index?.images ?? 0) + lost.length);
}

/** Long work that a window started: it goes on when the window is closed, and every window sees it. */
export class Tasks {
  readonly #events: Events;
  readonly #tasks = new Map<string, Entry>();

  constructor(events: Events) {
    this.#events = events;
  }

  start<K extends TaskKind>(
    kind: K,
    title: string,
    work: (control: TaskControl) => Promise<TaskResults[K]>,
    { id = randomUUID(), queued = null, phase = '', onDismiss }: TaskOptions = {},
  ): TaskRef<K> {
    const controller = new AbortController();
    const task: Kept = {
      id,
      kind,
      title,
      status: queued ? 'waiting' : 'running',
      phase,
      done: 0,
      total: 0,
      started_at: Date.now(),
      ended_at: null,
      error: null,
      result: null,
      cancelable: true,
      queued,
    };
    let told = 0;
    const tell = () => {
      told = Date.now();
      this.#events.emit({ type: 'task', task: shown(task) });
    };
    const end = (change: Partial<Kept>) => {
      const queued = task.queued && { ...task.queued, position: null };
      Object.assign(task, change, { queued, ended_at: Date.now() });
      tell();
      this.#forget();
    };
    const ended = Promise.resolve()
      .then(() =>
        work({
          signal: controller.signal,
          begin: (phase) => {
            Object.assign(task, { status: 'running', phase, started_at: Date.now() });
            tell();
          },
          progress: (done, total, phase) => {
            if (task.status !== 'running') return;
            Object.assign(task, { done, total, phase });
            if (Date.now() - told >= TELL_EVERY) tell();
          },
        }),
      )
      .then(
        (result) => {
          end({ status: 'done', result });
          const text = SILENT.has(kind) ? lostWords(result) : '';
          if (text) this.#events.emit({ type: 'notice', text: `${title}: ${text}`, run: null });
        },
        (error) => {
          const isCanceled = controller.signal.aborted;
          end({
            status: isCanceled ? 'canceled' : 'failed',
            error: isCanceled ? new AppError('canceled', `${title}: canceled.`).toJSON() : toReport(error),
          });
        },
      );
    this.#tasks.set(task.id, { task, controller, ended, onDismiss });
    tell();
    return { task: task.id, kind };
  }

  list(): Task[] {
    return [...this.#tasks.values()].map(({ task }) => shown(task));
  }

  /** The file that a task has written; null where it has written none, or is not known any more. */
  made(id: string): string | null {
    const entry = this.#tasks.get(id);
    const task = entry && shown(entry.task);
    if (task?.status !== 'done' || (task.kind !== 'embeddings' && task.kind !== 'health')) return null;
    return task.result.file;
  }

  /** Says what has changed of a task that is in the queue. */
  update(id: string, change: Pick<Task, 'title' | 'queued'>): void {
    const { task } = this.#get(id);
    if (task.title === change.title && task.queued?.position === change.queued?.position) return;
    Object.assign(task, change);
    this.#events.emit({ type: 'task', task: shown(task) });
  }

  /** @throws AppError not-found */
  cancel(id: string): void {
    this.#get(id).controller.abort();
  }

  /** Forgets a task that has ended. @throws AppError not-found, conflict while it works */
  dismiss(id: string): void {
    const { task, onDismiss } = this.#get(id);
    if (isGoing(task)) throw new AppError('conflict', `${task.title} is going on.`, '', 'Cancel it first.');
    onDismiss?.();
    this.#tasks.delete(id);
    this.#events.emit({ type: 'task-gone', id });
  }

  /** Cancels everything, and waits until it has ended. */
  async close(): Promise<void> {
    for (const { controller } of this.#tasks.values()) controller.abort();
    await Promise.all([...this.#tasks.values()].map(({ ended }) => ended));
  }

  #get(id: string) {
    const found = this.#tasks.get(id);
    if (!found) throw new AppError('not-found', 'This task is not known any more.');
    return found;
  }

  #forget() {
    const ended = [...this.#tasks.values()].filter(({ task }) => !isGoing(task));
    for (const { task } of ended.slice(0, Math.max(0, ended.length - KEPT))) {
      this.#tasks.delete(task.id);
      this.#events.emit({ type: 'task-gone', id: task.id });
    }
  }
}
