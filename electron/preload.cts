// All that the page of a desktop window sees of this program. It is sandboxed, and so CommonJS; what goes through is
// checked where it arrives (electron/ipc/program.ts). The names of messages stand in electron/shell/electron.ts too.
const { contextBridge, ipcRenderer, webUtils } = require('electron') as typeof import('electron');

// Events come over a port of their own, a new one for every page: metrics by the thousand do not wait behind calls.
const listeners: ((event: unknown) => void)[] = [];
const early: unknown[] = [];
ipcRenderer.on('conmim:events', ({ ports: [port] }) => {
  port!.onmessage = ({ data }) => {
    if (listeners.length === 0) early.push(data);
    for (const listener of listeners) listener(data);
  };
});

contextBridge.exposeInMainWorld('conmim', {
  call: (channel: string, input: unknown): Promise<unknown> => ipcRenderer.invoke('conmim:call', channel, input),
  listen: (listener: (event: unknown) => void): void => {
    listeners.push(listener);
    for (const event of early.splice(0)) listener(event);
  },
  /** Where a file lies that was dropped on the window. */
  pathOf: (file: File): string => webUtils.getPathForFile(file),
});
