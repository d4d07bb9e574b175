import type { OpenProgram } from '../../electron/ipc/program.ts';
import type { Asked, Channel, Result } from '../../shared/contract/index.ts';

/** Asks the program that `program` gives at that moment, and throws what it refuses. */
export const callerOf =
  (program: () => OpenProgram) =>
  async <C extends Channel>(channel: C, input: Asked<C>): Promise<Result<C>> => {
    const answer = await program().call(channel, input);
    if (!answer.ok) throw Object.assign(new Error(answer.error.what), answer.error);
    return answer.value as Result<C>;
  };

/** Until it is so; throws after a minute. */
export async function wait(what: () => boolean | Promise<boolean>): Promise<void> {
  const until = Date.now() + 60_000;
  while (!(await what())) {
    if (Date.now() > until) throw new Error(`waited in vain: ${what}`);
    await new Promise((r) => setTimeout(r, 20));
  }
}
