import { join } from 'node:path';
import { app, dialog } from 'electron';
import { toReport } from '../shared/errors.ts';
import { makeFolder } from './files/folders.ts';
import { ROOT } from './files/project.ts';
import { openProgram } from './ipc/program.ts';
import { payAttention } from './shell/attention.ts';
import {
  connect,
  electronShell,
  guard,
  type OpenWindow,
  openWindow,
  registerScheme,
  serveFiles,
} from './shell/electron.ts';
import { setMenu } from './shell/menu.ts';
import { askBeforeQuitting } from './shell/quit.ts';
import { defaultHome } from './store/home.ts';

/** The desktop application. */
const home = defaultHome();
makeFolder(home, 0o700);
app.setPath('userData', join(home, 'desktop')); // Chromium's own files; and one application for each home
let open: OpenWindow | null = null;
const window = () => open?.window ?? null;

if (app.requestSingleInstanceLock()) {
  registerScheme();
  app.whenReady().then(start).catch(fail);
} else {
  app.quit(); // the one that is there shows itself
}

async function start(): Promise<void> {
  guard();
  const program = await openProgram({ home, shell: electronShell(window) });
  connect(program);
  serveFiles(program, join(ROOT, 'out', 'renderer'));
  askBeforeQuitting(program, window);
  setMenu((action) => void tell(action));
  payAttention(program, window, (run) => void tell(`go:runs/${run}`));
  app.on('second-instance', () => void show());
  app.on('activate', () => void show());
  app.on('window-all-closed', () => process.platform !== 'darwin' && app.quit());

  async function show(): Promise<OpenWindow> {
    if (!open) {
      open = await openWindow(program, join(import.meta.dirname, 'preload.cjs'), join(home, 'window.json'));
      open.window.on('closed', () => {
        open = null;
      });
    }
    if (open.window.isMinimized()) open.window.restore();
    open.window.focus();
    return open;
  }
  /** An action of the menu, to the window that carries it out. */
  async function tell(action: string): Promise<void> {
    (await show()).tell({ type: 'menu', action });
  }
  await show();
}

function fail(error: unknown): void {
  const { what, why, next } = toReport(error);
  dialog.showErrorBox(what, [why, next].filter(Boolean).join('\n\n'));
  app.exit(1);
}
