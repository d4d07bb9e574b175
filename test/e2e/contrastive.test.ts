import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { excess, hasChromium, inBothThemes, makeImages, openWindow, Serving, type Window, why } from './harness.ts';

const STEPS = 6;

describe.skipIf(!hasChromium)(`what crops are taken for, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  const serving = new Serving();

  beforeAll(async () => {
    const folder = join(serving.home, 'pictures');
    await makeImages(folder, 16);
    serving.command('import', folder, '--name', 'pictures', '--labels', 'folders');
    const small = ['image_size=32', 'embed_dim=32', 'depth=1', 'num_heads=2'].flatMap((one) => [
      '--set',
      `model.${one}`,
    ]);
    const train = ['--set', 'train.batch_size=8', '--set', `train.steps=${STEPS}`];
    for (const preset of ['moco-queue-small-cpu', 'simclr-small-cpu', 'densecl-small-cpu'])
      serving.command('pretrain', 'pictures', '--preset', preset, ...small, ...train);
    ({ browser, window } = await openWindow(serving, { viewport: { width: 1024, height: 700 } }));
    ({ page } = window);
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });
  const open = (hash: string) => page.goto(`${new URL(serving.url).origin}/#/${hash}`);
  const region = (name: string) => page.getByRole('region', { name, exact: true });
  const views = () => page.getByRole('navigation', { name: 'Views' }).getByRole('button').allTextContents();

  test('with a queue: second crops by how near they are, its own marked, beside the network before training', async () => {
    await open('explore?run=1&image=3&view=nearest');
    await region('Nearest, Before training').waitFor({ timeout: 120_000 });
    expect((await views())[1]).toBe('Nearest');
    const trained = region(`Nearest, Step ${STEPS}`);
    await trained.getByText('of 527 others are nearer').waitFor(); // the queue's 512, and 15 images
    const shown = trained.getByRole('listitem');
    const cosines = async () => (await shown.locator('.number').allTextContents()).map(Number);
    const values = await cosines();
    expect(values.length).toBeGreaterThanOrEqual(12);
    expect(values).toEqual(values.toSorted((a, b) => b - a));
    expect(await shown.getByText('its own').count()).toBe(1);
    await inBothThemes(page, async () => expect(await excess(page)).toEqual([0, 0]));
    await page.getByRole('button', { name: 'Other crops' }).click();
    await expect.poll(cosines).not.toEqual(values);
    expect(window.faults).toEqual([]);
  });

  test('of a batch: the matrix of its crops, partners outlined', async () => {
    await open('explore?run=2&image=3&view=pairs');
    await region('Pairs, Before training').waitFor({ timeout: 120_000 });
    expect((await views())[1]).toBe('Pairs');
    const trained = region(`Pairs, Step ${STEPS}`);
    const cells = trained.locator('svg rect');
    expect(await cells.count()).toBe(24 * 24 + 24); // 12 images, two crops each
    expect(await trained.locator('svg rect.partner').count()).toBe(24);
    // The first crop of the first image, and its partner.
    expect(await cells.nth(0).locator('title').textContent()).toMatch(/first crop and .*first crop: 1\.00$/);
    expect(await cells.nth(12).locator('title').textContent()).toMatch(/first crop and .*second crop: /);
    await trained.getByText(/^\d+ % of crops are nearest to their partner/).waitFor();
    await inBothThemes(page, async () => expect(await excess(page)).toEqual([0, 0]));
    expect(window.faults).toEqual([]);
  });

  test('patch by patch: lines between two crops, and the match of a chosen patch', async () => {
    await open('explore?run=3&image=3&view=matches');
    await region('Matches, Before training').waitFor({ timeout: 120_000 });
    expect((await views())[1]).toBe('Matches');
    const trained = region(`Matches, Step ${STEPS}`);
    const [first, second] = ['first crop', 'second crop'].map((name) => trained.getByRole('application', { name }));
    const lines = trained.locator('g:not(.around) > line');
    const table = page.getByRole('table', { name: 'Matches' });
    const row = table.getByRole('row').nth(1);
    const matched = /^(\d+) of 16$/.exec((await row.getByRole('cell').nth(1).textContent())!)![1];
    expect(await lines.count()).toBe(Math.min(12, Number(matched)));
    await inBothThemes(page, async () => expect(await excess(page)).toEqual([0, 0]));

    const box = (await first!.boundingBox())!;
    await page.mouse.click(box.x + 0.6 * box.width, box.y + 0.1 * box.height);
    const said = row.getByText(/^row 1, column 3 with row \d, column \d: [01]\.\d{3}$/);
    const [, y, x] = / with row (\d), column (\d)/.exec((await said.textContent())!)!;
    expect(await lines.count()).toBe(1);
    expect(await second!.getAttribute('aria-label')).toContain(`: row ${y}, column ${x}: the match of `);
    // The line ends in the middle of that patch: a crop has 46 hundredths of the width, the second begins at 54.
    expect(Number(await lines.getAttribute('x2'))).toBeCloseTo(54 + (46 * (Number(x) - 0.5)) / 4, 4);
    expect(Number(await lines.getAttribute('y2'))).toBeCloseTo((46 * (Number(y) - 0.5)) / 4, 4);
    await first!.press('ArrowRight');
    await row.getByText(/^row 1, column 4 with /).waitFor();
    await inBothThemes(page, async () => expect(await excess(page)).toEqual([0, 0]));
    const before = await row.textContent();
    await page.getByRole('button', { name: 'Other crops' }).click();
    await expect.poll(() => row.textContent()).not.toBe(before);
    expect(window.faults).toEqual([]);
  });
});
