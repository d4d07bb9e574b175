import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { excess, hasChromium, inBothThemes, makeImages, openWindow, Serving, type Window, why } from './harness.ts';

const CLI = join(import.meta.dirname, '../../out/electron/cli.js');
const STEPS = 6;

describe.skipIf(!hasChromium)(`what crops are taken for, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  const serving = new Serving();
  const command = (...args: string[]) => {
    const { status, stderr } = spawnSync(process.execPath, [CLI, '--home', serving.home, ...args], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(stderr);
  };

  beforeAll(async () => {
    const folder = join(serving.home, 'pictures');
    await makeImages(folder, 16);
    command('import', folder, '--name', 'pictures', '--labels', 'folders');
    const small = ['image_size=32', 'embed_dim=32', 'depth=1', 'num_heads=2'].flatMap((one) => [
      '--set',
      `model.${one}`,
    ]);
    const train = ['--set', 'train.batch_size=8', '--set', `train.steps=${STEPS}`];
    for (const preset of ['moco-queue-small-cpu', 'simclr-small-cpu'])
      command('pretrain', 'pictures', '--preset', preset, ...small, ...train);
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
    await open('explore?run=1&image=3');
    await region('Nearest, Before training').waitFor({ timeout: 120_000 });
    expect((await views())[0]).toBe('Nearest');
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
    await open('explore?run=2&image=3');
    await region('Pairs, Before training').waitFor({ timeout: 120_000 });
    expect((await views())[0]).toBe('Pairs');
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
});
