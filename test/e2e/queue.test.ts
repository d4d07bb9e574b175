import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { excess, hasChromium, inBothThemes, openWindow, Serving, type Window, why } from './harness.ts';
import { makeLearnedRun, stored } from './learned-run.ts';

const NAME = `${'a name that goes on and on, '.repeat(6)}to its end`;

describe.skipIf(!hasChromium)(`evaluations in the queue, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  let training: number;
  const serving = new Serving();
  const address = (hash: string) => `${new URL(serving.url).origin}/#/${hash}`;

  beforeAll(async () => {
    await makeLearnedRun(serving.home);
    training = stored(serving.home, ({ runs }) => {
      const { dataset_id, preset, config } = runs.get(1);
      runs.update(1, { name: NAME });
      // The process of this test has a run, as the command line's would.
      const { id } = runs.create({ dataset_id, preset, config, total_steps: 9, steps_per_epoch: 1, name: 'holds it' });
      runs.claim(id, process.pid);
      return id;
    });
    ({ browser, window } = await openWindow(serving, { viewport: { width: 1024, height: 700 } }));
    ({ page } = window);
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  test('they wait while a run trains, are ordered and canceled, outlive the program, and are done in their turn', async () => {
    await page.goto(address('runs/1'));
    const form = page.getByRole('dialog', { name: /^Evaluate / });
    for (const task of ['lookup', 'knn', 'linear', 'fewshot', 'knn']) {
      await page.getByRole('button', { name: /^Evaluate step/ }).click();
      await form.getByLabel('Task').selectOption(task);
      // Pressed twice before the first press is answered: it is put there once.
      await form.getByRole('button', { name: 'Put in the queue' }).evaluate((button: HTMLElement) => {
        button.click();
        button.click();
      });
      await form.waitFor({ state: 'detached' });
    }
    const tray = page.getByRole('region', { name: 'Tasks' });
    await tray.getByText('waits in the queue, next').waitFor();
    await tray.getByText('waits in the queue, 2 before it').waitFor();
    await tray.getByText('2 more wait in the queue').waitFor();
    await tray.getByRole('link', { name: 'queue' }).first().click();

    const queue = page.getByRole('region', { name: 'Queue' });
    const kinds = async () =>
      (await queue.getByRole('listitem').allTextContents()).map((t) => /(\S+) of a/.exec(t)?.[1]);
    await expect.poll(kinds).toEqual(['Look-ups', 'k-NN', 'probe', 'k-NN', 'k-NN']);
    await queue.getByRole('button', { name: /^Start Linear probe .* earlier$/ }).click();
    await expect.poll(kinds).toEqual(['Look-ups', 'probe', 'k-NN', 'k-NN', 'k-NN']);
    await queue.getByRole('button', { name: /^Cancel Look-ups/ }).click();
    await expect.poll(kinds).toEqual(['probe', 'k-NN', 'k-NN', 'k-NN']);
    await inBothThemes(page, async () => expect(await excess(page)).toEqual([0, 0]));

    const { port } = serving;
    await serving.stop('SIGKILL');
    await serving.start(port);
    await serving.enter(page);
    await page.goto(address('runs'));
    await expect.poll(kinds).toEqual(['probe', 'k-NN', 'k-NN', 'k-NN']);
    expect(stored(serving.home, (store) => store.evaluations.list())).toEqual([]);

    stored(serving.home, (store) => store.runs.update(training, { status: 'finished', pid: null }));
    await page.goto(address('runs/1'));
    const evaluations = page.getByRole('region', { name: 'Evaluations' });
    await evaluations.getByText('5 known of each class').first().waitFor({ timeout: 90_000 });
    await expect
      .poll(() => stored(serving.home, (store) => store.evaluations.list().map(({ task }) => task)), {
        timeout: 90_000,
      })
      .toEqual(['linear', 'knn', 'fewshot', 'knn']);
    await page.goto(address('runs?view=table'));
    await page
      .getByRole('button', { name: /^linear probe, /i })
      .first()
      .waitFor();
    expect(window.faults).toEqual([]);
  });
});
