import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { makeFolder } from '../files/folders.ts';
import { type FileLock, isLocked, lockFile } from './file-lock.ts';
import type { Db } from './open.ts';

/**
 * What only one process at a time may do: train a run, start one, work at an evaluation, write a set of prepared
 * images, build an index, do the work of a bake-off itself.
 */
export type HoldKind = 'run' | 'start' | 'evaluation' | 'prepared' | 'index' | 'bake-off';

/** Locks of this process: referenced here, because a lock that is garbage-collected is released. */
const held = new Set<FileLock>();

/**
 * Which process works at what, by file locks. Process ids cannot tell: they are reused, and differ between containers. Nor
 * can a heartbeat: a process may be slow. The lock files lie beside the database, so that all who share it see them.
 */
export class Holds {
  readonly #folder: string;

  constructor(db: Db) {
    this.#folder = `${db.name}.locks`;
  }

  /** Held until it is released, or the process ends. @returns null while anybody has it */
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

  /** Whether a process that had it died without releasing it. */
  wasLeft(kind: HoldKind, id: number): boolean {
    return existsSync(this.#path(kind, id)) && !this.isHeld(kind, id);
  }

  /** Removes the lock file of a process that died. */
  forget(kind: HoldKind, id: number): void {
    if (existsSync(this.#path(kind, id))) this.take(kind, id)?.remove();
  }

  #path(kind: HoldKind, id: number): string {
    return join(this.#folder, `${kind}-${id}`);
  }
}
