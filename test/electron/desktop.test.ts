import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { readWindowState } from '../../electron/shell/window-state.ts';
import { Store } from '../../electron/store/store.ts';
import { hasChromium, makeImages, why } from '../e2e/harness.ts';
import { App, electronBinary, RealApp } from '../harness/electron/launch.ts';

const SMALL = {
  'model.image_size': 32,
  'model.embed_dim': 16,
  'model.depth': 1,
  'model.num_heads': 1,
  'train.batch_size': 4,
  'projector.hidden': 16,
  'projector.out': 8,
  'train.steps': 1_000_000,
};
type Call = (
  channel: string,
  input: unknown,
) => Promise<{ ok: boolean; value?: unknown; error?: { kind: string; what: string } }>;

/** Asks as the page does, through the preload's bridge. */
const callFrom =
  (page: () => Page): Call =>
  (channel, input) =>
    page().evaluate(
      ([name, argument]) =>
        (globalThis as unknown as { conmim: { call: Call } }).conmim.call(name as string, argument) as never,
      [channel, input],
    );

/** What holds on the stand-in and on a real Electron. */
function basics(here: () => { app: Pick<App, 'page' | 'order'>; home: string; call: Call }): void {
  test('handshake: the page comes by the own protocol, with the bridge and without Node', async () => {
    const { app, home, call } = here();
    expect(await app.page.title()).toContain('ConMIM Workbench');
    expect(await call('app.info', {})).toMatchObject({ ok: true, value: { shell: 'electron', home } });
    expect(
      await app.page.evaluate(() => ['require', 'process', 'module'].filter((name) => name in globalThis)),
    ).toEqual([]);
    expect(await app.page.evaluate(() => Object.isFrozen((globalThis as unknown as { conmim: object }).conmim))).toBe(
      true,
    );
  });

  test('errors cross as errors; events arrive', async () => {
    const { app, call } = here();
    expect(await call('runs.get', { id: 7 })).toMatchObject({ ok: false, error: { kind: 'not-found' } });
    expect(await call('no.such', {})).toMatchObject({ ok: false, error: { kind: 'bad-input' } });
    await app.page.getByRole('button', { name: 'Start with the sample images' }).click();
    await app.page.getByRole('link', { name: /sample-photos/ }).waitFor(); // it was told, it did not ask
    await app.page.getByText('9 files shown').waitFor();
    await app.page.waitForFunction(() => [...document.images].some((image) => image.naturalWidth > 0)); // media/
  });

  test('the system’s dialog picks a folder', async () => {
    const { app, call } = here();
    await app.order('answer', { canceled: false, filePaths: ['/some/where'] });
    expect(await call('folders.pick', {})).toEqual({ ok: true, value: { path: '/some/where' } });
    await app.order('answer', { canceled: true, filePaths: [] });
    expect(await call('folders.pick', {})).toEqual({ ok: true, value: { path: null } });
  });

  test('an item of the menu acts in the window', async () => {
    const { app } = here();
    await app.order('click', 'Runtime');
    await app.page.waitForURL(/#\/runtime/);
  });
}

describe.skipIf(!hasChromium)(`the desktop application, on a stand-in for Electron's interface${why}`, () => {
  let home: string;
  let app: App;
  const launch = async () => {
    home = mkdtempSync(join(tmpdir(), 'desktop-'));
    app = await App.launch(home);
  };
  const end = async () => {
    await app.close();
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  };
  const call = callFrom(() => app.page);
  const poll = async (what: () => Promise<boolean>) => {
    const until = Date.now() + 60_000;
    while (!(await what())) {
      if (Date.now() > until) throw new Error(`waited in vain: ${what}`);
      await new Promise((r) => setTimeout(r, 50));
    }
  };
  const stored = <T>(ask: (store: Store) => T): T => {
    const store = Store.open(join(home, 'workbench.sqlite'));
    try {
      return ask(store);
    } finally {
      store.close();
    }
  };
  /** A run that trains. */
  async function train(steps = 1_000_000): Promise<number> {
    await makeImages(join(home, 'pictures'), 8);
    await call('datasets.import', { name: 'pictures', folders: [join(home, 'pictures')] });
    await poll(async () => ((await call('datasets.list', {})).value as unknown[]).length === 1);
    await poll(async () => stored((store) => store.datasets.find('pictures')?.image_count === 8));
    const made = await call('runs.create', {
      preset: 'small-cpu',
      changes: { ...SMALL, 'train.steps': steps },
      dataset: 1,
      name: 'run',
      grid: [],
    });
    expect(made.ok).toBe(true);
    if (steps === 1_000_000) await poll(async () => stored((store) => store.runs.get('run').step > 0));
    return stored((store) => store.runs.get('run').id);
  }

  describe('as on a real one, of one start', () => {
    beforeAll(launch);
    afterAll(end);
    basics(() => ({ app, home, call }));
  });

  describe('what it holds off and hears, of one start', () => {
    beforeAll(launch);
    afterAll(end);

    test('nothing leads out: other addresses, new windows, scripts in the page, permissions', async () => {
      const { page } = app;
      const before = page.url();
      await page.evaluate(() => {
        location.href = 'https://example.org/';
      });
      await page.waitForTimeout(300);
      expect(page.url()).toBe(before);
      await page.evaluate(() => {
        window.open('https://example.org/paper');
        window.open('http://insecure.example.org/');
      });
      await poll(async () => (await app.order('seen')).denied.length === 2);
      const { opened } = await app.order('seen');
      expect(opened).toContain('https://example.org/paper'); // in the user's browser
      expect(opened).not.toContain('http://insecure.example.org/');
      await poll(async () => page.context().pages().length === 1);
      const isRun = await page.evaluate(() => {
        const script = document.createElement('script');
        script.textContent = 'window.wasRun = true';
        document.body.append(script);
        return 'wasRun' in window;
      });
      expect(isRun).toBe(false);
      for (const permission of ['media', 'geolocation', 'notifications', 'fullscreen', 'midi'])
        expect(await app.order('permission', permission)).toEqual([false, false]);
      expect((await app.order('seen')).spellcheck).toBe(false); // it would fetch dictionaries
      expect(await app.order('privileges')).toEqual({ app: { standard: true, secure: true, supportFetchAPI: true } });
    });

    test('calls from another page are refused', async () => {
      for (const url of ['https://example.org/', 'app://other/index.html', 'app://bundle.example.org/', ''])
        await expect(app.order('call', [url, 'runs.list', {}])).rejects.toThrow('Refused');
      expect(await app.order('call', ['app://bundle/index.html', 'runs.list', {}])).toEqual({ ok: true, value: [] });
    });

    test('the menu has its keys, and its items act in the window', async () => {
      const items = await app.order<{ label?: string; accelerator?: string }[]>('menu');
      const key = (label: string) => items.find((item) => item.label === label)?.accelerator;
      expect([key('Import Folder…'), key('New Run'), key('Datasets'), key('Runtime')]).toEqual([
        ...['CmdOrCtrl+O', 'CmdOrCtrl+N', 'Alt+1', 'Alt+6'],
      ]);
      await app.order('click', 'Runtime');
      await app.page.waitForURL(/#\/runtime/);
      await app.order('click', 'Import Folder…');
      await app.page.getByRole('dialog', { name: 'Import images' }).waitFor();
      await app.page.keyboard.press('Escape');
      await app.order('click', 'Keys');
      await app.page.getByRole('dialog', { name: 'Keys' }).waitFor();
    });

    test('events come over a port; a page that is reloaded gets another, and its predecessor none', async () => {
      const count = () =>
        app.page.evaluate(() => {
          const heard = { count: 0 };
          Object.assign(globalThis, { heard });
          (globalThis as unknown as { conmim: { listen(f: () => void): void } }).conmim.listen(() => {
            heard.count++;
          });
        });
      const heard = () => app.page.evaluate(() => (globalThis as unknown as { heard: { count: number } }).heard.count);
      await count();
      await poll(async () => (await heard()) > 0); // the machine's usage, every two seconds
      await app.page.reload();
      await app.page.getByRole('heading', { level: 1 }).first().waitFor();
      await count();
      await poll(async () => (await heard()) > 0);
    });
  });

  describe('what it starts and ends, each of its own start', () => {
    beforeEach(launch);
    afterEach(end);

    test('a second start shows the first window and ends', async () => {
      const second = await App.launch(home, { window: false });
      expect(await second.ended).toBe(0);
      await poll(async () => (await app.order('seen')).opened.includes('focus'));
    });

    test('a window comes back where it was; a display that is gone is not looked for', async () => {
      await app.order('bounds', { x: 200, y: 120, width: 1000, height: 700 });
      await poll(async () => existsSync(join(home, 'window.json')));
      await app.order('quit');
      await app.ended;
      app = await App.launch(home);
      expect(await app.order('bounds')).toEqual({ x: 200, y: 120, width: 1000, height: 700 });
    });

    test('while a run trains: sleep is blocked, progress shown; at its end a notification leads to it', async () => {
      const id = await train(40);
      await poll(
        async () => (await app.order('seen')).blockers === 1 || stored((s) => s.runs.get(id).status === 'finished'),
      );
      await poll(async () => (await app.order('seen')).notifications.length === 1);
      const { notifications, blockers, progress } = await app.order('seen');
      expect(notifications[0].title).toBe('run is finished');
      expect(blockers).toBe(0);
      expect(progress.some((value: number) => value > 0 && value <= 1)).toBe(true);
      expect(progress.at(-1)).toBe(-1);
      await app.order('click-notification');
      await app.page.waitForURL(new RegExp(`#/runs/${id}`));
    });

    test('quitting while a run trains asks: cancel goes on, pause saves, and the next start finds it', async () => {
      const id = await train();
      await app.order('answer', { response: 3 });
      await app.order('quit');
      await poll(async () => (await app.order('seen')).dialogs.length === 1);
      expect((await app.order('seen')).dialogs[0].buttons).toEqual([
        'Pause and Quit',
        'Keep Training',
        'Stop and Quit',
        'Cancel',
      ]);
      expect(stored((store) => store.runs.get(id).status)).toBe('running');
      await app.order('answer', { response: 0 });
      await app.order('quit');
      expect(await app.ended).toBe(0);
      const run = stored((store) => store.runs.get(id));
      expect(run.status).toBe('paused');
      expect(stored((store) => store.checkpoints.latest(id)!.step)).toBe(run.step);
    });

    test('"Keep Training": the run goes on without the application, and is found again', async () => {
      const id = await train();
      await app.order('answer', { response: 1 });
      await app.order('quit');
      await app.ended;
      const { step } = stored((store) => store.runs.get(id));
      await poll(async () => stored((store) => store.runs.get(id).step > step));
      app = await App.launch(home);
      await app.page.goto(`${app.page.url().split('#')[0]}#/runs/${id}`);
      await app.page.getByText('running').first().waitFor();
      await app.page.getByRole('button', { name: 'Stop', exact: true }).click();
      await app.page.getByText('stopped').first().waitFor();
    });

    test('"Stop and Quit" stops it', async () => {
      const id = await train();
      await app.order('answer', { response: 2 });
      await app.order('quit');
      await app.ended;
      expect(stored((store) => store.runs.get(id).status)).toBe('stopped');
    });
  });
});

test('a kept window is made to fit the displays that are there', () => {
  const folder = mkdtempSync(join(tmpdir(), 'state-'));
  const file = join(folder, 'window.json');
  const displays = [{ x: 0, y: 0, width: 1920, height: 1080 }];
  const read = (text: string) => {
    writeFileSync(file, text);
    return readWindowState(file, displays);
  };
  const bounds = { x: 100, y: 50, width: 1000, height: 700 };
  expect(read(JSON.stringify({ bounds, isMaximized: true }))).toEqual({ bounds, isMaximized: true });
  expect(read(JSON.stringify({ bounds: { ...bounds, x: 4000 } })).bounds).toBeNull();
  expect(read(JSON.stringify({ bounds: { ...bounds, y: -500 } })).bounds).toBeNull();
  expect(read(JSON.stringify({ bounds: { ...bounds, width: 9000, height: 10 } })).bounds).toMatchObject({
    width: 1920,
    height: 620,
  });
  for (const text of ['', '{', '[]', 'null', '{"bounds": {"x": "a"}}']) expect(read(text).bounds).toBeNull();
  expect(readFileSync(file, 'utf8')).not.toBe('');
  rmSync(folder, { recursive: true });
});

const binary = electronBinary();
describe.skipIf(!binary)(
  `the desktop application, on a real Electron${binary ? '' : ' (skipped: no Electron binary)'}`,
  () => {
    let home: string;
    let app: RealApp;
    beforeEach(async () => {
      home = mkdtempSync(join(tmpdir(), 'desktop-'));
      app = await RealApp.launch(binary!, home);
    });
    afterEach(async () => {
      await app.close();
      rmSync(home, { recursive: true, force: true, maxRetries: 5 });
    });
    basics(() => ({ app, home, call: callFrom(() => app.page) }));
  },
);
