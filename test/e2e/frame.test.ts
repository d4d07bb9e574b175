import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasChromium, launch, Serving, Tunnel, why } from './harness.ts';

describe.skipIf(!hasChromium)(`the frame of the window, in Chromium${why}`, () => {
  let browser: Browser;
  const serving = new Serving();
  beforeAll(async () => {
    browser = await launch();
    await serving.start();
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  test('every screen opens by its key, says its name, and throws nothing', async () => {
    const { page, context, faults } = await serving.window(browser);
    await page.goto(serving.url);
    const names = ['Datasets', 'New run', 'Runs', 'Compare', 'Explore', 'Runtime'];
    for (const [i, name] of names.entries()) {
      await page.keyboard.press(`Alt+${i + 1}`);
      await page.getByRole('heading', { level: 1 }).first().waitFor();
      await page.waitForFunction((title) => document.title.startsWith(title), name);
      expect(await page.getByRole('link', { name }).getAttribute('aria-current')).toBe('page');
    }
    await page.goBack();
    await page.waitForFunction(() => document.title.startsWith('Explore'));
    expect(faults).toEqual([]);
    await context.close();
  });

  test('the first usable screen comes soon (the time is printed)', async () => {
    const times: number[] = [];
    for (let i = 0; i < 3; i++) {
      const { page, context } = await serving.window(browser);
      const began = performance.now();
      await page.goto(serving.url);
      await page.getByRole('heading', { level: 1 }).first().waitFor();
      times.push(performance.now() - began);
      await context.close();
    }
    console.log(`first usable screen after ${times.map((t) => t.toFixed(0)).join(', ')} ms`);
    expect(times.every((t) => t > 0)).toBe(true);
  });

  test('without the token the window is refused, in words', async () => {
    const { page, context } = await serving.window(browser);
    const wrong = new URL(serving.url);
    wrong.searchParams.set('token', 'wrong');
    expect((await page.goto(wrong.href))!.status()).toBe(403);
    expect(await page.textContent('body')).toContain('earlier start of the program');
    expect((await page.goto(new URL('/', serving.url).href))!.status()).toBe(403);
    await context.close();
  });

  test('a tunnel that is cut says so and comes back; calls made meanwhile are answered then', async () => {
    const tunnel = new Tunnel(serving.port);
    const port = await tunnel.open();
    const through = new URL(serving.url);
    through.port = String(port);
    const { page, context, faults } = await serving.window(browser);
    await page.goto(through.href);
    await page.getByRole('heading', { level: 1 }).first().waitFor();
    tunnel.cut();
    await page.getByText('The connection is lost.').waitFor();
    await page.keyboard.press('Alt+3');
    tunnel.mend();
    await page.getByText('The connection is lost.').waitFor({ state: 'detached' });
    await page.getByRole('heading', { level: 1 }).first().waitFor();
    expect(faults).toEqual([]);
    await context.close();
    tunnel.close();
  });

  test('a program that was started again refuses the old window, and says what to do', async () => {
    const { page, context } = await serving.window(browser);
    await page.goto(serving.url);
    await page.getByRole('heading', { level: 1 }).first().waitFor();
    const { port } = serving;
    await serving.stop();
    await page.getByText('The connection is lost.').waitFor();
    await serving.start(port);
    await page.getByText('This address is of an earlier start of the program.').waitFor();
    await context.close();
  });

  test('colours are kept; the palette and the keys open and close', async () => {
    const { page, context, faults } = await serving.window(browser, { colorScheme: 'dark' });
    await page.goto(serving.url);
    const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
    await page.getByRole('button', { name: 'System' }).waitFor();
    expect(await theme()).toBe('dark');
    await page.getByRole('button', { name: 'System' }).click();
    expect(await theme()).toBe('light');
    await page.reload();
    await page.getByRole('button', { name: 'Light' }).waitFor();
    expect(await theme()).toBe('light');
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox').fill('train.batch');
    await page.getByRole('option', { name: /train\.batch_size/ }).waitFor();
    await page.keyboard.press('Escape');
    await page.locator('dialog').waitFor({ state: 'detached' });
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keys' }).waitFor();
    expect(faults).toEqual([]);
    await context.close();
  });
});
