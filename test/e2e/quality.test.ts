import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Store } from '../../electron/store/store.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import type { Metric } from '../../shared/run.ts';
import { hasChromium, inBothThemes, launch, makeImages, Serving, why } from './harness.ts';

const SMALL = {
  'model.image_size': 32,
  'model.embed_dim': 32,
  'model.depth': 1,
  'model.num_heads': 1,
  'projector.hidden': 32,
  'projector.out': 16,
  'train.batch_size': 4,
  'train.steps': 100_000,
};
const metric = (step: number): Metric => ({
  step,
  epoch: step / 100,
  time: 1e12 + step * 50,
  loss: 4 - 2 * (1 - Math.exp(-step / 3e5)) + Math.sin(step) / 10,
  figures: { top1: 0.5, top5: 0.8, top1_control: 0.2, ...(step % 50 === 0 && { rank_teacher: 30 }) },
  grad_norm: 1,
  lr: 1e-3,
  weight_decay: 0.05,
  momentum: 0.996,
  images_per_s: 100,
  data_wait: 0,
  replaced: 0,
});

/** The longest tasks of the page's main thread while something goes on, ms. */
async function longTasks(page: Page, during: () => Promise<void>): Promise<number[]> {
  await page.evaluate(() => {
    const found: number[] = [];
    new PerformanceObserver((list) => found.push(...list.getEntries().map((entry) => entry.duration))).observe({
      type: 'longtask',
    });
    Object.assign(globalThis, { longTasks: found });
  });
  await during();
  return page.evaluate(() => (globalThis as unknown as { longTasks: number[] }).longTasks.sort((a, b) => b - a));
}

describe.skipIf(!hasChromium)(`the window for everybody, and with much in it, in Chromium${why}`, () => {
  let browser: Browser;
  const serving = new Serving();
  const address = (hash: string) => `${new URL(serving.url).origin}/${hash}`;
  const open = async (hash: string, options = {}) => {
    const window = await serving.window(browser, options);
    await serving.enter(window.page);
    await window.page.goto(address(hash));
    await window.page.getByRole('heading', { level: 1 }).first().waitFor();
    return window;
  };
  const LONG =
    'A name that is far longer than any place it stands in, as names of experiments come to be over the years';

  const addRun = (store: Store, name: string, step: number): number => {
    const config = runConfigSchema.parse({ model: { image_size: 32, embed_dim: 32, depth: 1, num_heads: 1 } });
    const how = { preset: 'demo', config, total_steps: step, steps_per_epoch: 100 };
    const { id } = store.runs.create({ name, dataset_id: 1, ...how });
    store.runs.update(id, { status: 'finished', step });
    return id;
  };

  beforeAll(async () => {
    const store = Store.open(join(serving.home, 'workbench.sqlite'));
    const folder = join(serving.home, 'pictures');
    await makeImages(folder, 12);
    // 100,000 rows over 12 files: the grid does not know the difference.
    const dataset = store.datasets.create({ name: LONG, folders: [folder], labels: 'folders' });
    const rows = Array.from({ length: 100_000 }, (_, i) => ({
      folder: 0,
      path: `class-${i % 2}/image ${String(i).padStart(3, '0')}.png`,
      bytes: 1000 + i,
      mtime: 1,
      hash: `${i % 12}`.padStart(64, '0'),

      width: 96,
      height: 96,
      format: 'png',
      label: `class-${i % 2}`,
      status: 'ok' as const,
      reason: null,
      detail: null,
    }));
    for (let i = 0; i < rows.length; i += 10_000) store.images.upsertMany(dataset.id, rows.slice(i, i + 10_000));
    const real = store.datasets.create({ name: 'real', folders: [folder], labels: 'none' });
    store.images.upsertMany(
      real.id,
      rows.slice(0, 12).map((row, i) => ({ ...row, hash: `${i}`.repeat(64).slice(0, 64) })),
    );
    const id = addRun(store, LONG, 1_000_000);
    for (let from = 1; from <= 1_000_000; from += 50_000)
      store.metrics.add(
        id,
        Array.from({ length: 50_000 }, (_, i) => metric(from + i)),
      );
    store.metrics.add(addRun(store, 'run number 0', 10), metric(1));
    store.close();
    browser = await launch();
    await serving.start();
  }, 240_000);
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  test.each([
    ['#/datasets', 'Datasets'],
    ['#/datasets/1?image=1', LONG],
    ['#/new?dataset=1&preset=small-cpu', 'New run'],
    ['#/new?dataset=1&preset=small-cpu&tab=ablations', 'New run'],
    ['#/runs', 'Runs'],
    ['#/runs/1', LONG],
    ['#/compare?runs=1,2', 'Runs'],
    ['#/runs?view=table', 'Runs'],
    ['#/explore', 'Explore'],
    ['#/runtime', 'Runtime'],
  ])('axe finds nothing serious on %s, in either theme', async (hash) => {
    const { page, context, faults } = await open(hash, { viewport: { width: 1024, height: 700 } });
    await page.waitForTimeout(1200);
    // Nothing sticks out of a small window.
    await inBothThemes(page, async () =>
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(1024),
    );
    expect(faults).toEqual([]);
    await context.close();
  });

  test('100,000 images: any of them is reached, and scrolling keeps few in the document (times are printed)', async () => {
    const { page, context } = await open('#/datasets/1');
    await page.getByText('100,000 files shown').waitFor();
    const grid = page.getByRole('listbox', { name: 'Images' });
    const tasks = await longTasks(page, async () => {
      for (let i = 0; i < 20; i++) {
        await grid.evaluate((view, part) => view.scrollTo(0, (view.scrollHeight * part) / 20), i);
        await page.waitForTimeout(100);
      }
    });
    console.log(`scrolling 100,000 images: tasks over 50 ms: ${tasks.map((t) => t.toFixed(0)).join(', ') || 'none'}`);
    expect(await grid.getByRole('option').count()).toBeLessThan(300);
    await grid.focus();
    await page.keyboard.press('End');
    await grid.evaluate((view) => view.scrollTo(0, view.scrollHeight));
    await grid.getByRole('option', { name: /image 99999\.png/ }).waitFor();
    await context.close();
  });

  test('a million points: the curve comes downsampled, zoom asks for its part (times are printed)', async () => {
    const { page, context } = await open('#/runs/1');
    const began = performance.now();
    await page.getByRole('group', { name: /^Loss\. loss: last/ }).waitFor();
    console.log(`a million points: first curve after ${(performance.now() - began).toFixed(0)} ms`);
    await page.goto(address('#/runs/1?from=500000&to=500100'));
    await expect
      .poll(() => page.getByRole('group', { name: /^Loss/ }).getAttribute('aria-label'), { timeout: 10_000 })
      .toContain(Number(metric(500_100).loss.toPrecision(3)).toString());
    await page.getByRole('button', { name: 'Whole run' }).click();
    expect(page.url()).not.toContain('from=');
    await context.close();
  });

  test('500 runs are sorted and filtered within 100 ms (times are printed)', async () => {
    // Not before: axe looks at every row, and rows are alike.
    const store = Store.open(join(serving.home, 'workbench.sqlite'));
    for (let i = 1; i < 499; i++) store.metrics.add(addRun(store, `run number ${i}`, 10), metric(i + 1));
    store.close();
    const { page, context } = await open('#/runs');
    await page.getByText('500 shown').waitFor();
    const measure = (act: string) =>
      page.evaluate(async (what) => {
        const began = performance.now();
        if (what === 'sort')
          [...document.querySelectorAll<HTMLButtonElement>('th button')]
            .find((b) => b.textContent!.startsWith('Loss'))!
            .click();
        else {
          const input = document.querySelector<HTMLInputElement>('input[aria-label="Filter runs"]')!;
          input.value = 'number 4';
          input.dispatchEvent(new Event('input', { bubbles: true }));
        }
        // Two frames: the change is on the screen then.
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        return performance.now() - began;
      }, act);
    const times = { sort: await measure('sort'), again: await measure('sort'), filter: await measure('filter') };
    await page.getByText('175 shown').waitFor();
    console.log(
      `500 runs: ${Object.entries(times)
        .map(([what, ms]) => `${what} ${ms.toFixed(0)} ms`)
        .join(', ')}`,
    );
    await context.close();
  });

  test('the window stays free while a run trains (the longest task is printed)', async () => {
    const { page, context, faults } = await open(
      `#/new?dataset=2&preset=small-cpu&set=${encodeURIComponent(JSON.stringify(SMALL))}`,
    );
    await page.getByRole('button', { name: 'Start', exact: true }).click();
    await page.waitForURL(/#\/runs\/\d+/);
    await page.getByText('running').first().waitFor();
    const tasks = await longTasks(page, () => page.waitForTimeout(8000));
    console.log(`while a run is watched: tasks over 50 ms: ${tasks.map((t) => t.toFixed(0)).join(', ') || 'none'}`);
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    await page.getByText('stopped').first().waitFor();
    expect(faults).toEqual([]);
    await context.close();
  });
});
