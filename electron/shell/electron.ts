import { readFile } from 'node:fs/promises';
import { join, normalize, sep } from 'node:path';
import {
  app,
  BrowserWindow,
  dialog,
  ipcMain,
  MessageChannelMain,
  type MessagePortMain,
  protocol,
  screen,
  session,
  shell,
} from 'electron';
import { lookup } from 'mrmime';
import type { AppEvent } from '../../shared/contract/events.ts';
import { HEADERS } from './policy.ts';
import type { Program, Shell } from './shell.ts';
import { FIRST_SIZE, LEAST_SIZE, readWindowState, writeWindowState } from './window-state.ts';

const ORIGIN = 'app://bundle';
/** A moved or resized window is remembered after it has been left alone so long, ms. */
const SETTLED = 400;

/** Must be called before the application is ready. */
export function registerScheme(): void {
  protocol.registerSchemesAsPrivileged([
    { scheme: 'app', privileges: { standard: true, secure: true, supportFetchAPI: true } },
  ]);
}

/** What services see of the desktop. */
export const electronShell = (window: () => BrowserWindow | null): Shell => ({
  kind: 'electron',
  async pickFolder() {
    const parent = window();
    const options = { properties: ['openDirectory' as const], title: 'Choose a folder of images' };
    const { canceled, filePaths } = await (parent
      ? dialog.showOpenDialog(parent, options)
      : dialog.showOpenDialog(options));
    return canceled ? null : (filePaths[0] ?? null);
  },
  reveal(path) {
    shell.showItemInFolder(path);
    return true;
  },
});

/** The page's files, and pictures, under app://bundle/. @param files folder of the built window */
export function serveFiles(program: Program, files: string): void {
  protocol.handle('app', async ({ url }) => {
    const { host, pathname } = new URL(url);
    const answer = (status: number, body: Uint8Array | null, type = 'text/plain') =>
      new Response(body as BodyInit | null, { status, headers: { ...HEADERS, 'content-type': type } });
    if (host !== 'bundle') return answer(404, null);
    if (pathname.startsWith('/media/')) {
      const { status, type, body } = await program.media(pathname.slice('/media/'.length));
      return answer(status, body, type);
    }
    const path = normalize(join(files, pathname === '/' ? 'index.html' : decodeURIComponent(pathname)));
    if (!path.startsWith(files + sep)) return answer(404, null);
    const content = await readFile(path).catch(() => null);
    return content ? answer(200, content, lookup(path) ?? 'application/octet-stream') : answer(404, null);
  });
}

/** Nothing leads out of the window, and the page gets no permission but to write to the clipboard. */
export function guard(): void {
  app.on('web-contents-created', (_, contents) => {
    const stay = (event: { preventDefault(): void }) => event.preventDefault();
    contents.on('will-navigate', stay);
    contents.on('will-redirect', stay);
    contents.on('will-attach-webview', stay);
    contents.setWindowOpenHandler(({ url }) => {
      if (URL.parse(url)?.protocol === 'https:') void shell.openExternal(url);
      return { action: 'deny' };
    });
  });
  session.defaultSession.setSpellCheckerEnabled(false); // it would fetch dictionaries from another host
  session.defaultSession.setPermissionRequestHandler((_, permission, answer) =>
    answer(permission === 'clipboard-sanitized-write'),
  );
  session.defaultSession.setPermissionCheckHandler((_, permission) => permission === 'clipboard-sanitized-write');
}

/** Calls of the window to the program; from any other page they are refused. */
export function connect(program: Program): void {
  ipcMain.handle('conmim:call', (event, channel: unknown, input: unknown) => {
    const from = event.senderFrame?.url ?? '';
    if (event.senderFrame?.parent || URL.parse(from)?.protocol !== 'app:' || !from.startsWith(`${ORIGIN}/`))
      throw new Error(`Refused: a call from ${from || 'a page that is gone'}.`);
    return program.call(String(channel), input);
  });
}

/** Opens the window as it was left. @param stateFile where its place is kept */
export async function openWindow(program: Program, preload: string, stateFile: string): Promise<OpenWindow> {
  const displays = screen.getAllDisplays().map(({ workArea }) => workArea);
  const state = readWindowState(stateFile, displays);
  const window = new BrowserWindow({
    ...FIRST_SIZE,
    ...state.bounds,
    minWidth: LEAST_SIZE.width,
    minHeight: LEAST_SIZE.height,
    title: 'ConMIM Workbench',
    show: false,
    webPreferences: {
      preload,
      sandbox: true,
      contextIsolation: true,
      nodeIntegration: false,
      webviewTag: false,
      spellcheck: false,
    },
  });
  if (state.isMaximized) window.maximize();
  window.once('ready-to-show', () => window.show());

  let timer: NodeJS.Timeout | null = null;
  const keep = () => {
    if (timer) clearTimeout(timer);
    timer = null;
    if (!window.isDestroyed())
      writeWindowState(stateFile, { bounds: window.getNormalBounds(), isMaximized: window.isMaximized() });
  };
  const keepSoon = () => {
    if (timer) clearTimeout(timer);
    timer = setTimeout(keep, SETTLED);
  };
  window.on('resize', keepSoon);
  window.on('move', keepSoon);
  window.on('close', keep);

  let port: MessagePortMain | null = null;
  const end = program.listen((event) => port?.postMessage(event));
  // Every page that is loaded, a reloaded one too, gets a port of its own.
  window.webContents.on('did-finish-load', () => {
    port?.close();
    const channel = new MessageChannelMain();
    port = channel.port1;
    port.start();
    window.webContents.postMessage('conmim:events', null, [channel.port2]);
  });
  window.on('closed', () => {
    if (timer) clearTimeout(timer);
    end();
  });
  window.webContents.on('render-process-gone', async (_, { reason }) => {
    if (reason === 'clean-exit' || window.isDestroyed()) return;
    const { response } = await dialog.showMessageBox(window, {
      type: 'error',
      message: 'The window has crashed.',
      detail: `${reason}. Training goes on; nothing is lost.`,
      buttons: ['Reload', 'Leave it'],
    });
    if (response === 0 && !window.isDestroyed()) window.reload();
  });
  await window.loadURL(`${ORIGIN}/index.html`);
  return { window, tell: (event) => port?.postMessage({ seq: 0, event }) };
}

export interface OpenWindow {
  window: BrowserWindow;
  /** An event for this window alone. */
  tell(event: AppEvent): void;
}
