/** What it means that a process was ended by a signal, as far as that can be known: one sentence. */
export function signalWords(signal: string): string {
  return `Signal ${signal}: ${MEANINGS[signal] ?? 'another process sent it'}.`;
}

/** How a process ended that said nothing itself. */
export const endWords = (code: number | null, signal: string | null): string =>
  signal ? signalWords(signal) : `Exit code ${code}.`;

const MEANINGS: Record<string, string> = {
  SIGKILL: 'the system ends a process so where memory runs out, or somebody did',
  SIGSEGV:
    'native code reached for memory that is not there; `npm run setup -- --verify` compares every file of TensorFlow',
  SIGBUS: 'a file that is read through memory was cut short meanwhile, or its disk is gone or full',
  SIGILL: 'native code holds an instruction that this processor lacks; `npm run setup` compiles for it',
  SIGFPE: 'native code divided by zero',
  SIGABRT: 'it gave up by itself, as where memory runs out or native code finds a fault',
  SIGHUP: 'its terminal or session was closed',
  SIGINT: 'somebody interrupted it',
  SIGQUIT: 'somebody ended it from the keyboard',
  SIGTERM: 'somebody, or the system when it shuts down, asked it to end',
  SIGXCPU: 'it used up the processor time that it may have',
  SIGXFSZ: 'a file became larger than it may be',
  SIGPIPE: 'whoever read what it said is gone',
};
