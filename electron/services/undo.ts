import { randomUUID } from 'node:crypto';
import { AppError } from '../../shared/errors.ts';
import type { Undo } from '../../shared/ipc.ts';

/** How long a deletion can be undone, ms: longer than its message is shown. */
const TIME = 30_000;

interface Pending {
  kind: 'run' | 'dataset' | 'index' | 'prepared';
  ids: number[];
  act: () => void;
  changed: () => void;
  timer: NodeJS.Timeout;
}

/** Deletions that can be undone: hidden at once, carried out later. If the program dies before, nothing was deleted. */
export class Deletions {
  readonly #pending = new Map<string, Pending>();

  isHidden(kind: Pending['kind'], id: number): boolean {
    return [...this.#pending.values()].some((p) => p.kind === kind && p.ids.includes(id));
  }

  /** @param act deletes @param changed is called whenever what is hidden has changed */
  add(kind: Pending['kind'], ids: number[], what: string, act: () => void, changed: () => void): Undo {
    const undo = randomUUID();
    const timer = setTimeout(() => this.#carryOut(undo), TIME);
    timer.unref();
    this.#pending.set(undo, { kind, ids, act, changed, timer });
    changed();
    return { undo, what };
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

  /** Carries out at once what waits of a kind: before something is made in its place. */
  settle(kind: Pending['kind']): void {
    for (const [undo, pending] of [...this.#pending]) if (pending.kind === kind) this.#carryOut(undo);
  }

  /** Carries out what waits. */
  close(): void {
    for (const undo of [...this.#pending.keys()]) this.#carryOut(undo);
  }

  #carryOut(undo: string) {
    const pending = this.#pending.get(undo);
    if (!pending) return;
    clearTimeout(pending.timer);
    try {
      pending.act();
    } finally {
      this.#pending.delete(undo);
      pending.changed();
    }
  }
}
