/** What a call gives at once, where the rest comes later. */

export interface Undo {
  undo: string;
  what: string;
}

export type TaskKind =
  | 'accuracy'
  | 'index'
  | 'map'
  | 'import'
  | 'rescan'
  | 'prepare'
  | 'estimate'
  | 'bakeoff'
  | 'evaluate'
  | 'embeddings'
  | 'health'
  | 'health-page'
  | 'probes'
  | 'doctor'
  | 'check'
  | 'trial'
  | 'install';

/** Names a task. Its kind says what its result is (`TaskResults`). */
export interface TaskRef<K extends TaskKind = TaskKind> {
  task: string;
  kind: K;
}
