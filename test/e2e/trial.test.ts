import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cacheFolder, runtimeChoice } from '../../electron/runtime/runtime-folder.ts';
import type { Trial } from '../../shared/backends.ts';
import { hasChromium, inBothThemes, openWindow, Serving, type Window, why } from './harness.ts';

describe.skipIf(!hasChromium)(`a trial of the backends, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  const serving = new Serving();
  const runtime = runtimeChoice();
  const before = { XDG_CACHE_HOME: process.env.XDG_CACHE_HOME, CONMIM_BACKEND: process.env.CONMIM_BACKEND };
  const cache = mkdtempSync(join(tmpdir(), 'trial-window-'));
  const panel = () => page.getByRole('region', { name: 'Backends' });
  const kept = () => join(cacheFolder(), 'backend.json');
  const stored = () => JSON.parse(readFileSync(kept(), 'utf8')) as { use: string; trial: Trial };

  beforeAll(async () => {
    // A cache of our own: the TensorFlow of this machine, and no choice.
    process.env.XDG_CACHE_HOME = cache;
    delete process.env.CONMIM_BACKEND;
    mkdirSync(cacheFolder(), { recursive: true });
    writeFileSync(join(cacheFolder(), 'current.json'), JSON.stringify(runtime));
    ({ browser, window } = await openWindow(serving, { viewport: { width: 1024, height: 700 } }));
    ({ page } = window);
    await page.goto(`${new URL(serving.url).origin}/#/runtime`);
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    rmSync(cache, { recursive: true, force: true });
  });

  async function isForEverybody() {
    await inBothThemes(page, async () => {
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(1024);
    });
    expect(window.faults).toEqual([]);
  }

  test('before any, it says what is used; one that is canceled keeps nothing', async () => {
    await panel().getByText('Chosen: the fastest of the last trial, else TensorFlow, else WASM.').waitFor();
    expect(await panel().getByRole('table').count()).toBe(0);
    await panel().getByRole('button', { name: 'Try every backend' }).click();
    await panel()
      .getByText(/^Trying \w+: \d of 3$/)
      .waitFor();
    await panel().getByRole('progressbar', { name: 'Trying the backends' }).waitFor();
    await isForEverybody();
    await panel().getByRole('button', { name: 'Cancel the trial' }).click();
    await panel().getByRole('button', { name: 'Try every backend' }).waitFor();
    expect(existsSync(kept())).toBe(false);
    expect(await panel().getByRole('alert').count()).toBe(0);
  });

  test('a whole one shows figures, and why what does not work does not; what is chosen is used', async () => {
    await panel().getByRole('button', { name: 'Try every backend' }).click();
    await panel().getByRole('table').waitFor({ timeout: 110_000 });
    const { use, trial } = stored();
    expect(use).toBe('auto');
    const rows = panel().getByRole('row');
    expect(await rows.count()).toBe(1 + trial.results.length);
    for (const [i, { name, images_per_s, why, device }] of trial.results.entries()) {
      const text = (await rows.nth(i + 1).textContent())!;
      expect(text.includes('fastest')).toBe(name === trial.pick);
      if (images_per_s === null) {
        expect(text).toContain('does not work');
        expect(why).not.toBe('');
        expect(text).toContain(why);
      } else {
        expect(text).toContain(device!);
        // Three digits are shown.
        const shown = Number(
          await rows
            .nth(i + 1)
            .getByRole('cell')
            .nth(2)
            .textContent(),
        );
        expect(Math.abs(shown / images_per_s - 1)).toBeLessThan(0.006);
      }
    }
    await isForEverybody();

    const pick = trial.results.find(({ images_per_s }) => images_per_s !== null)!;
    const row = rows.nth(1 + trial.results.indexOf(pick));
    await row.getByRole('button', { name: /^Use this one/ }).click();
    await row.getByText('chosen').waitFor();
    expect(stored().use).toBe(pick.name);
    const computes = page.getByRole('region', { name: 'What computes' });
    await computes.getByText('It was chosen.').waitFor({ timeout: 60_000 });
    await computes.getByRole('heading', { name: new RegExp(`^Computes with ${pick.name} `) }).waitFor();
    await panel().getByRole('button', { name: 'Use the fastest again' }).click();
    await panel().getByText('Chosen: the fastest of the last trial').waitFor();
    await computes.getByText(/^The last trial found it the fastest/).waitFor({ timeout: 60_000 });
    expect(stored()).toEqual({ use: 'auto', trial });
    await isForEverybody();
  });

  test('a trial of another machine does not hold, and says what has changed', async () => {
    const { use, trial } = stored();
    writeFileSync(kept(), JSON.stringify({ use, trial: { ...trial, machine: { ...trial.machine, graphics: 'x' } } }));
    await page.reload();
    await panel().getByText('It does not hold any more; changed since: graphics.').waitFor();
    await panel().getByRole('button', { name: 'Try again' }).waitFor();
    expect(window.faults).toEqual([]);
  });
});
