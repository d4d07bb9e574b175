import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { hasChromium, openWindow, Serving, type Window, why } from './harness.ts';
import { LONG, makeLearnedRun, stored } from './learned-run.ts';

/** What is chosen is what is seen: in lists with a filter, and where the program chooses by itself. */
describe.skipIf(!hasChromium)(`what is chosen in a window, in Chromium${why}`, () => {
  let browser: Browser;
  let window: Window;
  let page: Page;
  let checkpoint: number;
  const serving = new Serving();
  const address = (hash: string) => `${new URL(serving.url).origin}/#/${hash}`;
  const names = () => stored(serving.home, (store) => store.runs.list().map(({ name }) => name));

  beforeAll(async () => {
    checkpoint = await makeLearnedRun(serving.home);
    stored(serving.home, (store) => {
      const { config } = store.runs.get(1);
      const run = (name: string, dataset_id: number) =>
        store.runs.create({ name, dataset_id, preset: null, config, total_steps: 9, steps_per_epoch: 1 }).id;
      for (const name of ['mask 1', 'mask 2', 'mask 3', 'seed 1', 'seed 2'])
        store.runs.update(run(name, 1), { status: 'finished' });
      // Of the other dataset: one that has learned, an older than the newest; and one that has no checkpoint yet.
      const other = run('other learned', 2);
      store.runs.update(other, { status: 'finished', step: 9 });
      const state = { step: 9, epoch: 1, loss: null, config: runConfigSchema.parse(config), state: {} };
      const student = store.checkpoints.load(checkpoint, 'student');
      store.checkpoints.save(other, state, { student, teacher: student });
      store.runs.claim(run('trains', 1), process.pid);
      store.runs.update(store.runs.get('trains').id, { step: 3 });
    });
    ({ browser, window } = await openWindow(serving));
    ({ page } = window);
    await page.getByRole('link', { name: 'pictures' }).waitFor(); // it is let in
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  test('a filter hides what was ticked: it is not chosen then, and not deleted', async () => {
    await page.goto(address('runs'));
    const filter = page.getByRole('searchbox', { name: 'Filter runs' });
    await filter.fill('mask');
    for (const i of [1, 2, 3]) await page.getByRole('checkbox', { name: `Choose mask ${i}` }).check();
    await page.getByText('3 chosen').waitFor();
    await filter.fill('seed');
    await page.getByText('3 chosen').waitFor({ state: 'detached' });
    expect(await page.getByRole('button', { name: 'Delete', exact: true }).count()).toBe(0);
    await page.getByRole('checkbox', { name: 'Choose seed 1' }).check();
    await page.getByText('1 chosen, 3 more not shown').waitFor();
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    await page.getByText('Run "seed 1" is deleted').waitFor();
    await filter.fill('');
    await page.getByRole('link', { name: 'mask 1' }).waitFor();
    expect(await page.getByRole('link', { name: 'seed 1' }).count()).toBe(0);
    await page.getByText('3 chosen').waitFor();
    await page.getByRole('button', { name: 'Undo' }).click();
    await page.getByRole('link', { name: 'seed 1' }).waitFor();
  });

  test('a Delete that is pressed twice is one deletion: one Undo brings the run back', async () => {
    await page.goto(address('runs?filter=seed 2'));
    await page.getByRole('checkbox', { name: 'Choose seed 2' }).check();
    // Both before the first is answered.
    await page.getByRole('button', { name: 'Delete', exact: true }).evaluate((button: HTMLElement) => {
      button.click();
      button.click();
    });
    await page.getByText('Run "seed 2" is deleted').waitFor();
    await page.getByRole('link', { name: 'seed 2' }).waitFor({ state: 'detached' });
    const undo = page.getByRole('button', { name: 'Undo' });
    expect(await undo.count()).toBe(1);
    await undo.click();
    await page.getByRole('link', { name: 'seed 2' }).waitFor();
    expect(await page.getByText('Deleted already').count()).toBe(0);
  });

  test('a deletion of several names them', async () => {
    await page.goto(address('runs?filter=finished'));
    for (const name of ['seed 1', 'seed 2', 'mask 1', 'mask 2', 'mask 3'])
      await page.getByRole('checkbox', { name: `Choose ${name}` }).check();
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    await page
      .getByText('5 runs are deleted, with their checkpoints: "seed 2", "seed 1", "mask 3" and 2 more.')
      .waitFor();
    await page.getByRole('button', { name: 'Undo' }).click();
    await page.getByRole('link', { name: 'mask 1' }).waitFor();
    expect(names()).toContain('mask 1');
  });

  test('a dataset in use says the names of the runs', async () => {
    await page.goto(address('datasets/2'));
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    await page.getByText('Run "other learned" learned from it.').waitFor();
  });

  /** What a list in the head of Explore shows: the run, the step, the dataset. */
  const chosen = (place: number) =>
    page
      .locator('header select')
      .nth(place)
      .evaluate((e) => (e as HTMLSelectElement).selectedOptions[0]?.text ?? '');
  const run = () => chosen(0);
  test('an image is explored by the newest run that learned from its dataset', async () => {
    for (const [query, expected, set] of [
      ['dataset=1', 'pictures run', 'pictures'],
      ['dataset=2', 'other learned', LONG],
      ['image=1', 'pictures run', 'pictures'],
      ['image=25', 'other learned', LONG],
      ['', 'other learned', LONG],
    ]) {
      await page.goto(address(`explore?${query}`));
      await expect.poll(run).toBe(expected);
      await page.getByRole('button', { name: 'Look-ups' }).waitFor();
      await expect.poll(() => chosen(2)).toBe(set);
    }
  });

  test('a mask that was drawn belongs to the image that it was drawn for', async () => {
    await page.goto(address('explore?run=1&image=1&view=lookups'));
    await page.getByRole('button', { name: 'Another mask' }).waitFor({ timeout: 90_000 });
    await page.getByRole('button', { name: 'Unmask', exact: true }).click();
    const student = page.getByRole('region', { name: 'What the student sees' }).getByRole('application');
    const box = (await student.boundingBox())!;
    await page.mouse.click(box.x + box.width * 0.4, box.y + box.height * 0.4);
    const own = page.getByRole('button', { name: "The run's mask" });
    await own.waitFor();
    await page.goto(address('explore?run=1&image=2&view=lookups'));
    await page.getByRole('button', { name: 'Another mask' }).waitFor();
    await page.goBack();
    await own.waitFor();
  });

  test('an address beyond all numbers is read as far as it makes sense', async () => {
    for (const id of ['9007199254740993', '1e999', '99999999999999999999']) {
      await page.goto(address(`runs/${id}`));
      await page.getByRole('heading', { name: 'Runs', exact: true }).waitFor();
      await page.goto(address(`explore?run=${id}&image=${id}&dataset=${id}&checkpoint=${id}`));
      await page.getByRole('heading', { name: 'Explore' }).waitFor();
      await page.goto(address(`new?dataset=${id}`));
      await page.getByRole('heading', { name: 'New run' }).waitFor();
    }
    await page.goto(address('datasets/9999'));
    await page.getByText('There is no dataset 9999.').first().waitFor();
    await page.goto(address('runs/9999'));
    await page
      .getByText(/There is no run 9999/)
      .first()
      .waitFor();
    // Said in its place, and not at the corner besides.
    expect(await page.locator('.toast').filter({ hasText: 'There is no' }).count()).toBe(0);
    expect(window.faults).toEqual([]);
  });

  test('what is found by name is opened where Enter comes before the names do', async () => {
    const slow = await serving.window(browser);
    await slow.context.routeWebSocket(/\/socket/, (near) => {
      const far = near.connectToServer();
      far.onMessage((message) => void setTimeout(() => near.send(message), 400));
    });
    await serving.enter(slow.page);
    await slow.page.getByRole('link', { name: 'pictures' }).waitFor();
    await slow.page.keyboard.press('Control+k');
    await slow.page.getByRole('combobox', { name: /^Find/ }).fill('mask 2');
    await slow.page.getByText('Reading the names').waitFor();
    await slow.page.keyboard.press('ArrowDown');
    await slow.page.keyboard.press('Enter');
    const id = stored(serving.home, (store) => store.runs.get('mask 2').id);
    await slow.page.waitForURL(new RegExp(`#/runs/${id}$`));
    expect(slow.faults).toEqual([]);
    await slow.context.close();
  });

  test('the search field of a dataset says what is searched for, however the address came', async () => {
    await page.goto(address('datasets/1'));
    const field = page.getByRole('searchbox', { name: 'Search in paths' });
    await field.fill('typed');
    await expect.poll(() => page.url()).toContain('search=typed');
    await page.goto(address('datasets/1?search=written'));
    await expect.poll(() => field.inputValue()).toBe('written');
    await page.waitForTimeout(400); // longer than typing waits
    expect(page.url()).toContain('search=written');
  });

  test('what is not there is said', async () => {
    for (const [query, words] of [
      ['run=9999', /There is no run "?9999/],
      ['dataset=9999', /There is no dataset "?9999/],
      ['image=9999', /9999/],
      ['run=1&checkpoint=9999', /is not there any more/],
      [`run=1&checkpoint=${checkpoint + 1}`, /is not there any more/], // another run's
      [`run=${stored(serving.home, (store) => store.runs.get('trains').id)}`, /saves its first one soon/],
      ['run=1&dataset=2', /learned from pictures, not from these images/],
    ] as const) {
      await page.goto(address(`explore?${query}`));
      await page.getByText(words).first().waitFor();
    }
    await page.goto(address('explore?run=9999'));
    await page.getByRole('link', { name: 'Explore the newest run' }).click();
    await expect.poll(run).toBe('other learned');
    expect(window.faults).toEqual([]);
  });

  test('a run that is deleted while it is looked at says so, and comes back', async () => {
    const id = stored(serving.home, (store) => store.runs.get('mask 1').id);
    const other = await serving.window(browser);
    await serving.enter(other.page);
    await other.page.getByRole('link', { name: 'pictures' }).waitFor();
    await other.page.goto(address(`runs/${id}`));
    await other.page.getByRole('textbox', { name: 'Name of the run' }).waitFor();
    await page.goto(address(`runs/${id}`));
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    await other.page.getByText('Run "mask 1" is deleted.').waitFor();
    await page.getByRole('button', { name: 'Undo' }).click();
    await other.page.getByRole('textbox', { name: 'Name of the run' }).waitFor();
    expect(other.faults).toEqual([]);
    await other.context.close();
  });
});
