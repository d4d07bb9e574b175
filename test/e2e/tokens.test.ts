import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { excess, hasChromium, inBothThemes, makeImages, openWindow, Serving, type Window, why } from './harness.ts';

const STEPS = 6;
/** Patches of an image: 32 pixels in patches of 8. */
const K = 16;

describe.skipIf(!hasChromium)(`tokens, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  const serving = new Serving();

  beforeAll(async () => {
    const folder = join(serving.home, 'pictures');
    await makeImages(folder, 16);
    serving.command('import', folder, '--name', 'pictures', '--labels', 'folders');
    const small = ['image_size=32', 'embed_dim=32', 'depth=1', 'num_heads=2', 'patch_size=8'];
    const settings = [...small.map((one) => `model.${one}`), 'train.batch_size=8', `train.steps=${STEPS}`];
    const set = settings.flatMap((one) => ['--set', one]);
    serving.command('tokenizer', 'pictures', ...set, '--set', 'codebook.codes=32');
    for (const preset of ['beit-small-cpu', 'mc-beit-small-cpu'])
      serving.command('pretrain', 'pictures', '--preset', preset, ...set);
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
  const whole = () => inBothThemes(page, async () => expect(await excess(page)).toEqual([0, 0]));

  test('a run takes over a tokenizer that is chosen among those that suit', async () => {
    const set = (patch: number) =>
      encodeURIComponent(JSON.stringify({ 'model.image_size': 32, 'model.patch_size': patch }));
    await open(`new?dataset=1&preset=beit-small-cpu&set=${set(8)}`);
    await page.getByRole('searchbox', { name: /settings/i }).fill('tokenizer.run');
    const picker = page.getByRole('combobox', { name: 'Run of the tokenizer' });
    const offered = async () => (await picker.locator('option').allTextContents()).map((text) => text.split(':')[0]!);
    await expect.poll(offered).toEqual(['the newest of the same dataset that suits', '1']);
    await picker.selectOption('1');
    await expect.poll(() => decodeURIComponent(page.url())).toContain('"tokenizer.run":1');
    // Of a width of 32 and one block each: nothing near the hundred million of a published tokenizer.
    const parameters = page.locator('dt', { hasText: 'Parameters' }).locator('xpath=following-sibling::dd');
    await expect.poll(() => parameters.textContent()).toMatch(/^\d{2,3},\d{3}$/);
    await inBothThemes(page, async () =>
      expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBe(0),
    );
    // Of other patches the tokenizer has not as many cells.
    await open(`new?dataset=1&preset=beit-small-cpu&set=${set(4)}`);
    await page.getByRole('searchbox', { name: /settings/i }).fill('tokenizer.run');
    await expect.poll(offered).toEqual(['the newest of the same dataset that suits']);
    await page.getByText('No run can be the tokenizer yet: one is trained first').waitFor();
    // One is trained first, then.
    await page.getByText('The tokenizer is trained first, as a run of its own').waitFor();
    expect(window.faults).toEqual([]);
  });

  test('of a tokenizer: codes as a map, the picture that is drawn of them, and how far it is off', async () => {
    await open('explore?run=1&image=3&view=codes');
    await region('Reconstruction').waitFor({ timeout: 120_000 });
    expect((await views()).slice(1, 3)).toEqual(['Codes', 'Patches of each code']);
    await region('Codes')
      .getByText(/^\d+ different codes; choose a cell$/)
      .waitFor();
    await page.getByRole('cell', { name: 'of each cell its mean colour' }).waitFor();
    await open('explore?run=1&image=3&patch=5&view=codes');
    await region('Codes')
      .getByText(new RegExp(`^code \\d+: \\d+ of ${K} cells$`))
      .waitFor();
    await whole();
    expect(window.faults).toEqual([]);
  });

  test('of a tokenizer: patches of many images by their code', async () => {
    await open('explore?run=1&image=3&view=members');
    const groups = page.getByRole('region', { name: /^code \d+$/ });
    await groups.first().waitFor({ timeout: 120_000 });
    const sizes = await groups.locator('h2 .quiet').allTextContents();
    const counts = sizes.map((text) => Number(text.split(' ')[0]!.replace(',', '')));
    expect(counts.slice(1)).toEqual(counts.slice(1).toSorted((a, b) => b - a)); // after the chosen image's own
    expect(counts.reduce((a, b) => a + b)).toBeLessThanOrEqual(16 * K);
    await page.getByText(`Of 16 images, ${16 * K} patches`).waitFor();
    // A patch leads to its image.
    await groups.last().getByRole('button').first().click();
    await expect.poll(() => page.url()).toMatch(/image=\d+/);
    await whole();
    expect(window.faults).toEqual([]);
  });

  test.each([
    ['BEiT', 2],
    ['mc-BEiT', 3],
  ])('%s: what it says of hidden patches, beside what is true', async (_, run) => {
    await open(`explore?run=${run}&image=3&view=tokens`);
    await region('Picture of the true tokens').waitFor({ timeout: 120_000 });
    expect((await views()).slice(1, 3)).toEqual(['Tokens', 'Patches of each token']);
    const heads = await page.locator('section h2').evaluateAll((all) => all.map((one) => one.getBoundingClientRect()));
    // A heading of two lines would push its map below the others of its row.
    expect(new Set(heads.map(({ height }) => Math.round(height))).size).toBe(1);
    await page
      .getByText(/of \d+ patches hidden/)
      .first()
      .waitFor();
    await whole();
    await open(`explore?run=${run}&image=3&view=members`);
    await page
      .getByRole('region', { name: /^token \d+$/ })
      .first()
      .waitFor({ timeout: 120_000 });
    expect(window.faults).toEqual([]);
  });

  test('where there is no tokenizer it is trained first, in the same queue', async () => {
    const set = encodeURIComponent(JSON.stringify({ 'model.image_size': 32, 'model.patch_size': 4, 'train.steps': 4 }));
    await open(`new?dataset=1&preset=mc-beit-small-cpu&set=${set}`);
    await page.getByText('The tokenizer is trained first, as a run of its own').waitFor();
    await page.getByRole('button', { name: 'Start' }).click();
    await page.waitForURL(/#\/runs/);
    await open('runs');
    await page.getByRole('link', { name: 'pictures: tokenizer' }).first().waitFor({ timeout: 60_000 });
    const queue = page.getByRole('region', { name: 'Queue' });
    await queue.getByText('pictures run').first().waitFor();
    expect(window.faults).toEqual([]);
  });
});
