import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasChromium, inBothThemes, openWindow, Serving, type Window, why } from './harness.ts';
import { IMAGES, LONG, makeLearnedRun, stored } from './learned-run.ts';

describe.skipIf(!hasChromium)(`patches like this beside the untrained network, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  const serving = new Serving();
  const open = (hash: string) => page.goto(`${new URL(serving.url).origin}/#/${hash}`);
  const answers = (network: string) => page.getByRole('region', { name: `Answers, ${network}` });
  const scores = async (network: string) =>
    (await answers(network).getByRole('listitem').locator('strong').allTextContents()).map(Number);

  beforeAll(async () => {
    await makeLearnedRun(serving.home);
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

  test('both answer from the image; the untrained network waits for an index of its own', async () => {
    await open('explore?run=1&dataset=1&view=retrieve&patch=5');
    for (const network of ['teacher', 'untrained network']) {
      const words = new RegExp(`^The 16 patches of this image were searched by tokens of the ${network}`);
      await answers(network).getByText(words).waitFor({ timeout: 60_000 });
    }
    expect(await scores('teacher')).not.toEqual(await scores('untrained network'));

    await answers('teacher').getByRole('button', { name: 'Build the index' }).click();
    const all = new RegExp(`^${16 * IMAGES} patches of ${IMAGES} images of pictures were searched by tokens of the`);
    await answers('teacher').getByText(all).waitFor({ timeout: 60_000 });
    // A dataset's answers stand beside no answers from one image.
    await answers('untrained network').getByText('are not indexed yet').waitFor();
    expect(await answers('untrained network').getByRole('listitem').count()).toBe(0);
    await answers('untrained network').getByRole('button', { name: 'Build the index' }).click();
    await answers('untrained network').getByText(all).waitFor({ timeout: 60_000 });
    expect(stored(serving.home, (store) => store.retrieval.list().map(({ part }) => part))).toEqual([
      'teacher',
      'untrained',
    ]);
  });

  test('both follow the patch and the filters, and each says its own', async () => {
    const before = [await scores('teacher'), await scores('untrained network')];
    expect(before.map(([first]) => first)).toEqual([1, 1]); // the patch itself
    const [first, second] = await page.getByRole('region', { name: 'Query' }).getByRole('application').all();
    expect(await first!.getAttribute('aria-label')).toContain('cosine with it, teacher');
    await second!.press('ArrowRight');
    await expect.poll(() => page.url()).toContain('patch=6');
    await expect.poll(() => scores('teacher')).not.toEqual(before[0]);
    await expect.poll(() => scores('untrained network')).not.toEqual(before[1]);
    await page.getByRole('checkbox', { name: 'other images only' }).check();
    for (const network of ['teacher', 'untrained network']) {
      await answers(network)
        .getByText(/\(other images only\) were searched/)
        .waitFor();
      expect((await scores(network))[0]).toBeLessThan(1);
    }
    await isForEverybody();
    await page.getByRole('button', { name: 'Untrained beside' }).click();
    await answers('untrained network').waitFor({ state: 'detached' });
    await page.reload();
    await answers('teacher')
      .getByText(/were searched/)
      .waitFor();
    expect(await answers('untrained network').count()).toBe(0);
    // The list's own untrained network takes the same index.
    await page.getByRole('combobox', { name: 'of the' }).selectOption('untrained');
    await answers('untrained network')
      .getByText(`${16 * IMAGES} patches`)
      .waitFor();
    await page.getByRole('combobox', { name: 'Images of' }).selectOption(LONG);
    await answers('untrained network').getByText('These features of 1 image are').waitFor();
    await isForEverybody();
  });

  test('by class, by path, without copies, and in another dataset', async () => {
    const paths = () =>
      answers('teacher')
        .getByRole('listitem')
        .getByRole('button')
        .evaluateAll((all) => all.map((one) => (one as HTMLElement).title));
    // Rows stand in the order in which an import read their files.
    const copied = stored(serving.home, (store) =>
      store.images.list(1).find((row) => row.path === 'class-0/image 000.png'),
    )!.id;
    await open(`explore?run=1&dataset=1&image=${copied}&view=retrieve&patch=5&beside=0`);
    await answers('teacher')
      .getByText(`${16 * IMAGES} patches`)
      .waitFor({ timeout: 60_000 });
    await page.getByRole('combobox', { name: 'Class' }).selectOption('class-1');
    await answers('teacher')
      .getByText(/class class-1.*were searched/)
      .waitFor();
    expect((await paths()).length).toBeGreaterThan(0);
    expect((await paths()).filter((path) => !path.startsWith('class-1/'))).toEqual([]);
    await page.getByRole('textbox', { name: 'Path begins with' }).fill('class-1/image 00');
    // Between two answers there is none.
    await expect
      .poll(async () => {
        const all = await paths();
        return all.length > 0 && all.every((path) => path.startsWith('class-1/image 00'));
      })
      .toBe(true);
    await page.getByRole('textbox', { name: 'Path begins with' }).fill('');
    // The other dataset has a copy of this image, and no classes.
    await page.getByRole('combobox', { name: 'Search' }).selectOption({ label: LONG });
    await answers('teacher').getByRole('button', { name: 'Build the index' }).click();
    await answers('teacher')
      .getByText(/^16 patches of 1 image of .* were searched/)
      .waitFor({ timeout: 60_000 });
    await expect.poll(async () => (await scores('teacher'))[0]).toBe(1);
    expect((await paths())[0]).toMatch(/^class-0\/image 000\.png, row 2, column 2/);
    await page.getByRole('checkbox', { name: 'no copies' }).check();
    await answers('teacher').getByText('No patch meets these filters.').waitFor();
    await isForEverybody();
  });

  test('storage lists indexes; one is deleted, brought back, and deleted again', async () => {
    await open('runtime');
    const storage = page.getByRole('region', { name: 'Storage' });
    const rows = storage.getByRole('row').filter({ hasText: `index, ${IMAGES} images` });
    await expect.poll(() => rows.count()).toBe(2);
    await storage.getByText(/^Of that, 3 indexes of features: \d+ kB/).waitFor();
    const untrained = rows.filter({ hasText: 'untrained' });
    expect(await untrained.textContent()).toMatch(/pictures by tokens of .*, untrained.*\d kB/);
    const remove = untrained.getByRole('button', { name: /^Delete pictures by tokens/ });
    await isForEverybody();
    await remove.click();
    await expect.poll(() => rows.count()).toBe(1);
    await page.getByRole('button', { name: 'Undo' }).click();
    await expect.poll(() => rows.count()).toBe(2);
    await remove.click();
    await expect.poll(() => rows.count()).toBe(1);
    expect(readdirSync(join(serving.home, 'indexes'))).toHaveLength(3); // it waits for its undo
    await serving.stop();
    expect(readdirSync(join(serving.home, 'indexes'))).toHaveLength(2);
    const [left] = stored(serving.home, (store) => store.retrieval.list());
    expect(left!.part).toBe('teacher');
    expect(existsSync(join(serving.home, 'indexes', String(left!.id), 'vectors.f16'))).toBe(true);
    expect(window.faults).toEqual([]);
  });
});
