import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { Store } from '../../electron/store/store.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { excess, hasChromium, inBothThemes, makeImages, openWindow, Serving, type Window, why } from './harness.ts';
import { stored } from './learned-run.ts';

const LONG = `${'a run whose name goes on and on, '.repeat(5)}to its end`;
const MANY = 60;

describe.skipIf(!hasChromium)(`the table of runs and its curves, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  const serving = new Serving();
  const address = (hash: string) => `${new URL(serving.url).origin}/#/${hash}`;
  const idOf = (name: string) => stored(serving.home, (store) => store.runs.get(name).id);
  const table = () => page.getByRole('region', { name: 'All runs' });
  /** Names in the order of the lines that are in the document. */
  const names = () => table().locator('tbody a[data-part=name]').allTextContents();
  const head = (name: string) => page.getByRole('columnheader', { name, exact: true });
  async function saved(button: string): Promise<string> {
    await page.getByRole('button', { name: 'Export' }).click();
    const saving = page.waitForEvent('download');
    await page.getByRole('button', { name: button }).click();
    return readFileSync(await (await saving).path(), 'utf8');
  }

  beforeAll(async () => {
    mkdirSync(serving.home, { recursive: true });
    await makeImages(join(serving.home, 'pictures'), 4);
    const store = Store.open(join(serving.home, 'workbench.sqlite'));
    try {
      await importDataset(store, { name: 'pictures', folders: [join(serving.home, 'pictures')], labels: 'none' });
      const special: Record<number, string> = { 0: LONG, 1: 'تشغيل ٣', 2: '🔥🔥 hot', 3: '<b>bold</b>' };
      for (let i = 0; i < MANY; i++) {
        const config = runConfigSchema.parse({
          model: { image_size: 32, patch_size: 8, embed_dim: 32, depth: 1, num_heads: 1 },
          optimizer: { lr: 1e-3 * (1 + (i % 3)) },
          train: { seed: i % 4 },
        });
        const how = { dataset_id: 1, preset: 'demo', config, total_steps: 20, steps_per_epoch: 4 };
        const { id } = store.runs.create({ ...how, name: special[i] ?? `run ${i}` });
        const started_at = 1.7e12 + i * 60_000;
        store.runs.update(id, { status: 'finished', step: 20, started_at, ended_at: started_at + 90_000 });
        if (i === 7) store.runs.update(id, { notes: 'The one of the poster', tags: ['best'] });
        store.metrics.add(
          id,
          Array.from({ length: 20 }, (_, s) => ({
            ...{ step: s + 1, epoch: s / 4, time: 1e12 + s * 250, loss: 1 + ((i * 37) % MANY) / 10 + 1 / (s + 1) },
            ...{ figures: { top1: i / MANY, top1_control: 0.1 }, grad_norm: 1, lr: 1e-3, weight_decay: 0.05 },
            ...{ momentum: 0.99, images_per_s: 10, data_wait: 0, replaced: 0 },
          })),
        );
      }
    } finally {
      store.close();
    }
    ({ browser, window } = await openWindow(serving, { viewport: { width: 1440, height: 900 } }));
    ({ page } = window);
    await page.getByRole('link', { name: 'pictures' }).waitFor();
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  test('lines are 28 pixels high, the newest first; a head sorts, and says how', async () => {
    await page.goto(address('runs'));
    await page.getByText(`${MANY} shown`).waitFor();
    expect((await names())[0]).toBe(`run ${MANY - 1}`);
    const heights = await table()
      .locator('tbody tr[data-at]')
      .evaluateAll((all) => all.map((one) => one.getBoundingClientRect().height));
    expect(new Set(heights)).toEqual(new Set([28]));
    expect(heights.length).toBeLessThan(MANY);
    expect(await head('Started ↓').getAttribute('aria-sort')).toBe('descending');
    await page.getByRole('button', { name: 'Loss', exact: true }).click();
    expect(await head('Loss ↑').getAttribute('aria-sort')).toBe('ascending');
    expect(await head('Started').getAttribute('aria-sort')).toBeNull();
    const losses = await table().locator('tbody tr[data-at] td:nth-child(6)').allTextContents();
    expect(losses.map(Number)).toEqual(losses.map(Number).toSorted((a, b) => a - b));
    expect(new Set(losses).size).toBeGreaterThan(15);
  });

  test('the arrow keys move in it, beyond what is in the document too', async () => {
    await page.goto(address('runs?sort=name&descending=0&view=table'));
    await page.getByText(`${MANY} shown`).waitFor();
    await page.getByRole('checkbox', { name: 'Choose run 10' }).focus();
    await page.keyboard.press('ArrowDown');
    const focused = () => page.evaluate(() => document.activeElement?.getAttribute('aria-label'));
    await expect.poll(focused).toBe('Choose run 11');
    for (let i = 12; i < MANY; i++) {
      await page.keyboard.press('ArrowDown');
      await expect.poll(focused).toBe(`Choose run ${i}`);
    }
    const seen = await page.evaluate(() => {
      const box = document.activeElement!.getBoundingClientRect();
      return box.top > 0 && box.bottom < innerHeight;
    });
    expect(seen).toBe(true);
    await page.keyboard.press('Space');
    await page.getByText('1 chosen').waitFor();
  });

  test('columns are chosen among figures and settings that differ, and stay so', async () => {
    await page.goto(address('runs?view=table'));
    await page.getByRole('button', { name: 'Columns …' }).click();
    const dialog = page.getByRole('dialog', { name: 'Columns' });
    await dialog.getByRole('checkbox', { name: 'optimizer.lr' }).check();
    await dialog.getByRole('checkbox', { name: 'Tags' }).uncheck();
    expect(await dialog.getByRole('checkbox', { name: 'mask.ratio' }).count()).toBe(0); // the same in all
    await inBothThemes(page);
    await page.keyboard.press('Escape');
    await head('optimizer.lr').waitFor();
    await page.reload();
    await head('optimizer.lr').waitFor();
    expect(await head('Tags').count()).toBe(0);
    await page.getByRole('button', { name: 'optimizer.lr' }).click();
    await expect.poll(async () => (await names()).length).toBeGreaterThan(10);
    await page.getByRole('button', { name: 'Columns …' }).click();
    await dialog.getByRole('button', { name: 'As usual' }).click();
    await page.keyboard.press('Escape');
    await head('Tags').waitFor();
  });

  test('what is chosen, sorted, filtered and scrolled to is there after Back and after a reload', async () => {
    await page.goto(address('runs?sort=name&descending=0&filter=run'));
    await page.getByText(`${MANY - 3} shown`).waitFor(); // the long name has the word too
    await page.getByRole('checkbox', { name: 'Choose run 12', exact: true }).check();
    await table().evaluate((view) => view.scrollTo(0, 700));
    const link = table().locator('tbody a[data-part=name]').nth(28);
    const name = (await link.textContent())!;
    await link.click();
    await page.getByRole('textbox', { name: 'Name of the run' }).waitFor();
    const isBack = async () => {
      await page.getByRole('link', { name, exact: true }).waitFor();
      await expect.poll(() => table().evaluate((view) => view.scrollTop)).toBe(700);
      await page.getByText('1 chosen').waitFor();
      expect(await page.getByRole('searchbox', { name: 'Filter runs' }).inputValue()).toBe('run');
      await page.getByRole('button', { name: 'Name ↑' }).waitFor();
    };
    await page.goBack();
    await isBack();
    await page.reload();
    await isBack();
  });

  test('a filter finds notes; all that is shown is chosen at once, tagged, and the tags taken back', async () => {
    await page.goto(address('runs?filter=poster'));
    await page.getByText('1 shown').waitFor();
    expect(await names()).toEqual(['run 7']);
    await page.getByRole('searchbox', { name: 'Filter runs' }).fill('run 1');
    await page.getByRole('checkbox', { name: 'Choose all shown' }).check();
    const chosen = await names();
    await page.getByText(`${chosen.length} chosen`).waitFor();
    await page.getByRole('button', { name: 'Tag …' }).click();
    await page.getByRole('textbox', { name: 'Tags to add' }).fill('sweep, lr');
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    await page.getByText(`Tagged sweep, lr: ${chosen.length} runs.`).waitFor();
    const tagged = () =>
      stored(serving.home, (store) => store.runs.list().filter(({ tags }) => tags.includes('sweep'))).map(
        (r) => r.name,
      );
    expect(tagged().sort()).toEqual(chosen.toSorted());
    await page.getByRole('button', { name: 'Undo' }).click();
    await expect.poll(tagged).toEqual([]);
    await page.getByRole('checkbox', { name: 'Choose all shown' }).uncheck();
    expect(await page.getByText(/\d chosen/).count()).toBe(0);
  });

  test('curves of what is shown are drawn beside it, those of what is chosen instead; an eye takes one away', async () => {
    await page.goto(address('runs?sort=name&descending=0'));
    const chart = page.getByRole('group', { name: /^Loss\./ });
    await chart.locator('canvas').waitFor();
    await page.getByText(`The first 36 of ${MANY} runs`).waitFor();
    const lines = async () => ((await chart.getAttribute('aria-label'))!.match(/: last /g) ?? []).length;
    await expect.poll(lines).toBe(36);
    const before = (await chart.boundingBox())!;
    for (const name of ['run 10', 'run 11', 'run 12'])
      await page.getByRole('checkbox', { name: `Choose ${name}`, exact: true }).check();
    await expect.poll(lines).toBe(3);
    expect(await chart.boundingBox()).toEqual(before); // nothing jumps
    await page.getByRole('button', { name: 'Draw run 11', exact: true }).click();
    await expect.poll(lines).toBe(2);
    await inBothThemes(page);
    await page.getByRole('button', { name: 'Compare', exact: true }).click();
    await page.getByRole('region', { name: 'Differences of configuration' }).getByText('optimizer.lr').waitFor();
    await page.getByRole('button', { name: 'Metrics' }).click();
    await page.getByRole('checkbox', { name: 'Gradient norm' }).check();
    await page.keyboard.press('Escape');
    const added = page.getByRole('group', { name: /^Gradient norm\./ });
    await added.scrollIntoViewIfNeeded();
    await added.locator('canvas').waitFor();
    await inBothThemes(page);
  });

  test('seeds of one recipe are one line with its interval, which opens; a view keeps how it is shown', async () => {
    await page.goto(address('runs?view=table&filter=run 1'));
    await page.getByText(/\d shown/).waitFor();
    await page.getByLabel('Group by').selectOption({ label: 'Seeds' });
    const groups = table().locator('tr.group');
    await expect.poll(() => groups.count()).toBe(3); // three rates
    expect(await groups.first().textContent()).toMatch(/\d\.\d{3} \(-?\d\.\d{3} to \d\.\d{3}\)/);
    const many = Number(await groups.first().locator('.fold .quiet').textContent());
    await groups.first().getByRole('button', { expanded: false }).click();
    await expect.poll(async () => (await names()).length).toBe(many);
    await groups.first().getByRole('checkbox').check();
    await page.getByText(`${many} chosen`).waitFor();
    await inBothThemes(page, async () => expect(await excess(page)).toEqual([0, 0]));
    await page.getByRole('button', { name: 'Views' }).click();
    await page.getByRole('textbox', { name: 'Name of the view' }).fill('by seed');
    await page.getByRole('button', { name: 'Keep', exact: true }).click();
    await page.goto(address('runs'));
    await page.reload();
    await page.getByRole('button', { name: 'Views' }).click();
    await page.getByRole('button', { name: 'by seed', exact: true }).click();
    await expect.poll(() => groups.count()).toBe(3);
    expect(page.url()).not.toContain('runs='); // which were chosen is not how it is shown
    await page.getByRole('button', { name: 'Views' }).click();
    await page.getByRole('button', { name: 'Forget view by seed' }).click();
    await page.getByText('None is kept yet.').waitFor();
    await page.keyboard.press('Escape');
  });

  test('the curve under the pointer is named in table and legend, nothing moves, and a click opens it', async () => {
    const chosen = ['run 10', 'run 20'];
    await page.goto(address(`runs?view=curves&smooth=0&sort=name&descending=0&runs=${chosen.map(idOf).join(',')}`));
    const chart = page.getByRole('group', { name: /^Loss\./ });
    await chart.locator('canvas').waitFor();
    await expect.poll(() => chart.locator('.value').allTextContents()).not.toContain('–');
    const places = () => page.locator('figure').evaluateAll((all) => all.map((one) => one.getBoundingClientRect().top));
    const before = await places();
    // Losses: run 10 ends at 2.05, run 20 at 3.05: the upper end of the chart is the latter's.
    const over = chart.locator('.u-over');
    const { width, height } = (await over.boundingBox())!;
    const ink = () => chart.locator('canvas').evaluate((canvas: HTMLCanvasElement) => canvas.toDataURL().length);
    const calm = await ink();
    await over.hover({ position: { x: width - 20, y: height - 20 } });
    await expect.poll(() => table().locator('tr.focused a[data-part=name]').allTextContents()).toEqual(['run 10']);
    expect(await chart.locator('li.faint .label').allTextContents()).toEqual(['run 20']);
    await expect.poll(ink).not.toBe(calm);
    expect(await places()).toEqual(before);
    await over.click({ position: { x: width - 20, y: height - 20 } });
    await page.getByText('Run "run 10" has no checkpoint yet.').waitFor();
    await page.waitForURL(new RegExp(`#/runs/${idOf('run 10')}$`));
    await page.goBack();
    expect(window.faults).toEqual([]);
  });

  test('a setting against a result, and many of both as lines; what is pointed at is named, a click opens it', async () => {
    await page.goto(address('runs?view=curves&chart=scatter&x=setting optimizer.lr'));
    const figure = page.getByRole('group', { name: `Loss against optimizer.lr. ${MANY} runs` });
    await figure.waitFor();
    await figure.getByText(/Kendall's τ -?\d\.\d\d/).waitFor();
    expect(await figure.locator('path.point').count()).toBe(MANY);
    const id = idOf('run 10');
    const point = figure.locator(`[data-run="${id}"]`);
    await point.hover({ force: true });
    const words = figure.locator('figcaption');
    await expect.poll(() => words.textContent()).toContain('run 10: optimizer.lr 0.002, Loss 2.050');
    await inBothThemes(page);
    await page.getByRole('button', { name: 'Parallel' }).click();
    const lines = page.getByRole('group', { name: /^Parallel coordinates of optimizer\.lr, train\.seed, Loss/ });
    expect(await lines.locator('path.run').count()).toBe(MANY);
    await page.getByRole('button', { name: 'Axes' }).click();
    await page.getByRole('checkbox', { name: 'train.seed' }).uncheck();
    await page.keyboard.press('Escape');
    await page.getByRole('group', { name: /^Parallel coordinates of optimizer\.lr, Loss/ }).waitFor();
    await inBothThemes(page, async () => expect(await excess(page)).toEqual([0, 0]));
    await page.locator(`path.run[data-run="${id}"]`).dispatchEvent('click');
    await page.waitForURL(new RegExp(`#/runs/${id}$`));
    await page.goBack();
  });

  test('a file has all settings, tags and notes of what is shown', async () => {
    await page.goto(address('runs?filter=poster'));
    await page.getByText('1 shown').waitFor();
    const [first, line, ...rest] = (await saved('Table as CSV')).trim().split('\r\n');
    expect(rest).toEqual([]);
    expect(first).toMatch(/^run,name,.*,tags,notes,.*,mask\.ratio,/);
    expect(line).toContain('best,The one of the poster');
    const [json] = JSON.parse(await saved('Table as JSON')) as Record<string, unknown>[];
    expect(json).toMatchObject({ run: idOf('run 7'), 'train.seed': 3, 'optimizer.lr': 0.002 });
  });

  test('Seeds in New run make so many runs of one recipe, which are one line here', async () => {
    const small = {
      ...{ 'model.image_size': 32, 'model.embed_dim': 16, 'model.depth': 1, 'model.num_heads': 1 },
      ...{ 'projector.hidden': 16, 'projector.out': 8, 'train.batch_size': 2, 'train.steps': 3 },
    };
    await page.goto(address(`new?dataset=1&preset=small-cpu&set=${encodeURIComponent(JSON.stringify(small))}`));
    await page.getByRole('textbox', { name: 'Name of the run' }).fill('twice');
    const seeds = page.getByRole('spinbutton', { name: 'Seeds' });
    await seeds.fill('99');
    await expect.poll(() => page.getByRole('button', { name: /^Start/ }).isDisabled()).toBe(true);
    await seeds.fill('2');
    await page.getByRole('button', { name: 'Start 2 runs' }).click();
    await page.waitForURL(/#\/runs\?group=seeds/);
    const group = table().locator('tr.group').filter({ hasText: 'twice' });
    await group.waitFor();
    await group.getByRole('button', { expanded: false }).click();
    await table().getByRole('link', { name: 'twice, seed 1' }).waitFor();
    const made = () =>
      stored(serving.home, (store) => store.runs.list().filter(({ name }) => name.startsWith('twice')));
    expect(made().map(({ config }) => config.train.seed)).toEqual([0, 1]);
    await expect.poll(() => made().every(({ status }) => status === 'finished'), { timeout: 90_000 }).toBe(true);
  });

  test.each([
    [1024, 700],
    [720, 450],
    [2560, 1440],
  ])('it fits %i by %i, with long names, right to left, and none', async (width, height) => {
    await page.setViewportSize({ width, height });
    for (const hash of [
      `runs?runs=${[LONG, 'تشغيل ٣', '🔥🔥 hot', '<b>bold</b>'].map(idOf).join(',')}`,
      `runs?view=curves&runs=${[LONG, 'تشغيل ٣', '🔥🔥 hot'].map(idOf).join(',')}`,
      'runs?sort=name&descending=1',
      'runs?filter=nothing of the kind',
    ]) {
      await page.goto(address(hash));
      await page.getByText(/\d shown/).waitFor();
      await page.waitForTimeout(700);
      await inBothThemes(page, async () => expect(await excess(page)).toEqual([0, 0]));
    }
    expect(window.faults).toEqual([]);
  });
});
