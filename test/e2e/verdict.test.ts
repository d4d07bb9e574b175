import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { databaseIn } from '../../electron/store/home.ts';
import { Store } from '../../electron/store/store.ts';
import { PRESETS, parseRunConfig } from '../../methods/index.ts';
import type { RunConfigInput } from '../../shared/config.ts';
import { asFigures } from '../../shared/feature-measures.ts';
import type { Metric } from '../../shared/run.ts';
import { metric } from '../store/helpers.ts';
import { excess, hasChromium, inBothThemes, openWindow, Serving, type Window, why } from './harness.ts';
import { makeLearnedRun } from './learned-run.ts';

const LONG = 'a run whose name is far longer than the place where it stands, as names of runs in a long study can be';

describe.skipIf(!hasChromium)(`what is said of a run, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  const serving = new Serving();
  let ids: Record<'learns' | 'fallen' | 'idle', number>;

  beforeAll(async () => {
    await makeLearnedRun(serving.home);
    const store = Store.open(databaseIn(serving.home));
    const preset = PRESETS.find(({ name }) => name === 'small-cpu')!;
    const knn = (trained: number) => asFigures({ task: 'knn', trained, untrained: 0.4, images: 400, chance: 0.25 });
    const run = (
      name: string,
      steps: number,
      at: (step: number) => { loss?: number; figures: Metric['figures'] },
      changes: RunConfigInput = {},
    ) => {
      const config = parseRunConfig({ ...preset.config, ...changes, train: { ...preset.config.train, steps: 3000 } });
      const sizes = { total_steps: 3000, steps_per_epoch: 10 };
      const { id } = store.runs.create({ dataset_id: 1, preset: preset.name, config, name, ...sizes });
      store.metrics.add(
        id,
        Array.from({ length: steps }, (_, i) => {
          const { loss = 2, figures } = at(i + 1);
          return metric(i + 1, { loss, figures: { top1: 0.6, top1_control: 0.3, ...figures } });
        }),
      );
      store.runs.update(id, { status: 'stopped', step: steps });
      return id;
    };
    try {
      ids = {
        learns: run(LONG, 400, (step) => ({
          loss: 4 - step / 200,
          figures: step % 100 === 0 ? knn(0.4 + step / 1500) : {},
        })),
        fallen: run('fallen', 400, () => ({ loss: 3, figures: { rank_teacher: 1.3, cosine_teacher: 0.23 } }), {
          momentum: { ...(preset.config.momentum as object), schedule: 'none' },
        }),
        idle: run('idle', 2000, (step) => ({
          loss: step < 500 ? 4 - step / 250 : 2,
          figures: step % 200 === 0 ? knn(step < 600 ? 0.5 : 0.6) : {},
        })),
      };
    } finally {
      store.close();
    }
    ({ browser, window } = await openWindow(serving, { viewport: { width: 1024, height: 700 } }));
    ({ page } = window);
  }, 300_000);
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  const opened = async (path: string) => {
    await page.goto(`${new URL(serving.url).origin}/${path}`);
  };
  const inBothSizes = async () => {
    for (const [width, height] of [
      [1024, 700],
      [2560, 1440],
    ] as const) {
      await page.setViewportSize({ width, height });
      await inBothThemes(page, async () => expect(await excess(page)).toEqual([0, 0]));
    }
    await page.setViewportSize({ width: 1024, height: 700 });
  };

  test('a run that learns says so before its charts, with figures beside those of the untrained network', async () => {
    await opened(`#/runs/${ids.learns}`);
    const card = page.getByRole('region', { name: 'Learns' });
    await card.getByText('of the same class for 66.7 % of 400 images, untrained 40.0 %').waitFor();
    await card.getByText('untrained 40.0 %, chance 25.0 %').waitFor();
    const [at, chart] = await Promise.all([
      card.boundingBox(),
      page.getByRole('group', { name: 'Axis' }).boundingBox(),
    ]);
    expect(at!.y + at!.height).toBeLessThan(chart!.y);
    expect(await page.getByRole('alert').count()).toBe(0);
    await inBothSizes();
  });

  test('one that has collapsed names the setting, and its button opens the run with exactly that changed', async () => {
    await opened(`#/runs/${ids.fallen}`);
    const card = page.getByRole('alert');
    await card.getByRole('heading', { name: 'Collapsed' }).waitFor();
    await card.getByText('1.30 of 64 directions').waitFor();
    await card.getByText('momentum.schedule is none').waitFor();
    await inBothSizes();
    await card.getByRole('link', { name: 'Run again with momentum.schedule cosine' }).click();
    await page.getByRole('heading', { name: 'New run' }).waitFor();
    const set = await page.evaluate(() => new URLSearchParams(location.hash.split('?')[1]).get('set'));
    // As the run has it, but for what led there.
    expect(JSON.parse(set!)).toEqual({ 'train.steps': 3000, 'momentum.schedule': 'cosine' });
  });

  test('one that no longer gains says since when, and offers as many steps', async () => {
    await opened(`#/runs/${ids.idle}`);
    const card = page.getByRole('region', { name: 'No longer improves' });
    await card.getByText('nothing gained since step 600').waitFor();
    await card.getByRole('link', { name: 'Run again with 600 steps' }).waitFor();
    await inBothSizes();
  });

  test('Why? opens the health report as a page of the window, as the file has it', async () => {
    await opened('#/runs/1');
    await page.getByRole('link', { name: 'Why?' }).click();
    await page.getByRole('heading', { name: /^Health of / }).waitFor();
    await page.getByRole('heading', { name: 'What it says' }).waitFor({ timeout: 120_000 });
    await page.getByRole('row', { name: /^Effective rank of images/ }).waitFor();
    expect(await page.getByRole('heading', { level: 1 }).count()).toBe(1);
    expect(await page.getByRole('img', { name: 'Singular values of images, mean of patch tokens' }).count()).toBe(1);
    await inBothSizes();
    await page.getByRole('link', { name: 'To the run' }).click();
    await page.getByRole('group', { name: 'Axis' }).waitFor();
    await page.keyboard.press('h');
    await page.getByRole('heading', { name: 'What it says' }).waitFor({ timeout: 120_000 });
    expect(window.faults).toEqual([]);
  });

  test('of a run without a checkpoint there is nothing to measure', async () => {
    await opened(`#/runs/${ids.fallen}/health`);
    await page.getByText('It has no checkpoint yet').waitFor();
    expect(window.faults).toEqual([]);
  });
});
