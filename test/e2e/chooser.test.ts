import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { Store } from '../../electron/store/store.ts';
import { hasChromium, inBothThemes, makeImages, openWindow, Serving, type Window, why } from './harness.ts';
import { makeLearnedRun, stored } from './learned-run.ts';

const MANY = 60;

describe.skipIf(!hasChromium)(`any image of a dataset, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  const serving = new Serving();
  const open = (hash: string) => page.goto(`${new URL(serving.url).origin}/#/${hash}`);
  const path = (id: string) => stored(serving.home, (store) => store.images.get(Number(id)).path);

  beforeAll(async () => {
    await makeLearnedRun(serving.home);
    const folder = join(serving.home, 'many');
    await makeImages(folder, MANY);
    const store = Store.open(join(serving.home, 'workbench.sqlite'));
    await importDataset(store, { name: 'many', folders: [folder], labels: 'folders' });
    store.close();
    ({ browser, window } = await openWindow(serving, { viewport: { width: 1024, height: 700 } }));
    ({ page } = window);
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  test('an image beyond the strip is found, looked up, and stands in the strip', async () => {
    await open('explore?run=1&dataset=3&view=lookups');
    const strip = page.getByRole('listbox', { name: 'Images' });
    await expect.poll(() => strip.getByRole('option').count()).toBe(24);
    await page.getByRole('button', { name: `All ${MANY} images` }).click();
    const chooser = page.getByRole('dialog', { name: 'Choose an image' });
    await chooser.getByText(`${MANY} images`).waitFor();
    await inBothThemes(page);
    await chooser.getByRole('listbox').press('End');
    await chooser.getByText('class-1/image 059.png').waitFor();
    await chooser.getByRole('searchbox').fill('image 057');
    await chooser.getByRole('option', { name: /image 057/ }).click();
    await chooser.getByRole('button', { name: 'Explore this image' }).click();
    await chooser.waitFor({ state: 'detached' });
    await page.getByText(/^class-1\/image 057\.png, step/).waitFor({ timeout: 60_000 });
    await expect.poll(() => strip.getByRole('option').count()).toBe(25);
    expect(await strip.getByRole('option', { selected: true }).getAttribute('title')).toBe('class-1/image 057.png');
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(1024);
  });

  test('a dataset of few images has no such button; its inspector leads to Explore', async () => {
    await open('explore?run=1&dataset=1');
    await expect.poll(() => page.getByRole('listbox', { name: 'Images' }).getByRole('option').count()).toBe(24);
    await expect.poll(() => page.getByRole('button', { name: /^All \d+ images$/ }).count()).toBe(0);
    await open('datasets/3');
    await page.getByText(`${MANY} files shown`).waitFor();
    await page.getByRole('listbox', { name: 'Images' }).press('End');
    await page.getByRole('link', { name: 'Images like this' }).click();
    await page.waitForURL(/explore\?dataset=3&image=\d+&view=alike/);
    expect(path(/image=(\d+)/.exec(page.url())![1]!)).toBe('class-1/image 059.png');
    expect(window.faults).toEqual([]);
  });
});
