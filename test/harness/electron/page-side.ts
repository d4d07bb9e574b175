/**
 * Functions that run in the page. They are sent as their source, so they use nothing from outside. Calls cross between
 * the preload's world and the page's as CustomEvents, whose detail the browser clones as Electron's bridge does.
 */

type Any = ReturnType<typeof JSON.parse>;

/** The preload's own world: runs the built preload with the 'electron' that a sandboxed one gets. */
export function preloadWorld(preload: (require: Any, module: Any, exports: Any) => void): void {
  const world = globalThis as Any;
  const listeners = new Map<string, ((event: Any, ...args: Any[]) => void)[]>();
  const waiting = new Map<number, { resolve: (value: Any) => void; reject: (error: Error) => void }>();
  const exposed: Any[] = [];
  const ports = new Map<number, MessagePort>();
  let next = 1;
  const fire = (type: string, detail: Any) => document.dispatchEvent(new CustomEvent(type, { detail }));

  world.__fromMain = (text: string) => {
    const message = JSON.parse(text);
    if (message.type === 'port') {
      ports.get(message.id)?.postMessage(message.data);
      return;
    }
    if (message.type === 'event') {
      const given = (message.ports ?? []).map((id: number) => {
        const { port1, port2 } = new MessageChannel();
        ports.set(id, port1);
        return port2;
      });
      for (const listener of listeners.get(message.channel) ?? []) listener({ ports: given }, ...message.args);
      return;
    }
    const call = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.error === undefined) call?.resolve(message.value);
    else call?.reject(new Error(message.error));
  };
  const strict = (name: string, object: Any) =>
    new Proxy(object, {
      get(target, key) {
        if (key in target || typeof key === 'symbol') return target[key];
        throw new Error(`The stand-in has no ${name}.${key}`);
      },
    });
  const electron = {
    contextBridge: strict('contextBridge', {
      exposeInMainWorld(key: string, api: Record<string, Any>) {
        const names = Object.entries(api).map(([name, value]) => {
          if (typeof value !== 'function') throw new Error(`The stand-in exposes functions only, not ${name}`);
          return { name, id: exposed.push(value) - 1 };
        });
        fire('bridge-expose', { key, names });
      },
    }),
    ipcRenderer: strict('ipcRenderer', {
      invoke: (channel: string, ...args: Any[]) =>
        new Promise((resolve, reject) => {
          structuredClone(args); // what cannot be cloned throws here, as in Electron
          waiting.set(next, { resolve, reject });
          world.__toMain(JSON.stringify({ id: next++, channel, args }));
        }),
      on(channel: string, listener: (event: Any, ...args: Any[]) => void) {
        listeners.set(channel, [...(listeners.get(channel) ?? []), listener]);
      },
    }),
    webUtils: strict('webUtils', { getPathForFile: (file: File) => `/dropped/${file.name}` }),
  };
  document.addEventListener('bridge-call', (event) => {
    const { id, fn, args } = (event as CustomEvent).detail;
    const back = (args as Any[]).map((arg) =>
      arg && typeof arg === 'object' && '__callback' in arg
        ? (...values: Any[]) => fire('bridge-callback', { id: arg.__callback, values })
        : arg,
    );
    Promise.resolve()
      .then(() => exposed[fn](...back))
      .then(
        (value) => fire('bridge-answer', { id, value }),
        (error) => fire('bridge-answer', { id, error: String(error?.message ?? error) }),
      );
  });
  const module = { exports: {} };
  const require = (name: string) => {
    if (name === 'electron') return strict('electron', electron);
    throw new Error(`module not found: ${name} (a sandboxed preload has 'electron' only)`);
  };
  preload(require, module, module.exports);
}

/** The page's world: builds what the preload exposed. */
export function pageWorld(): void {
  const waiting = new Map<number, { resolve: (value: Any) => void; reject: (error: Error) => void }>();
  const callbacks = new Map<number, (...values: Any[]) => void>();
  let next = 1;
  document.addEventListener('bridge-expose', (event) => {
    const { key, names } = (event as CustomEvent).detail;
    const api = Object.fromEntries(
      (names as { name: string; id: number }[]).map(({ name, id: fn }) => [
        name,
        (...args: Any[]) =>
          new Promise((resolve, reject) => {
            const id = next++;
            waiting.set(id, { resolve, reject });
            const sent = args.map((arg) => {
              if (typeof arg !== 'function') return arg;
              callbacks.set(next, arg);
              return { __callback: next++ };
            });
            document.dispatchEvent(new CustomEvent('bridge-call', { detail: { id, fn, args: sent } }));
          }),
      ]),
    );
    Object.defineProperty(window, key, { value: Object.freeze(api), enumerable: true });
  });
  document.addEventListener('bridge-callback', (event) => {
    const { id, values } = (event as CustomEvent).detail;
    callbacks.get(id)?.(...values);
  });
  document.addEventListener('bridge-answer', (event) => {
    const { id, value, error } = (event as CustomEvent).detail;
    const call = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) call?.resolve(value);
    else call?.reject(new Error(error));
  });
}
