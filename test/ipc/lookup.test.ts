import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type OpenProgram, openProgram } from '../../electron/ipc/program.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { databaseIn } from '../../electron/store/home.ts';
import { Store } from '../../electron/store/store.ts';
import type { Answer, LookupView } from '../../shared/contract/index.ts';
import { GRID, makeLearnedRun } from '../e2e/learned-run.ts';
import { replayed, sameLookups } from '../harness/replayed.ts';

await loadBackend();
const K = GRID * GRID;
const home = mkdtempSync(join(tmpdir(), 'lookup-'));
let [checkpoint, program, store] = [0, {} as OpenProgram, {} as Store];

beforeAll(async () => {
  checkpoint = await makeLearnedRun(home);
  program = await openProgram({ home, shell: { kind: 'browser', reveal: () => false } });
  store = Store.open(databaseIn(home));
});
afterAll(async () => {
  store.close();
  await program.close('stop');
  rmSync(home, { recursive: true });
});

const ask = async (image: number, mask: boolean[] | null, draw = 0): Promise<LookupView> => {
  const input = { checkpoint, image, mask, draw, untrained: false };
  const answer = (await program.call('explore.lookup', input)) as Answer<LookupView>;
  if (!answer.ok) throw new Error(answer.error.what);
  return answer.value;
};

const HAND = Array.from({ length: K }, (_, patch) => [1, 2, 4, 7, 8, 11, 13].includes(patch));

// The run's own pictures (one of them is of its company too), and one of another dataset.
test.each([
  [1, HAND, 0],
  [5, null, 3],
  [24, HAND.map((masked) => !masked), 0],
  [25, null, 1],
])('every look-up that a window is given of image %i is the one that replay writes', async (image, mask, draw) => {
  const view = await ask(image, mask, draw);
  if (mask) expect(view.mask).toEqual(mask);
  const want = await replayed(store, checkpoint, image, view.mask);
  expect(want.length).toBe(view.mask.filter(Boolean).length);
  sameLookups(view.answers, want);

  // The comparison sees answers that stand one patch aside, on either side.
  const next = <T>(list: readonly T[], i: number) => list[(i + 1) % list.length]!;
  const shifted = view.answers.map(({ patch }, i) => ({ ...next(view.answers, i), patch }));
  expect(() => sameLookups(shifted, want)).toThrow();
  const aside = want.map(({ patch }, i) => ({ ...next(want, i), patch }));
  expect(() => sameLookups(view.answers, aside)).toThrow();
  const moved = view.mask.map((_, patch) => view.mask[(patch + K - 1) % K]!);
  const other = await replayed(store, checkpoint, image, moved);
  expect(() => sameLookups(view.answers, other)).toThrow();
});
