import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { databaseIn } from '../../electron/store/home.ts';
import { Store } from '../../electron/store/store.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { excess, hasChromium, inBothThemes, openWindow, Serving, type Window, why } from './harness.ts';
import { GRID, makeLearnedRun } from './learned-run.ts';

describe.skipIf(!hasChromium)(`through training, of two runs, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  const serving = new Serving();
  const OTHER = 'the other run, whose name is far longer than the place where it stands';

  beforeAll(async () => {
    await makeLearnedRun(serving.home);
    const store = Store.open(databaseIn(serving.home));
    const { config } = store.runs.get(1);
    const sizes = { total_steps: 20, steps_per_epoch: 1 };
    const run = store.runs.create({ dataset_id: 1, preset: null, config, name: OTHER, ...sizes });
    store.runs.update(run.id, { status: 'finished', step: 20 });
    // At step 8 it has the weights of the first run's checkpoint, at 20 others.
    const weights = (seed: number) => untrainedState({ ...config, train: { ...config.train, seed } });
    for (const [step, student, teacher] of [
      [8, 77, 78],
      [20, 5, 6],
    ] as const) {
      const checkpoint = { step, epoch: 1, loss: null, config, state: {} };
      store.checkpoints.save(run.id, checkpoint, { student: weights(student), teacher: weights(teacher) });
    }
    store.close();
    ({ browser, window } = await openWindow(serving, { viewport: { width: 1024, height: 700 } }));
    ({ page } = window);
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  const query = () => page.getByRole('region', { name: 'Query' });
  const scores = async (name: RegExp) =>
    (await page.getByRole('region', { name }).getByRole('listitem').allTextContents()).map((text) =>
      text.trim().replace(/\s+/g, ' '),
    );

  test('the picture is there before anything is computed; both runs are, and stand side by side at a step', async () => {
    await page.goto(`${new URL(serving.url).origin}/#/explore?run=1&dataset=1&image=2&view=time&patch=5`);
    await query().getByText('row 2, column 2 of').waitFor({ timeout: 60_000 });
    await page.getByRole('combobox', { name: 'Beside run' }).selectOption({ label: OTHER });
    await page.getByRole('button', { name: 'Compute 5 checkpoints' }).click();
    await page.getByRole('heading', { name: 'Nearest patches, step 9' }).waitFor({ timeout: 90_000 });
    // Steps 9 and 8 are nearest, and have the same weights: all is the same, rank by rank.
    await page
      .getByText(/^100\.0 % of the 6 nearest patches are\s+the same in both runs, step 9 beside step 8/)
      .waitFor();
    const mine = await scores(/^Neighbours, .*step 9$/);
    expect(mine.map((text) => text.split(' ').slice(1).join(' '))).toEqual(['= 1', '= 2', '= 3', '= 4', '= 5', '= 6']);
    expect(await scores(/^Neighbours, .*step 8$/)).toEqual(mine);
    const rows = page.getByRole('region', { name: 'All checkpoints' }).locator('tbody tr');
    expect(await rows.nth(3).locator('td').nth(3).textContent()).toBe('100.0 % (step 9)');
    const last = (await rows.nth(4).locator('td').nth(3).textContent())!;
    expect(last).toMatch(/^\d+\.\d % \(step 9\)$/);
    expect(Number.parseFloat(last)).toBeLessThan(100);
  });

  test('a region, a block, the student: by pointer, by keys, and in the address', async () => {
    const before = await scores(/^Neighbours, .*step 9$/);
    const { x, y, width, height } = (await query().locator('svg').boundingBox())!;
    const at = (column: number, row: number) =>
      [x + ((column + 0.5) / GRID) * width, y + ((row + 0.5) / GRID) * height] as const;
    await page.mouse.move(...at(0, 0));
    await page.mouse.down();
    await page.mouse.move(...at(1, 1), { steps: 4 });
    await page.mouse.up();
    await query().getByText('4 patches of').waitFor();
    await expect.poll(() => scores(/^Neighbours, .*step 9$/)).not.toEqual(before);
    await query().locator('svg').press('Shift+ArrowDown');
    await query().getByText('6 patches of').waitFor();
    await page.reload();
    await query().getByText('6 patches of').waitFor();
    await page.getByRole('combobox', { name: 'Features' }).selectOption('block-1');
    await page.getByRole('combobox', { name: 'of the' }).selectOption('student');
    await page.getByText(/^block-1 of the student, of up to 200 images/).waitFor();
    await page.getByRole('button', { name: 'Compute 5 checkpoints' }).click();
    await page.getByRole('heading', { name: 'Nearest patches, step 9' }).waitFor({ timeout: 90_000 });
    // The question goes along to the search.
    await page.getByRole('button', { name: 'Patches like this' }).click();
    await page.getByText(/were searched by block-1 of the student/).waitFor({ timeout: 60_000 });
    await query()
      .getByText(/^6 patches/)
      .first()
      .waitFor();
    await page.getByRole('button', { name: 'Through training' }).click();
    const slider = page.getByRole('slider', { name: 'Through training' });
    await slider.press('Home');
    await page.getByRole('heading', { name: 'Nearest patches, untrained' }).waitFor();
    await page
      .getByText(/are\s+the same in both runs, untrained beside untrained/)
      .first()
      .waitFor();
    await page.reload();
    await page.getByRole('heading', { name: 'Nearest patches, untrained' }).waitFor();
    await inBothThemes(page, async () => expect(await excess(page)).toEqual([0, 0]));
    expect(window.faults).toEqual([]);
  });
});
