/**
 * 'electron' for plain Node: the main process is this process, its windows are pages of a system Chromium. What is not
 * here throws, so that no test passes on something that silently does nothing. It cannot show native menus and
 * dialogs, the real sandbox, or focus.
 */
import { EventEmitter } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

import { join } from 'node:path';
import { type BrowserContext, type CDPSession, chromium, type Page } from 'playwright-core';
import { pageWorld, preloadWorld } from './page-side.ts';

type Any = ReturnType<typeof JSON.parse>;
const WORLD = 'preload';
const FLAGS = ['--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'];

function strict<T extends object>(name: string, object: T): T {
  return new Proxy(object, {
    get(target, key, receiver) {
      if (key in target || typeof key === 'symbol' || key === 'then' || key === 'toJSON')
        return Reflect.get(target, key, receiver);
      throw new Error(`The stand-in has no ${name}.${key}`);
    },
  });
}

/** What a test asks afterwards: what the desktop was told. */
const seen = {
  notifications: [] as { title: string; body: string }[],
  progress: [] as number[],
  blockers: new Set<number>(),
  opened: [] as string[],
  denied: [] as string[],
  dialogs: [] as Any[],
  errors: [] as string[],
  spellcheck: true,
};
/** What dialogs answer next; a dialog without one is a fault. */
const answers: Any[] = [];
async function answered(kind: string, args: Any[]): Promise<Any> {
  const options = args.at(-1);
  seen.dialogs.push({ kind, ...options });
  if (answers.length === 0) throw new Error(`A dialog opened that no test expected: ${JSON.stringify(options)}`);
  return answers.shift();
}

// ---- message ports
export class MessagePortMain extends EventEmitter {
  peer: MessagePortMain | null = null;
  /** Where messages go once this end was given to a page. */
  relay: ((data: Any) => void) | null = null;
  #queue: Any[] | null = [];
  #isClosed = false;

  postMessage(data: Any): void {
    const copy = structuredClone(data);
    if (!this.#isClosed) setImmediate(() => this.peer!.deliver(copy));
  }
  deliver(data: Any): void {
    if (this.relay) this.relay(data);
    else if (this.#queue) this.#queue.push(data);
    else this.emit('message', { data, ports: [] });
  }
  start(): void {
    const waiting = this.#queue ?? [];
    this.#queue = null;
    for (const data of waiting) this.deliver(data);
  }
  close(): void {
    this.#isClosed = true;
    this.peer!.emit('close');
  }
}
export class MessageChannelMain {
  readonly port1 = new MessagePortMain();
  readonly port2 = new MessagePortMain();
  constructor() {
    this.port1.peer = this.port2;
    this.port2.peer = this.port1;
  }
}
let nextPort = 1;

// ---- protocol
const schemes = new Map<string, (request: Request) => Promise<Response> | Response>();
const privileged = new Map<string, Any>();
export const protocol = strict('protocol', {
  registerSchemesAsPrivileged(list: { scheme: string; privileges: Any }[]) {
    if (isReady) throw new Error('protocol.registerSchemesAsPrivileged should be called before app is ready');
    for (const { scheme, privileges } of list) privileged.set(scheme, privileges);
  },
  handle(scheme: string, handler: (request: Request) => Promise<Response> | Response) {
    schemes.set(scheme, handler);
  },
});
/** Chromium cannot go to app://: the scheme becomes the end of a host that is this machine. */
const toHttp = (url: string) => {
  const { protocol: scheme, host, pathname, search, hash } = new URL(url);
  return schemes.has(scheme.slice(0, -1))
    ? `http://${host}.${scheme.slice(0, -1)}.localhost${pathname}${search}${hash}`
    : url;
};
const toApp = (url: string) => url.replace(/^http:\/\/([^/]*)\.([a-z]+)\.localhost\//, '$2://$1/');

// ---- ipc, shell, dialog, power, notification
const handlers = new Map<string, (event: Any, ...args: Any[]) => Any>();
export const ipcMain = strict('ipcMain', {
  handle(channel: string, handler: (event: Any, ...args: Any[]) => Any) {
    if (handlers.has(channel)) throw new Error(`Attempted to register a second handler for '${channel}'`);
    handlers.set(channel, handler);
  },
});
export const shell = strict('shell', {
  async openExternal(url: string) {
    seen.opened.push(url);
  },
  showItemInFolder(path: string) {
    seen.opened.push(path);
  },
});
export const dialog = strict('dialog', {
  showOpenDialog: (...args: Any[]) => answered('open', args),
  showMessageBox: (...args: Any[]) => answered('message', args),
  showErrorBox(title: string, content: string) {
    seen.errors.push(`${title}: ${content}`);
  },
});
let nextBlocker = 1;
export const powerSaveBlocker = strict('powerSaveBlocker', {
  start(type: string) {
    if (type !== 'prevent-app-suspension' && type !== 'prevent-display-sleep') throw new Error(`No blocker ${type}`);
    seen.blockers.add(nextBlocker);
    return nextBlocker++;
  },
  stop(id: number) {
    if (!seen.blockers.delete(id)) throw new Error(`No blocker ${id}`);
  },
});
export class Notification extends EventEmitter {
  static isSupported = () => true;
  readonly options: { title: string; body: string };
  constructor(options: { title: string; body: string }) {
    super();
    this.options = options;
  }
  show(): void {
    seen.notifications.push(this.options);
    shown.push(this);
  }
}
const shown: Notification[] = [];
export const screen = strict('screen', {
  getAllDisplays: () => [{ id: 1, workArea: { x: 0, y: 0, width: 1920, height: 1080 } }],
});

// ---- menu
const ROLES = new Set(
  'appMenu editMenu windowMenu close quit reload toggleDevTools resetZoom zoomIn zoomOut togglefullscreen'
    .toLowerCase()
    .split(' '),
);
export class Menu {
  static current: Menu | null = null;
  items: Any[] = [];
  static buildFromTemplate(template: Any[]): Menu {
    const menu = new Menu();
    menu.items = template.map((item) => {
      if (item.role !== undefined && !ROLES.has(item.role.toLowerCase())) throw new Error(`No role ${item.role}`);
      return { ...item, submenu: item.submenu && Menu.buildFromTemplate(item.submenu) };
    });
    return menu;
  }
  static setApplicationMenu(menu: Menu): void {
    Menu.current = menu;
  }
  /** Every item below, for a test. */
  all(): Any[] {
    return this.items.flatMap((item) => [item, ...(item.submenu?.all() ?? [])]);
  }
}

// ---- session
let permissionRequest: ((contents: Any, permission: string, answer: (isGiven: boolean) => void) => void) | null = null;
let permissionCheck: ((contents: Any, permission: string) => boolean) | null = null;
export const session = strict('session', {
  defaultSession: strict('session.defaultSession', {
    setSpellCheckerEnabled(enabled: boolean) {
      seen.spellcheck = enabled;
    },
    setPermissionRequestHandler(handler: typeof permissionRequest) {
      permissionRequest = handler;
    },
    setPermissionCheckHandler(handler: typeof permissionCheck) {
      permissionCheck = handler;
    },
  }),
});

// ---- windows
let context: Promise<BrowserContext> | null = null;
const openContext = () => {
  context ??= (async () => {
    const profile = join(app.getPath('userData'), 'chromium');
    const opened = await chromium.launchPersistentContext(profile, {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      headless: true,
      viewport: null,
      args: [...FLAGS, '--remote-debugging-port=0'],
    });
    await opened.route('**/*', async (route) => {
      const request = route.request();
      const url = toApp(request.url());
      const handler = schemes.get(new URL(url).protocol.slice(0, -1));
      if (!handler) return route.abort(); // the application has no network of its own
      const response = await handler(new Request(url, { method: request.method(), headers: request.headers() }));
      return route.fulfill({
        status: response.status,
        headers: Object.fromEntries(response.headers),
        body: Buffer.from(await response.arrayBuffer()),
      });
    });
    const [port] = readFileSync(join(profile, 'DevToolsActivePort'), 'utf8').split('\n');
    process.send?.({ type: 'cdp', url: `http://127.0.0.1:${port}` });
    return opened;
  })();
  return context;
};

const windows = new Set<BrowserWindow>();

class WebContents extends EventEmitter {
  page: Page | null = null;
  cdp: CDPSession | null = null;
  world: number | null = null;
  openHandler: ((details: { url: string }) => { action: string }) | null = null;

  /** Ports are given away: a page has the other end. */
  postMessage(channel: string, message: Any, transfer: MessagePortMain[]): void {
    const ids = transfer.map(() => nextPort++);
    this.toPage({ type: 'event', channel, args: [message], ports: ids });
    transfer.forEach((port, i) => {
      port.relay = (data) => this.toPage({ type: 'port', id: ids[i], data });
      port.start();
    });
  }
  setWindowOpenHandler(handler: (details: { url: string }) => { action: string }): void {
    this.openHandler = handler;
  }
  toPage(message: Any): void {
    if (this.world === null) return;
    const expression = `__fromMain(${JSON.stringify(JSON.stringify(message))})`;
    this.cdp!.send('Runtime.evaluate', { contextId: this.world, expression }).catch(() => {});
  }
  async receive(text: string): Promise<void> {
    const { id, channel, args } = JSON.parse(text);
    const event = { sender: this, senderFrame: { url: toApp(this.page!.url()), parent: null } };
    try {
      const handler = handlers.get(channel);
      if (!handler) throw new Error(`No handler registered for '${channel}'`);
      this.toPage({ id, value: structuredClone(await handler(event, ...args)) });
    } catch (error) {
      this.toPage({ id, error: `Error invoking remote method '${channel}': ${error}` });
    }
  }
}

export class BrowserWindow extends EventEmitter {
  readonly webContents: WebContents;
  readonly options: Any;
  bounds: { x: number; y: number; width: number; height: number };
  isMax = false;
  isShown = false;
  #page: Page | null = null;
  readonly #attached: Promise<void>;

  constructor(options: Any) {
    super();
    const { contextIsolation, sandbox, nodeIntegration, preload, spellcheck } = options.webPreferences ?? {};
    if (spellcheck !== false) throw new Error('A window that checks spelling fetches dictionaries');
    if (contextIsolation === false || sandbox !== true || nodeIntegration === true)
      throw new Error('The stand-in opens sandboxed, isolated windows without Node only');
    this.options = options;
    this.bounds = { x: options.x ?? 50, y: options.y ?? 50, width: options.width, height: options.height };
    this.webContents = strict('webContents', new WebContents()) as WebContents;
    windows.add(this);
    app.emit('web-contents-created', {}, this.webContents);
    this.#attached = this.#attach(preload);
  }
  async #attach(preload: string): Promise<void> {
    const browser = await openContext();
    const used = new Set([...windows].map((window) => window.#page));
    const page =
      browser.pages().find((one) => one.url() === 'about:blank' && !used.has(one)) ?? (await browser.newPage());
    this.#page = page;
    const contents = this.webContents;
    contents.page = page;
    await page.setViewportSize({ width: this.bounds.width, height: this.bounds.height });
    page.on('close', () => this.#gone());
    page.on('popup', (popup) => void popup.close().catch(() => {})); // windows are made by the main process alone
    const cdp = await browser.newCDPSession(page);
    contents.cdp = cdp;
    cdp.on('Runtime.executionContextCreated', ({ context: made }) => {
      if (made.name === WORLD) contents.world = made.id;
    });
    cdp.on('Page.windowOpen', ({ url }) => {
      const { action } = contents.openHandler!({ url: toApp(url) });
      if (action !== 'deny') throw new Error('The stand-in opens no window that a page asks for');
      seen.denied.push(toApp(url));
    });
    cdp.on('Runtime.bindingCalled', ({ name, payload }) => name === '__toMain' && void contents.receive(payload));
    await cdp.send('Runtime.enable');
    await cdp.send('Page.enable');
    await cdp.send('Runtime.addBinding', { name: '__toMain', executionContextName: WORLD });
    await cdp.send('Page.addScriptToEvaluateOnNewDocument', { source: `(${pageWorld})()` });
    const source = `(${preloadWorld})(function (require, module, exports) {${readFileSync(preload, 'utf8')}\n})`;
    await cdp.send('Page.addScriptToEvaluateOnNewDocument', { worldName: WORLD, source });
    // A page that wants to go elsewhere asks first.
    await page.route('**/*', async (route) => {
      const request = route.request();
      const isLeaving =
        request.isNavigationRequest() && request.frame() === page.mainFrame() && page.url() !== 'about:blank';
      if (isLeaving && toApp(request.url()) !== toApp(page.url().split('#')[0]!)) {
        let isPrevented = false;
        contents.emit('will-navigate', { preventDefault: () => (isPrevented = true), url: toApp(request.url()) });
        if (isPrevented) return route.abort('aborted');
      }
      return route.fallback();
    });
  }
  #gone() {
    if (!windows.delete(this)) return;
    this.emit('closed');
    if (windows.size === 0) app.emit('window-all-closed');
  }
  async loadURL(url: string): Promise<void> {
    await this.#attached;
    await this.#page!.goto(toHttp(url));
    this.emit('ready-to-show');
    this.webContents.emit('did-finish-load');
    this.#page!.on('load', () => this.webContents.emit('did-finish-load'));
  }
  close(): void {
    this.emit('close', { preventDefault() {} });
    void this.#page?.close();
  }
  reload(): void {
    void this.#page?.reload();
  }
  show(): void {
    this.isShown = true;
  }
  focus(): void {
    this.isShown = true;
    seen.opened.push('focus');
  }
  restore(): void {}
  maximize(): void {
    this.isMax = true;
  }
  isMaximized = () => this.isMax;
  isMinimized = () => false;
  isDestroyed = () => !windows.has(this);
  getNormalBounds = () => this.bounds;
  setBounds(bounds: Any): void {
    Object.assign(this.bounds, bounds);
    this.emit('resize');
  }
  setProgressBar(value: number): void {
    seen.progress.push(value);
  }
}

// ---- app
let isReady = false;
const paths = new Map<string, string>();
const ready = new Promise<void>((resolve) =>
  setImmediate(() => {
    isReady = true;
    resolve();
  }),
);
const lockFile = () => join(app.getPath('userData'), 'lock');
export const app: Any = strict(
  'app',
  Object.assign(new EventEmitter(), {
    whenReady: () => ready,
    setPath(name: string, path: string) {
      mkdirSync(path, { recursive: true });
      paths.set(name, path);
    },
    getPath(name: string) {
      const path = paths.get(name);
      if (!path) throw new Error(`The stand-in has no path ${name}`);
      return path;
    },
    /** The first process of a folder keeps it; a second one tells the first and gets false. */
    requestSingleInstanceLock() {
      const file = lockFile();
      if (existsSync(file)) {
        const pid = Number(readFileSync(file, 'utf8'));
        try {
          process.kill(pid, 'SIGUSR2');
          return false;
        } catch {
          // of a process that is gone
        }
      }
      writeFileSync(file, String(process.pid));
      process.on('SIGUSR2', () => app.emit('second-instance', {}, [], process.cwd()));
      return true;
    },
    quit() {
      let isPrevented = false;
      app.emit('before-quit', { preventDefault: () => (isPrevented = true) });
      if (!isPrevented) void app.exit(0);
    },
    async exit(code: number) {
      for (const window of windows) window.emit('close', { preventDefault() {} });
      await (await context?.catch(() => null))?.close().catch(() => {});
      if (existsSync(lockFile()) && readFileSync(lockFile(), 'utf8') === String(process.pid)) rmSync(lockFile());
      process.exit(code);
    },
  }),
);

// ---- what a test orders, by messages
const orders: Record<string, (value: Any) => Any> = {
  answer: (value) => void answers.push(value),
  seen: () => ({ ...seen, blockers: seen.blockers.size }),
  menu: () => Menu.current!.all().map(({ label, role, accelerator, type }) => ({ label, role, accelerator, type })),
  click: (label: string) => {
    const item = Menu.current!.all().find((one) => one.label === label);
    if (!item) throw new Error(`No item ${label}`);
    item.click();
  },
  'click-notification': () => shown.at(-1)!.emit('click'),
  permission: (permission: string) => {
    let isGiven: boolean | null = null;
    permissionRequest!(null, permission, (given) => {
      isGiven = given;
    });
    return [isGiven, permissionCheck!(null, permission)];
  },
  privileges: () => Object.fromEntries(privileged),
  bounds: (bounds) => {
    const [window] = windows;
    if (bounds) window!.setBounds(bounds);
    return window!.bounds;
  },
  call: ([url, channel, input]: [string, string, Any]) =>
    handlers.get('conmim:call')!({ senderFrame: url === '' ? null : { url, parent: null } }, channel, input),
  quit: () => app.quit(),
};
process.on('message', async ({ id, order, value }: { id: number; order: string; value: Any }) => {
  try {
    process.send?.({ type: 'answer', id, value: await orders[order]!(value) });
  } catch (error) {
    process.send?.({ type: 'answer', id, error: String(error) });
  }
});
process.on('disconnect', () => void app.exit(0));
