import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  hasChromium,
  inBothThemes,
  makeImages,
  openWindow,
  Serving,
  seriousFaults,
  type Window,
  why,
} from './harness.ts';
import { IMAGES, makeLearnedRun, stored } from './learned-run.ts';

describe.skipIf(!hasChromium)(`images like this, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  const serving = new Serving();
  const open = (hash: string) => page.goto(`${new URL(serving.url).origin}/#/${hash}`);
  const answers = (network: string) => page.getByRole('region', { name: `Images, ${network}` });
  const tiles = (network: string) => answers(network).getByRole('listitem');
  const paths = (network: string) =>
    tiles(network)
      .getByRole('button')
      .evaluateAll((all) => all.map((one) => one.getAttribute('title')!.replace(': images like this one', '')));

  beforeAll(async () => {
    await makeLearnedRun(serving.home);
    ({ browser, window } = await openWindow(serving, { viewport: { width: 1024, height: 700 } }));
    ({ page } = window);
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  test('two presses lead there from an image: features are computed by themselves, the untrained network’s beside', async () => {
    await open('datasets/1');
    await page.getByRole('listbox', { name: 'Images' }).getByRole('option').nth(3).click();
    await page.getByRole('link', { name: 'Images like this' }).click();
    for (const network of ['teacher', 'untrained network']) {
      await answers(network)
        .getByText(
          `${IMAGES - 1} images of pictures (no copies) were searched by the mean of their patch tokens of the ${network}`,
        )
        .waitFor({ timeout: 120_000 });
      expect(await tiles(network).count()).toBe(IMAGES - 1);
    }
    expect(stored(serving.home, (store) => store.retrieval.list().map(({ part, feature }) => [part, feature]))).toEqual(
      [
        ['teacher', 'mean'],
        ['untrained', 'mean'],
      ],
    );
    const scores = (await tiles('teacher').locator('strong').allTextContents()).map(Number);
    expect(scores).toEqual([...scores].sort((a, b) => b - a));
    expect(await paths('teacher')).not.toEqual(await paths('untrained network'));
    await inBothThemes(page, async () => {
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(1024);
      expect(await seriousFaults(page)).toEqual([]);
    });
  });

  test('an answer is asked next; paths and a table are taken along; filters hold', async () => {
    const [first] = await paths('teacher');
    await tiles('teacher').first().getByRole('button').click();
    await page.getByRole('region', { name: 'Query' }).getByText(first!, { exact: true }).waitFor();
    await expect.poll(() => paths('teacher')).not.toContain(first);
    await answers('teacher').getByRole('button', { name: 'Copy paths' }).click();
    await expect
      .poll(() => page.evaluate(() => navigator.clipboard.readText()))
      .toBe((await paths('teacher')).join('\n'));
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      answers('teacher').getByRole('button', { name: 'CSV' }).click(),
    ]);
    const [header, line] = readFileSync((await file.path())!, 'utf8').split('\r\n');
    expect(header).toBe('query,network,rank,path,class,cosine');
    expect(line).toContain(`${first},teacher,1,${(await paths('teacher'))[0]}`);
    await page.getByRole('combobox', { name: 'Class' }).selectOption('class-1');
    await expect.poll(async () => (await paths('teacher')).every((path) => path.startsWith('class-1/'))).toBe(true);
    await page.getByRole('combobox', { name: 'Class' }).selectOption('any');
  });

  test('a file that is in no dataset is asked, one that is no image says so, and the dataset stays as it is', async () => {
    const folder = join(serving.home, 'outside');
    mkdirSync(folder);
    await makeImages(folder, 1, 1);
    const query = page.getByRole('region', { name: 'Query' });
    await query.getByLabel('Open a file').setInputFiles(join(folder, 'class-0/image 000.png'));
    await query.getByText('image 000.png', { exact: true }).waitFor();
    await answers('teacher').getByText('were searched').waitFor();
    expect(await tiles('teacher').count()).toBeGreaterThan(0);
    writeFileSync(join(folder, 'none.png'), 'no image');
    await query.getByLabel('Open a file').setInputFiles(join(folder, 'none.png'));
    await answers('teacher').getByRole('alert').waitFor();
    await query.getByRole('button', { name: 'Back to the image of the dataset' }).click();
    await answers('teacher').getByRole('alert').waitFor({ state: 'detached' });
    await query.getByText('class-', { exact: false }).waitFor();
    expect(stored(serving.home, (store) => store.datasets.get(1).image_count)).toBe(IMAGES);
    expect(window.faults).toEqual([]);
  });
});
