import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import axe from 'axe-core';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import sharp from 'sharp';
import { expect } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const CLI = join(ROOT, 'out', 'electron', 'cli.js');
export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const hasChromium = existsSync(CHROMIUM);
/** Put this into the name of what is skipped. */
export const why = hasChromium ? '' : ' (skipped: no Chromium)';

export const launch = (): Promise<Browser> =>
  chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });

/** The built program, serving its window from a home of its own. */
export class Serving {
  readonly home: string;
  url = '';
  #child: ChildProcess | null = null;

  constructor() {
    this.home = mkdtempSync(join(tmpdir(), 'conmim-e2e-'));
  }

  /** Gives a command of the program on the same home. @throws what it says where it fails */
  command(...args: string[]): void {
    const { status, stderr } = spawnSync(process.execPath, [CLI, '--home', this.home, ...args], { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
  }

  async start(port = 0, options: string[] = []): Promise<void> {
    const child = spawn(
      process.execPath,
      [CLI, 'serve', '--json', '--port', String(port), '--home', this.home, ...options],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    this.#child = child;
    let text = '';
    this.url = await new Promise<string>((resolve, reject) => {
      child.stdout!.setEncoding('utf8').on('data', (part: string) => {
        text += part;
        try {
          resolve((JSON.parse(text) as { url: string }).url);
        } catch {
          // more is to come
        }
      });
      child.once('close', (code) => reject(new Error(`serve ended with ${code}: ${text}`)));
    });
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.kill(signal);
    await ended;
  }

  async end(): Promise<void> {
    await this.stop();
    rmSync(this.home, { recursive: true, force: true, maxRetries: 5 });
  }

  /** A window of its own cookies. Its errors are collected: a test asks for them at its end. */
  async window(browser: Browser, options: Parameters<Browser['newContext']>[0] = {}): Promise<Window> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    context.setDefaultTimeout(120_000); // a busy machine is slow; what never comes is found all the same
    const page = await context.newPage();
    const faults: string[] = [];
    page.on('pageerror', (error) => faults.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error' && !/net::ERR_|Failed to load resource|WebSocket connection/.test(message.text()))
        faults.push(message.text());
    });
    return { page, context, faults };
  }

  /**
   * Opens the program's own address, or one that leads to it, and waits until the token is kept:
   * until then another address would meet the form for it.
   */
  async enter(page: Page, address = this.url): Promise<void> {
    await page.goto(address);
    await page.waitForFunction(() => localStorage.getItem('conmim-token') !== null);
  }
}

/** A browser with a window on a program that is started for it; both are the caller's to end. */
export async function openWindow(
  serving: Serving,
  options?: Parameters<Serving['window']>[1],
): Promise<{ browser: Browser; window: Window }> {
  const browser = await launch();
  await serving.start();
  const window = await serving.window(browser, options);
  await serving.enter(window.page);
  return { browser, window };
}

/** In both themes: axe finds nothing serious, and `alsoHolds`. CONMIM_SHOTS names a folder for pictures to look at. */
export async function inBothThemes(page: Page, alsoHolds: () => Promise<void> = async () => {}): Promise<void> {
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme });
    await page.waitForFunction((theme) => document.documentElement.dataset.theme === theme, colorScheme);
    expect(await seriousFaults(page)).toEqual([]);
    await alsoHolds();
    if (!process.env.CONMIM_SHOTS) continue;
    const name = `${expect.getState().currentTestName} ${colorScheme} ${Date.now()}.png`.replaceAll(/[^\w.]+/g, '-');
    await page.screenshot({ path: join(process.env.CONMIM_SHOTS, name), fullPage: true });
  }
}

/** How far the page, and the body of its screen, stick out of the window to the right, pixels. */
export const excess = (page: Page): Promise<number[]> =>
  page.evaluate(() => {
    const body = document.querySelector('.body')!;
    return [document.documentElement.scrollWidth - innerWidth, body.scrollWidth - body.clientWidth];
  });

export interface Window {
  page: Page;
  context: BrowserContext;
  /** Uncaught errors, and what was written as an error to the console. */
  faults: string[];
}

/** A tunnel that can be cut: connections through it die, and new ones are refused until it is mended. */
export class Tunnel {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #port = 0;
  isCut = false;

  constructor(to: number) {
    this.#server = createServer((near) => {
      if (this.isCut) return near.destroy();
      const far = connect(to, '127.0.0.1');
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          this.#sockets.delete(socket);
          near.destroy();
          far.destroy();
        });
      }
      near.pipe(far).pipe(near);
      return undefined;
    });
  }

  async open(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
    return this.#port;
  }

  cut(): void {
    this.isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Nothing comes through any more, and nobody is told. */
  hang(): void {
    for (const socket of this.#sockets) socket.pause();
  }

  mend(): void {
    this.isCut = false;
    for (const socket of this.#sockets) socket.resume();
  }

  close(): void {
    this.cut();
    this.#server.close();
  }
}

/** Real files: coloured shapes on noise, so that no two are equal and a network has something to find. */
export async function makeImages(folder: string, count: number, classes = 2): Promise<void> {
  for (let i = 0; i < count; i++) {
    const side = 96 + (i % 5) * 8;
    const hue = (i * 47) % 360;
    const shape =
      i % 2 === 0
        ? `<circle cx="${20 + ((i * 13) % 60)}" cy="50" r="${10 + (i % 20)}" fill="hsl(${hue} 80% 50%)"/>`
        : `<rect x="${10 + ((i * 7) % 50)}" y="20" width="${20 + (i % 30)}" height="50" fill="hsl(${hue} 70% 40%)"/>`;
    const lines = Array.from(
      { length: 12 },
      (_, n) =>
        `<path d="M0 ${n * 9 + (i % 9)}L100 ${(n * 31 + i * 3) % 100}" stroke="hsl(${(hue + n * 30) % 360} 40% 60%)"/>`,
    ).join('');
    const svg =
      `<svg xmlns="http://www.w3.org/2000/svg" width="${side}" height="${side}" viewBox="0 0 100 100"><rect ` +
      `width="100" height="100" fill="#ddd"/>${lines}${shape}</svg>`;
    const file = join(folder, `class-${i % classes}`, `image ${String(i).padStart(3, '0')}.png`);
    mkdirSync(dirname(file), { recursive: true });
    await sharp(Buffer.from(svg)).png().toFile(file);
  }
}

/** What axe finds on a page that is serious or critical, with where it stands. */
export async function seriousFaults(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() =>
    (globalThis as unknown as { axe: typeof axe }).axe.run({ resultTypes: ['violations'] }),
  );
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(
      ({ id, nodes }) =>
        `${id}: ${nodes
          .slice(0, 3)
          .map(({ html }) => html.slice(0, 160))
          .join(' | ')}`,
    );
}
