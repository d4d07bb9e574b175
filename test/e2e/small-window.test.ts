import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasChromium, openWindow, Serving, type Window, why } from './harness.ts';
import { LONG, makeLearnedRun, stored } from './learned-run.ts';

const NAME = `${'a name that goes on and on, '.repeat(6)}to its end`;

/** 1024 by 700 is the least; 720 by 450 is what twice the size leaves of 1440 by 900. */
describe.skipIf(!hasChromium)(`small windows, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  const serving = new Serving();
  const address = (hash: string) => `${new URL(serving.url).origin}/#/${hash}`;

  beforeAll(async () => {
    await makeLearnedRun(serving.home);
    stored(serving.home, (store) => {
      const { config } = store.runs.get(1);
      const make = { dataset_id: 2, preset: 'small-cpu', config, total_steps: 1_000_000, steps_per_epoch: 20 };
      for (const [i, status] of (['paused', 'interrupted', 'failed', 'stopped'] as const).entries()) {
        const { id } = store.runs.create({ ...make, name: `${NAME} ${i}` });
        store.runs.update(id, { status, step: 123_456, tags: ['a tag of some length', 'b'] });
      }
      store.runs.claim(store.runs.create({ ...make, name: `${NAME}, and trains` }).id, process.pid);
    });
    ({ browser, window } = await openWindow(serving));
    ({ page } = window);
    await page.getByRole('link', { name: 'pictures' }).waitFor(); // it is let in
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  const SCREENS = [
    'datasets',
    'datasets/1?image=1',
    'datasets/2',
    'runs',
    'runs/1',
    'runs/2',
    'runs/6',
    'explore?run=1',
    'new?dataset=1',
    'runtime',
  ];
  describe.each([
    [1024, 700],
    [720, 450],
  ])('%i by %i', (width, height) => {
    test.each(SCREENS)('nothing sticks out of %s, and every button is reached', async (screen) => {
      await page.setViewportSize({ width, height });
      await page.goto(address(screen));
      await page.getByRole('heading', { level: 1 }).first().waitFor({ state: 'attached' });
      await page.waitForTimeout(500);
      const out = await page.evaluate(() => {
        const boxes = [...document.querySelectorAll<HTMLElement>('main button, main a, main input, main select')];
        const isScrolled = (element: HTMLElement) => {
          for (let at = element.parentElement; at && at.tagName !== 'MAIN'; at = at.parentElement)
            if (/auto|scroll/.test(getComputedStyle(at).overflowX) && at.scrollWidth > at.clientWidth + 1)
              return !at.matches('.body');
          return false;
        };
        return {
          page: document.documentElement.scrollWidth - innerWidth,
          bodies: [...document.querySelectorAll('.body, main header')]
            .map((body) => body.scrollWidth - body.clientWidth)
            .filter((over) => over > 0),
          beyond: boxes
            .filter(
              (one) =>
                !isScrolled(one) &&
                one.getClientRects().length > 0 &&
                one.getBoundingClientRect().right > innerWidth + 0.5,
            )
            .map(
              (one) =>
                `${one.getAttribute('aria-label') ?? one.textContent?.trim()} ends at ${one.getBoundingClientRect().right}`,
            ),
          narrow: boxes.filter((one) => one.tagName === 'INPUT' && one.clientWidth > 0 && one.clientWidth < 9).length,
        };
      });
      expect(out).toEqual({ page: 0, bodies: [], beyond: [], narrow: 0 });
      if (process.env.CONMIM_SHOTS)
        await page.screenshot({
          path: join(process.env.CONMIM_SHOTS, `${width} ${screen}.png`.replaceAll(/[^\w.]+/g, '-')),
        });
    });
  });

  test('the head of a run is one line at 1024, and its name gives way', async () => {
    await page.setViewportSize({ width: 1024, height: 700 });
    for (const run of [1, 2, 6]) {
      await page.goto(address(`runs/${run}`));
      await page.getByRole('textbox', { name: 'Name of the run' }).waitFor();
      expect((await page.locator('.screen > header').boundingBox())!.height).toBeLessThan(70);
    }
  });

  test('tiles fill the width', async () => {
    for (const width of [1024, 1280, 1500, 2560]) {
      await page.setViewportSize({ width, height: 700 });
      await page.goto(address('datasets/1'));
      const grid = page.getByRole('listbox', { name: 'Images' });
      await grid.getByRole('option').nth(20).waitFor();
      const free = () =>
        grid.evaluate((view) => {
          const all = [...view.querySelectorAll('[role=option]')].map((cell) => cell.getBoundingClientRect());
          const right = Math.max(...all.map((box) => box.right));
          const isFull = all.filter((box) => box.top === all[0]!.top).length < all.length;
          return isFull ? view.getBoundingClientRect().left + view.clientWidth - right : 0;
        });
      // A window that was resized is laid out anew a moment later.
      await expect.poll(free).toBeLessThan(40);
    }
  });

  test('what is scrolled past is no longer asked for', async () => {
    await page.setViewportSize({ width: 720, height: 450 });
    await page.evaluate(() => localStorage.setItem('thumbnail size', '256'));
    const [asked, dropped] = [new Set<string>(), new Set<string>()];
    page.on('requestfailed', (request) => dropped.add(request.url()));
    // Pictures that are long in the making.
    await page.route(/media\/[^/]+\/thumb/, (route) => void asked.add(route.request().url()));
    await page.goto(address('datasets/1'));
    await page.reload();
    await expect.poll(() => asked.size).toBeGreaterThan(2);
    const first = [...asked];
    await page.getByRole('listbox', { name: 'Images' }).evaluate((view) => view.scrollTo(0, view.scrollHeight));
    await expect.poll(() => first.every((url) => dropped.has(url))).toBe(true);
    await expect.poll(() => asked.size).toBeGreaterThan(first.length);
    await page.unrouteAll({ behavior: 'ignoreErrors' });
    await page.evaluate(() => localStorage.removeItem('thumbnail size'));
  });

  test('a picture that cannot be had is a sign with words', async () => {
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.route(/media\/[^/]+\/(thumb|image)/, (route) => route.fulfill({ status: 404 }));
    await page.goto(address('datasets/1?image=2'));
    await page.reload();
    const grid = page.getByRole('listbox', { name: 'Images' });
    await grid
      .getByRole('img', { name: /its file cannot be read/ })
      .first()
      .waitFor();
    await page.getByRole('complementary', { name: 'Image' }).getByText('cannot be read now').waitFor();
    await page.goto(address('explore?run=1'));
    await page
      .getByRole('img', { name: /its file cannot be read/ })
      .first()
      .waitFor();
    const broken = () =>
      page.evaluate(
        () =>
          [...document.images].filter((image) => image.complete && image.naturalWidth === 0 && image.src !== '').length,
      );
    await expect.poll(broken).toBe(0);
    await page.unrouteAll();
    expect(LONG.length).toBeGreaterThan(50);
    expect(window.faults).toEqual([]);
  });
});
