import type { ErrorKind, ErrorReport } from './error-report.ts';

export type { ErrorKind, ErrorReport } from './error-report.ts';

/** Errors that a user can meet. Each says what happened, why, and what to do next. */
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
