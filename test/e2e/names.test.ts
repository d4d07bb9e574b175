import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { databaseIn } from '../../electron/store/home.ts';
import { Store } from '../../electron/store/store.ts';
import { evaluationResult } from '../harness/evaluation-result.ts';
import { hasChromium, openWindow, Serving, type Window, why } from './harness.ts';
import { makeLearnedRun } from './learned-run.ts';

describe.skipIf(!hasChromium)(`long names stay in their places, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  const serving = new Serving();
  const NAME = `${'a name that goes on and on, '.repeat(6)}to its end`;
  const address = (hash: string) => `${new URL(serving.url).origin}/#/${hash}`;
  const right = async (selector: string) =>
    page.locator(selector).evaluateAll((all) => Math.max(...all.map((one) => one.getBoundingClientRect().right)));

  beforeAll(async () => {
    const checkpoint = await makeLearnedRun(serving.home);
    const store = Store.open(databaseIn(serving.home));
    store.datasets.rename(1, NAME);
    const scores = { mean_pooled: 0.5, cls: 0.25 };
    const where = { checkpoint: { id: checkpoint, run_id: 1, step: 9 }, dataset: NAME, test_dataset: NAME };
    const result = evaluationResult({ ...where, trained: scores, untrained: scores });
    store.evaluations.add({ checkpoint_id: checkpoint, dataset_id: 1, task: 'knn', result });
    store.close();
    ({ browser, window } = await openWindow(serving, { viewport: { width: 1024, height: 700 } }));
    ({ page } = window);
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  test('in the forms of a checkpoint', async () => {
    await page.goto(address('runs/1'));
    for (const [button, choice] of [
      [/^Evaluate step/, 'knn'],
      [/^Export step/, 'health'],
    ] as const) {
      await page.getByRole('button', { name: button }).first().click();
      const first = page.getByRole('dialog').locator('select').first();
      const value = await first.locator('option').evaluateAll((all, word) => {
        const found = (all as HTMLOptionElement[]).find(({ value, text }) => value === word || text.includes(word));
        return found!.value;
      }, choice);
      await first.selectOption(value);
      const names = page.getByRole('dialog').locator('option', { hasText: NAME });
      await expect.poll(() => names.count()).toBeGreaterThan(0);
      const edge = await right('dialog[open]');
      expect(await right('dialog[open] select')).toBeLessThanOrEqual(edge - 10);
      await page.keyboard.press('Escape');
    }
  });

  test('at the head of an evaluation in Runs, whose whole name is in the tooltip', async () => {
    await page.goto(address('runs'));
    const head = page.getByRole('button', { name: /^k-NN, / }).first();
    await head.waitFor();
    expect((await head.boundingBox())!.height).toBeLessThan(110);
    expect((await head.boundingBox())!.width).toBeGreaterThan(100);
    expect(await head.getAttribute('title')).toContain(NAME);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(1024);
    expect(window.faults).toEqual([]);
  });
});
