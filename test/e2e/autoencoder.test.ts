import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { hasChromium, inBothThemes, makeImages, openWindow, Serving, type Window, why } from './harness.ts';
import { stored } from './learned-run.ts';

/** Small, so that a step takes some milliseconds; long, so that it can be killed twice in the middle. */
const SMALL = {
  'model.image_size': 32,
  'model.embed_dim': 32,
  'model.depth': 2,
  'model.num_heads': 2,
  'decoder.embed_dim': 16,
  'decoder.depth': 1,
  'decoder.num_heads': 2,
  'train.batch_size': 8,
  'train.steps': 200,
  'checkpoint.every_steps': 20,
};
const STEPS = SMALL['train.steps'];

describe.skipIf(!hasChromium)(`an autoencoder from its start to its export, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  const serving = new Serving();
  const out = join(serving.home, 'out');
  const ask = <T>(what: Parameters<typeof stored<T>>[1]) => stored(serving.home, what);
  const open = (hash: string) => page.goto(`${new URL(serving.url).origin}/#/${hash}`);
  const region = (name: string | RegExp) => page.getByRole('region', { name });
  const press = (name: string | RegExp) => page.getByRole('button', { name, exact: true }).first().click();
  const dialog = (name: RegExp) => page.getByRole('dialog', { name });
  const statusOf = (run: number) => ask(({ runs }) => runs.get(run).status);
  const becomes = (run: number, status: string) => expect.poll(() => statusOf(run), { timeout: 180_000 }).toBe(status);
  /** Checkpoints are there at once; metrics wait for a second. */
  const keepsAfter = (run: number, step: number) =>
    expect
      .poll(() => ask(({ checkpoints }) => checkpoints.latest(run)?.step ?? 0), { timeout: 120_000 })
      .toBeGreaterThan(step);
  /** All that its last checkpoint keeps, and all that was measured. */
  const leftBy = (run: number) =>
    ask(({ checkpoints, metrics }) => {
      const { id } = checkpoints.latest(run)!;
      const parts = (['student', 'exp_avg', 'exp_avg_sq'] as const).map((part) => [...checkpoints.load(id, part)]);
      const measured = metrics
        .list(run)
        .map(({ step, epoch, loss, grad_norm, lr, figures }) => ({ step, epoch, loss, grad_norm, lr, figures }));
      return { parts, measured };
    });

  beforeAll(async () => {
    await makeImages(join(serving.home, 'pictures'), 40);
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

  test('images are imported, and the method chosen', async () => {
    await page.keyboard.press('n');
    const form = dialog(/^Import images/);
    await form.getByRole('textbox', { name: 'Path of a folder' }).fill(join(serving.home, 'pictures'));
    await form.getByRole('textbox', { name: 'Name' }).fill('pictures');
    await form.getByText('each folder directly below is a class').click();
    await form.getByRole('button', { name: 'Import', exact: true }).click();
    await page.waitForURL(/#\/datasets\/1/);
    await open('new?dataset=1');
    await page.getByRole('button', { name: /Recipe/ }).click();
    await page.getByRole('combobox', { name: 'Method' }).selectOption({ label: 'MAE (2022)' });
    await page.waitForURL(/preset=mae-small-cpu/);
    await page.locator('img[src^="data:image/png"], image[href^="data:image/png"]').first().waitFor();
  });

  test('its trainer is killed, then the program; resumed it gives what a run in one go gives, to the bit', async () => {
    await open(`new?dataset=1&preset=mae-small-cpu&set=${encodeURIComponent(JSON.stringify(SMALL))}`);
    await press('Start');
    await page.waitForURL(/#\/runs\/1$/);
    await keepsAfter(1, 0);
    process.kill(ask(({ runs }) => runs.get(1).pid)!, 'SIGKILL');
    await page
      .getByRole('alert')
      .getByText(/ended without a word/)
      .waitFor();
    const { step } = ask(({ checkpoints }) => checkpoints.latest(1)!);
    await press('Resume');
    await keepsAfter(1, step);

    const { port } = serving;
    await serving.stop('SIGKILL');
    await becomes(1, 'paused'); // its trainer saves it, and ends
    await serving.start(port);
    await serving.enter(page);
    await open('runs/1');
    await press('Resume');
    await becomes(1, 'finished');

    await page.getByRole('link', { name: 'Run again with changes' }).click();
    await page.waitForURL(/#\/new/);
    await press('Start');
    await page.waitForURL(/#\/runs\/2$/);
    await becomes(2, 'finished');
    expect(ask(({ runs }) => runs.get(2).config)).toEqual(ask(({ runs }) => runs.get(1).config));
    const left = leftBy(1);
    expect(left.measured.map(({ step }) => step)).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1));
    expect(leftBy(2)).toEqual(left);
  });

  test('in sixteen bits, its blocks computed again, it is chosen and trains', async () => {
    const settings = { ...SMALL, 'train.steps': 60 };
    await open(`new?dataset=1&preset=mae-small-cpu&set=${encodeURIComponent(JSON.stringify(settings))}`);
    await page.getByLabel('Search the settings').fill('train.');
    await page.getByRole('radiogroup', { name: 'Mixed precision' }).getByLabel('on', { exact: true }).check();
    await page.getByRole('checkbox', { name: 'Recompute' }).check();
    await press('Start');
    await page.waitForURL(/#\/runs\/3$/);
    await becomes(3, 'finished');
    const [config, state] = ask(({ runs, checkpoints }) => [
      runs.get(3).config.train,
      checkpoints.get(checkpoints.latest(3)!.id).state,
    ]);
    const [first, rounded] = ask(({ metrics }) => [1, 3].map((run) => metrics.list(run)[0]!.loss)) as [number, number];
    expect(config).toMatchObject({ mixed_precision: 'on', recompute: true });
    expect(state).toMatchObject({ precision: 'bf16' });
    expect(rounded).not.toBe(first); // the same step of the same images, in other bits
    expect(Math.abs(rounded / first - 1)).toBeLessThan(0.01);
  });

  test('evaluated, it stands beside the untrained network', async () => {
    await open('runs/1');
    for (const task of ['knn', 'linear', 'finetune']) {
      await press(`Evaluate step ${STEPS}`);
      const form = dialog(/^Evaluate /);
      await form.getByLabel('Task').selectOption(task);
      if (task === 'finetune') await form.getByLabel('epochs', { exact: true }).fill('2');
      await form.getByRole('button', { name: 'Put in the queue' }).click();
      await form.waitFor({ state: 'detached' });
    }
    for (const task of ['k-NN', 'linear probe', 'fine-tuning']) {
      const row = region('Evaluations').getByRole('row', { name: new RegExp(`^${task}, step ${STEPS}`, 'i') });
      await row.waitFor({ timeout: 120_000 });
      const figure = (column: number) => row.getByRole('cell').nth(column).textContent();
      // Of a fine-tuning the trained network's figure is there first.
      for (const column of [2, 3]) await expect.poll(() => figure(column), { timeout: 60_000 }).toMatch(/^\d+\.\d %$/);
    }
    await inBothThemes(page);
  });

  test('Explore draws what it reconstructs, beside the network before training', async () => {
    await page.getByRole('link', { name: `Reconstruction of step ${STEPS}` }).click();
    await region(`Reconstruction, Step ${STEPS}`).waitFor();
    await region('Reconstruction, Before training').waitFor();
    const errors = region('Figures').locator('tbody tr td:nth-child(2)');
    const [trained, untrained] = (await errors.allTextContents()).map(Number);
    expect(trained).toBeLessThan(0.9 * untrained!);
    await open('runs/1');
  });

  test('exported, and imported again, its encoder has the same weights', async () => {
    const write = async (format: string, said: RegExp) => {
      await press(`Export step ${STEPS}`);
      const form = dialog(/^Export step/);
      await form.getByLabel('Format').selectOption(format);
      await form.getByLabel(/^Folder/).fill(out);
      await form.getByLabel(/^Name/).fill(format);
      await form.getByRole('button', { name: 'Export', exact: true }).click();
      await form.waitFor({ state: 'detached' });
      await page.getByText(said).waitFor();
    };
    await write('onnx', /onnx\.onnx is written/);
    await write('timm', /timm\.safetensors is written/);
    await write('published', /published\.safetensors is written/);
    await write('health', /health\.html/);
    await expect.poll(() => existsSync(join(out, 'health.html')), { timeout: 120_000 }).toBe(true);
    const report = await browser.newPage();
    await report.goto(`file://${join(out, 'health.html')}`);
    await report.getByRole('heading', { name: 'Hidden patches are reconstructed' }).waitFor();
    await report.close();

    for (const [format, isWhole] of [
      ['published', true],
      ['timm', false],
    ] as const) {
      await open('runs');
      await press('Import weights');
      const form = dialog(/^Import weights/);
      await form.getByLabel('File on the machine that trains').fill(join(out, `${format}.safetensors`));
      await form.getByLabel('Name of the run').fill(format);
      await form.getByRole('button', { name: 'Import', exact: true }).click();
      await page.getByText('read from a file').first().waitFor();
      const weightsOf = (run: number | string) =>
        ask(({ runs, checkpoints }) => checkpoints.load(checkpoints.latest(runs.get(run).id)!.id, 'student'));
      const [sent, back] = [weightsOf(1), weightsOf(format)];
      // A file for timm has the encoder alone: another decoder is made for it.
      const isOfFile = ([name]: [string, unknown]) => isWhole || !/^(decoder_|mask_token)/.test(name);
      expect([...back].filter(isOfFile)).toEqual([...sent].filter(isOfFile));
    }
    expect(window.faults).toEqual([]);
  });
});
