import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasChromium, inBothThemes, makeImages, openWindow, Serving, type Window, why } from './harness.ts';
import { stored } from './learned-run.ts';

describe.skipIf(!hasChromium)(`a run that fits the images, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  let clicks = 0;
  const serving = new Serving();
  const open = (hash: string) => page.goto(`${new URL(serving.url).origin}/#/${hash}`);
  const plan = (title: string) =>
    page.getByRole('group', { name: 'How much time' }).getByRole('button', { name: title });
  const isChosen = (title: string) => plan(title).getAttribute('aria-pressed');
  const start = () => page.getByRole('button', { name: 'Start', exact: true });
  const recipe = () => page.getByRole('button', { name: /Recipe/ });

  beforeAll(async () => {
    const folder = `${serving.home}/pictures`;
    await makeImages(folder, 12);
    serving.command('import', folder, '--name', 'pictures');
    ({ browser, window } = await openWindow(serving, { viewport: { width: 1024, height: 700 } }));
    ({ page } = window);
    await page.exposeFunction('clicked', () => void clicks++);
    await page.addInitScript(() =>
      addEventListener('click', () => void (globalThis as never as { clicked(): void }).clicked()),
    );
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  test('three presses lead from a dataset to a run; what is suggested follows from images and machine', async () => {
    await open('datasets/1');
    await page.reload();
    clicks = 0;
    await page.getByRole('link', { name: 'Pretrain on this' }).click();
    await page.getByText(/^12 images of about \d+ x \d+ px:$/).waitFor();
    expect(await isChosen('Good')).toBe('true');
    await plan('Quick look').click();
    await page.getByText(/The network sees crops of \d+ to \d+ px across, at 64 x 64/).waitFor();
    await expect.poll(() => start().isEnabled(), { timeout: 60_000 }).toBe(true);
    // The machine was measured: the time is its own.
    const quick = await plan('Quick look').textContent();
    await start().click();
    await page.waitForURL(/#\/runs\/\d+/);
    expect(clicks).toBe(3);
    const run = stored(serving.home, (store) => store.runs.get(1));
    expect(run.config.train).toMatchObject({ batch_size: 8, steps: run.total_steps });
    expect(run.total_steps).toBeGreaterThanOrEqual(1500);
    expect(run.config.checkpoint.every_steps).toBeGreaterThan(0);
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    await open('new?dataset=1&plan=quick');
    await expect.poll(() => isChosen('Quick look')).toBe('true');
    expect(await plan('Quick look').textContent()).toBe(quick); // known since the window opened
  }, 120_000);

  test('the recipe is folded; a setting of one’s own is no suggestion any more, and a press takes it back', async () => {
    await open('new?dataset=1&plan=good');
    await expect.poll(() => isChosen('Good')).toBe('true');
    expect(await recipe().getAttribute('aria-expanded')).toBe('false');
    expect(await page.getByLabel('Search the settings').count()).toBe(0);
    const { pathname, hash } = new URL(page.url());
    expect(pathname + hash).toContain('plan=good');
    expect(hash).not.toContain('preset=');
    await recipe().click();
    await page.getByLabel('Search the settings').fill('batch_size');
    await page.locator('[id="input-train.batch_size"]').fill('4');
    await page.keyboard.press('Tab');
    await expect.poll(() => isChosen('Good')).toBe('false');
    await page.getByText('Settings of your own are chosen below.').waitFor();
    await expect.poll(() => page.url()).toContain('%22train.batch_size%22%3A4');
    await page.reload();
    await page.getByText('Settings of your own are chosen below.').waitFor();
    await plan('Good').click();
    await page.getByText(/The network sees crops/).waitFor();
    await expect.poll(() => page.url()).not.toContain('train.batch_size');
    for (const [width, height] of [
      [1024, 700],
      [2560, 1440],
    ] as const) {
      await page.setViewportSize({ width, height });
      await inBothThemes(page, async () =>
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width),
      );
    }
    expect(window.faults).toEqual([]);
  });

  test('measuring that is canceled leaves the fewest steps, and no time is claimed', async () => {
    await open('new?dataset=1&plan=good');
    await page.reload(); // what was measured is forgotten
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByText('1,500 steps, of 8 images each').waitFor();
    for (const title of ['Quick look', 'Good', 'Overnight'])
      expect(await plan(title).textContent()).toContain('(not measured)');
    expect(await start().isEnabled()).toBe(true);
    await page.getByRole('button', { name: 'Measure', exact: true }).click();
    await expect.poll(() => plan('Overnight').textContent(), { timeout: 60_000 }).toMatch(/\(\d.* h\)/);
  });

  test('a term says what it means: to a pointer, to the keyboard, and wholly within the window', async () => {
    await page.setViewportSize({ width: 1024, height: 700 });
    await open('new?dataset=1&plan=good');
    await page.getByText('Patches K').waitFor();
    const terms = page.locator('.term');
    expect(await terms.count()).toBeGreaterThan(4);
    const shown = page.getByRole('tooltip');
    for (const one of await terms.all()) {
      await one.hover();
      await shown.waitFor();
      const box = (await shown.boundingBox())!;
      expect(box.x).toBeGreaterThanOrEqual(0);
      expect(box.x + box.width).toBeLessThanOrEqual(1024);
      expect(box.y + box.height).toBeLessThanOrEqual(700);
      expect(await shown.textContent()).toMatch(/^[A-Z].*\.$/);
      await page.mouse.move(2, 2);
      await shown.waitFor({ state: 'hidden' });
    }
    await page.getByText('Patches K').focus();
    await page.getByText('K is how many there are').waitFor();
    await page.keyboard.press('Escape');
    await shown.waitFor({ state: 'hidden' });
  });
});
