import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { Store } from '../../electron/store/store.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import type { RunConfigInput } from '../../shared/config.ts';
import type { Metric } from '../../shared/run.ts';
import { hasChromium, inBothThemes, launch, makeImages, Serving, type Window, why } from './harness.ts';

const LONG = 'a run whose name is far longer than the place where it stands, as names of runs in a long study can be';

const LOOKUPS = { top1: 0.5, top5: 0.8, top1_control: 0.5 };
function metricsOf(steps: number, at: (step: number) => Partial<Metric> = () => ({})): Metric[] {
  return Array.from({ length: steps }, (_, i) => {
    const step = i + 1;
    return {
      step,
      epoch: 0,
      time: 1e12 + step * 250,
      loss: 4 - 2 * (i / steps),
      figures: LOOKUPS,

      grad_norm: 1,
      lr: 1e-3,
      weight_decay: 0.05,
      momentum: 0.996 + 0.004 * (i / steps),
      images_per_s: 100.123456,
      data_wait: 0.01,
      replaced: 0,
      ...at(step),
    };
  });
}
/** The rate of a cosine from 1e-3 to 1e-5, so far that its least is `least`. */
const cosineDownTo = (least: number, steps: number) => (step: number) => {
  const end = Math.acos((2 * (least - 1e-5)) / (1e-3 - 1e-5) - 1);
  return { lr: 1e-5 + 0.5 * (1e-3 - 1e-5) * (1 + Math.cos((end * step) / steps)) };
};

describe.skipIf(!hasChromium)(`charts, in Chromium${why}`, () => {
  let browser: Browser;
  const serving = new Serving();
  const config: RunConfigInput = {
    model: { image_size: 32, patch_size: 8, embed_dim: 32, depth: 1, num_heads: 1 },
    projector: { hidden: 16, out: 8 },
    mask: { unit: 8 },
  };
  let ids: Record<'hazard' | 'single' | 'short' | 'long' | 'collapsed' | 'batch', number>;
  let many: number[];

  beforeAll(async () => {
    mkdirSync(serving.home, { recursive: true });
    await makeImages(join(serving.home, 'pictures'), 4);
    const store = Store.open(join(serving.home, 'workbench.sqlite'));
    const run = (name: string, metrics: Metric[], changes: RunConfigInput = {}) => {
      const whole = runConfigSchema.parse({ ...config, ...changes });
      const total_steps = Math.max(1, metrics.length);
      const { id } = store.runs.create({
        dataset_id: 1,
        preset: null,
        config: whole,
        total_steps,
        steps_per_epoch: 1,
        name,
      });
      store.runs.update(id, { status: 'finished', step: metrics.length });
      store.metrics.add(id, metrics);
      return id;
    };
    try {
      await importDataset(store, { name: 'pictures', folders: [join(serving.home, 'pictures')], labels: 'none' });
      ids = {
        hazard: run('hazard', metricsOf(400, cosineDownTo(1.27e-5, 400))),
        single: run(
          'single',
          metricsOf(60, (step) =>
            step === 50
              ? {
                  figures: {
                    ...LOOKUPS,
                    rank_teacher: 7.25,
                    rank_student: 6,
                    cosine_teacher: 0.1,
                    cosine_student: 0.2,
                  },
                }
              : {},
          ),
        ),
        short: run('short', metricsOf(15)),
        long: run(LONG, metricsOf(20)),
        collapsed: run(
          'fallen',
          metricsOf(60, () => ({ figures: { ...LOOKUPS, rank_teacher: 1.3, cosine_teacher: 0.23 } })),
          { momentum: { schedule: 'none' } },
        ),
        batch: run('among many', metricsOf(20), { contrast: { dictionary: 'batch' }, train: { batch_size: 32 } }),
      };
      many = Array.from({ length: 14 }, (_, i) =>
        run(
          `seed ${i}`,
          metricsOf(20, (step) => ({ loss: i + 1 / step })),
        ),
      );
    } finally {
      store.close();
    }
    browser = await launch();
    await serving.start();
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  /** Opens an address in a window of its own; its errors are none at the end. */
  async function opened(hash: string, act: (page: Page, window: Window) => Promise<void>, script?: () => void) {
    const window = await serving.window(browser, { viewport: { width: 1440, height: 900 } });
    if (script) await window.page.addInitScript(script);
    await serving.enter(window.page);
    await window.page.goto(`${new URL(serving.url).origin}/${hash}`);
    await act(window.page, window);
    expect(window.faults).toEqual([]);
    await window.context.close();
  }
  const chart = (page: Page, title: string) =>
    page.locator('figure').filter({ has: page.getByText(title, { exact: true }) });
  /** A chart is drawn when it comes into sight. */
  async function expectDrawn(page: Page, title: string) {
    await chart(page, title).scrollIntoViewIfNeeded();
    await chart(page, title).locator('canvas').waitFor();
  }
  const ALL = ['Loss', 'Look-ups', 'Gradient norm', 'Learning rate and weight decay', "Teacher's momentum", 'Speed'];

  test('a rate that passes what never ended uPlot’s own search for round values is drawn, at each part of it', async () => {
    await opened(`#/runs/${ids.hazard}`, async (page) => {
      for (const title of ALL) await expectDrawn(page, title);
      await chart(page, 'Learning rate and weight decay').getByText('1.3e-5').waitFor();
      for (const to of [399, 398, 396, 393, 390]) {
        await page.goto(`${new URL(serving.url).origin}/#/runs/${ids.hazard}?from=1&to=${to}`);
        await page.getByRole('button', { name: 'Whole run' }).waitFor();
        await expectDrawn(page, 'Learning rate and weight decay');
        await chart(page, 'Learning rate and weight decay')
          .getByText(/^1\.\de-5$/)
          .waitFor();
      }
    });
  });

  test.each([
    'smooth=abc&from=x&to=&axis=nonsense&log=yes',
    'smooth=NaN&from=-1&to=1e999&axis=time',
    'smooth=1&from=9&to=3&log=1',
    'smooth=-5&from=1&to=1',
  ])('an address with %s shows the charts as they are without', async (query) => {
    await opened(`#/runs/${ids.hazard}?${query}`, async (page) => {
      for (const title of ALL) await expectDrawn(page, title);
      expect(await chart(page, 'Loss').locator('.value').allTextContents()).not.toContain('–');
    });
    await opened(
      `#/compare?runs=${ids.hazard},x,-1,1e99,${ids.short}&metric=toString&sort=nothing&${query}`,
      async (page) => {
        await expectDrawn(page, 'Loss');
        await page.getByText('2 chosen').waitFor();
      },
    );
  });

  test('labels of axes follow the values that are drawn', async () => {
    // What is written on a canvas, by the title of its chart: its last drawing.
    const script = () => {
      const written: Record<string, string[]> = {};
      Object.assign(globalThis, { written });
      const title = (canvas: HTMLCanvasElement) => canvas.closest('figure')?.querySelector('strong')?.textContent ?? '';
      const { clearRect, fillText } = CanvasRenderingContext2D.prototype;
      CanvasRenderingContext2D.prototype.clearRect = function (...args) {
        written[title(this.canvas)] = [];
        clearRect.apply(this, args);
      };
      CanvasRenderingContext2D.prototype.fillText = function (...args) {
        written[title(this.canvas)]?.push(args[0]);
        fillText.apply(this, args);
      };
    };
    await opened(
      `#/runs/${ids.hazard}`,
      async (page) => {
        const labels = (title: string) =>
          page.evaluate((of) => (globalThis as unknown as { written: Record<string, string[]> }).written[of], title);
        await expectDrawn(page, 'Loss');
        await expect
          .poll(() => labels('Loss'))
          .toEqual(expect.arrayContaining(['100', '200', '300', '400', '2.0', '4.0']));
        await page.goto(`${new URL(serving.url).origin}/#/runs/${ids.hazard}?from=21&to=40&axis=step`);
        await expect.poll(() => labels('Loss')).toEqual(expect.arrayContaining(['30', '40']));
        expect(await labels('Loss')).not.toContain('400');
        expect(await labels('Loss')).not.toContain('2.0');
      },
      script,
    );
  });

  test('a chart that cannot be drawn says so in its place, and the others are drawn', async () => {
    const script = () => {
      const own = CanvasRenderingContext2D.prototype.clearRect;
      CanvasRenderingContext2D.prototype.clearRect = function (...args) {
        if (this.canvas.closest('figure')?.ariaLabel?.startsWith('Look-ups')) throw new Error('no memory for a canvas');
        own.apply(this, args);
      };
    };
    await opened(
      `#/runs/${ids.short}`,
      async (page) => {
        await page.getByRole('alert').getByText('This chart could not be drawn.').waitFor();
        for (const title of ['Gradient norm', 'Speed', 'Waiting for data']) await expectDrawn(page, title);
        await chart(page, 'Look-ups').getByText('no memory for a canvas').waitFor();
        expect(await page.getByText('This chart could not be drawn.').count()).toBe(1);
        expect(await chart(page, 'Look-ups').locator('canvas').count()).toBe(0);
      },
      script,
    );
  });

  test('a figure that was measured once is a point with its value, before and after it too', async () => {
    await opened(`#/runs/${ids.single}`, async (page) => {
      await expectDrawn(page, 'Effective rank');
      await chart(page, 'Effective rank').getByText('7.25').waitFor();
      await chart(page, 'Effective rank')
        .locator('.u-over')
        .hover({ position: { x: 500, y: 60 } });
      await expect.poll(() => chart(page, 'Effective rank').locator('.where').textContent()).toMatch(/^step 5\d$/);
      expect(await chart(page, 'Effective rank').locator('.value').allTextContents()).toEqual(['7.25', '6']);
    });
  });

  test('a collapse is seen in the list of runs, and its run names the setting that leads to it', async () => {
    await opened('#/runs', async (page) => {
      const row = page.getByRole('row').filter({ hasText: 'fallen' });
      await row.getByText(/^⚠ ?collapsed$/).waitFor();
      expect(await page.getByText(/^⚠ ?collapsed$/).count()).toBe(1);
      await inBothThemes(page);
      await row.getByRole('link', { name: 'fallen' }).click();
      const alarm = page.getByRole('alert');
      await alarm.getByText('1.30 of 8 directions').waitFor();
      await alarm.getByText('momentum.schedule=cosine').waitFor();
    });
  });

  test('guessing among the keys of a batch is said as that', async () => {
    await opened(`#/runs/${ids.batch}`, async (page) => {
      await page.getByText('ln(K·B) 6.24').first().waitFor(); // 16 patches of 32 images: ln 512
      await page.getByText('chance 0.2 %').first().waitFor();
      expect(await page.getByRole('alert').count()).toBe(0); // its loss is above ln K, and below ln(K·B)
    });
  });

  test('Compare asks for the curves of runs that are there, each once, however many the address names', async () => {
    const gone = Array.from({ length: 3000 }, (_, i) => 5000 + i);
    const some = many.slice(0, 6);
    await opened('#/datasets', async (page, window) => {
      const asked: number[] = [];
      page.on('websocket', (socket) =>
        socket.on('framesent', ({ payload }) => {
          const { channel, input } = JSON.parse(String(payload)) as { channel: string; input: { id: number } };
          if (channel === 'runs.metrics') asked.push(input.id);
        }),
      );
      await page.reload();
      await page.getByRole('link', { name: 'Runs', exact: false }).first().waitFor();
      await page.goto(`${new URL(serving.url).origin}/#/compare?runs=${[...gone, ...some].join(',')}`);
      await expectDrawn(page, 'Loss');
      const values = chart(page, 'Loss').locator('.value');
      await expect.poll(() => values.allTextContents()).not.toContain('–');
      expect(await values.count()).toBe(some.length);
      expect(page.url()).toContain('#/runs?view=curves&runs='); // an address of before
      expect(asked.sort((a, b) => a - b)).toEqual(some);
      expect(await page.locator('.toast').count()).toBe(0);
      // The file of curves has every column, whichever run comes first.
      const saving = page.waitForEvent('download');
      await page.getByRole('button', { name: 'Export' }).click();
      await page.getByRole('button', { name: 'Curves as CSV' }).click();
      const text = readFileSync(await (await saving).path(), 'utf8');
      expect(text.split('\n')[0]).toContain('loss');
      expect(window.faults).toEqual([]);
    });
  });

  test('values stand in legends without a pointer, and nothing moves when it comes', async () => {
    await opened(`#/runs/${ids.short}`, async (page) => {
      await expectDrawn(page, 'Look-ups');
      const places = () =>
        page.locator('figure').evaluateAll((all) => all.map((one) => one.getBoundingClientRect().top));
      await chart(page, 'Look-ups').getByText('80 %').waitFor();
      const before = await places();
      await chart(page, 'Look-ups')
        .locator('.u-over')
        .hover({ position: { x: 100, y: 60 } });
      await chart(page, 'Look-ups')
        .getByText(/^step \d+$/)
        .waitFor();
      expect(await places()).toEqual(before);
      await inBothThemes(page);
    });
  });

  test('runs are told apart in Compare, the same in table and legend; a long name stays within its place', async () => {
    const chosen = [...many, ids.long];
    await opened(`#/compare?runs=${chosen.join(',')}`, async (page) => {
      await expectDrawn(page, 'Loss');
      const looks = (where: string) =>
        page
          .locator(where)
          .evaluateAll((lines) =>
            lines.map((line) => `${line.getAttribute('stroke')} ${line.getAttribute('stroke-dasharray')}`),
          );
      const legend = await looks('figure .legend line');
      expect(new Set(legend).size).toBe(chosen.length);
      const inTable = await looks('section[aria-label="All runs"] tr.chosen td line');
      expect(new Set(inTable)).toEqual(new Set(legend));
      const figure = (await chart(page, 'Loss').boundingBox())!;
      expect(figure.height).toBeLessThan(320 + 60 + 132);
      expect(page.url()).toContain(`runs=${chosen.join(',')}`);
      // Adding one by its tick keeps the address readable.
      await page.getByRole('checkbox', { name: 'Choose short' }).check();
      await expect.poll(() => page.url()).toContain(`runs=${[...chosen, ids.short].join(',')}`);
      await inBothThemes(page);
    });
  });
});
