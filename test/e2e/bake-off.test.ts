import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Download, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { SAMPLES } from '../../electron/services/datasets/samples.ts';
import { METHODS } from '../../methods/index.ts';
import { excess, hasChromium, inBothThemes, makeImages, openWindow, Serving, type Window, why } from './harness.ts';
import { stored } from './learned-run.ts';

/** Fourteen processes, one after the other, on a machine that may be busy, ms. */
const TIME = 900_000;

describe.skipIf(!hasChromium)(`a bake-off in the window, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  const serving = new Serving();
  const address = (hash: string) => `${new URL(serving.url).origin}/#/${hash}`;
  const saved = async (name: string) => {
    const waiting = page.waitForEvent('download');
    await page.getByRole('button', { name }).click();
    const file = await waiting;
    return [file.suggestedFilename(), await textOf(file)] as const;
  };
  const textOf = async (file: Download) => readFileSync((await file.path())!, 'utf8');
  const field = (name: string) => page.getByRole('spinbutton', { name, exact: true });

  beforeAll(async () => {
    ({ browser, window } = await openWindow(serving));
    ({ page } = window);
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') console.log(page.url(), await page.textContent('main'));
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  test('without images it says what it needs', async () => {
    await page.goto(address('bake-off'));
    await page.getByRole('heading', { name: 'A bake-off needs images' }).waitFor();
    await inBothThemes(page);
  });

  test('images without classes can be compared by figures without labels alone, and it says so', async () => {
    await makeImages(join(serving.home, 'loose'), 6);
    await page.goto(address('datasets?import=1'));
    const form = page.getByRole('dialog', { name: 'Import images' });
    await form.getByRole('textbox', { name: 'Path of a folder' }).fill(join(serving.home, 'loose'));
    await form.getByRole('textbox', { name: 'Name' }).fill('loose');
    await form.getByRole('button', { name: 'Import', exact: true }).click();
    await page.waitForURL(/#\/datasets\/\d+/);
    await page.goto(address('bake-off'));
    await page.getByText('These images have no classes').waitFor();
    expect(await page.getByRole('checkbox', { name: 'Figures without labels' }).isChecked()).toBe(true);
    expect(await page.getByRole('checkbox', { name: 'k-NN', exact: true }).count()).toBe(0);
  });

  test('choose, see what it takes, start', async () => {
    await page.goto(address('datasets?import=1'));
    const form = page.getByRole('dialog', { name: 'Import images' });
    await form.getByRole('textbox', { name: 'Path of a folder' }).fill(SAMPLES[1].folder);
    await form.getByRole('textbox', { name: 'Name' }).fill('drawings');
    await form.getByText('each folder directly below is a class').click();
    await form.getByRole('button', { name: 'Import', exact: true }).click();
    await page.waitForURL(/#\/datasets\/\d+/);
    await page.goto(address('bake-off'));
    await page.getByRole('heading', { name: 'What it takes' }).waitFor();
    for (const { title } of METHODS.slice(2))
      await page.getByRole('checkbox', { name: new RegExp(`^${title} \\(`) }).uncheck();
    // What cannot be is said where it is, and cannot be started.
    await field('Heads').fill('3');
    await page.getByRole('alert').getByText('must be a multiple of model.num_heads').waitFor();
    expect(await page.getByRole('button', { name: /^Start/ }).isDisabled()).toBe(true);
    for (const [name, value] of Object.entries({
      Heads: 2,
      'Image, pixels': 32,
      Width: 32,
      Blocks: 1,
      Seeds: 2,
      Images: 128,
    }))
      await field(name).fill(String(value));
    for (const name of ['Linear probe', 'Few-shot k-NN']) await page.getByRole('checkbox', { name }).uncheck();
    await page.getByText('4 pretrainings, 8 evaluations and 2 trainings with labels').waitFor();
    await page.getByRole('button', { name: 'Measure', exact: true }).click();
    await page.getByText(/with labels: about \d+/).waitFor();
    await inBothThemes(page, async () => expect(await excess(page)).toEqual([0, 0]));
    await page.getByRole('textbox', { name: 'Name of the bake-off' }).fill('which one');
    await page.getByRole('button', { name: 'Start 4 runs' }).click();
    await page.waitForURL(/#\/bake-off\/\d+/);
  });

  test(
    'its page fills while the runs go on',
    async () => {
      await page.getByRole('heading', { level: 1, name: 'which one' }).waitFor();
      const table = page.getByRole('region', { name: 'Figures' });
      await table.getByRole('rowheader', { name: METHODS[0]!.title }).waitFor();
      await table.getByText('(single seed)').first().waitFor(); // the first evaluation is there, and others are not
      await page.getByText('14 of 14 runs and evaluations').waitFor({ timeout: TIME });
      await page.getByText('Two seeds cannot tell it apart').first().waitFor();
      await table.getByText('no seed').first().waitFor();
      const rows = await table.getByRole('rowheader').allTextContents();
      expect(rows).toEqual([
        ...METHODS.slice(0, 2).map(({ title }) => title),
        ...METHODS.slice(0, 2).map(({ title }) => `Untrained: ${title}`), // they know places differently
        ...['With labels, from scratch', 'Raw pixels'],
      ]);
      // Figures without labels stand beside those that judge.
      for (const name of ['RankMe', 'LiDAR']) await table.getByRole('columnheader', { name }).waitFor();
      await inBothThemes(page, async () => expect(await excess(page)).toEqual([0, 0]));
      const heads = await table.getByRole('columnheader').count();
      await page.getByRole('checkbox', { name: 'All figures' }).check();
      await expect.poll(() => table.getByRole('columnheader').count()).toBeGreaterThan(heads);
      expect(page.url()).toContain('figures=all');
    },
    TIME,
  );

  test('as CSV, and as one HTML file', async () => {
    const [name, text] = await saved('CSV');
    expect(name).toBe('which one.csv');
    const lines = text.trim().split('\r\n');
    expect(lines[0]).toBe('row,kind,figure,key,n,mean,sd,low,high,seed 0,seed 1');
    const of = lines.find(
      (line) => line.startsWith(`${METHODS[0]!.title},method`) && line.includes('knn mean_pooled'),
    )!;
    const values = of.replace(/"[^"]*"/, 'figure').split(',');
    const [n, mean, a, b] = [4, 5, 9, 10].map((place) => Number(values[place]));
    expect(n).toBe(2);
    expect(mean).toBeCloseTo((a! + b!) / 2, 9);
    const [report, html] = await saved('Report');
    expect(report).toBe('which one.html');
    expect(html).toContain('Bake-off which one');
    expect(html).not.toContain(serving.home);
    const own = await window.context.newPage();
    await own.setContent(html);
    await own.getByRole('heading', { name: 'Who differs from whom' }).waitFor();
    await own.close();
  });

  test('long names and a small window keep it whole; it is forgotten, and its runs stay', async () => {
    await page.setViewportSize({ width: 1024, height: 700 });
    expect(await excess(page)).toEqual([0, 0]);
    await page.getByRole('button', { name: 'Forget …' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Forget', exact: true }).click();
    await page.getByRole('heading', { level: 1, name: 'Bake-off' }).waitFor();
    expect(stored(serving.home, (store) => [store.bakeOffs.list().length, store.runs.list().length])).toEqual([0, 6]);
    expect(window.faults).toEqual([]);
  });
});
