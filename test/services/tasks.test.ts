import { expect, test } from 'vitest';
import { Events } from '../../electron/services/ground/events.ts';
import { Tasks } from '../../electron/services/ground/tasks.ts';
import type { AppEvent } from '../../shared/contract/events.ts';
import type { TaskKind } from '../../shared/contract/started.ts';

/** Notices that a work's result gives. */
async function noticesOf(kind: TaskKind, result: unknown): Promise<string[]> {
  const heard: AppEvent[] = [];
  const events = new Events();
  events.listen(({ event }) => heard.push(event));
  const tasks = new Tasks(events);
  let done = () => {};
  const ended = new Promise<void>((resolve) => {
    done = resolve;
  });
  events.listen(({ event }) => event.type === 'task' && event.task.status === 'done' && setImmediate(done));
  const faults: unknown[] = [];
  const fault = (error: unknown) => faults.push(error);
  process.on('unhandledRejection', fault);
  tasks.start(kind, 'Work', async () => result as never);
  await ended;
  process.off('unhandledRejection', fault);
  expect(faults).toEqual([]);
  return heard.flatMap((event) => (event.type === 'notice' ? [event.text] : []));
}

test('images that a work left out are said where no view shows its result', async () => {
  const left_out = [{ path: 'a.png', why: 'ENOENT' }];
  const words = expect.stringMatching(/^Work: 1 of 10 images is left out, because it cannot be read: a\.png/);
  expect(await noticesOf('health', { images: 9, left_out })).toEqual([words]);
  expect(await noticesOf('index', { index: { images: 9 }, unreadable: 1, left_out })).toEqual([words]);
  expect(await noticesOf('embeddings', { images: 9, unreadable: left_out })).toEqual([words]);
  expect(await noticesOf('embeddings', { images: 9, unreadable: [] })).toEqual([]);
  expect(await noticesOf('evaluate', { images: 9, left_out })).toEqual([]); // its panel has them
  // What an import left out is of another form, and its dialog has it.
  expect(await noticesOf('import', { added: 3, left_out: { folders: [], kinds: [] } })).toEqual([]);
  for (const nothing of [undefined, null, 'text', 7, {}]) expect(await noticesOf('health', nothing)).toEqual([]);
});

test('a task is named with its kind, and has a result only when it is done; a file is known of what writes one', async () => {
  const tasks = new Tasks(new Events());
  const { promise, resolve } = Promise.withResolvers<{ file: string; images: number; left_out: [] }>();
  const health = tasks.start('health', 'Health', () => promise);
  const probes = tasks.start('probes', 'Look-ups', async () => ({ computed: 3 }));
  expect([health.kind, probes.kind]).toEqual(['health', 'probes']);
  const of = ({ task }: { task: string }) => tasks.list().find(({ id }) => id === task)!;
  expect(of(health)).toMatchObject({ kind: 'health', status: 'running', result: null });
  expect(tasks.made(health.task)).toBeNull();
  resolve({ file: '/a/health.html', images: 3, left_out: [] });
  await expect.poll(() => of(health).status).toBe('done');
  await expect.poll(() => of(probes).result).toEqual({ computed: 3 });
  expect(tasks.made(health.task)).toBe('/a/health.html');
  expect([tasks.made(probes.task), tasks.made('unknown')]).toEqual([null, null]);
});
