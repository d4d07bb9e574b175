import { type ChildProcess, fork } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { _electron, type Browser, chromium, type ElectronApplication, type Page } from 'playwright-core';

type Any = ReturnType<typeof JSON.parse>;
const ROOT = join(import.meta.dirname, '../../..');
const MAIN = join(ROOT, 'out', 'electron', 'main.js');

/** The built application on the stand-in. */
export class App {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  page!: Page;
  #browser: Browser | null = null;
  readonly #waiting = new Map<number, { resolve: (value: Any) => void; reject: (error: Error) => void }>();
  #next = 1;

  private constructor(home: string) {
    this.child = fork(MAIN, [], {
      execArgv: ['--import', join(import.meta.dirname, 'register.mjs'), '--disable-warning=ExperimentalWarning'],
      env: { ...process.env, CONMIM_HOME: home },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.on('message', ({ type, id, value, error }: Any) => {
      if (type !== 'answer') return;
      const asked = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) asked?.resolve(value);
      else asked?.reject(new Error(error));
    });
  }

  /** A second start of the same home ends by itself: `window: false` does not wait for one. */
  static async launch(home: string, { window = true } = {}): Promise<App> {
    const app = new App(home);
    if (!window) return app;
    const url = await new Promise<string>((resolve, reject) => {
      app.child.on('message', (message: Any) => message.type === 'cdp' && resolve(message.url));
      void app.ended.then((code) => reject(new Error(`The application ended with ${code}.`)));
    });
    app.#browser = await chromium.connectOverCDP(url);
    const [context] = app.#browser.contexts();
    app.page = context!.pages()[0] ?? (await context!.waitForEvent('page'));
    await app.page.waitForURL(/bundle\.app\.localhost/);
    await app.page.getByRole('heading', { level: 1 }).first().waitFor();
    return app;
  }

  order<T = Any>(order: string, value?: Any): Promise<T> {
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject });
      this.child.send({ id, order, value });
    });
  }

  /** Ends it, asked or not. */
  async close(): Promise<void> {
    if (this.child.exitCode === null && this.child.connected) this.child.disconnect();
    await this.ended;
  }
}

/** Electron's binary where it is installed; the package itself is not asked, for it would fetch it. */
export function electronBinary(): string | null {
  const over = process.env.ELECTRON_OVERRIDE_DIST_PATH;
  const folder = join(ROOT, 'node_modules', 'electron');
  const named = join(folder, 'path.txt');
  const path = over
    ? join(over, process.platform === 'win32' ? 'electron.exe' : 'electron')
    : existsSync(named)
      ? join(folder, 'dist', readFileSync(named, 'utf8').trim())
      : null;
  return path && existsSync(path) ? path : null;
}

/** The same on a real Electron: those orders that it can be given. */
export class RealApp {
  readonly page: Page;
  readonly #electron: ElectronApplication;

  private constructor(electron: ElectronApplication, page: Page) {
    this.#electron = electron;
    this.page = page;
  }

  static async launch(executablePath: string, home: string): Promise<RealApp> {
    const args = [ROOT, ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])];
    const env = { ...process.env, CONMIM_HOME: home } as Record<string, string>;
    const electron = await _electron.launch({ executablePath, args, env });
    const page = await electron.firstWindow();
    await page.getByRole('heading', { level: 1 }).first().waitFor();
    return new RealApp(electron, page);
  }

  async order<T = Any>(order: string, value?: Any): Promise<T> {
    if (order === 'answer')
      return this.#electron.evaluate(({ dialog }, answer) => {
        dialog.showOpenDialog = async () => answer;
      }, value) as Promise<T>;
    if (order === 'click')
      return this.#electron.evaluate(({ Menu }, label) => {
        const items = Menu.getApplicationMenu()!.items.flatMap((item) => [item, ...(item.submenu?.items ?? [])]);
        items.find((item) => item.label === label)!.click();
      }, value) as Promise<T>;
    throw new Error(`A real Electron is not given the order "${order}".`);
  }

  close(): Promise<void> {
    return this.#electron.close();
  }
}
