import { vi } from 'vitest';
import { runProgram } from '../../electron/cli/program.ts';

export interface Said {
  stdout: string;
  stderr: string;
  /** Both, in the order in which they were written. */
  said: string;
  status: number;
}

/** What a command says, given in this process: a start of the program costs most of a second of the processor. */
export async function given(...args: string[]): Promise<Said> {
  const got = { stdout: '', stderr: '', said: '' };
  const streams = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text: unknown) => {
      got[name] += String(text);
      got.said += String(text);
      return true;
    }),
  );
  process.exitCode = 0;
  try {
    await runProgram(args);
    return { ...got, status: Number(process.exitCode) };
  } finally {
    process.exitCode = 0;
    for (const stream of streams) stream.mockRestore();
  }
}
