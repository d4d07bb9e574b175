import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { hasChromium, launch, Serving, Tunnel, type Window, why } from './harness.ts';
import { stored } from './learned-run.ts';

describe.skipIf(!hasChromium)(`a window without a connection, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  let tunnel: Tunnel;
  const serving = new Serving();
  const row = () => stored(serving.home, (store) => store.runs.get(1));

  beforeAll(async () => {
    stored(serving.home, (store) => {
      store.datasets.create({ name: 'pictures', folders: [serving.home], labels: 'none' });
      const config = runConfigSchema.parse({});
      store.runs.create({ dataset_id: 1, preset: null, config, total_steps: 9, steps_per_epoch: 1, name: 'first' });
      store.runs.claim(1, process.pid); // it trains, as far as anybody can see
    });
    browser = await launch();
    await serving.start();
  });
  beforeEach(async () => {
    stored(serving.home, (store) => store.runs.update(1, { notes: '', request: null }));
    await window?.context.close();
    tunnel?.close();
    tunnel = new Tunnel(serving.port);
    const through = new URL(serving.url);
    through.port = String(await tunnel.open());
    window = await serving.window(browser);
    ({ page } = window);
    await page.goto(through.href);
    await page.getByRole('link', { name: 'pictures' }).waitFor(); // it is let in
    await page.goto(`${through.origin}/#/runs/1`);
    await page.getByRole('button', { name: 'Pause' }).waitFor();
  });
  afterAll(async () => {
    await browser?.close();
    tunnel?.close();
    await serving.end();
  });
  const back = () => page.getByText('whether training goes on is known').waitFor({ state: 'detached' });

  test('what is pressed is refused at once, in words, and is not done later; nothing is claimed that is not known', async () => {
    tunnel.cut();
    await page.getByText('The connection is lost.').waitFor();
    expect(await page.textContent('main')).not.toContain('Training goes on');
    await page.getByText('running?').waitFor();
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText('There is no connection to the program: nothing was done.').waitFor();
    tunnel.mend();
    await back();
    await page.getByText('running?').waitFor({ state: 'detached' });
    await page.waitForTimeout(1000);
    expect(row().request).toBeNull();
    await page.getByRole('button', { name: 'Pause' }).click();
    await expect.poll(() => row().request).toBe('pause');
    expect(window.faults).toEqual([]);
  });

  test('what is typed meanwhile says so, and is saved when the connection is back', async () => {
    tunnel.cut();
    await page.getByText('The connection is lost.').waitFor();
    await page.getByRole('textbox', { name: 'Notes' }).fill('typed without a connection');
    await page.getByRole('alert').getByText('It is saved when the connection is back.').waitFor();
    tunnel.mend();
    await expect.poll(() => row().notes).toBe('typed without a connection');
    await page.getByText('Saved', { exact: false }).first().waitFor();
    expect(window.faults).toEqual([]);
  });

  test('a tunnel that hangs is found', async () => {
    tunnel.hang();
    await page.getByText('The program does not answer.').waitFor({ timeout: 90_000 });
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText('There is no connection to the program: nothing was done.').waitFor();
    tunnel.mend();
    await back();
    await page.waitForTimeout(1000);
    expect(row().request).toBeNull();
  });

  test('what is typed meanwhile outlives a new token, and is written into its own data alone', async () => {
    const other = new Serving();
    const config = runConfigSchema.parse({});
    for (const { home } of [serving, other]) {
      stored(home, (store) => {
        const run = { dataset_id: 1, preset: null, config, total_steps: 9, steps_per_epoch: 1 };
        if (home === other.home) {
          store.datasets.create({ name: 'pictures', folders: [home], labels: 'none' });
          store.runs.create({ ...run, name: 'first' });
        }
        store.runs.create({ ...run, name: 'typed over' });
        for (const { id } of store.runs.list()) store.runs.update(id, { status: 'finished' });
      });
    }
    const notes = (of: Serving) => stored(of.home, (store) => store.runs.get('typed over').notes);
    const at = stored(serving.home, (store) => store.runs.get('typed over').id);
    stored(other.home, (store) => expect(store.runs.get(at).name).toBe('typed over'));
    const { port } = serving;
    await serving.enter(page);
    await page.getByRole('link', { name: 'pictures' }).waitFor();
    const field = page.getByRole('textbox', { name: 'Notes' });
    const type = async (text: string) => {
      await page.goto(`${new URL(serving.url).origin}/#/runs/${at}`);
      await field.waitFor();
      await serving.stop();
      await page.getByText('The connection is lost.').waitFor();
      await field.fill(text);
      await page.getByRole('alert').getByText('It is saved when the connection is back.').waitFor();
    };
    const letIn = async (of: Serving) => {
      await page.getByLabel('Token, or').fill(of.url, { timeout: 60_000 });
      await page.getByRole('button', { name: 'Open', exact: true }).click();
      await page.getByLabel('Token, or').waitFor({ state: 'detached' });
    };
    try {
      await type('over a new token');
      await serving.start(port, ['--new-token']);
      await letIn(serving);
      await expect.poll(() => notes(serving)).toBe('over a new token');

      await type('over another program');
      await other.start(port);
      await letIn(other);
      await page.goto(`${new URL(other.url).origin}/#/runs/${at}`);
      await field.waitFor();
      expect(await field.inputValue()).toBe('');
      await other.stop();
      await serving.start(port);
      await letIn(serving);
      await page.goto(`${new URL(serving.url).origin}/#/runs/${at}`);
      await expect.poll(() => notes(serving)).toBe('over another program');
      expect(notes(other)).toBe('');
      expect(window.faults).toEqual([]);
    } finally {
      await other.end();
    }
  });
});
