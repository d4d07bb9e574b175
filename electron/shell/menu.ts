import { Menu, type MenuItemConstructorOptions } from 'electron';

const SCREENS = [
  ['Datasets', 'go:datasets'],
  ['New Run', 'go:new'],
  ['Runs', 'go:runs'],
  ['Bake-off', 'go:bake-off'],
  ['Explore', 'go:explore'],
  ['Runtime', 'go:runtime'],
] as const;

/** The application menu. @param tell hears the action of an item that the window carries out */
export function setMenu(tell: (action: string) => void): void {
  const item = (label: string, action: string, accelerator: string): MenuItemConstructorOptions => ({
    label,
    accelerator,
    click: () => tell(action),
  });
  const mac: MenuItemConstructorOptions[] = process.platform === 'darwin' ? [{ role: 'appMenu' }] : [];
  Menu.setApplicationMenu(
    Menu.buildFromTemplate([
      ...mac,
      {
        label: '&File',
        submenu: [
          item('Import Folder…', 'import', 'CmdOrCtrl+O'),
          item('New Run', 'go:new', 'CmdOrCtrl+N'),
          item('Find…', 'find', 'CmdOrCtrl+K'),
          { type: 'separator' },
          { role: process.platform === 'darwin' ? 'close' : 'quit' },
        ],
      },
      { role: 'editMenu' },
      {
        label: '&View',
        submenu: [
          ...SCREENS.map(([label, action], i) => item(label, action, `Alt+${i + 1}`)),
          { type: 'separator' },
          { role: 'reload' },
          { role: 'toggleDevTools' },
          { type: 'separator' },
          { role: 'resetZoom' },
          { role: 'zoomIn' },
          { role: 'zoomOut' },
          { role: 'togglefullscreen' },
        ],
      },
      { role: 'windowMenu' },
      { label: '&Help', submenu: [item('Keys', 'keys', 'F1')] },
    ]),
  );
}
