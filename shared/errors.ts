/**
 * Errors that a user can meet. Each says what happened, why, and what to do next; `kind` is what code tells them
 * apart by, and what crosses a process boundary.
 */
export type ErrorKind =
  | 'bad-input' // an argument, option or configuration value that cannot be used
  | 'not-found' // a dataset, run, checkpoint or file that is not there
  | 'conflict' // a name taken, a run already running
  | 'changed' // what was edited has been changed elsewhere meanwhile
  | 'bad-file' // a file whose content cannot be read or is refused
  | 'newer-format' // written by a newer version of this program
  | 'data-vanished' // the image folder is gone during a run or an import
  | 'diverged' // a loss or gradient that is not finite
  | 'out-of-memory' // a step, or what was asked for, does not fit into memory
  | 'no-backend' // no TensorFlow or WASM backend can be used
  | 'canceled' // the user stopped it
  | 'no-connection' // a window lost the program behind it
  | 'trainer-died' // the training process ended without a word
  | 'internal'; // a fault of this program

export class AppError extends Error {
  readonly kind: ErrorKind;
  /** Why it happened, one sentence; empty when `message` says it all. */
  readonly why: string;
  /** What the user can do, one sentence. */
  readonly next: string;
  /** What has the requested name already, and would be overwritten. */
  readonly exists: string | undefined;

  constructor(kind: ErrorKind, what: string, why = '', next = '', options?: ErrorOptions & { exists?: string }) {
    super(what, options);
    this.name = 'AppError';
    this.kind = kind;
    this.why = why;
    this.next = next;
    this.exists = options?.exists;
  }

  toJSON(): ErrorReport {
    const report = { kind: this.kind, what: this.message, why: this.why, next: this.next };
    return this.exists === undefined ? report : { ...report, exists: this.exists };
  }
}

export interface ErrorReport {
  kind: ErrorKind;
  what: string;
  why: string;
  next: string;
  /** Something with this name exists and may be overwritten: ask the user, then call again with `replace`. */
  exists?: string;
}

/** How TensorFlow, V8, WebAssembly and the system say that memory is out. */
const OUT_OF_MEMORY =
  /\bOOM\b|TF_Status: 8\b|RESOURCE_EXHAUSTED|array buffer allocation failed|out of memory|cannot enlarge memory|std::bad_alloc|\bENOMEM\b/i;

/** Any thrown value as a report. What is neither an `AppError` nor an abort is a fault of this program. */
export function toReport(error: unknown): ErrorReport {
  if (error instanceof AppError) return error.toJSON();
  if (isAbort(error)) return { kind: 'canceled', what: 'It was canceled.', why: '', next: '' };
  const what = error instanceof Error ? error.message : String(error);
  if (OUT_OF_MEMORY.test(what)) return outOfMemory(what);
  return { kind: 'internal', what, why: '', next: 'Please report this, with the command that you ran.' };
}

/** What `AbortSignal.throwIfAborted` throws, and whatever of the platform an `AbortSignal` ends. */
const isAbort = (error: unknown) => error instanceof Error && error.name === 'AbortError';

function outOfMemory(what: string): ErrorReport {
  const shape = /shape\s*\[[\d,]+\]/.exec(what)?.[0];
  return {
    kind: 'out-of-memory',
    what: 'There was not enough memory.',
    why: `${shape ? `Memory for a tensor of ${shape}` : 'Memory'} could not be allocated, on this machine or on its device.`,
    next:
      'Lower train.batch_size (train.accumulation keeps the images of a step), set train.recompute to true, or take a ' +
      'smaller model, larger patches or smaller images; close other programs.',
  };
}

/** A report that came over a process boundary, as the error that it was. */
export function fromReport(report: ErrorReport): AppError {
  const { kind, what, why, next, exists } = report;
  return new AppError(kind, what, why, next, exists === undefined ? {} : { exists });
}
