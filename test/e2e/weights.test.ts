import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exportEncoder } from '../../electron/services/export/export.ts';
import { hasChromium, inBothThemes, openWindow, Serving, type Window, why } from './harness.ts';
import { DEPTH, makeLearnedRun, stored } from './learned-run.ts';

describe.skipIf(!hasChromium)(`imported weights, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  let checkpoint = 0;
  const serving = new Serving();

  beforeAll(async () => {
    checkpoint = await makeLearnedRun(serving.home);
    const file = join(serving.home, 'elsewhere.safetensors');
    stored(serving.home, (store) =>
      exportEncoder(store, { checkpoint, network: 'teacher', format: 'timm', file, card: false }),
    );
    ({ browser, window } = await openWindow(serving, { viewport: { width: 1024, height: 700 } }));
    ({ page } = window);
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  async function isForEverybody() {
    await inBothThemes(page, async () => {
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(1024);
    });
    expect(window.faults).toEqual([]);
  }

  test('a file is found in its folder, and becomes a run', async () => {
    await page.goto(`${new URL(serving.url).origin}/#/runs`);
    await page.getByRole('button', { name: 'Import weights' }).click();
    const form = page.getByRole('dialog', { name: 'Import weights' });
    await form.getByLabel('File on the machine that trains').fill(join(serving.home, 'not there.pth'));
    await form.getByRole('button', { name: 'Import', exact: true }).click();
    await form.getByRole('alert').waitFor();
    await isForEverybody();
    await form.getByRole('button', { name: 'Choose…' }).click();
    const picker = page.getByRole('dialog', { name: 'Choose a file of weights' });
    await isForEverybody();
    await picker.getByRole('button', { name: /^elsewhere\.safetensors/ }).click();
    await form.getByLabel('Name of the run').fill('from elsewhere');
    await form.getByRole('button', { name: 'Import', exact: true }).click();
    await page.waitForURL(/#\/runs\/2/);
    await page.getByText(/no projector and no mask token/).waitFor();
    expect(stored(serving.home, (store) => store.runs.get('from elsewhere').config.model.depth)).toBe(DEPTH);
  });

  test('it stands beside a run that is evaluated, and beside nothing where that is not wanted', async () => {
    await page.goto(`${new URL(serving.url).origin}/#/runs/1`);
    const evaluations = page.getByRole('region', { name: 'Evaluations' });
    const form = page.getByRole('dialog', { name: /^Evaluate / });
    const ask = async (isBeside: boolean) => {
      await page.getByRole('button', { name: /^Evaluate step/ }).click();
      await form.getByLabel('Task').selectOption('knn');
      await form.getByRole('checkbox', { name: /the imported weights "from elsewhere"/ }).setChecked(isBeside);
      await form.getByRole('button', { name: 'Evaluate' }).click();
      await form.waitFor({ state: 'detached' });
    };
    await ask(false);
    await evaluations.getByRole('button', { name: /k-NN/ }).waitFor({ timeout: 60_000 });
    expect(await evaluations.getByRole('columnheader', { name: 'Imported' }).count()).toBe(0);
    await ask(true);
    await evaluations.getByRole('columnheader', { name: 'Imported' }).waitFor({ timeout: 60_000 });
    const { result } = stored(serving.home, (store) => store.evaluations.list({ run_id: 1 }).at(-1)!);
    // What was exported is the teacher of the checkpoint; student, teacher and untrained differ.
    expect(result).toMatchObject({ official_name: 'from elsewhere', official: { mean_pooled: expect.any(Number) } });
    await isForEverybody();
  });
});
