import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { excess, hasChromium, inBothThemes, makeImages, openWindow, Serving, type Window, why } from './harness.ts';

const [GRID, SIDE] = [6, 48];
const K = GRID * GRID;

describe.skipIf(!hasChromium)(`what an autoencoder reconstructs, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  const serving = new Serving();

  beforeAll(async () => {
    const folder = join(serving.home, 'pictures');
    await makeImages(folder, 48);
    serving.command('import', folder, '--name', 'pictures', '--labels', 'folders');
    const settings = {
      model: { image_size: SIDE, patch_size: SIDE / GRID, embed_dim: 64, depth: 2, num_heads: 2 },
      decoder: { embed_dim: 32, depth: 1, num_heads: 2 },
      train: { batch_size: 24, epochs: 30 },
      optimizer: { lr: 0.003, warmup_steps: 5 },
    };
    const set = Object.entries(settings).flatMap(([section, values]) =>
      Object.entries(values).flatMap(([key, value]) => ['--set', `${section}.${key}=${value}`]),
    );
    serving.command('pretrain', 'pictures', '--preset', 'mae-small-cpu', ...set);
    ({ browser, window } = await openWindow(serving, { viewport: { width: 1024, height: 700 } }));
    ({ page } = window);
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });
  const open = (hash: string) => page.goto(`${new URL(serving.url).origin}/#/${hash}`);
  const region = (name: string | RegExp) => page.getByRole('region', { name });
  const errors = async () =>
    (await region('Figures').locator('tbody tr td:nth-child(2)').allTextContents()).map(Number);

  test('Explore shows the reconstruction: image, mask, both networks’ pictures and errors', async () => {
    await open('explore?run=1&image=7&view=reconstruction');
    await region('Reconstruction, Before training').waitFor({ timeout: 120_000 });
    await region('Reconstruction, Step 60').waitFor();
    const views = page.getByRole('navigation', { name: 'Views' }).getByRole('button');
    expect(await views.allTextContents()).toEqual([
      ...['Images like this', 'Reconstruction', 'Patches like this', 'Through training', 'Colours', 'Attention', 'Map'],
    ]);
    const [trained, untrained, nothing] = await errors();
    expect(trained).toBeLessThan(untrained!);
    expect(nothing).toBeLessThanOrEqual(1);
    await region('What the encoder sees').getByText(`27 of ${K} patches removed`).waitFor();
    await page.getByText('their tone is given').waitFor();
    await inBothThemes(page, async () => expect(await excess(page)).toEqual([0, 0]));
    expect(window.faults).toEqual([]);
  });

  test('another mask, one drawn by hand, and one that hides all', async () => {
    const before = await errors();
    await page.getByRole('button', { name: 'Another mask' }).click();
    await expect.poll(errors).not.toEqual(before);
    const picture = region('What the encoder sees').locator('svg');
    const { x, y, width, height } = (await picture.boundingBox())!;
    const drag = async (tool: string, rows: number) => {
      await page.getByRole('button', { name: tool, exact: true }).click();
      for (let row = 0; row < rows; row++) {
        const at = y + ((row + 0.5) / GRID) * height;
        await page.mouse.move(x + (0.5 / GRID) * width, at);
        await page.mouse.down();
        await page.mouse.move(x + ((GRID - 0.5) / GRID) * width, at, { steps: 3 * GRID });
        await page.mouse.up();
      }
    };
    await drag('Mask', GRID);
    await page.getByRole('status').getByText('Every patch is hidden').waitFor();
    expect(await picture.boundingBox()).toEqual({ x, y, width, height }); // a picture that is painted on stays where it is
    await drag('Unmask', 2);
    await region('What the encoder sees').getByText(`24 of ${K} patches removed`).waitFor();
    await expect.poll(() => page.getByText('Every patch is hidden').count()).toBe(0);
    await page.getByRole('button', { name: 'Choose a patch' }).click();
    await page.mouse.click(x + (0.5 / GRID) * width, y + (5.5 / GRID) * height);
    await region('Figures').getByText('patch at row 6, column 1').waitFor();
    await page.getByRole('button', { name: "The run's mask" }).click();
    await region('What the encoder sees').getByText(`27 of ${K} patches removed`).waitFor();
    await page.getByRole('button', { name: 'Untrained network' }).click();
    await expect.poll(() => region(/^Reconstruction/).count()).toBe(1);
    expect(window.faults).toEqual([]);
  });

  test('what the method does not train is not offered', async () => {
    await open('explore?run=1&image=7&view=retrieve');
    await page.getByLabel('Features').waitFor();
    expect(await page.getByLabel('Features').locator('option').allTextContents()).toEqual([
      'tokens',
      'block-2',
      'block-1',
    ]);
    expect(await page.getByLabel('of the').locator('option').allTextContents()).toEqual([
      'student',
      'untrained network',
    ]);
    await open('explore?run=1&image=7&view=time&part=teacher&feature=projector');
    await page.getByText('tokens, of up to').waitFor();
    await open('explore?run=1&image=7&view=attention');
    await page.getByLabel('Block', { exact: true }).waitFor();
    expect(await page.getByLabel('Network', { exact: true }).count()).toBe(0);
    await open('runs/1');
    await page
      .getByRole('link', { name: /^Reconstruction of step/ })
      .first()
      .waitFor();
    await page.getByRole('heading', { name: 'Checkpoints' }).waitFor();
    expect(await page.getByText('Look-ups of fixed images').count()).toBe(0);
    await page.getByRole('button', { name: 'Export' }).first().click();
    await page.getByLabel('Format').waitFor();
    await page.getByLabel('Format').selectOption('health');
    await page.getByText(/Error and spread of reconstructions, .* of up to/).waitFor();
    expect(await page.getByLabel('Network', { exact: true }).count()).toBe(0);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Evaluate' }).first().click();
    expect((await page.getByLabel('Task').locator('option').allTextContents()).join()).not.toContain('look-ups');
    expect(window.faults).toEqual([]);
  });
});
