import { type ChildProcess, type ForkOptions, fork } from 'node:child_process';
import { AppError } from '../../shared/errors.ts';

/**
 * Starts another process of this program. Where the system has no room for one, that is an error of this call: Node
 * gives a process without number and channel then, throws, or tells later, as it comes.
 * @throws AppError
 */
export function startProcess(program: string, args: string[], options: ForkOptions): ChildProcess {
  let cause: unknown;
  try {
    const child = fork(program, args, options);
    child.on('error', () => {}); // a process that cannot be told, or ended, is one that closes
    if (child.pid !== undefined) return child;
  } catch (error) {
    cause = error;
  }
  throw new AppError(
    'internal',
    'Another process cannot be started.',
    'The system has no room for one more process, or open file.',
    'Close windows and other programs, then try again.',
    { cause },
  );
}
