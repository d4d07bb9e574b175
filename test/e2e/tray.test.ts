import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page, WebSocketRoute } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Task } from '../../shared/contract/tasks.ts';
import { hasChromium, inBothThemes, openWindow, Serving, type Window, why } from './harness.ts';
import { IMAGES, makeLearnedRun } from './learned-run.ts';

describe.skipIf(!hasChromium)(`tasks and messages, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  const serving = new Serving();
  const address = (hash: string) => `${new URL(serving.url).origin}/#/${hash}`;
  const tray = () => page.getByRole('region', { name: 'Tasks' });

  beforeAll(async () => {
    await makeLearnedRun(serving.home);
    ({ browser, window } = await openWindow(serving));
    ({ page } = window);
    await page.getByRole('link', { name: 'pictures' }).waitFor(); // it is let in
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  test('a file that was written says where it is, is downloaded as it is, and how Python reads it', async () => {
    await window.context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.goto(address('runs/1'));
    for (const [format, ending] of [
      ['embeddings of images: Parquet', 'parquet'],
      ['embeddings of images: CSV', 'csv'],
    ] as const) {
      await page.getByRole('button', { name: /^Export step/ }).click();
      const form = page.getByRole('dialog', { name: /^Export/ });
      await form.getByLabel('Format').selectOption(format);
      await form.getByRole('textbox', { name: /^Folder/ }).fill(serving.home);
      await form.getByRole('textbox', { name: /^Name/ }).fill("it's 100 % é");
      await form.getByRole('button', { name: 'Export', exact: true }).click();
      await form.waitFor({ state: 'detached' });
      const path = join(serving.home, `it's 100 % é.${ending}`);
      const made = tray().locator('.ended', { hasText: path });
      await made.waitFor({ timeout: 90_000 });
      await made.getByText(`${IMAGES} × 32`).waitFor();
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        made.getByRole('link', { name: 'Download' }).click(),
      ]);
      expect(download.suggestedFilename()).toBe(`it's 100 % é.${ending}`);
      const copy = join(serving.home, 'downloaded');
      await download.saveAs(copy);
      expect(readFileSync(copy).equals(readFileSync(path))).toBe(true);
      await made.getByRole('button', { name: 'Copy Python' }).click();
      await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toContain(JSON.stringify(path));
      rmSync(path);
      const link = `${new URL(serving.url).origin}/${await made.getByRole('link').getAttribute('href')}`;
      const status = async (of: string) => (await page.request.get(of)).status();
      expect(await status(link)).toBe(404); // the file is gone
      expect(await status(link.replace(/[^/]+$/, '..%2Fworkbench.sqlite'))).toBe(404);
      expect(await status(link.replace(/media\/[^/]+/, 'media/other'))).toBe(403);
    }
    await inBothThemes(page);
    await tray().getByRole('button', { name: 'Clear all' }).click();
    await tray().waitFor({ state: 'detached' });
    expect(window.faults).toEqual([]);
  });

  test('an import that fails says so in its place, and there alone', async () => {
    await page.goto(address('datasets'));
    await page.getByRole('heading', { name: 'Datasets', exact: true }).waitFor(); // its keys are heard from here on
    await page.keyboard.press('n');
    const form = page.getByRole('dialog', { name: 'Import images' });
    await form.getByRole('button', { name: 'Import', exact: true }).click();
    await form.getByText('The import lacks a folder.').waitFor();
    await form.getByRole('textbox', { name: 'Path of a folder' }).fill('~/no such folder of pictures');
    expect(await form.getByRole('textbox', { name: 'Name' }).inputValue()).toBe('no such folder of pictures');
    await page.keyboard.press('Enter');
    await form.getByRole('alert').getByText('is not there').waitFor();
    expect(await form.getByRole('alert').textContent()).not.toContain('~');
    await tray().waitFor({ state: 'detached' });
    await page.keyboard.press('Escape');
  });

  test('many that failed cover little, fold, and are cleared at once; messages too', async () => {
    let socket: WebSocketRoute | undefined;
    await page.routeWebSocket(/socket/, (route) => {
      socket = route;
      route.connectToServer();
    });
    await page.setViewportSize({ width: 1024, height: 700 });
    await page.goto(address('runs/1'));
    await page.reload();
    await page.getByRole('textbox', { name: 'Name of the run' }).waitFor();
    const error = {
      kind: 'bad-input',
      what: 'The folder /data/pictures is not there.',
      why: '',
      next: 'Check the spelling.',
    } as const;
    const ended = (i: number): Task => ({
      id: `t${i}`,
      kind: 'import',
      title: `Importing ${'a long name '.repeat(9)}${i}`,
      status: 'failed',
      phase: '',
      done: 0,
      total: 0,
      started_at: 1,
      ended_at: 2,
      error,
      result: null,
      cancelable: true,
      queued: null,
    });
    const tell = (event: unknown, seq: number) => socket!.send(JSON.stringify({ seq: 1e6 + seq, event }));
    for (let i = 0; i < 12; i++) tell({ type: 'task', task: ended(i) }, i);
    for (let i = 0; i < 5; i++)
      tell({ type: 'failure', error: { ...error, what: `Deleting thing ${i} failed.` } }, 20 + i);
    await tray().getByText('9 more have ended').waitFor();
    const height = async () => (await tray().boundingBox())!.height;
    expect(await height()).toBeLessThan(230);
    await page.getByText('2 more', { exact: true }).waitFor();
    await tray().getByRole('button', { name: '12 failed' }).click();
    expect(await height()).toBeLessThan(40);
    await page.reload();
    await page.getByRole('textbox', { name: 'Name of the run' }).waitFor();
    tell({ type: 'task', task: ended(1) }, 1);
    await tray().getByText('1 failed').waitFor();
    expect(await height()).toBeLessThan(40); // it stays folded
    await tray().getByRole('button', { name: '1 failed' }).click();
    for (let i = 0; i < 3; i++)
      tell({ type: 'failure', error: { ...error, what: `Deleting thing ${i} failed.` } }, 20 + i);
    await page.getByText('Deleting thing 2 failed.').waitFor();
    await page.locator('.toasts').getByRole('button', { name: 'Clear all' }).click();
    await page.getByText('Deleting thing').waitFor({ state: 'detached' });
    expect(window.faults).toEqual([]);
  });
});
