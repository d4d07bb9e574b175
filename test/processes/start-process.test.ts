import { EventEmitter } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

/** A system without room for another process: Node throws, or gives what has neither number nor channel and tells later. */
const room = vi.hoisted(() => ({ how: 'later' as 'later' | 'throws' }));
vi.mock('node:child_process', async (original) => ({
  ...(await original<typeof import('node:child_process')>()),
  fork: () => {
    if (room.how === 'throws') throw Object.assign(new Error('spawn ENOMEM'), { code: 'ENOMEM' });
    const child = new EventEmitter();
    process.nextTick(() => child.emit('error', Object.assign(new Error('spawn EMFILE'), { code: 'EMFILE' })));
    return child;
  },
}));
const { DecoderPool } = await import('../../electron/data/decoder-pool.ts');
const { ExploreHost } = await import('../../electron/services/explore/host.ts');
const { runJob } = await import('../../electron/services/ground/jobs.ts');
const { Outside } = await import('../../electron/services/ground/outside.ts');
const { startTrainer } = await import('../../electron/trainer/host.ts');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'start-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

// An error that nobody hears ends the test process: vitest fails on it.
describe.each(['later', 'throws'] as const)('a process that cannot be started (said %s)', (how) => {
  const refused = { message: 'Another process cannot be started.', next: expect.stringContaining('try again') };
  beforeEach(() => {
    room.how = how;
  });

  test('is an error of the question that needed it', async () => {
    const explore = new ExploreHost(join(folder, 'none.sqlite'));
    const input = { checkpoint: 1, image: 1, part: 'student', untrained: false, patch: null } as never;
    await expect((async () => explore.attention(input))()).rejects.toMatchObject(refused);
    await expect(explore.accuracy(input, {})).rejects.toMatchObject(refused);
    await expect(runJob('doctor', { home: folder })).rejects.toMatchObject(refused);
    const outside = new Outside();
    await expect(outside.look(folder)).rejects.toMatchObject(refused);
    await expect(outside.look(folder)).rejects.toMatchObject(refused);
    outside.close();
  });

  test('is an error of every image that would have been decoded there', async () => {
    const pool = new DecoderPool(1);
    const job = { kind: 'probe', path: join(folder, 'none.png'), limits: {} } as const;
    for (const error of await Promise.all([1, 2].map(() => pool.run(job).catch((e) => e))))
      expect(error).toMatchObject(refused);
    pool.close();
  });

  test('leaves a run that says why it does not train', async () => {
    const handle = startTrainer(join(folder, 'none.sqlite'), 7, () => {});
    handle.pause();
    handle.detach();
    expect(await handle.claimed).toBe(false);
    expect(await handle.ended).toMatchObject({ status: 'interrupted', error: { what: refused.message } });
  });
});
