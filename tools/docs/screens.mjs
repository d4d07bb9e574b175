#!/usr/bin/env node
// Pictures of every screen, dark and light, for docs/: node tools/docs/screens.mjs [FOLDER] [--home FOLDER] [--only NAME ...]
// Drives the built program in a real Chromium. A home that is empty, or made for it, gets the sample, two runs, weights
// that are imported and evaluations first, which takes some minutes; one that was given is kept, for --only.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import sharp from 'sharp';
import { METHODS } from '../../methods/index.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const { values, positionals } = parseArgs({
  options: { home: { type: 'string' }, only: { type: 'string', multiple: true } },
  allowPositionals: true,
});
const out = resolve(positionals[0] ?? join(ROOT, 'docs', 'images', 'screens'));
const home = values.home ?? mkdtempSync(join(tmpdir(), 'conmim-screens-'));
const CLI = join(ROOT, 'out', 'electron', 'cli.js');
const STEPS = 400;
const MINUTES = 60_000;
/** The sample's datasets, by number. */
const [PHOTOS, DRAWINGS] = [1, 2];
/** Steps of a method's run on the drawings, of which its own screens are shown. */
const OWN_STEPS = 200;
/** Three methods on the drawings, for a picture of their page. */
const BAKE_OFF = ['--images', '6400', '--seeds', '3', '--name', 'which suits the drawings'];
/** Screens that only one method has, each once: look-ups have pictures of their own. */
const OWN = METHODS.flatMap(({ name: method, lookups, explains }) =>
  lookups ? [] : explains.map(({ key }) => ({ name: `explore-${method}-${key}`, method, key })),
).filter(({ key }, i, all) => all.findIndex((one) => one.key === key) === i);

/** Each screen by its name: shows it, ready to be taken. */
const PICTURES = {
  dataset: async ({ page, at }) => {
    await at('datasets/2', page.getByText('files shown'));
    await page.getByRole('listbox', { name: 'Images' }).getByRole('option').nth(8).click();
    await page.waitForTimeout(800);
  },
  'new-run': async ({ page, at }) => {
    await at('new?dataset=1&preset=demo', page.getByText('teacher', { exact: true }).first());
    await page
      .getByText(/left|min|images\/s/)
      .first()
      .waitFor();
    await page.waitForTimeout(12_000); // the cost is being measured
  },
  ablations: async ({ page, at }) => {
    await at('new?dataset=1&preset=demo&tab=ablations', page.getByText("The paper's:"));
    await page
      .getByRole('button', { name: /temperature/i })
      .first()
      .click();
    await page.waitForTimeout(1500);
  },
  runs: ({ page, at }) => at('runs', page.getByRole('table')),
  run: ({ page, at }) => at('runs/1', page.getByRole('group', { name: /^Loss\. / })),
  probes: async ({ page, at }) => {
    await at('runs/1', page.getByRole('region', { name: 'Look-ups of fixed images' }));
    await top(page, 'Look-ups of fixed images');
  },
  evaluations: async ({ page, at }) => {
    await at('runs/1', page.getByRole('region', { name: 'Evaluations' }));
    await top(page, 'Evaluations');
  },
  compare: ({ page, at }) => at('runs?view=curves&runs=1,2&metric=top1', page.getByRole('group', { name: /^Look-up/ })),
  explore: ({ page, at }) => at('explore?run=1&image=3&patch=27', page.getByText(/of 48 found/).first()),
  'explore-accuracy': async ({ page, at }) => {
    await at('explore?run=1&image=3&patch=27', page.getByText(/of 48 found/).first());
    await page.getByRole('button', { name: 'Measure over many images' }).click();
    await page.getByText(/content is worth/).waitFor({ timeout: MINUTES });
    await page.locator('.body').evaluate((body) => body.scrollTo(0, body.scrollHeight));
    await page.waitForTimeout(500);
  },
  'explore-retrieve': async ({ page, at }) => {
    await at('explore?run=1&image=3&patch=27&view=retrieve', page.getByText(/were searched/).first());
    for (const network of ['teacher', 'untrained network']) {
      const answers = page.getByRole('region', { name: `Answers, ${network}` });
      const build = answers.getByRole('button', { name: 'Build the index' });
      if (await build.isVisible()) await build.click();
      await answers.getByText(/patches of .* images/).waitFor({ timeout: 2 * MINUTES });
    }
    await page.waitForTimeout(1500);
  },
  'explore-travel': async ({ page, at }) => {
    await at(
      'explore?run=1&image=9&patch=35&view=time&with=2&feature=projector',
      page.getByRole('region', { name: 'Query' }),
    );
    const compute = page.getByRole('button', { name: /^Compute \d/ });
    if (await compute.isVisible()) await compute.click();
    await page.getByText(/are the same in both runs/).waitFor({ timeout: 2 * MINUTES });
    await page.waitForTimeout(1500);
  },
  'explore-colours': ({ page, at }) => at('explore?run=1&image=3&view=colours', page.getByText('Each image, then')),
  'explore-attention': ({ page, at }) =>
    at(
      'explore?run=1&image=3&patch=27&view=attention',
      page.getByRole('heading', { name: /^Every block .*untrained$/ }),
    ),
  'explore-map': async ({ page, at }) => {
    await at('explore?run=1&dataset=2&view=map', page.getByText(/^No map of|Trustworthiness/));
    const make = page.getByRole('button', { name: 'Make the map' });
    if (await make.isVisible()) await make.click();
    await page.getByText('Trustworthiness').waitFor({ timeout: 2 * MINUTES });
    await page.waitForTimeout(1500);
  },
  runtime: ({ page, at }) => at('runtime', page.getByText('Computes with')),
  'bake-off': ({ page, at }) => at('bake-off/1', page.getByRole('table').first()),
  ...Object.fromEntries(
    OWN.map(({ name, method, key }) => [
      name,
      async ({ page, at }) => {
        const run = commandLine('show', method, '--json').id;
        await at(
          `explore?run=${run}&dataset=${DRAWINGS}&image=20&view=${key}`,
          page.getByText(/before training/i).first(),
        );
        await page.getByText('asking …').waitFor({ state: 'detached', timeout: MINUTES });
      },
    ]),
  ),
};
const wanted = values.only ?? Object.keys(PICTURES);
const unknown = wanted.filter((name) => !(name in PICTURES));
if (unknown.length > 0) throw new Error(`No picture is called ${unknown}: ${Object.keys(PICTURES).join(', ')}.`);

/** A command of the program, on the same data. @returns what it says as JSON */
function commandLine(...args) {
  const output = execFileSync(process.execPath, [CLI, ...args, '--home', home], { encoding: 'utf8' });
  return args.includes('--json') ? JSON.parse(output) : null;
}

/** Scrolls a part of the screen to its top. */
async function top(page, name) {
  await page.getByRole('region', { name }).evaluate((region) => region.scrollIntoView({ block: 'start' }));
  await page.waitForTimeout(500);
}

const isPrepared = existsSync(join(home, 'workbench.sqlite'));
mkdirSync(out, { recursive: true });
const server = spawn(process.execPath, [CLI, 'serve', '--json', '--port', '0', '--home', home], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
const url = await new Promise((done, fail) => {
  let text = '';
  server.stdout.setEncoding('utf8').on('data', (part) => {
    text += part;
    if (text.includes('}')) done(JSON.parse(text).url);
  });
  server.once('close', () => fail(new Error('The program ended.')));
});
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu'],
});

async function window(colorScheme) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme });
  const page = await context.newPage();
  await page.goto(url);
  await page.getByRole('heading', { level: 1 }).waitFor();
  const at = async (hash, ready) => {
    await page.goto(`${new URL(url).origin}/#/${hash}`);
    await page.reload(); // as it is found, and not as the picture before left it
    await ready.waitFor({ timeout: MINUTES });
    await page.waitForTimeout(1500); // pictures that are still being decoded
  };
  const shoot = async (name) => {
    // Tasks that are done lie over a screen's corner.
    const done = page.getByRole('button', { name: /^Dismiss / });
    while ((await done.count()) > 0)
      await done
        .first()
        .click({ timeout: 5000 })
        .catch(() => {}); // its task may have gone by itself
    const png = await page.screenshot();
    await sharp(png)
      .png({ palette: true, quality: 90 })
      .toFile(join(out, `${name}-${colorScheme}.png`));
    process.stderr.write(`${name}-${colorScheme}.png\n`);
  };
  return { context, page, at, shoot };
}

/** What the pictures show: the sample, two runs of it, weights from a file, evaluations. */
async function prepare() {
  const { context, page, at, shoot } = await window('dark');
  if (!values.only) await shoot('first-start');
  await page.getByRole('button', { name: 'Start with the sample images' }).click();
  await page.waitForURL(/#\/datasets\/\d/);
  const train = async (changes) => {
    const set = encodeURIComponent(JSON.stringify({ 'checkpoint.keep_last': 5, ...changes }));
    const start = page.getByRole('button', { name: 'Start', exact: true });
    await at(`new?dataset=1&preset=demo&set=${set}`, start);
    await start.click();
    await page.waitForURL(/#\/runs\/\d/);
    await page.getByText('finished').waitFor({ timeout: 15 * MINUTES });
  };
  const first = (name) => page.getByRole('button', { name }).first();
  const evaluate = async (task, dataset, figure) => {
    await at('runs/1', first(/^Evaluate step/));
    await first(/^Evaluate step/).click();
    const form = page.getByRole('dialog');
    await form.getByLabel('Task').selectOption(task);
    await form.getByLabel(/^(Training images|Images)/).selectOption(String(dataset));
    await form.getByRole('button', { name: 'Put in the queue' }).click();
    await page
      .getByRole('region', { name: 'Evaluations' })
      .getByText(figure)
      .first()
      .waitFor({ timeout: 4 * MINUTES });
  };
  await train({ 'train.steps': STEPS });
  await page.getByRole('button', { name: /^Ask \d/ }).click();
  await page
    .getByText('not asked yet')
    .first()
    .waitFor({ state: 'detached', timeout: 2 * MINUTES });
  await train({ 'contrast.temperature': 0.2, 'train.steps': 150 });
  // The second run comes back as weights from elsewhere would.
  await first(/^Export step/).click();
  const form = page.getByRole('dialog');
  await form.getByLabel('Format').selectOption('published');
  await form.getByLabel(/^Folder/).fill(home);
  await form.getByLabel(/^Name/).fill('elsewhere');
  await form.getByRole('button', { name: 'Export', exact: true }).click();
  await page.getByText(/is written/).waitFor();
  await at('runs', first('Import weights'));
  await first('Import weights').click();
  await form.getByLabel('File on the machine that trains').fill(join(home, 'elsewhere.safetensors'));
  await form.getByLabel('Name of the run').fill('from a file');
  await form.getByRole('button', { name: 'Import', exact: true }).click();
  await page.waitForURL(/#\/runs\/3/);
  await evaluate('lookup', PHOTOS, /look-ups, step/);
  await evaluate('knn', DRAWINGS, /k-NN, step/);
  await evaluate('linear', DRAWINGS, /linear probe, step/);
  for (const { method } of OWN)
    if (!commandLine('runs', '--json').some(({ name }) => name === method))
      commandLine('pretrain', 'sample-drawings', '--method', method, '--steps', String(OWN_STEPS), '--name', method);
  const three = METHODS.filter(({ borrows }) => !borrows).slice(0, 3);
  const methods = three.map(({ name }) => name).join(',');
  if (commandLine('compare-methods', '--json').length === 0)
    commandLine('compare-methods', 'sample-drawings', '--methods', methods, ...BAKE_OFF);
  await context.close();
}

try {
  if (!isPrepared) await prepare();
  for (const scheme of ['dark', 'light']) {
    const shown = await window(scheme);
    for (const name of wanted) {
      await PICTURES[name](shown);
      await shown.shoot(name);
    }
    await shown.context.close();
  }
} finally {
  await browser.close();
  const ended = new Promise((done) => server.once('close', done));
  server.kill('SIGTERM');
  await ended;
  if (!values.home) rmSync(home, { recursive: true, force: true });
}
