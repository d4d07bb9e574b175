import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { hasChromium, openWindow, Serving, type Window, why } from './harness.ts';
import { stored } from './learned-run.ts';

type Leave = (page: Page) => Promise<unknown>;
/** Every way in which one leaves what one edits. */
const WAYS: Record<string, Leave> = {
  Back: (page) => page.goBack(),
  'Alt and a digit': (page) => page.keyboard.press('Alt+6'),
  'the palette': async (page) => {
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox', { name: /^Find/ }).fill('run a');
    await page.keyboard.press('Enter');
  },
  'a link': (page) => page.getByRole('navigation').getByRole('link', { name: 'Runtime' }).click(),
  'a reload': (page) => page.reload(),
  'closing the window': (page) => page.close({ runBeforeUnload: true }),
  'clicking elsewhere': (page) => page.getByRole('heading', { name: 'Configuration' }).click(),
  'staying and waiting': (page) => page.waitForTimeout(0),
};

describe.skipIf(!hasChromium)(`what is edited in a window, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  const serving = new Serving();
  const address = (hash: string) => `${new URL(serving.url).origin}/#/${hash}`;
  const rows = () =>
    stored(serving.home, (store) => ({
      runs: store.runs.list().map(({ name, notes, tags }) => ({ name, notes, tags })),
      datasets: store.datasets.list().map(({ name }) => name),
    }));
  const BEFORE = {
    runs: ['a', 'b'].map((letter) => ({ name: `run ${letter}`, notes: `notes of ${letter}`, tags: [letter, 'both'] })),
    datasets: ['set a', 'set b'],
  };

  async function enterAnew() {
    await window.context.close();
    window = await serving.window(browser);
    ({ page } = window);
    await serving.enter(page);
    await page.getByRole('link', { name: 'set a' }).waitFor(); // it is let in
  }

  beforeAll(async () => {
    stored(serving.home, (store) => {
      const config = runConfigSchema.parse({});
      for (const letter of ['a', 'b']) {
        store.datasets.create({ name: `set ${letter}`, folders: [serving.home], labels: 'none' });
        const run = store.runs.create({ dataset_id: 1, preset: null, config, total_steps: 9, steps_per_epoch: 1 });
        store.runs.update(run.id, { status: 'finished', step: 9 });
      }
    });
    ({ browser, window } = await openWindow(serving));
  });
  beforeEach(async () => {
    stored(serving.home, (store) => {
      for (const [i, { name, notes, tags }] of BEFORE.runs.entries()) {
        store.runs.update(i + 1, { name, notes, tags });
        store.datasets.rename(i + 1, BEFORE.datasets[i]!);
      }
    });
    await enterAnew();
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  const shown = (label: string) => page.getByRole('textbox', { name: label, exact: true });
  /** Opens one run and then the other, as Back needs it. */
  async function open(kind: 'runs' | 'datasets') {
    await page.goto(address(`${kind}/1`));
    const label = kind === 'runs' ? 'Name of the run' : 'Name of the dataset';
    await expect.poll(() => shown(label).inputValue()).toMatch(/ a$/);
    await page.goto(address(`${kind}/2`));
    await expect.poll(() => shown(label).inputValue()).toMatch(/ b$/);
  }
  const changed = (change: object) => ({ ...BEFORE, runs: [BEFORE.runs[0], { ...BEFORE.runs[1], ...change }] });

  describe.each(Object.entries(WAYS))('left by %s', (way, leave) => {
    test('name, notes and tags are saved to their run, and to no other', async () => {
      let all = {};
      for (const [label, text, change] of [
        ['Name of the run', 'other b', { name: 'other b' }],
        ['Notes', 'other notes\nof two lines', { notes: 'other notes\nof two lines' }],
        ['Tags', 'x, y , x', { tags: ['x', 'y'] }],
      ] as const) {
        if (way === 'closing the window') await enterAnew();
        await open('runs');
        await shown(label).fill(text);
        await leave(page);
        all = { ...all, ...change };
        await expect.poll(rows, { message: label }).toEqual(changed(all));
        expect(window.faults).toEqual([]);
      }
    });

    test('what was looked at and not edited is not written', async () => {
      await open('runs');
      await shown('Tags').click();
      stored(serving.home, (store) => store.runs.update(2, { tags: ['from elsewhere'], notes: 'from elsewhere' }));
      await leave(page);
      await new Promise((done) => setTimeout(done, 900));
      expect(rows()).toEqual(changed({ tags: ['from elsewhere'], notes: 'from elsewhere' }));
    });

    test.skipIf(way === 'clicking elsewhere')('a name is saved to its dataset, and to no other', async () => {
      await open('datasets');
      await shown('Name of the dataset').fill('other set');
      await leave(page);
      await expect.poll(rows).toEqual({ ...BEFORE, datasets: ['set a', 'other set'] });
      expect(window.faults).toEqual([]);
    });
  });

  test('a name that is taken goes back, with words, while it may be typed past', async () => {
    await open('runs');
    await shown('Name of the run').fill('run a');
    await page.getByRole('alert').getByText('There is a run named "run a" already').waitFor();
    expect(await shown('Name of the run').inputValue()).toBe('run a'); // it may go on: "run a2"
    await page.getByRole('heading', { name: 'Configuration' }).click();
    await expect.poll(() => shown('Name of the run').inputValue()).toBe('run b');
    await shown('Name of the run').fill('   ');
    await page.getByRole('heading', { name: 'Configuration' }).click();
    await expect.poll(() => shown('Name of the run').inputValue()).toBe('run b');
    expect(rows()).toEqual(BEFORE);
  });

  test('a tag that cannot be kept stays in its field, with words', async () => {
    await open('runs');
    const long = 'x'.repeat(51);
    await shown('Tags').fill(`b, ${long}`);
    await page.getByRole('alert').getByText('50').waitFor();
    await page.getByRole('heading', { name: 'Configuration' }).click();
    expect(await shown('Tags').inputValue()).toBe(`b, ${long}`);
    expect(rows()).toEqual(BEFORE);
    await page.goBack();
    await page.getByText(/not saved/).waitFor();
    await page.goForward();
    await expect.poll(() => shown('Tags').inputValue()).toBe(`b, ${long}`); // nothing typed is lost
    await shown('Tags').fill('b, c');
    await expect.poll(rows).toEqual(changed({ tags: ['b', 'c'] }));
  });

  test('the draft of a run keeps what was typed in the last moment before Back', async () => {
    await page.goto(address('runs'));
    await page.goto(address('new?dataset=1&preset=small-cpu'));
    const ratio = async () => {
      await page.getByPlaceholder(/Search .* settings/).fill('mask.ratio');
      return page.getByRole('textbox', { name: 'Ratio', exact: true });
    };
    await shown('Name of the run').fill('a name');
    await (await ratio()).fill('0.5');
    await page.goBack(); // before the address has it
    await page.getByRole('searchbox', { name: 'Filter runs' }).waitFor();
    await page.goForward();
    expect(await (await ratio()).inputValue()).toBe('0.5');
    expect(await shown('Name of the run').inputValue()).toBe('a name');
  });

  test('another window writes: a field that is not edited follows; one that is edited asks which counts', async () => {
    await open('runs');
    await shown('Notes').click();
    stored(serving.home, (store) => store.runs.update(2, { notes: 'theirs', tags: ['theirs'] }));
    await expect.poll(() => shown('Notes').inputValue()).toBe('theirs');
    await expect.poll(() => shown('Tags').inputValue()).toBe('theirs');

    await shown('Notes').fill('mine'); // and within the wait before it is saved:
    stored(serving.home, (store) => store.runs.update(2, { notes: 'theirs again' }));
    const asks = page.getByRole('alert').filter({ hasText: 'changed elsewhere' });
    await asks.waitFor();
    expect(rows().runs[1]!.notes).toBe('theirs again');
    await asks.getByRole('button', { name: 'Keep mine' }).click();
    await expect.poll(() => rows().runs[1]!.notes).toBe('mine');

    await shown('Notes').fill('mine too');
    stored(serving.home, (store) => store.runs.update(2, { notes: 'theirs at last' }));
    await asks.getByRole('button', { name: 'Take theirs' }).click();
    await expect.poll(() => shown('Notes').inputValue()).toBe('theirs at last');
    await page.waitForTimeout(900);
    expect(rows()).toEqual(changed({ notes: 'theirs at last', tags: ['theirs'] }));
    expect(window.faults).toEqual([]);
  });
});
