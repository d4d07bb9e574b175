import {
  type Answer,
  type AppEvent,
  ASKS,
  type Asked,
  type Channel,
  type Numbered,
  type Result,
} from '../shared/contract/index.ts';
import { AppError, fromReport } from '../shared/errors.ts';
import { enter } from './access.ts';

/** What the preload script gives a desktop window (electron/preload.ts). */
export interface Bridge {
  call(channel: string, input: unknown): Promise<Answer>;
  listen(listener: (event: Numbered) => void): void;
}
declare global {
  interface Window {
    conmim?: Bridge;
  }
}

type Listener = (event: AppEvent) => void;
const listeners = new Set<Listener>();
const tell = (event: AppEvent) => {
  for (const listener of [...listeners]) listener(event);
};

/**
 * Whether the window is connected to its program. Only the browser's window can lose it. `silent`: nothing says that
 * the connection is lost, and nothing comes.
 */
export type Connection = 'connecting' | 'connected' | 'silent' | 'lost' | 'refused';

/** A connection on which nothing was heard for so long is asked for a word, ms. Events come every two seconds. */
const ASK_AFTER = 7000;
/** And is taken for silent after so long: a tunnel that hangs tells nobody. */
const SILENT_AFTER = 15_000;
const LOOK_EVERY = 2500;
/** Where pictures are; a browser's window is told when it is let in. */
let media = 'media';
const connectionListeners = new Set<(state: Connection) => void>();
let connection: Connection = 'connecting';
function setConnection(state: Connection) {
  if (connection === state) return;
  connection = state;
  for (const listener of connectionListeners) listener(state);
}

/** Tells the state of the connection now and whenever it changes. @returns ends it */
export function onConnection(listener: (state: Connection) => void): () => void {
  connectionListeners.add(listener);
  listener(connection);
  return () => connectionListeners.delete(listener);
}

const lost = (what: string, next: string): Answer => ({
  ok: false,
  error: { kind: 'no-connection', what, why: '', next },
});
const NOT_SENT = lost('There is no connection to the program: nothing was done.', 'Try again when it is back.');
const CUT_OFF = lost(
  'The connection was lost before the answer came.',
  'It comes back by itself; then look whether it was done, and try again if not.',
);

/** A WebSocket to the program that served this page; it comes back by itself, and no event is lost between. */
class Socket {
  #socket: WebSocket | null = null;
  #waiting = new Map<number, { channel: string; send: string; sent: boolean; resolve: (a: Answer) => void }>();
  #heard = Date.now();
  #next = 1;
  #seq = 0;
  #session: string | null = null;
  #delay = 250;

  constructor() {
    void this.#enter();
    setInterval(() => this.#look(), LOOK_EVERY);
  }

  /** A connection that hangs is found by asking. */
  #look() {
    const silence = Date.now() - this.#heard;
    if (connection !== 'connected' || silence < ASK_AFTER) return;
    if (silence >= SILENT_AFTER && this.#waiting.size > 0) setConnection('silent');
    else if (this.#waiting.size === 0) void this.call('app.info', {});
  }

  async #enter() {
    const admission = await enter();
    if (admission === 'refused') {
      setConnection('refused');
      return this.#giveUp();
    }
    if (admission === 'unreachable') return this.#retry();
    media = `media/${admission.media}`;
    this.#connect(admission.ticket);
  }

  #retry() {
    setConnection('lost');
    this.#giveUp();
    setTimeout(() => void this.#enter(), this.#delay);
    this.#delay = Math.min(5000, this.#delay * 2);
  }

  /** Without a connection only questions wait. */
  #giveUp() {
    // A call that was on its way may or may not have been done: only its caller can know whether to ask again.
    for (const [id, { channel, sent, resolve }] of this.#waiting) {
      if (!sent && ASKS.has(channel)) continue;
      this.#waiting.delete(id);
      resolve(sent ? CUT_OFF : NOT_SENT);
    }
  }

  #connect(ticket: string) {
    const url = new URL('socket', location.href.split('#')[0]);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.searchParams.set('ticket', ticket);
    url.searchParams.set('since', String(this.#seq));
    if (this.#session) url.searchParams.set('session', this.#session);
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      this.#heard = Date.now();
      if (connection === 'silent') setConnection('connected');
      const message = JSON.parse(data) as { id: number; answer: Answer } | Numbered | { session: string; seq: number };
      if ('session' in message) {
        this.#delay = 250;
        const isOther = this.#session !== null && this.#session !== message.session;
        if (this.#session === null || isOther) this.#seq = message.seq;
        this.#session = message.session;
        setConnection('connected');
        if (isOther) tell({ type: 'resync' });
        for (const call of this.#waiting.values()) {
          if (!call.sent) socket.send(call.send);
          call.sent = true;
        }
      } else if ('answer' in message) {
        this.#waiting.get(message.id)?.resolve(message.answer);
        this.#waiting.delete(message.id);
      } else {
        if (message.event.type !== 'resync' && message.seq <= this.#seq) return;
        this.#seq = message.seq;
        tell(message.event);
      }
    };
    socket.onclose = () => {
      this.#socket = null;
      this.#retry();
    };
  }

  call(channel: string, input: unknown): Promise<Answer> {
    // What is pressed now is meant for now: it is not kept and done later.
    const isDown = connection === 'refused' || connection === 'lost' || connection === 'silent';
    if (isDown && !ASKS.has(channel)) return Promise.resolve(NOT_SENT);
    return new Promise((resolve) => {
      const id = this.#next++;
      const send = JSON.stringify({ id, channel, input });
      const isOpen = connection === 'connected' || connection === 'silent';
      const ready = isOpen && this.#socket?.readyState === WebSocket.OPEN;
      this.#waiting.set(id, { channel, send, sent: ready, resolve });
      if (ready) this.#socket!.send(send);
    });
  }
}

let transport: Pick<Bridge, 'call'>;
if (window.conmim) {
  transport = window.conmim;
  window.conmim.listen(({ event }) => tell(event));
  setConnection('connected');
} else {
  transport = new Socket();
}

/** Asks the program. @throws AppError with the words of the error */
export async function call<C extends Channel>(channel: C, input: Asked<C>): Promise<Result<C>> {
  const answer = await transport.call(channel, input);
  if (answer.ok) return answer.value as Result<C>;
  throw fromReport(answer.error);
}

/** Hears events of one type. @returns ends it */
export function on<T extends AppEvent['type']>(
  type: T,
  listener: (event: Extract<AppEvent, { type: T }>) => void,
): () => void {
  const hear: Listener = (event) => {
    if (event.type === type) listener(event as Extract<AppEvent, { type: T }>);
  };
  listeners.add(hear);
  return () => listeners.delete(hear);
}

/**
 * Address of an image's thumbnail: its longer side is at most 256 pixels.
 * @param hash its content's, where it is known: another content is at another address then
 */
export const thumbnail = (image: number, hash?: string): string => `${media}/thumb/${image}${ofContent(hash)}`;
/** Address of a file that a task has written. */
export const madeFile = (task: string): string => `${media}/made/${encodeURIComponent(task)}`;
/** Address of the whole image as the browser can show it: at most 2048 pixels a side. */
export const picture = (image: number, hash?: string): string => `${media}/image/${image}${ofContent(hash)}`;
const ofContent = (hash = '') => (hash === '' ? '' : `/${hash.slice(0, 16)}`);

export { AppError };
