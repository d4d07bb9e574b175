import { open, readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join, normalize, sep } from 'node:path';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { lookup } from 'mrmime';
import { type WebSocket, WebSocketServer } from 'ws';
import { LARGEST_FILE } from '../../shared/contract/retrieval.ts';
import { AppError, toReport } from '../../shared/errors.ts';
import { Access } from './access.ts';
import { HEADERS } from './policy.ts';
import type { Program, Shell } from './shell.ts';

/** A browser has no dialog for folders of this machine: the window lists them itself. */
export const browserShell: Shell = { kind: 'browser', reveal: () => false };

export interface Served {
  /** Address with its token: whoever has it is let in. */
  url: string;
  port: number;
  close(): Promise<void>;
}

export interface ServeOptions {
  program: Program & { readonly session: string; readonly seq: number };
  /** Folder of the built window. */
  files: string;
  /** 0 for any that is free. */
  port: number;
  /** Whoever knows it is let in. */
  token: string;
}

/** A window that hears nothing for so long is asked whether it is there, ms: a tunnel that died tells nobody. */
const PING_EVERY = 15_000;
/** The largest has a file that somebody dropped on the window. */
const LARGEST_MESSAGE = LARGEST_FILE + (1 << 20);

/** The name alone is checked, against DNS rebinding: through a tunnel the port is another. */
const isLocal = (host: string | undefined) => /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(host ?? '');

/**
 * Serves the window over loopback. Its own files are for everybody; what the program knows is for windows that have the
 * token (`Access`): they sign what `/challenge` gives, `/admit` then gives a ticket for the socket and the key of
 * pictures' addresses. There are no cookies: a browser sends them to every port of this machine.
 * @throws AppError conflict where the port is taken
 */
export async function serve({ program, files, port, token }: ServeOptions): Promise<Served> {
  const access = new Access(token);
  const server = createServer((request, response) => {
    respond(request, response).catch((error) => {
      process.stderr.write(`${request.url}: ${(error as Error).stack ?? error}\n`);
      if (response.headersSent) response.destroy();
      else response.writeHead(500, HEADERS).end();
    });
  });
  // What the parser refuses never becomes a request: too large, too slow, or no HTTP.
  server.on('clientError', ({ code }: NodeJS.ErrnoException, socket) =>
    refuse(socket, code === 'HPE_HEADER_OVERFLOW' ? 431 : code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400),
  );
  async function respond(request: IncomingMessage, response: ServerResponse) {
    const end = (status: number, text = '', headers: Record<string, string> = {}) =>
      response.writeHead(status, { ...HEADERS, 'content-type': 'text/plain; charset=utf-8', ...headers }).end(text);
    if (!isLocal(request.headers.host)) return end(421, 'Only addresses of this machine are served.');
    if (request.method !== 'GET' && request.method !== 'HEAD') return end(405);
    const url = URL.parse(request.url ?? '/', 'http://localhost');
    if (!url) return end(400);
    const json = (value: unknown) =>
      end(200, JSON.stringify(value), { 'content-type': 'application/json', 'cache-control': 'no-store' });
    if (url.pathname === '/challenge') return json({ challenge: access.challenge() });
    if (url.pathname === '/admit') {
      if (!access.isProof(url.searchParams.get('challenge'), url.searchParams.get('proof')))
        return end(403, 'This is not the token of this program.');
      return json({ ticket: access.ticket(), media: access.mediaKey });
    }
    if (url.pathname === '/socket') return end(426);
    const [, key, place] = /^\/media\/([^/]*)\/(.*)$/s.exec(url.pathname) ?? [];
    if (url.pathname.startsWith('/media/')) {
      if (key === undefined || !access.isMediaKey(key)) return end(403);
      if (place!.startsWith('made/')) return hand(program.made(place!.slice('made/'.length)), response);
      const { status, type, body, tag, isFinal } = await program.media(place!);
      const kept = isFinal ? 'private, max-age=31536000, immutable' : tag ? 'private, no-cache' : 'no-store';
      const about = { ...HEADERS, 'cache-control': kept, ...(tag && { etag: `"${tag}"` }) };
      if (tag && request.headers['if-none-match'] === `"${tag}"`) return response.writeHead(304, about).end();
      return response.writeHead(status, { ...about, 'content-type': type }).end(body);
    }
    const path = fileOf(files, url.pathname);
    const content = path && (await readFile(path).catch(() => null));
    if (!content) return end(404);
    const isHashed = url.pathname.startsWith('/assets/');
    response.writeHead(200, {
      ...HEADERS,
      'content-type': lookup(path) ?? 'application/octet-stream',
      'cache-control': isHashed ? 'private, max-age=31536000, immutable' : 'no-cache',
    });
    response.end(request.method === 'HEAD' ? undefined : content);
  }

  /** A file that a task has written, to be saved by the browser, however large it is. */
  async function hand(file: string | null, response: ServerResponse) {
    const opened = file === null ? null : await open(file).catch(() => null);
    if (file === null || !opened) return response.writeHead(404, HEADERS).end();
    const name = encodeURIComponent(basename(file)).replaceAll("'", '%27');
    response.writeHead(200, {
      ...HEADERS,
      'content-type': 'application/octet-stream',
      'content-length': (await opened.stat()).size,
      'content-disposition': `attachment; filename*=UTF-8''${name}`,
      'cache-control': 'no-store',
    });
    // Who goes away meanwhile ends it.
    return pipeline(opened.createReadStream(), response).catch(() => response.destroy());
  }

  const sockets = new WebSocketServer({ noServer: true, maxPayload: LARGEST_MESSAGE });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy()); // whoever asked may be gone before the answer
    const { host, origin } = request.headers;
    const isOwn = isLocal(host) && origin !== undefined && URL.parse(origin)?.host === host;
    const url = URL.parse(request.url ?? '/', 'http://localhost');
    if (!url) return refuse(socket, 400);
    const isLetIn = isOwn && url.pathname === '/socket' && access.isTicket(url.searchParams.get('ticket'));
    if (!isLetIn) return refuse(socket, 403);
    sockets.handleUpgrade(request, socket, head, (ws) => {
      sockets.emit('connection', ws, request);
      converse(ws, program, url.searchParams);
    });
  });
  const answered = new WeakSet<WebSocket>();
  sockets.on('connection', (ws) => {
    answered.add(ws);
    ws.on('pong', () => answered.add(ws));
  });
  const pinging = setInterval(() => {
    for (const ws of sockets.clients) {
      if (!answered.delete(ws)) ws.terminate();
      else ws.ping();
    }
  }, PING_EVERY);

  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new AppError('conflict', `Port ${port} is taken.`, '', 'Choose another one: --port 0 takes any.')
          : error,
      ),
    );
    server.listen(port, '127.0.0.1', resolve);
  });
  // A connection that cannot be taken (no file descriptor is left) ends no other.
  server.on('error', (error) => process.stderr.write(`${error.message}\n`));
  const bound = (server.address() as AddressInfo).port;
  return {
    url: `http://127.0.0.1:${bound}/?token=${token}`,
    port: bound,
    close: () =>
      new Promise((resolve) => {
        clearInterval(pinging);
        for (const ws of sockets.clients) ws.terminate();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The file of the window at an address; null for what is none. */
function fileOf(files: string, pathname: string): string | null {
  try {
    const path = normalize(join(files, pathname === '/' ? 'index.html' : decodeURIComponent(pathname)));
    return path.startsWith(files + sep) ? path : null;
  } catch {
    return null; // no UTF-8
  }
}

/** Ends a connection on which no response can be written as usual. */
function refuse(socket: Duplex, status: number): void {
  if (!socket.writable) return void socket.destroy();
  const headers = Object.entries({ ...HEADERS, connection: 'close', 'content-length': '0' });
  const lines = headers.map(([name, value]) => `${name}: ${value}`);
  socket.end([`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...lines, '', ''].join('\r\n'), () => socket.destroy());
}

/** One window: calls and answers, and every event from where it was. */
function converse(ws: WebSocket, program: ServeOptions['program'], query: URLSearchParams): void {
  const send = (message: unknown) => ws.readyState === ws.OPEN && ws.send(JSON.stringify(message));
  send({ session: program.session, seq: program.seq });
  if (query.get('session') === program.session) {
    for (const event of program.since(Number(query.get('since')) || 0)) send(event);
  }
  const end = program.listen(send);
  ws.on('close', end);
  ws.on('error', () => ws.terminate());
  ws.on('message', async (data) => {
    let message: { id: number; channel: string; input: unknown };
    try {
      message = JSON.parse(String(data));
      if (typeof message.id !== 'number' || typeof message.channel !== 'string') throw new Error('not a call');
    } catch {
      ws.close(1003, 'not a call');
      return;
    }
    const answer = await program.call(message.channel, message.input);
    try {
      send({ id: message.id, answer });
    } catch (error) {
      // It cannot be written down, being too long for instance. Unanswered, its caller would wait for ever.
      send({ id: message.id, answer: { ok: false, error: toReport(error) } });
    }
  });
}
