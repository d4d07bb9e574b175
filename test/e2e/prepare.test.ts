import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { databaseIn, preparedFolder } from '../../electron/store/home.ts';
import { Store } from '../../electron/store/store.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { excess, hasChromium, inBothThemes, makeImages, openWindow, Serving, type Window, why } from './harness.ts';

const IMAGES = 60;
const LONG = `photographs ${'of a very long name '.repeat(6)}end`;

describe.skipIf(!hasChromium)(`prepared images in the window${why}`, () => {
  const serving = new Serving();
  let browser: Browser;
  let window: Window;
  let dataset: number;
  const path = databaseIn(serving.home);
  const prepared = () => {
    const store = Store.open(path);
    try {
      return store.prepared.list();
    } finally {
      store.close();
    }
  };
  beforeAll(async () => {
    const folder = join(serving.home, 'pictures');
    await makeImages(folder, IMAGES);
    const store = Store.open(path);
    dataset = (await importDataset(store, { name: LONG, folders: [folder] })).dataset.id;
    store.close();
    ({ browser, window } = await openWindow(serving));
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });
  const open = (place: string) => window.page.goto(`${serving.url.replace(/#.*/, '')}#/${place}`);

  test('a dataset is prepared at a size that fits, and says what that takes', async () => {
    const { page } = window;
    await open(`datasets/${dataset}`);
    await page.getByRole('button', { name: 'Prepare …' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText(new RegExp(`^${IMAGES} images, 2\\.\\d MB; .* are free\\.$`)).waitFor();
    await dialog.getByRole('button', { name: /^small-cpu/ }).click();
    expect(await dialog.getByLabel('Shorter side at most').inputValue()).toBe('96');
    await inBothThemes(page, async () => {
      expect(await dialog.evaluate((element) => element.scrollWidth - element.clientWidth)).toBe(0);
    });
    await dialog.getByLabel('Shorter side at most').fill('5');
    expect(await dialog.getByRole('button', { name: 'Prepare', exact: true }).isDisabled()).toBe(true);
    await dialog.getByLabel('Shorter side at most').fill('64');
    await dialog.getByRole('button', { name: 'Prepare', exact: true }).click();
    await page.getByText(`${IMAGES} images of ${LONG} prepared. Runs use them with data.prepared = 64.`).waitFor();
    expect(prepared()).toMatchObject([{ size: 64, images: IMAGES, missing: 0, pid: null }]);
    await page.getByRole('button', { name: 'Prepare …' }).click();
    await dialog.getByLabel('Shorter side at most').fill('64');
    await dialog.getByText(`All ${IMAGES} images are prepared at 64 px.`).waitFor();
    await page.keyboard.press('Escape');
  });

  test('a new run takes the size as a setting, with what it means', async () => {
    const { page } = window;
    await open(`new?dataset=${dataset}`);
    await page.getByRole('button', { name: /Recipe/ }).click();
    await page.getByRole('searchbox', { name: /setting/i }).fill('prepared');
    const field = page.getByRole('group', { name: 'Prepared at' });
    await field.getByLabel('Prepared at: none').click();
    expect(await field.getByRole('spinbutton').or(field.getByRole('textbox')).first().inputValue()).toBe('256');
    await field.getByText(/crops are of the images as they are, as published/).waitFor();
    await inBothThemes(page);
  });

  test('a deletion that fails half a minute later is said, and the dataset is shown again', {
    timeout: 120_000,
  }, async () => {
    const { page } = window;
    await open(`datasets/${dataset}`);
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    await page.getByText(/is deleted; its files are untouched/).waitFor();
    const store = Store.open(path); // the command line makes a run of it meanwhile
    const made = { preset: null, config: runConfigSchema.parse({}), total_steps: 1, steps_per_epoch: 1 };
    const run = store.runs.create({ dataset_id: dataset, ...made });
    const message = page.getByRole('alert').filter({ hasText: 'Deleting dataset' });
    await message.waitFor({ timeout: 60_000 });
    expect(await message.textContent()).toContain('failed: what is left of it is shown again.');
    await message.getByText(/ is in use\. Run ".+" learned from it\.$/).waitFor();
    await message.getByText('Delete these runs first.').waitFor();
    await page.getByRole('link', { name: LONG }).first().waitFor();
    await inBothThemes(page);
    await message.getByRole('button', { name: 'Dismiss' }).click();
    store.runs.delete(run.id);
    store.close();
  });

  test('storage lists what is prepared; it is deleted, brought back, and deleted again', async () => {
    const { page } = window;
    await open('runtime');
    const storage = page.getByRole('region', { name: 'Storage' });
    const row = storage.getByRole('row').filter({ hasText: `prepared at 64 px, ${IMAGES} images` });
    await storage.getByText(/^Of that, prepared images: \d+ kB/).waitFor();
    expect(await row.textContent()).toMatch(/\d kB/);
    await inBothThemes(page, async () => expect(await excess(page)).toEqual([0, 0]));
    await row.getByRole('button', { name: /^Delete / }).click();
    await expect.poll(() => row.count()).toBe(0);
    await page.getByRole('button', { name: 'Undo' }).click();
    await expect.poll(() => row.count()).toBe(1);
    await row.getByRole('button', { name: /^Delete / }).click();
    await expect.poll(() => row.count()).toBe(0);
    expect(readdirSync(preparedFolder(path))).toHaveLength(1); // it waits for its undo
    await serving.stop();
    expect(existsSync(preparedFolder(path)) ? readdirSync(preparedFolder(path)) : []).toEqual([]);
    expect(window.faults).toEqual([]);
  });
});
