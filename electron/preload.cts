// All that the page of a desktop window sees of this program. It is sandboxed, and so CommonJS; what goes through is
// checked where it arrives (electron/ipc/program.ts). The names of messages stand in electron/shell/electron.ts too.
const { contextBridge, ipcRenderer, webUtils } = require('electron') as typeof import('electron');

contextBridge.exposeInMainWorld('conmim', {
  call: (channel: string, input: unknown): Promise<unknown> => ipcRenderer.invoke('conmim:call', channel, input),
  listen: (listener: (event: unknown) => void): void => {
    ipcRenderer.on('conmim:event', (_, event: unknown) => listener(event));
  },
  /** Where a file lies that was dropped on the window. */
  pathOf: (file: File): string => webUtils.getPathForFile(file),
});
