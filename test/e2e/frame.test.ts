import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasChromium, inBothThemes, launch, Serving, Tunnel, why } from './harness.ts';

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
    await serving.enter(page);
    const names = ['Datasets', 'New run', 'Runs', 'Bake-off', 'Explore', 'Runtime'];
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
      await serving.enter(page);
      await page.getByRole('heading', { level: 1 }).first().waitFor();
      times.push(performance.now() - began);
      await context.close();
    }
    console.log(`first usable screen after ${times.map((t) => t.toFixed(0)).join(', ')} ms`);
    expect(times.every((t) => t > 0)).toBe(true);
  });

  test('without the token there is a page that says what to do, with a field for it', async () => {
    const { page, context, faults } = await serving.window(browser);
    const wrong = new URL(serving.url);
    wrong.searchParams.set('token', 'wrong');
    for (const address of [wrong.href, new URL('/', serving.url).href]) {
      await page.goto(address);
      await page.getByText('This browser is not known to the program yet.').waitFor();
    }
    await inBothThemes(page);
    const field = page.getByLabel('Token, or the whole address with it');
    await field.fill('wrong');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').getByText('not the token of the program').waitFor();
    await field.fill(serving.url);
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Start with the sample images' }).waitFor();
    expect(await page.getByText('This browser is not known').count()).toBe(0);
    expect(faults).toEqual([]);
    await context.close();
  });

  test('once let in, a reload, a deep link, another tab and a restart need no token; a new token lets nobody in', async () => {
    const { page, context, faults } = await serving.window(browser);
    await page.goto(`${serving.url}#/runtime`);
    await page.getByRole('heading', { level: 1, name: 'Runtime' }).waitFor();
    await expect.poll(() => page.url()).toBe(`${new URL(serving.url).origin}/#/runtime`);
    await page.reload();
    await page.getByRole('heading', { level: 1, name: 'Runtime' }).waitFor();
    const other = await context.newPage();
    await other.goto(`${new URL(serving.url).origin}/#/runs`);
    await other.getByRole('heading', { level: 1, name: 'Runs' }).waitFor();
    const { port, url } = serving;
    await serving.stop();
    await page.getByText('The connection is lost.').waitFor();
    await serving.start(port);
    expect(serving.url).toBe(url);
    await page.getByText('The connection is lost.').waitFor({ state: 'detached', timeout: 60_000 });
    await serving.stop();
    await serving.start(port, ['--new-token']);
    expect(serving.url).not.toBe(url);
    await page.getByText('This window is not known any more').waitFor({ timeout: 60_000 });
    await other.getByText('This window is not known any more').waitFor({ timeout: 60_000 });
    await page.getByLabel('Token, or').fill(new URL(serving.url).searchParams.get('token')!);
    await page.getByRole('button', { name: 'Open', exact: true }).click();
    await page.getByRole('heading', { level: 1, name: 'Runtime' }).waitFor();
    await other.getByText('This window is not known any more').waitFor({ state: 'detached', timeout: 60_000 });
    expect(faults).toEqual([]);
    await context.close();
  });

  test('what other ports of this machine see of a browser lets nobody in', async () => {
    const { page, context } = await serving.window(browser);
    await serving.enter(page);
    await page.getByRole('heading', { level: 1 }).first().waitFor();
    const seen: IncomingHttpHeaders[] = [];
    const neighbour = createServer((request, response) => {
      seen.push(request.headers);
      response.end('<!doctype html><title>another program</title>');
    });
    await new Promise<void>((resolve) => neighbour.listen(0, '127.0.0.1', resolve));
    await page.goto(`http://127.0.0.1:${(neighbour.address() as AddressInfo).port}/`);
    expect(seen.length).toBeGreaterThan(0);
    expect(JSON.stringify(seen)).not.toMatch(/cookie|token/i);
    expect(await context.cookies()).toEqual([]);
    neighbour.close();
    await context.close();
  });

  test('a tunnel that is cut says so and comes back; calls made meanwhile are answered then', async () => {
    const tunnel = new Tunnel(serving.port);
    const port = await tunnel.open();
    const through = new URL(serving.url);
    through.port = String(port);
    const { page, context, faults } = await serving.window(browser);
    await serving.enter(page, through.href);
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

  test('colours are kept; the palette and the keys open and close', async () => {
    const { page, context, faults } = await serving.window(browser, { colorScheme: 'dark' });
    await serving.enter(page);
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
    await page.getByRole('option', { name: /^train\.batch_size/ }).waitFor();
    await page.keyboard.press('Escape');
    await page.locator('dialog').waitFor({ state: 'detached' });
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keys' }).waitFor();
    expect(faults).toEqual([]);
    await context.close();
  });
});
