import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { databaseIn } from '../../electron/store/home.ts';
import { Store } from '../../electron/store/store.ts';
import { replayed } from '../harness/replayed.ts';
import { hasChromium, openWindow, Serving, type Window, why } from './harness.ts';
import { GRID, makeLearnedRun } from './learned-run.ts';

describe.skipIf(!hasChromium)(`look-ups drawn in the window, in Chromium${why}`, () => {
  const K = GRID * GRID;
  const IMAGE = 7;
  const MASKED = [0, 2, 3, 6, 9, 12, 13];
  let browser: Browser;
  let window: Window;
  let page: Page;
  let checkpoint = 0;
  const serving = new Serving();

  beforeAll(async () => {
    await loadBackend();
    checkpoint = await makeLearnedRun(serving.home);
    ({ browser, window } = await openWindow(serving));
    ({ page } = window);
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  test('a mask drawn by hand: place, rank, probability, entropy and the five likeliest are those that replay writes', async () => {
    await page.goto(`${new URL(serving.url).origin}/#/explore?run=1&dataset=1&image=${IMAGE}&view=lookups`);
    await page.getByText(/of \d+ found/).waitFor({ timeout: 60_000 });
    const student = page.getByRole('region', { name: 'What the student sees' }).locator('svg');
    const paint = async (tool: string, patches: number[]) => {
      await page.getByRole('button', { name: tool, exact: true }).click();
      const { x, y, width, height } = (await student.boundingBox())!;
      for (const patch of patches) {
        const [column, row] = [patch % GRID, Math.floor(patch / GRID)];
        await page.mouse.click(x + ((column + 0.5) / GRID) * width, y + ((row + 0.5) / GRID) * height);
      }
    };
    await paint(
      'Unmask',
      [...Array(K).keys()].filter((patch) => !MASKED.includes(patch)),
    );
    await paint('Mask', MASKED);
    await page.getByRole('region', { name: 'All look-ups' }).getByText(`of ${MASKED.length} found`).waitFor();
    await page.getByRole('button', { name: 'Choose a patch' }).click();

    const store = Store.open(databaseIn(serving.home));
    const mask = Array.from({ length: K }, (_, patch) => MASKED.includes(patch));
    const want = await replayed(store, checkpoint, IMAGE, mask).finally(() => store.close());
    expect(want.map(({ patch }) => patch)).toEqual(MASKED);
    const place = (patch: number) => `row ${Math.floor(patch / GRID) + 1}, column ${(patch % GRID) + 1}`;
    const figures = page.getByRole('region', { name: 'Figures' });
    for (const { patch, found, rank, probability, entropy, top5 } of want) {
      const { x, y, width, height } = (await student.boundingBox())!;
      const at = [x + (((patch % GRID) + 0.5) / GRID) * width, y + ((Math.floor(patch / GRID) + 0.5) / GRID) * height];
      await page.mouse.click(at[0]!, at[1]!);
      await page.getByRole('heading', { name: `Patch at ${place(patch)}`, exact: true }).waitFor();
      const words = (await figures.textContent())!.replace(/\s+/g, ' ');
      expect(words).toContain(`Rank of the true place ${rank} of ${K}`);
      const said = /probability ([\d.]+) %, entropy ([\d.]+)/.exec(words)!;
      near(Number(said[1]), 100 * probability, 0.06);
      near(Number(said[2]), entropy, 0.006);
      const rows = await figures
        .locator('tbody tr')
        .evaluateAll((all) => all.map((row) => [...row.children].map((cell) => cell.textContent!)));
      expect(rows.map(([name]) => name!.split(' – ')[0])).toEqual(top5.map((one) => place(one.patch)));
      expect(rows[0]![0]!.includes('the true one')).toBe(found === patch);
      for (const [i, [, chance]] of rows.entries()) near(Number.parseFloat(chance!), 100 * top5[i]!.probability, 0.06);
    }
    expect(window.faults).toEqual([]);
  });
});

/** Figures are rounded where they are shown. */
function near(shown: number, exact: number, most: number) {
  expect(Math.abs(shown - exact)).toBeLessThanOrEqual(most);
}
