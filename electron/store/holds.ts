import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { makeFolder } from '../files/folders.ts';
import { type FileLock, isLocked, lockFile } from './file-lock.ts';
import type { Db } from './open.ts';

/**
 * What one process has for as long as it lives: the training of a run; a run that it is about to start; an evaluation;
 * a set of prepared images that it writes.
 */
export type HoldKind = 'run' | 'start' | 'evaluation' | 'prepared';

/** Locks of this process. Kept from the garbage collector, which would let go of them. */
const held = new Set<FileLock>();

/**
 * Who works at what. The system knows it: neither the number of a process, which another may have by now or in another
 * container, nor any clock decides. The files lie beside the database, so that all who share it see them.
 */
export class Holds {
  readonly #folder: string;

  constructor(db: Db) {
    this.#folder = `${db.name}.locks`;
  }

  /** Until it is let go of, or the process ends. @returns null while anybody has it */
  take(kind: HoldKind, id: number): FileLock | null {
    const path = this.#path(kind, id);
    makeFolder(dirname(path), 0o700);
    const lock = lockFile(path);
    if (lock === null) return null;
    const letGo = (how: 'release' | 'remove') => () => {
      if (held.delete(own)) lock[how]();
    };
    const own: FileLock = { release: letGo('release'), remove: letGo('remove') };
    held.add(own);
    return own;
  }

  isHeld(kind: HoldKind, id: number): boolean {
    return isLocked(this.#path(kind, id));
  }

  /** Whether one who had it ended without letting go. */
  wasLeft(kind: HoldKind, id: number): boolean {
    return existsSync(this.#path(kind, id)) && !this.isHeld(kind, id);
  }

  /** Removes what one who ended left behind. */
  forget(kind: HoldKind, id: number): void {
    if (existsSync(this.#path(kind, id))) this.take(kind, id)?.remove();
  }

  #path(kind: HoldKind, id: number): string {
    return join(this.#folder, `${kind}-${id}`);
  }
}
