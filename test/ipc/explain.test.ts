import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type OpenProgram, openProgram } from '../../electron/ipc/program.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { GRID, makeLearnedMae, makeLearnedRun } from '../e2e/learned-run.ts';
import { callerOf } from './calls.ts';

await loadBackend();
const K = GRID * GRID;
const SIDE = 8 * GRID;
const homes = [mkdtempSync(join(tmpdir(), 'explain-')), mkdtempSync(join(tmpdir(), 'explain-'))] as const;
const programs: OpenProgram[] = [];
const checkpoints: number[] = [];
const [call, other] = [callerOf(() => programs[0]!), callerOf(() => programs[1]!)];

beforeAll(async () => {
  for (const [i, make] of [makeLearnedMae, makeLearnedRun].entries()) {
    checkpoints.push(await make(homes[i]!));
    programs.push(await openProgram({ home: homes[i]!, shell: { kind: 'browser', reveal: () => false } }));
  }
});
afterAll(async () => {
  for (const program of programs) await program.close('stop');
  for (const home of homes) rmSync(home, { recursive: true });
});

const HAND = Array.from({ length: K }, (_, patch) => [1, 2, 4, 7, 8, 11, 13].includes(patch));
const asked = (more: object = {}) => ({
  checkpoint: checkpoints[0]!,
  image: 3,
  key: 'reconstruction',
  mask: HAND,
  draw: 0,
  untrained: false,
  ...more,
});
const bytesOf = (url: string) =>
  sharp(Buffer.from(url.split(',')[1]!, 'base64'))
    .removeAlpha()
    .raw()
    .toBuffer();

test('an autoencoder’s pictures of an image: what is kept is the image, what is removed is not', async () => {
  const view = await call('explore.explain', asked());
  expect(view).toMatchObject({ grid: GRID, step: 9, mask: HAND });
  expect(view.words).toContain('their tone is given');
  const [whole, masked, made] = await Promise.all(
    [view.picture, view.pictures.masked!, view.pictures.reconstruction!].map(bytesOf),
  );
  const differs = (a: Buffer, b: Buffer) =>
    HAND.map((_, patch) => {
      const [x0, y0] = [(patch % GRID) * 8, Math.floor(patch / GRID) * 8];
      return Array.from({ length: 8 }, (_, y) => ((y0 + y) * SIDE + x0) * 3).some(
        (at) => !a.subarray(at, at + 24).equals(b.subarray(at, at + 24)),
      );
    });
  expect(differs(whole!, masked!)).toEqual(HAND);
  expect(differs(whole!, made!)).toEqual(HAND);
  expect(view.maps.error!.map((error) => error !== null)).toEqual(HAND);
  const known = view.maps.error!.filter((error) => error !== null);
  expect(view.figures.error).toBeCloseTo(known.reduce((a, b) => a + b) / known.length, 6);
});

test('the run’s generator masks by draw; the untrained network answers otherwise', async () => {
  const [first, again, next] = await Promise.all(
    [0, 0, 1].map((draw) => call('explore.explain', asked({ mask: null, draw }))),
  );
  expect(first!.mask.filter(Boolean)).toHaveLength(0.75 * K);
  expect(again).toEqual(first);
  expect(next!.mask).not.toEqual(first!.mask);
  const untrained = await call('explore.explain', asked({ untrained: true }));
  const trained = await call('explore.explain', asked());
  expect(untrained.step).toBe(0);
  expect(untrained.figures.nothing).toBe(trained.figures.nothing);
  expect(untrained.figures.error).not.toBe(trained.figures.error);
});

test('what cannot be asked is refused in words', async () => {
  const mask = (length: number, value: boolean) => ({ mask: Array<boolean>(length).fill(value) });
  await expect(call('explore.explain', asked(mask(K - 1, true)))).rejects.toThrow(
    `has ${K - 1} patches, the image ${K}`,
  );
  await expect(call('explore.explain', asked(mask(K, true)))).rejects.toThrow('Every patch is hidden');
  await expect(call('explore.explain', asked(mask(K, false)))).rejects.toThrow('No patch is hidden');
  await expect(call('explore.explain', asked({ key: 'lookups' }))).rejects.toMatchObject({
    message: 'MAE cannot be asked for "lookups" of an image.',
    why: 'It has: reconstruction.',
  });
  await expect(call('explore.explain', asked({ key: 'constructor' }))).rejects.toThrow('cannot be asked');
  for (const key of ['lookups', 'reconstruction'])
    await expect(other('explore.explain', { ...asked(), checkpoint: checkpoints[1]!, key })).rejects.toMatchObject({
      message: `ConMIM cannot be asked for "${key}" of an image.`,
    });
  await expect(
    call('explore.lookup', { checkpoint: checkpoints[0]!, image: 3, mask: null, draw: 0, untrained: false }),
  ).rejects.toThrow('MAE has no look-ups');
});
