#!/usr/bin/env node
// Pictures of every screen, dark and light, for docs/: node tools/docs/screens.mjs [FOLDER] [--home FOLDER]
// Drives the built program in a real Chromium. Without --home it imports the sample and trains on it, some minutes.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import sharp from 'sharp';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const { values, positionals } = parseArgs({ options: { home: { type: 'string' } }, allowPositionals: true });
const out = resolve(positionals[0] ?? join(ROOT, 'docs', 'images', 'screens'));
const home = values.home ?? mkdtempSync(join(tmpdir(), 'conmim-screens-'));
const CLI = join(ROOT, 'out', 'electron', 'cli.js');
const STEPS = 400;

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
    await ready();
    await page.waitForTimeout(1500); // pictures that are still being decoded
  };
  const shoot = async (name) => {
    const png = await page.screenshot();
    await sharp(png)
      .png({ palette: true, quality: 90 })
      .toFile(join(out, `${name}-${colorScheme}.png`));
    process.stderr.write(`${name}-${colorScheme}.png\n`);
  };
  return { context, page, at, shoot };
}

try {
  if (!values.home) {
    const { context, page, at, shoot } = await window('dark');
    await shoot('first-start');
    await page.getByRole('button', { name: 'Start with the sample images' }).click();
    await page.waitForURL(/#\/datasets\/\d/);
    const changes = (more) =>
      encodeURIComponent(JSON.stringify({ 'train.steps': STEPS, 'checkpoint.keep_last': 5, ...more }));
    await at(`new?dataset=1&preset=demo&set=${changes({})}`, () =>
      page.getByRole('button', { name: 'Start', exact: true }).waitFor(),
    );
    await page.getByRole('button', { name: 'Start', exact: true }).click();
    await page.waitForURL(/#\/runs\/\d/);
    await page.getByText('finished').waitFor({ timeout: 900_000 });
    await page.getByRole('button', { name: /^Ask \d/ }).click();
    await page.getByText('not asked yet').first().waitFor({ state: 'detached', timeout: 120_000 });
    await page
      .getByRole('button', { name: /^Evaluate step/ })
      .first()
      .click();
    await page.getByRole('dialog').getByRole('button', { name: 'Evaluate' }).click();
    await page.getByRole('region', { name: 'Evaluations' }).getByText('top-1').first().waitFor({ timeout: 120_000 });
    await at(`new?dataset=1&preset=demo&set=${changes({ 'contrast.temperature': 0.2, 'train.steps': 150 })}`, () =>
      page.getByRole('button', { name: 'Start', exact: true }).waitFor(),
    );
    await page.getByRole('button', { name: 'Start', exact: true }).click();
    await page.waitForURL(/#\/runs\/\d/);
    await page.getByText('finished').waitFor({ timeout: 900_000 });
    await context.close();
  }
  for (const scheme of ['dark', 'light']) {
    const { context, page, at, shoot } = await window(scheme);
    const loss = () => page.getByRole('group', { name: /^Loss\. / }).waitFor();
    await at('datasets/2', () => page.getByText('files shown').waitFor());
    await page.getByRole('listbox', { name: 'Images' }).getByRole('option').nth(8).click();
    await page.waitForTimeout(800);
    await shoot('dataset');
    await at('new?dataset=1&preset=demo', () => page.getByText('teacher', { exact: true }).first().waitFor());
    await page
      .getByText(/left|min|images\/s/)
      .first()
      .waitFor();
    await page.waitForTimeout(12_000); // the cost is being measured
    await shoot('new-run');
    await at('new?dataset=1&preset=demo&tab=ablations', () => page.getByText("The paper's:").waitFor());
    await page
      .getByRole('button', { name: /temperature/i })
      .first()
      .click();
    await page.waitForTimeout(1500);
    await shoot('ablations');
    await at('runs', () => page.getByRole('table').waitFor());
    await shoot('runs');
    await at('runs/1', loss);
    await shoot('run');
    await page.getByRole('region', { name: 'Look-ups of fixed images' }).scrollIntoViewIfNeeded();
    await page.waitForTimeout(500);
    await shoot('probes');
    await at('compare?runs=1,2&metric=top1', () => page.getByRole('group', { name: /^Look-up/ }).waitFor());
    await shoot('compare');
    await at('explore?run=1&image=3&patch=27', () =>
      page
        .getByText(/of 48 found/)
        .first()
        .waitFor({ timeout: 60_000 }),
    );
    await shoot('explore');
    await page.getByRole('button', { name: 'Measure over many images' }).click();
    await page.getByText(/content is worth/).waitFor({ timeout: 60_000 });
    await page.locator('.body').evaluate((body) => body.scrollTo(0, body.scrollHeight));
    await page.waitForTimeout(500);
    await shoot('explore-accuracy');
    await at('explore?run=1&image=3&patch=27&view=retrieve', () =>
      page
        .getByText(/were searched/)
        .first()
        .waitFor({ timeout: 60_000 }),
    );
    for (const network of ['teacher', 'untrained network']) {
      const answers = page.getByRole('region', { name: `Answers, ${network}` });
      const build = answers.getByRole('button', { name: 'Build the index' });
      if (await build.isVisible()) await build.click();
      await answers.getByText(/patches of .* images/).waitFor({ timeout: 120_000 });
    }
    await page.waitForTimeout(1500);
    await shoot('explore-retrieve');
    await at('explore?run=1&image=3&view=colours', () =>
      page.getByText('Each image, then').waitFor({ timeout: 60_000 }),
    );
    await shoot('explore-colours');
    await at('explore?run=1&image=3&patch=27&view=attention', () =>
      page.getByRole('heading', { name: /^Every block .*untrained$/ }).waitFor({ timeout: 60_000 }),
    );
    await shoot('explore-attention');
    await at('explore?run=1&dataset=2&view=map', () =>
      page.getByText(/^No map of|Trustworthiness/).waitFor({ timeout: 60_000 }),
    );
    const make = page.getByRole('button', { name: 'Make the map' });
    if (await make.isVisible()) await make.click();
    await page.getByText('Trustworthiness').waitFor({ timeout: 120_000 });
    await page.waitForTimeout(1500);
    await shoot('explore-map');
    await at('runtime', () => page.getByText('Computes with').waitFor({ timeout: 60_000 }));
    await shoot('runtime');
    await context.close();
  }
} finally {
  await browser.close();
  const ended = new Promise((done) => server.once('close', done));
  server.kill('SIGTERM');
  await ended;
  if (!values.home) rmSync(home, { recursive: true, force: true });
}
