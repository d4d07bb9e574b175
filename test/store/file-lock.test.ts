import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { isLocked, lockFile } from '../../electron/store/file-lock.ts';
import { scratch } from './helpers.ts';

/** A process that holds a lock (lock-child.ts). */
async function holder(path: string, mode = 'hold'): Promise<ChildProcess> {
  const child = fork(join(import.meta.dirname, 'lock-child.ts'), [path, mode]);
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child, 'message');
  return child;
}

test('is seen by its process and by others, and is let go of by whichever end', async () => {
  const path = join(scratch(), 'locks', 'one');
  expect(isLocked(path)).toBe(false);
  const own = lockFile(path)!;
  expect([isLocked(path), lockFile(path)]).toEqual([true, null]);
  own.release();
  expect([isLocked(path), existsSync(path)]).toEqual([false, true]);
  lockFile(path)!.remove();
  expect(existsSync(path)).toBe(false);

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const child = await holder(path);
    expect([isLocked(path), lockFile(path)]).toEqual([true, null]);
    child.kill('SIGSTOP'); // one that sleeps has it still
    expect(isLocked(path)).toBe(true);
    child.kill('SIGCONT');
    child.kill(signal);
    await once(child, 'close');
    expect(isLocked(path)).toBe(false);
  }
});

test('those that only look keep nobody from taking it, and are taken for no holder', async () => {
  const path = join(scratch(), 'one');
  lockFile(path)!.release();
  const lookers = await Promise.all([1, 2].map(() => holder(path, 'look')));
  // Each says whether it ever saw a holder.
  const seen = await Promise.all(
    lookers.map(async (child) => {
      const answer = once(child, 'message');
      child.send('report');
      return (await answer)[0];
    }),
  );
  expect(seen).toEqual([false, false]);
  for (let i = 0; i < 30; i++) {
    const lock = lockFile(path);
    expect(lock, `attempt ${i}`).not.toBeNull();
    lock!.release();
  }
});

test('of several that take it at once one has it', async () => {
  const path = join(scratch(), 'one');
  const children = await Promise.all([1, 2, 3].map(() => holder(path, 'wait')));
  const answers = children.map(async (child) => {
    const answer = once(child, 'message');
    child.send('take');
    return (await answer)[0] as boolean;
  });
  expect((await Promise.all(answers)).filter(Boolean)).toHaveLength(1);
});
