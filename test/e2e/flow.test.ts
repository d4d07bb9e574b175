import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Download, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Store } from '../../electron/store/store.ts';
import { hasChromium, makeImages, openWindow, Serving, seriousFaults, Tunnel, type Window, why } from './harness.ts';

/** Small, so that a step takes some milliseconds; long, so that a test can act while it trains. */
const SMALL = {
  'model.image_size': 32,
  'model.embed_dim': 32,
  'model.depth': 1,
  'model.num_heads': 1,
  'projector.hidden': 32,
  'projector.out': 16,
  'train.batch_size': 4,
  'train.steps': 3000,
  'checkpoint.every_steps': 20,
};
const IMAGES = 24;

describe.skipIf(!hasChromium)(`a researcher's way through the window, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  const serving = new Serving();
  const folder = join(serving.home, 'my pictures');
  /** What the database says, asked beside the program. */
  const stored = <T>(ask: (store: Store) => T): T => {
    const store = Store.open(join(serving.home, 'workbench.sqlite'));
    try {
      return ask(store);
    } finally {
      store.close();
    }
  };
  const address = (hash: string) => `${new URL(serving.url).origin}/${hash}`;
  const settings = (changes: object = {}) => encodeURIComponent(JSON.stringify({ ...SMALL, ...changes }));

  beforeAll(async () => {
    await makeImages(folder, IMAGES);
    ({ browser, window } = await openWindow(serving));
    ({ page } = window);
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') console.log(page.url(), await page.textContent('main'));
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  test('import: type a path, name the classes, see the images', async () => {
    await page.getByRole('heading', { name: 'No images yet' }).waitFor();
    await page.keyboard.press('n');
    const form = page.getByRole('dialog', { name: 'Import images' });
    await form.getByRole('textbox', { name: 'Path of a folder' }).fill(join(serving.home, 'nowhere'));
    await form.getByRole('textbox', { name: 'Name' }).fill('pictures');
    await form.getByRole('button', { name: 'Import', exact: true }).click();
    await form.getByRole('alert').getByText('is not there').waitFor(); // an error says so in its place
    await form.getByRole('button', { name: /Leave out/ }).click();
    await form.getByRole('textbox', { name: 'Path of a folder' }).fill(folder);
    await form.getByText('each folder directly below is a class').click();
    await form.getByRole('button', { name: 'Import', exact: true }).click();
    await page.waitForURL(/#\/datasets\/\d+/);
    await page.getByText(`${IMAGES} files shown`).waitFor();
    const first = page.getByRole('listbox', { name: 'Images' }).getByRole('option').first();
    await first.locator('img').waitFor();
    await page.waitForFunction(() => {
      const image = document.querySelector<HTMLImageElement>('[role=option] img');
      return image !== null && image.naturalWidth > 0;
    });
    await first.click();
    await page.getByRole('complementary', { name: 'Image' }).getByText('96 × 96').waitFor();
    await page.keyboard.press('ArrowRight');
    await page.getByRole('complementary', { name: 'Image' }).getByText('112 × 112').waitFor(); // the third file is the class's second
    expect(stored((store) => store.datasets.find('pictures'))).toMatchObject({
      image_count: IMAGES,
      labels: 'folders',
    });
  });

  test('filters are in the address, and survive a reload', async () => {
    await page.getByRole('searchbox', { name: 'Search in paths' }).fill('class-1');
    await page.getByText(`${IMAGES / 2} files shown`).waitFor();
    await page.reload();
    await page.getByText(`${IMAGES / 2} files shown`).waitFor();
    expect(page.url()).toContain('search=class-1');
  });

  test('the lab: views follow the settings; an impossible value is explained in its place', async () => {
    await page.goto(address(`#/new?dataset=1&preset=small-cpu&set=${settings()}`));
    const views = page.locator('img[src^="data:image/png"], image[href^="data:image/png"]');
    await views.first().waitFor();
    const seen = async () =>
      (await views.evaluateAll((all) => all.map((e) => e.getAttribute('src') ?? e.getAttribute('href')))).join();
    const before = await seen();
    await page.getByRole('button', { name: 'Draw again' }).click();
    await expect.poll(seen, { timeout: 10_000 }).not.toBe(before);
    await page.getByPlaceholder(/Search .* settings/).fill('mask.ratio');
    const ratio = page.getByRole('textbox', { name: 'Ratio', exact: true });
    await ratio.fill('3');
    await ratio.blur();
    await page
      .getByText(/nearest valid value of mask\.ratio/)
      .first()
      .waitFor();
    expect(await page.getByRole('button', { name: 'Start', exact: true }).isDisabled()).toBe(true);
    await ratio.fill('0.5');
    await ratio.blur();
    await expect.poll(() => page.getByRole('button', { name: 'Start', exact: true }).isEnabled()).toBe(true);
  });

  test('start, watch metrics arrive, pause', async () => {
    await page.goto(address(`#/new?dataset=1&preset=small-cpu&set=${settings()}`));
    await page.getByPlaceholder('Name (optional)').fill('first');
    await page.getByRole('button', { name: 'Start', exact: true }).click();
    await page.waitForURL(/#\/runs\/\d+/);
    const step = async () =>
      Number(/step ([\d,]+) of/.exec((await page.textContent('main')) ?? '')?.[1]?.replaceAll(',', '') ?? 0);
    await expect.poll(step, { timeout: 60_000 }).toBeGreaterThan(10);
    const then = await step();
    await expect.poll(step).toBeGreaterThan(then); // nobody asked again: it came by itself
    expect(await page.getByRole('group', { name: /^Loss\. loss: last \d/ }).count()).toBe(1);
    await page.keyboard.press('p');
    await page.getByText('paused').first().waitFor();
    const { status, step: saved, id } = stored((store) => store.runs.get('first'));
    expect(status).toBe('paused');
    expect(stored((store) => store.checkpoints.latest(id))!.step).toBe(saved);
  });

  test('a trainer that is killed: the window says so and offers to resume; it goes on', async () => {
    await page.getByRole('button', { name: 'Resume' }).click();
    await page.getByText('running').first().waitFor();
    const { id, step } = stored((store) => store.runs.get('first'));
    await expect.poll(() => stored((store) => store.runs.get(id).pid)).not.toBeNull();
    await expect
      .poll(() => stored((store) => store.metrics.last(id)!.step), { timeout: 60_000 })
      .toBeGreaterThan(step + 5);
    process.kill(stored((store) => store.runs.get(id).pid)!, 'SIGKILL');
    await page
      .getByRole('alert')
      .getByText(/ended without a word/)
      .waitFor();
    await page.getByText('interrupted').first().waitFor();
    await page.getByRole('button', { name: 'Resume' }).click();
    await expect.poll(() => stored((store) => store.runs.get(id).status), { timeout: 60_000 }).toBe('running');
    expect(window.faults).toEqual([]);
  });

  test('two windows see the same; a tunnel that is cut while it trains loses no metric', async () => {
    const tunnel = new Tunnel(serving.port);
    const through = new URL(serving.url);
    through.port = String(await tunnel.open());
    const other = await serving.window(browser);
    await serving.enter(other.page, through.href);
    const id = stored((store) => store.runs.get('first').id);
    await other.page.goto(`${through.origin}/#/runs/${id}`);
    await other.page.getByText('running').first().waitFor();
    tunnel.cut();
    await other.page.getByText('The connection is lost.').waitFor();
    await page.getByRole('textbox', { name: 'Name of the run' }).fill('renamed meanwhile');
    await page.keyboard.press('Enter');
    await new Promise((r) => setTimeout(r, 1500));
    tunnel.mend();
    await other.page.getByText('The connection is lost.').waitFor({ state: 'detached' });
    // The other window's change came although this one was away.
    await expect
      .poll(() => other.page.getByRole('textbox', { name: 'Name of the run' }).inputValue())
      .toBe('renamed meanwhile');
    await other.page.getByRole('button', { name: 'Stop', exact: true }).click();
    await page.getByText('stopped').first().waitFor();
    const { step, total_steps } = stored((store) => store.runs.get(id));
    const words = `step ${step.toLocaleString('en')} of ${total_steps.toLocaleString('en')}`;
    for (const shown of [page, other.page]) await shown.getByText(words).waitFor();
    const steps = () => other.page.getByRole('group', { name: /^Loss\./ }).getAttribute('aria-label');
    const last = stored((store) => store.metrics.last(id)!.loss);
    await expect.poll(steps).toContain(`last ${Number(last.toPrecision(3))}`);
    expect(other.faults).toEqual([]);
    await other.context.close();
    tunnel.close();
  });

  test('probes: every checkpoint is asked, beside the untrained network', async () => {
    await page.getByRole('button', { name: /^Ask \d+ checkpoint/ }).click();
    const strip = page.getByRole('region', { name: 'Look-ups of fixed images' });
    await strip
      .getByRole('img', { name: /of \d+ found/ })
      .first()
      .waitFor({ timeout: 90_000 });
    await expect.poll(() => strip.getByText('not asked yet').count(), { timeout: 60_000 }).toBe(0);
    await strip.getByText('untrained').waitFor();
  });

  async function nothingSerious() {
    expect(await seriousFaults(page)).toEqual([]);
    expect(window.faults).toEqual([]);
  }

  test('export: an encoder with its card into a folder that is made; what is there is kept', async () => {
    const checkpoints = page.getByRole('region', { name: 'Checkpoints' });
    await checkpoints
      .getByRole('button', { name: /^Export step/ })
      .first()
      .click();
    const form = page.getByRole('dialog', { name: /^Export step/ });
    const target = join(serving.home, 'exports');
    await form.getByRole('combobox', { name: 'Format' }).selectOption('onnx');
    await form.getByRole('combobox', { name: 'Network' }).selectOption('teacher');
    await form.getByRole('textbox', { name: 'Folder' }).fill(target);
    await form.getByRole('textbox', { name: 'Name' }).fill('mine');
    await nothingSerious();
    await form.getByRole('button', { name: 'Export', exact: true }).click();
    await page.getByText(/mine\.onnx is written, .*; 2 files beside it/).waitFor();
    expect(readdirSync(target).sort()).toEqual(['mine.onnx', 'mine.onnx.md', 'mine.onnx.svg']);
    await checkpoints
      .getByRole('button', { name: /^Export step/ })
      .first()
      .click();
    await expect.poll(() => form.getByRole('textbox', { name: 'Name' }).inputValue()).toMatch(/-student-timm$/);
    await form.getByRole('combobox', { name: 'Format' }).selectOption('onnx');
    await form.getByRole('textbox', { name: 'Folder' }).fill(target);
    await form.getByRole('textbox', { name: 'Name' }).fill('mine');
    await form.getByRole('button', { name: 'Export', exact: true }).click();
    await form.getByRole('alert').getByText('is there already').waitFor();
    await form.getByRole('textbox', { name: 'Name' }).fill('apart');
    await form.getByRole('checkbox', { name: /weights in a file of their own/ }).check();
    await nothingSerious();
    await form.getByRole('button', { name: 'Export', exact: true }).click();
    await page.getByText(/apart\.onnx and .*apart\.onnx\.data are written, .*; 2 files beside them/).waitFor();
  });

  test('explore: a patch is chosen, a mask drawn by hand, the untrained network asked', async () => {
    await page
      .getByRole('region', { name: 'Checkpoints' })
      .getByRole('link', { name: /^Look-ups of step/ })
      .first()
      .click();
    const all = page.getByRole('region', { name: 'All look-ups' });
    await all.getByText(/of 12 found/).waitFor({ timeout: 60_000 });
    const one = page.getByRole('region', { name: 'One look-up' });
    await one.getByText('probability of each of the 16 keys').waitFor();
    // Patches are unmasked with the pointer, until one is left.
    await page.getByRole('button', { name: 'Unmask' }).click();
    const student = page.getByRole('region', { name: 'What the student sees' }).locator('svg');
    const box = (await student.boundingBox())!;
    const at = (x: number, y: number) =>
      [box.x + ((x + 0.5) / 4) * box.width, box.y + ((y + 0.5) / 4) * box.height] as const;
    await page.mouse.move(...at(0, 0));
    await page.mouse.down();
    for (let i = 1; i < 16; i++) await page.mouse.move(...at(i % 4, Math.floor(i / 4)), { steps: 4 });
    await page.mouse.up();
    await page.getByRole('button', { name: 'Mask', exact: true }).click();
    await page.mouse.click(...at(2, 1));
    await all.getByText(/of 1 found/).waitFor();
    await page.getByRole('button', { name: 'Choose a patch' }).click();
    await page.mouse.click(...at(2, 1));
    await page.getByRole('heading', { name: 'Patch at row 2, column 3' }).waitFor();
    const figures = page.getByRole('region', { name: 'Figures' });
    const trained = await figures.textContent();
    await page.getByRole('button', { name: 'Untrained network' }).click();
    await expect.poll(() => figures.textContent()).toContain('before training');
    expect(await figures.textContent()).not.toBe(trained);
    await page.getByRole('button', { name: 'Measure over many images' }).click();
    await page.getByText(/content is worth/).waitFor({ timeout: 60_000 });
    await nothingSerious();
  });

  test('patches like this: within the image, then through an index; a region, filters, and on from an answer', async () => {
    await page.getByRole('button', { name: 'Patches like this' }).click();
    const answers = page.getByRole('region', { name: 'Answers, teacher' });
    await answers.getByText(/^The 16 patches of this image were searched/).waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'Build the index' }).click();
    await answers.getByText(/patches of \d+ images of .* all compared/).waitFor({ timeout: 60_000 });
    const best = answers.getByRole('listitem').first();
    expect(await best.textContent()).toMatch(/^\s*1\.000/); // the patch itself
    await page.getByLabel('other images only').check();
    await answers.getByText(/other images only/).waitFor();
    await expect.poll(() => best.textContent()).not.toMatch(/^\s*1\.000/);
    const query = page.getByRole('region', { name: 'Query' });
    const box = (await query.locator('svg').first().boundingBox())!;
    await page.mouse.move(box.x + box.width * 0.1, box.y + box.height * 0.1);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.4, box.y + box.height * 0.4, { steps: 5 });
    await page.mouse.up();
    await query
      .getByText(/^4 patches/)
      .first()
      .waitFor();
    const image = /image=(\d+)/.exec(page.url())?.[1];
    await best.getByRole('button').click();
    await expect.poll(() => /image=(\d+)/.exec(page.url())?.[1]).not.toBe(image);
    await nothingSerious();
    await page.getByRole('button', { name: 'Through training' }).click();
    await page.getByRole('button', { name: /^Compute \d+ checkpoints?$/ }).click();
    const slider = page.getByRole('slider', { name: 'Through training' });
    await slider.waitFor({ timeout: 90_000 });
    await slider.press('Home');
    await page.getByRole('heading', { name: 'Nearest patches, untrained' }).waitFor();
    await slider.press('End');
    await page.getByRole('heading', { name: /^Nearest patches, step \d+/ }).waitFor();
    await nothingSerious();
    await page.getByRole('button', { name: 'Look-ups', exact: true }).click();
    await page.getByRole('region', { name: 'All look-ups' }).waitFor();
  });

  test('an ablation queues its runs; compare shows where they differ, and exports', async () => {
    await page.goto(address(`#/new?dataset=1&preset=small-cpu&set=${settings({ 'train.steps': 5 })}`));
    await page.getByRole('tab', { name: /Ablations/ }).click();
    await page
      .getByRole('button', { name: /temperature/i })
      .first()
      .click();
    await page.getByRole('button', { name: 'Start 3 runs' }).click();
    await page.waitForURL(/#\/runs/);
    await expect
      .poll(() => stored((store) => store.runs.list().filter(({ status }) => status === 'finished').length), {
        timeout: 90_000,
      })
      .toBeGreaterThanOrEqual(2);
    const ids = stored((store) =>
      store.runs
        .list()
        .filter(({ status }) => status === 'finished')
        .map(({ id }) => id),
    );
    await page.goto(address(`#/compare?runs=${ids.slice(0, 2).join(',')}`));
    const differences = page.getByRole('region', { name: 'Differences of configuration' });
    await differences.getByText('contrast.temperature').waitFor();
    const save = async (button: string): Promise<Buffer> => {
      const [file] = await Promise.all([
        page.waitForEvent('download') as Promise<Download>,
        page
          .getByRole('button', { name: 'Export' })
          .click()
          .then(() => page.getByRole('button', { name: button }).click()),
      ]);
      return readFileSync(await file.path());
    };
    const table = (await save('Table as CSV')).toString();
    expect(table.split('\r\n')[0]).toMatch(/^run,name,status,health,dataset,.*,contrast\.temperature,/);
    expect(table.trim().split('\r\n')).toHaveLength(1 + stored((store) => store.runs.list().length));
    expect(JSON.parse((await save('Table as JSON')).toString())).toHaveLength(
      stored((store) => store.runs.list().length),
    );
    expect((await save('Chart as SVG')).toString()).toMatch(/^<svg .*<polyline/);
    expect((await save('Chart as PNG')).subarray(1, 4).toString()).toBe('PNG');
    await page.getByRole('searchbox', { name: 'Filter runs' }).fill('renamed');
    await page.getByText('1 shown').waitFor();
  });

  test('evaluate: few shots, k-NN with its confusion, and a fine-tuning in the queue', async () => {
    const { id } = stored((store) => store.runs.get('renamed meanwhile'));
    await page.goto(address(`#/runs/${id}`));
    const evaluations = page.getByRole('region', { name: 'Evaluations' });
    const form = page.getByRole('dialog', { name: /^Evaluate / });
    const ask = async (task: string) => {
      await page
        .getByRole('region', { name: 'Checkpoints' })
        .getByRole('button', { name: /^Evaluate step/ })
        .first()
        .click();
      await form.getByLabel('Task').selectOption(task);
      if (task === 'finetune') {
        await form.getByLabel('epochs', { exact: true }).fill('2');
        await form.getByLabel('batch_size').fill('4');
      }
      await form.getByRole('button', { name: 'Put in the queue' }).click();
      await form.waitFor({ state: 'detached' });
    };
    await ask('fewshot');
    await evaluations.getByText('5 known of each class').waitFor({ timeout: 60_000 });
    expect(await evaluations.textContent()).toContain('±');
    await ask('knn');
    await evaluations.getByRole('button', { name: /k-NN/ }).click({ timeout: 60_000 });
    const dialog = page.getByRole('dialog', { name: 'Which class was taken for which' });
    const matrix = dialog.getByRole('table', { name: 'Confusion matrix, trained network' });
    const cells = (await matrix.getByRole('cell').allTextContents()).map(Number);
    const { result } = stored(
      (store) => store.evaluations.list({ run_id: id }).findLast(({ task }) => task === 'knn')!,
    );
    expect(cells).toEqual((result as { confusion: { trained: number[][] } }).confusion.trained.flat());
    await dialog.getByRole('button', { name: 'Untrained' }).click();
    await dialog.getByRole('table', { name: 'Confusion matrix, untrained network' }).waitFor();
    await nothingSerious();
    await page.keyboard.press('Escape');
    await page
      .getByRole('region', { name: 'Checkpoints' })
      .getByRole('button', { name: /^Export step/ })
      .first()
      .click();
    const out = page.getByRole('dialog', { name: /^Export step/ });
    await out.getByLabel('Format').selectOption('csv');
    await out.getByLabel('Rows').selectOption('tokens');
    await out.getByLabel(/^Folder/).fill(join(serving.home, 'out'));
    await out.getByLabel(/^Name/).fill('patches');
    await out.getByRole('button', { name: 'Export' }).click();
    await out.waitFor({ state: 'detached' });
    const written = join(serving.home, 'out', 'patches.csv');
    await expect.poll(() => existsSync(written), { timeout: 60_000 }).toBe(true);
    expect(readFileSync(written, 'utf8').trim().split('\r\n')).toHaveLength(1 + IMAGES * 16);
    const known = await evaluations.getByText('5 known of each class').count();
    await ask('fewshot');
    await page
      .getByRole('region', { name: 'Checkpoints' })
      .getByRole('button', { name: /^Export step/ })
      .first()
      .click();
    await out.getByLabel('Format').selectOption('health');
    await out.getByLabel(/^Folder/).fill(join(serving.home, 'out'));
    await out.getByLabel(/^Name/).fill('health');
    // An evaluation that ends while the form is open has the run told anew: what was typed stays.
    await expect
      .poll(() => evaluations.getByText('5 known of each class').count(), { timeout: 60_000 })
      .toBe(known + 1);
    expect(await out.getByLabel(/^Name/).inputValue()).toBe('health');
    await out.getByRole('button', { name: 'Export' }).click();
    await out.waitFor({ state: 'detached' });
    const report = join(serving.home, 'out', 'health.html');
    await expect
      .poll(() => existsSync(report), { timeout: 120_000 })
      .toBe(true)
      .catch(async (error) => {
        // What the window says of it is what one wants to know.
        throw new Error(`${error}\n${await page.evaluate(() => document.body.innerText)}`);
      });
    for (const colorScheme of ['light', 'dark'] as const) {
      const shown = await browser.newPage({ colorScheme });
      await shown.goto(pathToFileURL(report).href);
      await shown.getByRole('heading', { name: /^Health of renamed meanwhile, step/ }).waitFor();
      expect(await shown.getByRole('img').count()).toBeGreaterThanOrEqual(4);
      expect(await seriousFaults(shown)).toEqual([]);
      await shown.close();
    }
    await ask('finetune');
    await evaluations.getByText(/fine-tuning, step/).waitFor({ timeout: 120_000 });
    const tuned = () => stored((store) => store.runs.list().filter(({ finetune }) => finetune !== null));
    await expect.poll(() => tuned().every(({ status }) => status === 'finished'), { timeout: 60_000 }).toBe(true);
    expect(tuned().map(({ finetune }) => finetune!.start)).toEqual(['trained', 'untrained']);
    await page.goto(address(`#/runs/${tuned()[0]!.id}`));
    await page.getByRole('group', { name: /^Accuracy\. top-1: last \d/ }).waitFor();
    await page.getByRole('link', { name: 'renamed meanwhile', exact: true }).waitFor();
    await nothingSerious();
  });

  test('delete, and undo', async () => {
    await page.goto(address('#/runs'));
    await page.getByRole('checkbox', { name: 'Choose renamed meanwhile', exact: true }).check();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('link', { name: 'renamed meanwhile', exact: true }).waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Undo' }).click();
    await page.getByRole('link', { name: 'renamed meanwhile', exact: true }).waitFor();
    expect(window.faults).toEqual([]);
  });
});
