import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { storedMap } from '../../electron/services/explore/feature-map.ts';
import { fit, toScreen } from '../../renderer/views/explore/map.ts';
import { excess, hasChromium, inBothThemes, openWindow, Serving, type Window, why } from './harness.ts';
import { DEPTH, GRID, HEADS, IMAGES, LONG, makeLearnedRun, stored } from './learned-run.ts';

describe.skipIf(!hasChromium)(`colours, attention and map, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  let checkpoint = 0;
  const serving = new Serving();
  const open = (query: string) => page.goto(`${new URL(serving.url).origin}/#/explore?run=1&dataset=1&${query}`);

  beforeAll(async () => {
    checkpoint = await makeLearnedRun(serving.home);
    ({ browser, window } = await openWindow(serving, { viewport: { width: 1024, height: 700 } }));
    ({ page } = window);
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  /** In both themes nothing is out of reach, and nothing sticks out of a small window. */
  async function isForEverybody() {
    await inBothThemes(page, async () => expect(await excess(page)).toEqual([0, 0]));
    expect(window.faults).toEqual([]);
  }
  /** What canvases show. */
  const drawn = (canvases: Locator) =>
    canvases.evaluateAll((all) => (all as HTMLCanvasElement[]).map((canvas) => canvas.toDataURL()));
  const percents = async (row: Locator) =>
    (await row.locator('td').allTextContents()).flatMap((text) =>
      text.endsWith('%') ? [Number.parseFloat(text)] : [],
    );

  test('colours: two networks of the same images; block, images, foreground and its threshold', async () => {
    await open('view=colours');
    const table = page.getByRole('table', { name: 'Variance of the components' });
    const row = (network: string) => table.getByRole('row').filter({ hasText: network });
    await row('untrained').waitFor({ timeout: 60_000 });
    for (const network of ['student, step 9', 'untrained']) {
      const [red, green, blue, together] = (await percents(row(network))) as [number, number, number, number];
      expect(red).toBeGreaterThanOrEqual(green);
      expect(green).toBeGreaterThanOrEqual(blue);
      expect(blue).toBeGreaterThan(0);
      expect(together).toBeLessThanOrEqual(100);
      expect(Math.abs(together - red - green - blue)).toBeLessThan(0.3); // rounded
    }
    const figures = page.getByRole('figure');
    const patches = (network: string) => page.getByRole('img', { name: `patches by ${network}` });
    expect(await figures.count()).toBe(16);
    const pictures = (network: string) =>
      patches(network).evaluateAll((all) => all.map((e) => (e as HTMLImageElement).src));
    const student = await pictures('student, step 9');
    const untrained = await pictures('untrained');
    expect(new Set([...student, ...untrained]).size).toBe(32); // no picture twice
    expect(
      await patches('untrained')
        .first()
        .evaluate((e) => (e as HTMLImageElement).naturalWidth),
    ).toBe(GRID);

    await page.getByLabel('Tokens after block').selectOption('1');
    await expect.poll(() => pictures('student, step 9')).not.toEqual(student);
    await page.getByLabel('Images on one basis').selectOption('8');
    await expect.poll(() => figures.count()).toBe(8);
    const all = 8 * GRID ** 2;
    await row('untrained').getByText(`${all} of ${all}`).waitFor();

    /** Patches that have a colour, counted in the pictures themselves. */
    const opaque = () =>
      patches('student, step 9').evaluateAll((images) =>
        images.reduce((sum, image) => {
          const canvas = new OffscreenCanvas(4, 4).getContext('2d')!;
          canvas.drawImage(image as HTMLImageElement, 0, 0);
          return sum + canvas.getImageData(0, 0, 4, 4).data.filter((alpha, i) => i % 4 === 3 && alpha > 0).length;
        }, 0),
      );
    const coloured = async () =>
      Number(/(\d+) of 128/.exec((await row('student, step 9').textContent()) ?? '')?.[1] ?? Number.NaN);
    expect(await opaque()).toBe(all);
    await page.getByRole('combobox', { name: 'Colour' }).selectOption('upper');
    await expect.poll(coloured).toBeLessThan(all);
    const half = await coloured();
    await expect.poll(opaque).toBe(half);
    const threshold = page.getByRole('slider', { name: 'Threshold' });
    for (let i = 0; i < 25; i++) await threshold.press('ArrowRight');
    await page.getByText('0.75').waitFor();
    await page.locator('.images[aria-busy="false"]').waitFor(); // every step of the slider was asked
    expect(await coloured()).toBeLessThan(half);
    const upper = await coloured();
    await page.getByRole('combobox', { name: 'Colour' }).selectOption('lower');
    await expect.poll(coloured).toBe(all - upper); // the two sides are all patches

    const third = figures.nth(2).getByRole('button');
    const path = (await third.getAttribute('aria-label'))!.replace('Choose ', '');
    await third.click();
    await page.getByRole('button', { name: `Choose ${path}`, pressed: true }).waitFor();
    expect(page.url()).toContain(
      `image=${stored(serving.home, (store) => store.images.list(1).find((one) => one.path === path)!.id)}`,
    );
    await page.getByRole('button', { name: 'Untrained network' }).click();
    await row('student, step 9').waitFor({ state: 'detached' });
    expect(await table.getByRole('row').count()).toBe(2);
    await isForEverybody();
    // A dataset of one image, under a long name.
    await page.getByLabel('Images of').selectOption(LONG);
    await expect.poll(() => figures.count()).toBe(1);
    await isForEverybody();
  });

  test('attention: a map for every block and head, from CLS and from a patch, by pointer and keyboard', async () => {
    await open('view=attention');
    const heads = (network: string) => page.getByRole('region', { name: `All heads, ${network}` });
    await heads('untrained').waitFor({ timeout: 60_000 });
    for (const network of ['student, step 9', 'untrained']) {
      expect(
        await heads(network)
          .getByRole('button', { name: /head \d$/ })
          .count(),
      ).toBe(HEADS * DEPTH);
      expect(
        await heads(network)
          .getByRole('button', { name: /mean of heads$/ })
          .count(),
      ).toBe(DEPTH);
    }
    const maps = () => drawn(heads('student, step 9').locator('canvas'));
    const fromCls = await maps();
    expect(new Set(fromCls).size).toBe(DEPTH * (HEADS + 1));
    expect(await drawn(heads('untrained').locator('canvas'))).not.toEqual(fromCls);
    const large = page.getByRole('region', { name: 'Attention, student, step 9' });
    await large.getByText(`where CLS looks, block ${DEPTH}, mean of heads`).waitFor();
    await page.getByText(`entropy ln ${GRID ** 2 + 1} = 2.83`).waitFor();

    const picture = large.getByRole('application');
    const box = (await picture.boundingBox())!;
    await page.mouse.click(box.x + (2.5 / GRID) * box.width, box.y + (1.5 / GRID) * box.height);
    await large.getByText('where the patch in row 2, column 3 looks').waitFor();
    const fromPatch = await maps();
    expect(fromPatch.every((map, i) => map !== fromCls[i])).toBe(true);
    await picture.press('ArrowDown');
    await large.getByText('where the patch in row 3, column 3 looks').waitFor();
    expect(page.url()).toContain('patch=10');
    expect(await maps()).not.toEqual(fromPatch);

    await heads('student, step 9').getByRole('button', { name: 'Block 1, head 2' }).press('Enter');
    await page.getByRole('heading', { name: 'Block 1, head 2' }).waitFor();
    await large.getByText('block 1, head 2').waitFor();
    const entropies = page.getByRole('region', { name: 'Figures' }).getByRole('row').filter({ hasText: 'Entropy' });
    for (const text of (await entropies.locator('td').allTextContents()).slice(1))
      expect(Number(text)).toBeLessThanOrEqual(2.84);
    await page.getByRole('button', { name: 'From CLS' }).click();
    await large.getByText('where CLS looks, block 1, head 2').waitFor();
    expect(await maps()).toEqual(fromCls);
    await page.getByRole('combobox', { name: 'Colours' }).selectOption('common');
    await expect.poll(maps).not.toEqual(fromCls);
    await page.getByLabel('Network').selectOption('teacher');
    await heads('teacher, step 9').waitFor();
    await isForEverybody();
  });

  test('map: made with progress; a lasso lists the images of its points; one opens', async () => {
    await open('view=map');
    await page.getByRole('heading', { name: 'No map of these images' }).waitFor();
    await isForEverybody();
    await page.getByRole('button', { name: 'Make the map' }).click();
    await page.getByRole('progressbar', { name: 'Progress of the map' }).waitFor();
    const canvas = page.getByRole('application', { name: `Map of ${IMAGES} images` });
    await canvas.waitFor({ timeout: 60_000 });
    await page.getByText('Trustworthiness').waitFor();

    const ask = { checkpoint, dataset: 1, part: 'student', untrained: false, pool: 'mean' } as const;
    const map = stored(serving.home, (store) => storedMap(store, ask))!;
    await canvas.scrollIntoViewIfNeeded();
    const box = (await canvas.boundingBox())!;
    const points = map.ids
      .map((id, i) => {
        const [x, y] = toScreen(fit(map, box), box, map.x[i]!, map.y[i]!);
        return { id, x, y, path: map.paths[i]! };
      })
      .sort((a, b) => a.x - b.x);
    await page.getByRole('checkbox', { name: 'Pictures' }).uncheck();
    await expect
      .poll(() =>
        canvas.evaluate(
          (e, at) =>
            at.filter(({ x, y }) => (e as HTMLCanvasElement).getContext('2d')!.getImageData(x, y, 1, 1).data[3]! > 0)
              .length,
          points,
        ),
      )
      .toBe(IMAGES);

    const list = page.getByRole('region', { name: 'Chosen images' });
    const paths = async () => (await list.getByRole('link').allTextContents()).sort();
    const lasso = async (corners: [number, number][]) => {
      await page.mouse.move(box.x + corners[0]![0], box.y + corners[0]![1]);
      await page.mouse.down();
      for (const [x, y] of corners.slice(1)) await page.mouse.move(box.x + x, box.y + y, { steps: 6 });
      await page.mouse.up();
    };
    const around = (left: number, right: number): [number, number][] => [
      [left, 3],
      [right, 3],
      [right, box.height - 3],
      [left, box.height - 3],
    ];
    // Where the gap is widest no rounding puts a point on the wrong side.
    const widest = points.slice(4, 12).reduce((best, _, i) => {
      const gap = (n: number) => points[n]!.x - points[n - 1]!.x;
      return gap(i + 4) > gap(best) ? i + 4 : best;
    }, 4);
    const cut = (points[widest - 1]!.x + points[widest]!.x) / 2;
    const left = points.slice(0, widest).map(({ path }) => path);
    await canvas.press('l');
    await page.getByRole('button', { name: 'Lasso', pressed: true }).waitFor();
    await lasso(around(3, cut));
    await list.getByRole('heading', { name: `${widest} images chosen` }).waitFor();
    expect(await paths()).toEqual(left.sort());
    await isForEverybody();
    await page.keyboard.down('Shift');
    await lasso(around(cut, box.width - 3));
    await page.keyboard.up('Shift');
    await list.getByRole('heading', { name: `${IMAGES} images chosen` }).waitFor();

    await page.getByRole('button', { name: 'class-1', exact: true }).click();
    await list.getByRole('heading', { name: `${IMAGES / 2} images chosen` }).waitFor();
    expect((await paths()).every((path) => path.startsWith('class-1'))).toBe(true);
    const link = list.getByRole('link').nth(1);
    const name = (await link.textContent())!;
    await list.getByRole('button', { name: `Show ${name} on the map` }).click();
    const { id } = points.find(({ path }) => path === name)!;
    await expect.poll(() => page.url()).toContain(`image=${id}`);
    await link.click();
    await page.waitForURL(new RegExp(`#/datasets/1\\?image=${id}`));
    await page.getByRole('complementary', { name: 'Image' }).getByText(name).first().waitFor();
    // A dataset of one image has no map, and says why.
    await page.goBack();
    await page.getByLabel('Images of').selectOption(LONG);
    await page.getByRole('button', { name: 'Make the map' }).click();
    await page.getByRole('alert').waitFor({ timeout: 60_000 });
    await isForEverybody();
  });
});
