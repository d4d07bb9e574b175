import { count } from '../../shared/words.ts';
import { type Latest, latest } from './latest.svelte.ts';

/** What a network answered, with what it is called. */
export interface Beside<V> {
  name: string;
  view: V;
}

/**
 * The same question to a network and to itself before training, one after the other. Call it while a component is made.
 * @param ask may read state; `isUntrained` asks the second alone
 */
export function beside<I extends object, V extends { step: number }>(
  ask: () => { input: I; isUntrained: boolean },
  send: (input: I & { untrained: boolean }) => Promise<V>,
): Latest<Beside<V>[]> {
  return latest(ask, async ({ input, isUntrained }, isNewest) => {
    const answers: Beside<V>[] = [];
    for (const untrained of isUntrained ? [true] : [false, true]) {
      if (!isNewest()) break;
      const view = await send({ ...input, untrained });
      answers.push({ name: view.step === 0 ? 'Before training' : `Step ${count(view.step)}`, view });
    }
    return answers;
  });
}
