import { randomUUID } from 'node:crypto';
import type { Undo } from '../../../shared/contract/started.ts';
import { AppError, toReport } from '../../../shared/errors.ts';
import type { Events } from './events.ts';

/** How long a deletion can be undone, ms: longer than its message is shown. */
const TIME = 30_000;

export interface Deletion {
  kind: 'run' | 'dataset' | 'index' | 'prepared';
  ids: number[];
  /** What is deleted, as an error names it: `run "first"`. */
  name: string;
  /** What a window says when it is hidden. */
  what: string;
  /** Deletes. */
  act: () => void;
  /** Is called whenever what is hidden has changed. */
  changed: () => void;
}

/** Deletions that can be undone: hidden at once, carried out later. If the program dies before, nothing was deleted. */
export class Deletions {
  readonly #events: Events;
  readonly #pending = new Map<string, Deletion & { timer: NodeJS.Timeout }>();

  /** @param events tell windows of deletions that failed */
  constructor(events: Events) {
    this.#events = events;
  }

  isHidden(kind: Deletion['kind'], id: number): boolean {
    return this.#hiding(kind, id) !== undefined;
  }

  /** What is hidden. */
  hidden(kind: Deletion['kind']): number[] {
    return [...this.#pending.values()].flatMap((p) => (p.kind === kind ? p.ids : []));
  }

  #hiding(kind: Deletion['kind'], id: number): Deletion | undefined {
    return [...this.#pending.values()].find((p) => p.kind === kind && p.ids.includes(id));
  }

  /**
   * Hides what is deleted half a minute later.
   * @throws AppError not-found where some of it is hidden already: to undo one deletion of two would bring nothing back
   */
  add(deletion: Deletion): Undo {
    const hiding = deletion.ids.map((id) => this.#hiding(deletion.kind, id)).find((one) => one !== undefined);
    if (hiding)
      throw new AppError('not-found', `Deleted already: ${hiding.name}.`, '', 'For half a minute it can be undone.');
    const undo = randomUUID();
    const timer = setTimeout(() => this.#tell(this.#carryOut([undo])), TIME);
    timer.unref();
    this.#pending.set(undo, { ...deletion, timer });
    deletion.changed();
    return { undo, what: deletion.what };
  }

  /** @throws AppError not-found where it is too late */
  restore(undo: string): void {
    const pending = this.#pending.get(undo);
    if (!pending)
      throw new AppError(
        'not-found',
        'This can no longer be undone.',
        'Deletions are carried out after half a minute.',
      );
    clearTimeout(pending.timer);
    this.#pending.delete(undo);
    pending.changed();
  }

  /**
   * Carries out the waiting deletions of a kind at once: before something is made in their place.
   * @throws AppError of the first that fails, when the others are carried out
   */
  settle(kind: Deletion['kind']): void {
    const waiting = [...this.#pending].filter(([, pending]) => pending.kind === kind);
    const [first, ...others] = this.#carryOut(waiting.map(([undo]) => undo));
    this.#tell(others);
    if (first) throw first;
  }

  /** Carries out what waits. Never throws: the caller is closing the program, and has more to close. */
  close(): void {
    this.#tell(this.#carryOut([...this.#pending.keys()]));
  }

  /** @returns an error for each that failed: it is shown again */
  #carryOut(undos: string[]): AppError[] {
    const failed: AppError[] = [];
    for (const undo of undos) {
      const pending = this.#pending.get(undo);
      if (!pending) continue;
      clearTimeout(pending.timer);
      try {
        pending.act();
      } catch (error) {
        failed.push(explain(pending.name, error));
      }
      this.#pending.delete(undo);
      pending.changed();
    }
    return failed;
  }

  /** Nobody waits for an answer: windows are told, and standard error, which outlives them. */
  #tell(errors: AppError[]): void {
    for (const error of errors) {
      const { what, why, next } = toReport(error);
      process.stderr.write(`${[what, why, next].join(' ')}\n`);
      if (error.kind === 'internal') process.stderr.write(`${(error.cause as Error).stack ?? error.cause}\n`);
      this.#events.emit({ type: 'failure', error: error.toJSON() });
    }
  }
}

/** Why a deletion failed; what the file system says is no fault of this program. */
function explain(name: string, error: unknown): AppError {
  const { kind, what, why, next } = toReport(error);
  const isOfDisk = (error as NodeJS.ErrnoException | null)?.syscall !== undefined;
  return new AppError(
    isOfDisk ? 'bad-file' : kind,
    `Deleting ${name} failed: what is left of it is shown again.`,
    [what, why].filter(Boolean).join(' '),
    isOfDisk ? 'See that its files can be written, and delete it again.' : next || 'Then delete it again.',
    { cause: error },
  );
}
