import { toReport } from '../../shared/errors.ts';
import type { Progress, Question, QuestionsOf, Reply } from './asked-process.ts';

export type Answers<Q extends QuestionsOf<Q>> = {
  [K in keyof Q]: (input: Q[K][0], onProgress: Progress) => Q[K][1] | Promise<Q[K][1]>;
};

const say = (reply: Reply) => process.send?.(reply, undefined, undefined, () => {});

/**
 * Answers the questions that this process is asked (`AskedProcess`), and ends with whoever asks: nobody waits for the
 * answer then. What hangs in the system keeps an ordinary exit waiting: `isHard` ends it all the same.
 * @param options.inTurn one question after the other
 * @param options.after what answers wait for; an error of it is theirs
 */
export function answer<Q extends QuestionsOf<Q>>(
  answers: Answers<Q>,
  { inTurn = false, isHard = false, after }: { inTurn?: boolean; isHard?: boolean; after?: Promise<unknown> } = {},
): void {
  const reply = async ({ id, kind, input }: Question): Promise<void> => {
    try {
      await after;
      const work = answers[kind as keyof Q];
      const value = await work(input as never, (done, total, phase) =>
        say({ type: 'progress', id, done, total, phase }),
      );
      say({ type: 'result', id, value });
    } catch (error) {
      say({ type: 'error', id, error: toReport(error) });
    }
  };
  after?.catch(() => {});
  let turn = Promise.resolve();
  process.on('message', (question: Question) => {
    turn = inTurn ? turn.then(() => reply(question)) : reply(question);
  });
  process.once('disconnect', () => (isHard ? process.kill(process.pid, 'SIGKILL') : process.exit()));
  say({ type: 'ready' });
}
