import type { Browser, CDPSession, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Store } from '../../electron/store/store.ts';
import type { Metric } from '../../shared/run.ts';
import { evaluationResult } from '../harness/evaluation-result.ts';

import { hasChromium, openWindow, Serving, type Window, why } from './harness.ts';
import { makeLearnedRun, stored } from './learned-run.ts';

/**
 * A walk of random clicks, keys, texts, Back and reloads through two windows. Nothing in it may throw, stand still, or
 * change what the walk did not edit. CONMIM_MONKEY_MINUTES=10 walks for longer, CONMIM_MONKEY_SEED=… the same way again.
 */
const MINUTES = Number(process.env.CONMIM_MONKEY_MINUTES ?? 0.5);
const SEED = Number(process.env.CONMIM_MONKEY_SEED ?? (process.env.CONMIM_MONKEY_MINUTES ? Date.now() % 1e9 : 14));
/** What the page's own thread may compute at a stretch, ms of processor time: how busy the machine is does not count. */
const STALL_MS = 1000;
const BEAT_MS = 100;

/** Mulberry32. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const TEXTS = [
  'x',
  ' ',
  '0',
  '-1',
  '1e99',
  'NaN',
  '🔥 écrit',
  '<b>bold</b>',
  '"; --',
  '%E0%A4%A',
  'a, b,, c',
  'نص',
  '\\',
  'z'.repeat(300),
];
const KEYS = [
  'p',
  'l',
  'n',
  '?',
  'Escape',
  'Enter',
  'Tab',
  'Shift+Tab',
  'Control+k',
  'Control+Enter',
  'Delete',
  'Home',
  'End',
]
  .concat(['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight', ' ', 'Backspace', 'PageDown'])
  .concat([1, 2, 3, 4, 5, 6, 7].map((digit) => `Alt+${digit}`));
const ADDRESSES = [
  'runs/1',
  'runs/2',
  'runs/3',
  'runs/9999',
  'runs/%E0%A4%A',
  'datasets/1',
  'datasets/2?image=25',
  'datasets/9999',
]
  .concat([
    'compare?runs=1,2,3',
    'compare?runs=9999,x',
    'explore',
    'explore?run=9999',
    'explore?dataset=9999',
    'explore?image=1',
  ])
  .concat([
    'explore?view=map',
    'explore?view=colours',
    'explore?view=attention',
    'explore?view=time',
    'explore?view=retrieve',
  ])
  .concat([
    'new',
    'new?dataset=2&preset=demo',
    'new?set={',
    'runs/1?smooth=abc',
    'runs/1?from=x&to=5',
    'nowhere',
    '',
    'runtime',
  ]);
/** These reach out of the home: other folders, the network, this machine's TensorFlow. */
const LEFT_ALONE =
  /install|tensorflow|remove|try every|trial|doctor|use it|file manager|import|download|csv|svg|png|json|sample/i;

const metric = (step: number): Metric => ({
  step,
  epoch: step / 20,
  time: 1e12 + step * 50,
  loss: 3,
  figures: { top1: 0.5, top5: 0.8, top1_control: 0.2, ...(step % 50 === 0 && { rank_teacher: 30 }) },
  grad_norm: 1,
  lr: 1e-3,
  weight_decay: 0.05,
  momentum: 0.996,
  images_per_s: 100,
  data_wait: 0,
  replaced: 0,
});

interface Place {
  x: number;
  y: number;
  label: string;
  kind: string;
}
/** What can be pressed or typed into, on the screen now. */
const places = (page: Page): Promise<Place[]> =>
  page.evaluate(() => {
    const all =
      'a[href], button, input, select, textarea, summary, [role=option], canvas, svg[tabindex], [role=listbox]';
    const top = document.querySelector('dialog[open]') ?? document;
    return [
      ...top.querySelectorAll<HTMLElement>(all),
      ...document.querySelectorAll<HTMLElement>('.toasts button, nav a'),
    ].flatMap((element) => {
      const { left, top: y, width, height } = element.getBoundingClientRect();
      const [x, middle] = [left + width / 2, y + height / 2];
      if (width < 2 || height < 2 || x < 0 || middle < 0 || x >= innerWidth || middle >= innerHeight) return [];
      if ((element as HTMLButtonElement).disabled) return [];
      const label = element.getAttribute('aria-label') ?? element.textContent?.trim().slice(0, 60) ?? '';
      const kind = element instanceof HTMLInputElement ? `input ${element.type}` : element.tagName.toLowerCase();
      return [{ x, y: middle, label, kind }];
    });
  });

/** What the focus is in, where that is an edit of something that is kept: `run 4 notes`. */
const focused = (page: Page): Promise<string | null> =>
  page.evaluate(() => {
    const label = document.activeElement?.getAttribute('aria-label') ?? '';
    const id = /^#\/(?:runs|datasets)\/(\d+)/.exec(location.hash)?.[1];
    const field = {
      'Name of the run': 'run name',
      Notes: 'run notes',
      Tags: 'run tags',
      'Name of the dataset': 'dataset name',
    }[label];
    return field && id ? field.replace(' ', ` ${id} `) : null;
  });

const rowsOf = (store: Store) => {
  const rows = new Map<string, string>();
  for (const run of store.runs.list()) {
    for (const field of ['name', 'notes', 'tags'] as const)
      rows.set(`run ${run.id} ${field}`, JSON.stringify(run[field]));
    rows.set(`run ${run.id} config`, JSON.stringify(run.config));
  }
  for (const dataset of store.datasets.list()) {
    rows.set(`dataset ${dataset.id} name`, JSON.stringify(dataset.name));
    rows.set(`dataset ${dataset.id} folders`, JSON.stringify(dataset.folders));
    rows.set(
      `dataset ${dataset.id} images`,
      JSON.stringify(store.images.list(dataset.id).map(({ path, status, hash }) => [path, status, hash])),
    );
  }
  for (const { name, title, config } of store.presets.list())
    rows.set(`preset ${name}`, JSON.stringify([title, config]));
  return rows;
};

/** A window that is watched: its errors, its answers, and how long its thread computes at a stretch. */
class Watched {
  readonly page: Page;
  readonly faults: string[];
  readonly #session: CDPSession;
  #busy = 0;

  private constructor(window: Window, session: CDPSession) {
    this.page = window.page;
    this.faults = window.faults;
    this.#session = session;
  }

  static async of(window: Window): Promise<Watched> {
    const { page, faults } = window;
    page.on('dialog', (dialog) => void dialog.accept().catch(() => {})); // "Leave the page?": yes
    page.on('websocket', (socket) =>
      socket.on('framereceived', ({ payload }) => {
        const text = String(payload);
        // What the window sent could not be used (a setting that was typed has a dot), or the program failed over it.
        if (/"kind":"internal"|"(\w+|The request) cannot be used: (Invalid|Unrecognized|Expected)/.test(text))
          faults.push(`answer ${text.slice(0, 400)}`);
      }),
    );
    await page.addInitScript((every) => {
      let [last, longest] = [performance.now(), 0];
      setInterval(() => {
        longest = Math.max(longest, performance.now() - last);
        last = performance.now();
      }, every);
      Object.assign(globalThis, {
        longestGap: () => {
          const gap = Math.max(longest, performance.now() - last);
          longest = 0;
          return gap;
        },
      });
    }, BEAT_MS);
    const session = await page.context().newCDPSession(page);
    await session.send('Performance.enable', { timeDomain: 'threadTicks' });
    return new Watched(window, session);
  }

  /** Looks whether the page stood still since it was looked last: no beat, while its own thread computed. */
  async look(after: string): Promise<void> {
    const gap = await this.page
      .evaluate(() => (globalThis as unknown as { longestGap?: () => number }).longestGap?.() ?? 0)
      .catch(() => 0);
    const { metrics } = await this.#session.send('Performance.getMetrics');
    const busy = 1000 * (metrics.find(({ name }) => name === 'TaskDuration')?.value ?? 0);
    const computed = busy - this.#busy;
    this.#busy = busy;
    if (gap > STALL_MS && computed > STALL_MS)
      this.faults.push(`stood still for ${gap.toFixed(0)} ms (${computed.toFixed(0)} ms computed) after ${after}`);
  }
}

describe.skipIf(!hasChromium)(`a random walk through two windows, in Chromium${why}`, () => {
  let browser: Browser;
  let first: Window;
  const serving = new Serving();
  const address = (hash: string) => `${new URL(serving.url).origin}/#/${hash}`;

  beforeAll(async () => {
    await makeLearnedRun(serving.home);
    stored(serving.home, (store) => {
      const { config } = store.runs.get(1);
      for (let i = 2; i <= 8; i++) {
        const { id } = store.runs.create({
          dataset_id: (i % 2) + 1,
          preset: 'small-cpu',
          config,
          total_steps: 400,
          steps_per_epoch: 20,
          name: `run no. ${i}`,
        });
        store.runs.update(id, {
          status: i % 3 === 0 ? 'paused' : 'finished',
          step: 400,
          notes: `notes of ${i}`,
          tags: ['all', `t${i}`],
        });
        store.metrics.add(
          id,
          Array.from({ length: 400 }, (_, step) => ({
            ...metric(step + 1),
            loss: 3 - step / 300,
            lr: 1e-3 / (1 + step),
            figures: { top1: step / 800, top5: 0.8, top1_control: 0.2 },
          })),
        );
      }
      store.presets.save({ name: 'own', title: 'An own one', based_on: 'small-cpu', config });
      store.evaluations.add({ checkpoint_id: 1, dataset_id: 1, task: 'knn', result: evaluationResult() });
      // The process of this test has a run: nothing else is begun, and what is asked of it is never done.
      store.runs.claim(
        store.runs.create({
          dataset_id: 1,
          preset: null,
          config,
          total_steps: 400,
          steps_per_epoch: 20,
          name: 'trains',
        }).id,
        process.pid,
      );
    });
    ({ browser, window: first } = await openWindow(serving));
  });
  afterAll(async () => {
    await browser?.close();
    await serving.end();
  });

  test('a page that stands still is found; one that waits is not', async () => {
    const watched = await Watched.of(await serving.window(browser));
    await watched.page.goto('about:blank');
    await watched.page.evaluate(() => new Promise((done) => setTimeout(done, 300)));
    await watched.look('nothing');
    await watched.page.evaluate(() => new Promise((done) => setTimeout(done, 1500)));
    await watched.look('waiting');
    expect(watched.faults).toEqual([]);
    await watched.page.evaluate((ms) => {
      const until = performance.now() + ms;
      while (performance.now() < until);
    }, 6 * STALL_MS); // as long as that a busy machine too gives it a second
    await watched.look('computing');
    expect(watched.faults).toHaveLength(1);
    await watched.page.context().close();
  });

  test(
    `seed ${SEED}, ${MINUTES} min: nothing throws, stands still, or changes what was not edited`,
    async () => {
      console.log(`the walk's seed is ${SEED}: CONMIM_MONKEY_SEED=${SEED} walks it again`);
      const before = stored(serving.home, rowsOf);
      const chance = random(SEED);
      const pick = <T>(all: readonly T[]): T => all[Math.floor(chance() * all.length)]!;
      const windows = [await Watched.of(first), await Watched.of(await serving.window(browser))];
      for (const { page } of windows) {
        await serving.enter(page);
        page.setDefaultTimeout(5000);
      }
      /** What the walk typed into, and what it may have deleted. */
      const edited = new Set<string>();
      const deletable = new Set<string>();
      let [steps, isSaving] = [0, false];
      const trail: string[] = [];

      const note = async (page: Page): Promise<string | null> => {
        const field = await focused(page);
        if (field) edited.add(field);
        return field;
      };
      const type = async (page: Page) => {
        const field = await note(page);
        if (chance() < 0.5) await page.keyboard.press('Control+a');
        // The text says whose it is: found elsewhere it went astray.
        await page.keyboard.insertText(field ? `${pick(TEXTS).slice(0, 40)} <<${field}>>` : pick(TEXTS));
        if (chance() < 0.3) await page.keyboard.press(pick(['Enter', 'Tab']));
      };
      const press = async (page: Page, place: Place) => {
        if (/^delete/i.test(place.label))
          for (const name of await page.evaluate(() => [
            ...[...document.querySelectorAll('tr:has(td input:checked) a[href^="#/runs/"]')].map((link) =>
              link.getAttribute('href')!.slice(2).replace('runs/', 'run '),
            ),
            ...[/^#\/(run|dataset)s\/(\d+)/.exec(location.hash)?.slice(1).join(' ') ?? ''],
          ]))
            deletable.add(name);
        if (/^Delete the preset/.test(place.label)) deletable.add('preset own');
        if (/^(Save|Replace)$/.test(place.label)) isSaving = true;
        await page.mouse.click(place.x, place.y, { clickCount: chance() < 0.05 ? 2 : 1 });
        if (/^(input (text|search|number)|textarea)/.test(place.kind)) await type(page);
        else if (place.kind === 'select') await page.keyboard.press(pick(['ArrowDown', 'ArrowUp', 'End', 'Home']));
        else if (place.kind === 'canvas' || place.kind === 'svg') {
          await page.mouse.down();
          await page.mouse.move(place.x + 120 * (chance() - 0.5), place.y + 120 * (chance() - 0.5), { steps: 3 });
          await page.mouse.up();
        }
      };
      const step = async ({ page }: Watched): Promise<string> => {
        const what = chance();
        if (what < 0.6) {
          const there = (await places(page)).filter(({ label }) => !LEFT_ALONE.test(label));
          if (there.length === 0) return 'nothing to press';
          // Fields are few among all that can be pressed, and what is typed is what may go astray.
          const fields = there.filter(({ kind }) => /^(input (text|search|number)|textarea)/.test(kind));
          const place = fields.length > 0 && chance() < 0.3 ? pick(fields) : pick(there);
          await press(page, place);
          return `${place.kind} "${place.label}"`;
        }
        if (what < 0.75) {
          const key = pick(KEYS);
          await note(page);
          await page.keyboard.press(key);
          return key;
        }
        if (what < 0.8) {
          await page.mouse.move(1280 * chance(), 800 * chance());
          await page.mouse.wheel(0, 3000 * (chance() - 0.5));
          return 'scrolling';
        }
        if (what < 0.9) {
          const hash = pick(ADDRESSES);
          await page.evaluate((to) => location.assign(`#/${to}`), hash);
          return `the address ${hash}`;
        }
        if (what < 0.96) {
          await page.evaluate((by) => history.go(by), pick([-1, -1, -2, 1]));
          return 'Back';
        }
        if (what < 0.98) {
          await page.reload();
          return 'reload';
        }
        await page.setViewportSize(
          pick([
            { width: 1024, height: 700 },
            { width: 1280, height: 800 },
            { width: 720, height: 450 },
            { width: 2560, height: 1440 },
          ]),
        );
        return 'another size';
      };

      const until = Date.now() + MINUTES * 60_000;
      while (Date.now() < until && windows.every(({ faults }) => faults.length === 0)) {
        const watched = pick(windows);
        let did: string;
        try {
          did = await step(watched);
        } catch (error) {
          did = `a step that failed: ${String(error).split('\n')[0]}`; // what it meant had gone
        }
        trail.push(`${windows.indexOf(watched)} ${new URL(watched.page.url()).hash} ${did}`);
        steps++;
        if (!watched.page.url().startsWith(new URL(serving.url).origin)) await watched.page.goto(address(''));
        for (const one of windows) await one.look(did);
      }
      console.log(`${steps} steps; ${edited.size} fields were typed into`);
      const said = windows.flatMap(({ faults }) => faults);
      if (said.length > 0) expect.fail(`${said.join('\n')}\nthe last steps:\n${trail.slice(-12).join('\n')}`);

      for (const { page } of windows) await page.close({ runBeforeUnload: true }); // what was typed last is saved
      await new Promise((done) => setTimeout(done, 2000));
      await serving.stop(); // deletions are carried out
      const after = stored(serving.home, rowsOf);
      const wrong: string[] = [];
      for (const [key, value] of before) {
        const now = after.get(key);
        if (now === value) continue;
        const [kind, id] = key.split(' ');
        if (now === undefined) {
          if (!deletable.has(`${kind} ${id}`)) wrong.push(`${key} is gone`);
        } else if (!edited.has(key) && !(kind === 'preset' && isSaving)) wrong.push(`${key} was ${value}, is ${now}`);
      }
      // A run that the walk began has its name from its dataset: only what was there before is looked at.
      for (const [key, value] of [...after].filter(([one]) => before.has(one)))
        for (const [, owner] of value.matchAll(/<<(\w+ \d+ \w+)>>/g))
          if (owner !== key) wrong.push(`${key} has the text of ${owner}: ${value}`);
      expect(wrong).toEqual([]);
    },
    Math.max(300_000, MINUTES * 60_000 + 180_000),
  );
});
