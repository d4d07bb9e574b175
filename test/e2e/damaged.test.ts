import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { behindItsBack, CONFIG } from '../store/helpers.ts';
import { excess, hasChromium, inBothThemes, openWindow, Serving, type Window, why } from './harness.ts';
import { LONG, stored } from './learned-run.ts';

describe.skipIf(!hasChromium)(`what cannot be read from the database, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  const serving = new Serving();
  const address = (hash: string) => `${new URL(serving.url).origin}/#/${hash}`;

  beforeAll(async () => {
    stored(serving.home, (store) => {
      const { id } = store.datasets.create({ name: 'photos', folders: [serving.home], labels: 'none' });
      for (const name of ['sound', LONG]) {
        const made = { name, dataset_id: id, preset: null, config: CONFIG, total_steps: 9, steps_per_epoch: 1 };
        store.runs.update(store.runs.create(made).id, { status: 'finished', step: 9 });
      }
    });
    behindItsBack(join(serving.home, 'workbench.sqlite'), (raw) => {
      raw.prepare(`UPDATE runs SET tags = 'null' WHERE name = ?`).run(LONG);
      raw.exec(`INSERT INTO bake_offs (name, asked, plan, created_at) VALUES ('which', '{}', '{}', 1)`);
    });
    ({ browser, window } = await openWindow(serving));
    ({ page } = window);
    await page.getByRole('link', { name: 'photos' }).waitFor(); // it is let in
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  test('a run is named apart from the others, with what is wrong, and is deleted there', async () => {
    await page.setViewportSize({ width: 1024, height: 700 });
    await page.goto(address('runs'));
    await page.getByRole('link', { name: 'sound' }).waitFor();
    const notice = page.getByRole('region', { name: 'Damaged runs' });
    await notice.getByText('Its column runs.tags is not as this program writes it').waitFor();
    expect(await page.getByRole('link', { name: LONG }).count()).toBe(0);
    await inBothThemes(page, async () => expect(await excess(page)).toEqual([0, 0]));
    await notice.getByRole('button', { name: `Delete ${LONG}` }).click();
    await notice.waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Undo' }).click();
    await notice.waitFor();
    expect(window.faults).toEqual([]);
  });

  test('so is a bake-off, after a question', async () => {
    await page.goto(address('bake-off'));
    const notice = page.getByRole('region', { name: 'Damaged bake-offs' });
    await notice.getByText('Its column bake_offs.').waitFor();
    await notice.getByRole('button', { name: 'Delete which' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
    await notice.waitFor({ state: 'detached' });
    expect(stored(serving.home, (store) => store.bakeOffs.damaged())).toEqual([]);
    expect(window.faults).toEqual([]);
  });
});
