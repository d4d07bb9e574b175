import { randomUUID } from 'node:crypto';
import type { AppEvent, Numbered } from '../../../shared/contract/events.ts';

/** Events that are remembered for windows that lost their connection. */
const KEPT = 20_000;

/** Every event under a rising number, so that a window that comes back gets what it missed. */
export class Events {
  /** Names this start of the program: events of another start have numbers of their own. */
  readonly session = randomUUID();
  #seq = 0;
  #kept: Numbered[] = [];
  readonly #listeners = new Set<(event: Numbered) => void>();

  get seq(): number {
    return this.#seq;
  }

  get hasListeners(): boolean {
    return this.#listeners.size > 0;
  }

  emit(event: AppEvent): void {
    const numbered = { seq: ++this.#seq, event };
    this.#kept.push(numbered);
    if (this.#kept.length > 2 * KEPT) this.#kept = this.#kept.slice(-KEPT);
    for (const listener of this.#listeners) listener(numbered);
  }

  /** Events after a number; a `resync` alone where some of them are forgotten. */
  since(seq: number): Numbered[] {
    const first = this.#kept[0]?.seq ?? this.#seq + 1;
    if (seq > this.#seq || seq + 1 < first) return [{ seq: this.#seq, event: { type: 'resync' } }];
    return this.#kept.slice(seq + 1 - first);
  }

  listen(listener: (event: Numbered) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
