import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { excess, hasChromium, inBothThemes, makeImages, openWindow, Serving, type Window, why } from './harness.ts';

describe.skipIf(!hasChromium)(`what methods sort images and patches into, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  const serving = new Serving();
  const pretrain = (preset: string, settings: Record<string, object>) => {
    const common = {
      model: { image_size: 32, patch_size: 8, embed_dim: 32, depth: 2, num_heads: 2 },
      train: { batch_size: 12, epochs: 5 },
    };
    const set = Object.entries({ ...common, ...settings }).flatMap(([section, values]) =>
      Object.entries(values).flatMap(([key, value]) => ['--set', `${section}.${key}=${value}`]),
    );
    serving.command('pretrain', 'pictures', '--preset', preset, ...set);
  };

  beforeAll(async () => {
    const folder = join(serving.home, 'pictures');
    await makeImages(folder, 36);
    serving.command('import', folder, '--name', 'pictures', '--labels', 'folders');
    pretrain('swav-small-cpu', { crops: { small_size: 16 }, prototypes: { count: 12 } });
    pretrain('ibot-small-cpu', { crops: { small_size: 16 }, head: { out: 24 } });
    ({ browser, window } = await openWindow(serving, { viewport: { width: 1024, height: 700 } }));
    ({ page } = window);
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });
  const open = (hash: string) => page.goto(`${new URL(serving.url).origin}/#/${hash}`);
  const region = (name: string | RegExp) => page.getByRole('region', { name });
  const button = (name: string | RegExp) => page.getByRole('button', { name });

  test('images of each prototype; choosing one brings its own to the front', async () => {
    await open('explore?run=1&image=7&view=prototypes');
    const table = page.getByRole('table', { name: 'Groups in use' });
    await table.getByText('Before training').waitFor({ timeout: 120_000 });
    expect(await table.getByRole('row').count()).toBe(3);
    const groups = region(/^prototype \d+$/);
    const first = groups.first();
    await first.getByRole('button', { pressed: true }).waitFor(); // the chosen image's own
    await inBothThemes(page, async () => expect(await excess(page)).toEqual([0, 0]));
    const last = groups.last();
    const name = await last.getAttribute('aria-label');
    await last.getByRole('button').first().click();
    await expect.poll(() => groups.first().getAttribute('aria-label'), { timeout: 60_000 }).toBe(name);
    expect(window.faults).toEqual([]);
  });

  test('the class of each patch of an image, and the patches of each class', async () => {
    await open('explore?run=2&image=7&view=classes');
    await region('Classes, Before training').waitFor({ timeout: 120_000 });
    await region('Classes, Step 15').waitFor();
    const views = page.getByRole('navigation', { name: 'Views' }).getByRole('button');
    expect((await views.allTextContents()).slice(1, 3)).toEqual(['Classes of patches', 'Patches of each class']);
    await open('explore?run=2&image=7&patch=5&view=classes');
    await page
      .getByRole('table', { name: 'Classes' })
      .getByText(/class \d+, probability/)
      .first()
      .waitFor();
    await inBothThemes(page, async () => expect(await excess(page)).toEqual([0, 0]));
    await button('Patches of each class').click();
    await region(/^class \d+$/)
      .first()
      .waitFor({ timeout: 120_000 });
    await region(/^class \d+$/)
      .first()
      .getByRole('button', { name: /patch at/ })
      .first()
      .waitFor();
    expect(window.faults).toEqual([]);
  });
});
