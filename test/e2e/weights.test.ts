import { rmSync } from 'node:fs';
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
    // A method's files have questions of their own.
    const decoderHeads = form.getByLabel("Decoder's heads");
    await form.getByLabel('Method').selectOption('ConMIM');
    await decoderHeads.waitFor({ state: 'detached' });
    await form.getByLabel('Method').selectOption('MAE');
    await decoderHeads.fill('8');
    await isForEverybody();
    await form.getByLabel('Method').selectOption('as the file says, or its tensors');
    await decoderHeads.fill('');
    await form.getByRole('button', { name: 'Choose a file …' }).click();
    const picker = page.getByRole('dialog', { name: 'Choose a file of weights' });
    await isForEverybody();
    await picker.getByRole('button', { name: /^elsewhere\.safetensors/ }).click();
    await form.getByLabel('Name of the run').fill('from elsewhere');
    await form.getByRole('button', { name: 'Import', exact: true }).click();
    await page.waitForURL(/#\/runs\/2/);
    await page.getByText(/as those of ConMIM\..* no projector and no mask token/).waitFor();
    // Nothing was trained here: no axes without curves, no progress of nothing.
    await page.getByText('read from a file').first().waitFor();
    expect(await page.getByRole('group', { name: /^Loss/ }).count()).toBe(0);
    expect(await page.getByRole('progressbar').count()).toBe(0);
    await isForEverybody();
    expect(stored(serving.home, (store) => store.runs.get('from elsewhere').config.model.depth)).toBe(DEPTH);
  });

  test('it stands beside a run that is evaluated, and beside nothing where that is not wanted', async () => {
    await page.goto(`${new URL(serving.url).origin}/#/runs/1`);
    // A run without a metric says so where its curves will be, whatever the scale.
    const charts = page.getByRole('group', { name: /nothing measured yet$/ });
    await expect.poll(() => charts.count()).toBeGreaterThan(5);
    expect(await charts.getByText('nothing measured yet').count()).toBe(await charts.count());
    await page.getByRole('button', { name: 'Log scale', pressed: false }).click();
    await page.getByRole('button', { name: 'Log scale', pressed: true }).click();
    expect(await charts.getByText('nothing measured yet').count()).toBe(await charts.count());
    expect(await charts.locator('canvas').count()).toBe(0);
    const evaluations = page.getByRole('region', { name: 'Evaluations' });
    const form = page.getByRole('dialog', { name: /^Evaluate / });
    const ask = async (isBeside: boolean) => {
      await page.getByRole('button', { name: /^Evaluate step/ }).click();
      await form.getByLabel('Task').selectOption('knn');
      await form.getByRole('checkbox', { name: /the imported weights "from elsewhere"/ }).setChecked(isBeside);
      await form.getByRole('button', { name: 'Put in the queue' }).click();
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

  test('a message stands beside the tasks, and above them where there is no room', async () => {
    rmSync(join(serving.home, 'pictures'), { recursive: true });
    await page.getByRole('button', { name: /^Export step/ }).click();
    const form = page.getByRole('dialog', { name: /^Export step/ });
    await form.getByLabel('Format').selectOption('npy');
    await form.getByLabel(/^Folder/).fill(serving.home);
    await form.getByRole('button', { name: 'Export' }).click();
    const tray = page.getByRole('region', { name: 'Tasks' });
    await tray.getByText('No image of "pictures" can be read.').waitFor({ timeout: 60_000 });
    await page.goto(`${new URL(serving.url).origin}/#/runs`);
    await page.getByRole('checkbox', { name: 'Choose from elsewhere' }).check();
    await page.getByRole('button', { name: 'Delete' }).click();
    const message = page.locator('.toasts');
    await message.getByRole('button', { name: 'Undo' }).waitFor();
    const overlap = async () => {
      const [a, b] = [(await tray.boundingBox())!, (await message.boundingBox())!];
      const along = (from: 'x' | 'y', size: 'width' | 'height') =>
        Math.min(a[from] + a[size], b[from] + b[size]) - Math.max(a[from], b[from]);
      return along('x', 'width') > 0 && along('y', 'height') > 0;
    };
    expect(await overlap()).toBe(false);
    await isForEverybody();
    await page.setViewportSize({ width: 640, height: 700 });
    expect(await overlap()).toBe(false);
    await inBothThemes(page);
    await message.getByRole('button', { name: 'Undo' }).click();
    await page.getByRole('link', { name: 'from elsewhere', exact: true }).waitFor();
  });
});
