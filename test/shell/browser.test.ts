import { createHmac } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect as connectRaw } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { Events } from '../../electron/services/ground/events.ts';
import { Access, storedToken } from '../../electron/shell/access.ts';
import { type Served, serve } from '../../electron/shell/browser.ts';
import type { AppEvent, Numbered } from '../../shared/contract/events.ts';

let folder: string;
let served: Served;
let events: Events;
/** What every call answers, where a test sets it. */
let answers: unknown;
const notice = (text: string): AppEvent => ({ type: 'notice', text, run: null });

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'browser-'));
  const files = join(folder, 'site');
  mkdirSync(files);
  writeFileSync(join(files, 'index.html'), '<p>window</p>');
  writeFileSync(join(folder, 'outside.txt'), 'secret');
  events = new Events();
  answers = undefined;
  const program = {
    session: events.session,
    get seq() {
      return events.seq;
    },
    call: async (channel: string, input: unknown) => ({ ok: true as const, value: answers ?? { channel, input } }),
    since: (seq: number) => events.since(seq),
    listen: (listener: (event: Numbered) => void) => events.listen(listener),
    media: async (path: string) => ({
      status: 200,
      type: 'image/webp',
      body: Buffer.from(path),
      tag: path.includes('changed') ? null : 'content',
      isFinal: path.includes('final'),
    }),
    made: () => null,
  };
  served = await serve({ program, files, port: 0, token: TOKEN });
});
afterEach(async () => {
  await served.close();
  rmSync(folder, { recursive: true });
});

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}
/** By hand, for fetch does not let the Host be chosen, nor a path stay as it is written. */
const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  new Promise<Answer>((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port: served.port, path, headers, method }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, text }));
    });
    asked.once('error', reject);
    asked.end();
  });
const TOKEN = 'a-token-of-32-letters-and-digits';
const sign = (challenge: string, token = TOKEN) => createHmac('sha256', token).update(challenge).digest('hex');
const challenge = async () => (JSON.parse((await get('/challenge')).text) as { challenge: string }).challenge;
const admit = (given: string, proof: string) => get(`/admit?${new URLSearchParams({ challenge: given, proof })}`);
/** As a window that has the token. */
const enter = async () => {
  const given = await challenge();
  return JSON.parse((await admit(given, sign(given))).text) as { ticket: string; media: string };
};

describe('who is let in', () => {
  test('who signs with the token gets a ticket and the key of pictures; neither tells the token', async () => {
    const { ticket, media } = await enter();
    expect(ticket + media).not.toContain(TOKEN);
    const picture = await get(`/media/${media}/thumb/1`);
    expect(picture).toMatchObject({ status: 200, text: 'thumb/1' });
    expect(picture.headers['content-security-policy']).toContain("script-src 'self'");
    expect(new URL(served.url).searchParams.get('token')).toBe(TOKEN);
    expect((await get('/')).headers['set-cookie']).toBeUndefined();
  });

  test('nobody else: no proof, one of another token, of another challenge, a second time, or made up', async () => {
    const given = await challenge();
    for (const proof of ['', 'x', sign(given, 'wrong'), sign(await challenge()), sign(given).toUpperCase()])
      expect((await admit(given, proof)).status, proof).toBe(403);
    expect((await admit(given, sign(given))).status).toBe(200);
    expect((await admit(given, sign(given))).status).toBe(403);
    const { ticket } = await enter();
    for (const other of ['', 'x', '..', ticket, given.replace(/^\d+/, '9')])
      expect((await admit(other, sign(other))).status, other).toBe(403);
    expect((await get('/admit')).status).toBe(403);
    const { media } = await enter();
    for (const path of ['thumb/1', '/thumb/1', `${media.slice(1)}/thumb/1`, `${TOKEN}/thumb/1`, `${media}`, '%/%'])
      expect((await get(`/media/${path}`)).status, path).toBe(403);
  });

  test('a picture is kept by the browser only as long as its address shows its content', async () => {
    const { media } = await enter();
    const caching = async (path: string, headers = {}) => {
      const answer = await get(`/media/${media}/${path}`, headers);
      return [answer.status, answer.headers['cache-control'], answer.headers.etag];
    };
    expect(await caching('thumb/1/final')).toEqual([200, 'private, max-age=31536000, immutable', '"content"']);
    expect(await caching('thumb/1')).toEqual([200, 'private, no-cache', '"content"']);
    expect(await caching('thumb/1', { 'if-none-match': '"content"' })).toEqual([304, 'private, no-cache', '"content"']);
    expect(await caching('thumb/1', { 'if-none-match': '"other"' })).toEqual([200, 'private, no-cache', '"content"']);
    expect(await caching('thumb/changed')).toEqual([200, 'no-store', undefined]);
  });

  test('what was given out is good for a minute', async () => {
    const access = new Access(TOKEN);
    const [first, second] = [access.ticket(), access.ticket()];
    expect(access.isTicket(first)).toBe(true);
    const later = performance.now() + 61_000;
    const clock = vi.spyOn(performance, 'now').mockReturnValue(later);
    try {
      expect(access.isTicket(second)).toBe(false);
    } finally {
      clock.mockRestore();
    }
  });

  test('no other host, so that a foreign name that leads here is refused', async () => {
    for (const path of ['/', '/challenge'])
      for (const host of [
        'evil.example',
        `evil.example:${served.port}`,
        '127.0.0.1.evil.example',
        'localhost.evil.example',
      ])
        expect((await get(path, { host })).status, host).toBe(421);
    for (const host of ['localhost:9', '[::1]:80', '127.0.0.1'])
      expect((await get('/', { host })).status, host).toBe(200);
  });

  test('nothing outside the window’s folder, and nothing but reading', async () => {
    for (const path of ['/../outside.txt', '/..%2foutside.txt', '/%2e%2e/outside.txt', '/assets/../../outside.txt'])
      expect((await get(path)).text, path).not.toContain('secret');
    expect((await get('/', {}, 'POST')).status).toBe(405);
    expect((await get('/nothing.js')).status).toBe(404);
  });
});

describe('the token that is kept', () => {
  test('is the owner’s alone, the same after a restart, another when asked for, and made anew where it is damaged', () => {
    const path = join(folder, 'window-token');
    const first = storedToken(folder);
    expect(first).toMatch(/^[\w-]{32}$/);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    chmodSync(path, 0o644);
    expect(storedToken(folder)).toBe(first);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const second = storedToken(folder, true);
    expect(second).not.toBe(first);
    expect(storedToken(folder)).toBe(second);
    for (const damaged of ['', 'short', `${second}x`, '\0'.repeat(32)]) {
      writeFileSync(path, damaged);
      const made = storedToken(folder);
      expect(made).toMatch(/^[\w-]{32}$/);
      expect(storedToken(folder)).toBe(made);
    }
    expect(readdirSync(folder).filter((name) => name.startsWith('window-token'))).toEqual(['window-token']);
  });
});

/** A window's end of the socket. */
function connect(headers: Record<string, string>, query: Record<string, string> = {}) {
  const address = `ws://127.0.0.1:${served.port}/socket?${new URLSearchParams(query)}`;
  const ws = new WebSocket(address, { headers });
  const heard: Record<string, unknown>[] = [];
  ws.on('message', (data) => heard.push(JSON.parse(String(data))));
  const state = new Promise<'open' | 'refused'>((resolve) => {
    ws.once('open', () => resolve('open'));
    ws.once('error', () => resolve('refused'));
  });
  return { ws, heard, state };
}
const origin = () => `http://127.0.0.1:${served.port}`;
/** A window that was let in. */
const open = async (query: Record<string, string> = {}) =>
  connect({ origin: origin() }, { ...query, ticket: (await enter()).ticket });
const until = async (what: () => boolean) => {
  const limit = Date.now() + 60_000;
  while (!what()) {
    if (Date.now() > limit) throw new Error(`waited in vain: ${what}`);
    await new Promise((r) => setTimeout(r, 5));
  }
};

describe('the socket', () => {
  test('only from the page itself, and with a ticket, once: all else is refused', async () => {
    const ticket = async () => ({ ticket: (await enter()).ticket });
    for (const headers of [
      {},
      { origin: 'http://evil.example' },
      { origin: 'null' },
      { origin: `http://localhost:${served.port}` },
    ])
      expect(await connect(headers as Record<string, string>, await ticket()).state).toBe('refused');
    const own = await ticket();
    const given = await challenge();
    for (const wrong of [{}, { ticket: '' }, { ticket: given }, { token: TOKEN }, { ticket: TOKEN }])
      expect(await connect({ origin: origin() }, wrong as Record<string, string>).state).toBe('refused');
    const { ws, state } = connect({ origin: origin() }, own);
    expect(await state).toBe('open');
    expect(await connect({ origin: origin() }, own).state).toBe('refused');
    ws.close();
  });

  test('calls are answered under their number; two windows hear the same events', async () => {
    const [a, b] = [await open(), await open()];
    await Promise.all([a.state, b.state]);
    await until(() => a.heard.length === 1 && b.heard.length === 1);
    a.ws.send(JSON.stringify({ id: 7, channel: 'runs.list', input: {} }));
    await until(() => a.heard.length === 2);
    expect(a.heard[1]).toEqual({ id: 7, answer: { ok: true, value: { channel: 'runs.list', input: {} } } });
    events.emit(notice('to both'));
    await until(() => a.heard.length === 3 && b.heard.length === 2);
    expect(b.heard[1]).toEqual(a.heard[2]);
    a.ws.close();
    b.ws.close();
  });

  test('a window that comes back gets what it missed, in order and once', async () => {
    const first = await open();
    await first.state;
    await until(() => first.heard.length === 1);
    events.emit(notice('1'));
    await until(() => first.heard.length === 2);
    first.ws.terminate();
    for (const text of ['2', '3', '4']) events.emit(notice(text));
    const back = await open({ since: '1', session: events.session });
    await until(() => back.heard.length === 4);
    events.emit(notice('5'));
    await until(() => back.heard.length === 5);
    expect(back.heard.slice(1).map((message) => message.seq)).toEqual([2, 3, 4, 5]);
    back.ws.close();
  });

  test('what is no call ends the connection, not the program', async () => {
    const { ws, state } = await open();
    await state;
    const closed = new Promise((resolve) => ws.once('close', resolve));
    ws.send('{"id": "no number"');
    expect(await closed).toBe(1003);
    expect((await get('/')).status).toBe(200);
  });
});

/** Sends bytes as they are. @returns what came back until the other side closed it; '' where it was reset first */
const raw = (bytes: string, { reset = false } = {}) =>
  new Promise<string>((resolve) => {
    const socket = connectRaw(served.port, '127.0.0.1');
    let text = '';
    socket.setEncoding('latin1').on('data', (part: string) => {
      text += part;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
    socket.on('connect', () => socket.write(Buffer.from(bytes, 'latin1'), () => reset && socket.resetAndDestroy()));
  });

describe('whatever is sent, nothing ends but its connection', () => {
  const WEBSOCKET = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' };
  const message = (target: string, headers: Record<string, string>) =>
    [`GET ${target} HTTP/1.1`, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`), '', ''].join(
      '\r\n',
    );
  const isThere = async () => expect((await get('/nothing')).status).toBeLessThan(500);

  // A fault in a handler of the server ends the test process: vitest fails on it.
  test('targets, headers and credentials of any bytes, with and without an upgrade, whole and reset', async () => {
    const { media } = await enter();
    const bytes = fc.array(fc.integer({ min: 0, max: 255 })).map((codes) => String.fromCharCode(...codes));
    const line = bytes.map((text) => text.replace(/[\r\n\0]/g, ''));
    const given = await challenge();
    const target = fc.oneof(
      line.map((text) => `/${text}`),
      line.map((text) => `/socket?ticket=${text}`),
      line.map((text) => `/admit?challenge=${given}&proof=${text}`),
      line.map((text) => `/media/${media}/${text}`),
      fc.constantFrom('/socket', '//', '///', '/socket?since=x', '*', 'http://', 'http://[', '/%', '/%zz', '/media/%'),
      fc.constantFrom('/admit?challenge=%ff&proof=%ff', '/\\', 'http://x:99999/', '/%00', '/..%00/a', '/challenge'),
    );
    const headers = fc.record(
      {
        host: fc.oneof(fc.constant(`127.0.0.1:${served.port}`), line),
        origin: fc.oneof(fc.constant(origin()), fc.constant('null'), line),
        cookie: line,
        'sec-websocket-key': fc.oneof(fc.constant('dGhlIHNhbXBsZSBub25jZQ=='), line),
        'sec-websocket-extensions': line,
        'sec-websocket-protocol': line,
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(target, headers, fc.boolean(), fc.boolean(), async (to, sent, upgrade, reset) => {
        const answer = raw(message(to, { ...sent, ...(upgrade ? WEBSOCKET : { connection: 'close' }) }), { reset });
        await (reset ? answer : Promise.race([answer, new Promise((r) => setTimeout(r, 50))]));
      }),
      { numRuns: 400 },
    );
    await isThere();
  });

  test('a target that is no address, credentials of other bytes, a socket that is reset, let in or not', async () => {
    const host = `127.0.0.1:${served.port}`;
    const asked = { host, origin: origin(), 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', ...WEBSOCKET };
    expect(await raw(message('//', { host, ...WEBSOCKET }))).toMatch(/^HTTP\/1\.1 400 /);
    const odd = '\xe9'.repeat(32);
    expect(await raw(message(`/socket?ticket=${odd}`, { ...asked, cookie: odd }))).toMatch(/^HTTP\/1\.1 4/);
    expect(await raw(message(`/socket?ticket=${encodeURI(odd)}`, asked))).toMatch(/^HTTP\/1\.1 403 /);
    expect(await raw(message(`/media/${encodeURI(odd)}/thumb/1`, { host, connection: 'close' }))).toMatch(
      /^HTTP\/1\.1 403 /,
    );
    for (let i = 0; i < 50; i++) void raw(message('/socket', { host, ...WEBSOCKET }), { reset: true });
    for (let i = 0; i < 10; i++) void raw(message(`/socket?ticket=${(await enter()).ticket}`, asked), { reset: true });
    await isThere();
  });

  test('refusals of every kind have the headers that keep a page in', async () => {
    const host = `127.0.0.1:${served.port}`;
    const refusals = {
      'no HTTP': 'no HTTP at all\r\n\r\n',
      'long header': message('/', { host, long: 'x'.repeat(100_000) }),
      'no UTF-8': message('/%', { host, connection: 'close' }),
      'no UTF-8 either': message('/%zz', { host, connection: 'close' }),
      'no address': message('//', { host, connection: 'close' }),
      stranger: message('/media/x/thumb/1', { host, connection: 'close' }),
      upgrade: message('/socket', { host, ...WEBSOCKET }),
    };
    for (const [name, sent] of Object.entries(refusals)) {
      const answer = (await raw(sent)).toLowerCase();
      expect(answer, name).toMatch(/^http\/1\.1 4\d\d /);
      for (const header of ['content-security-policy: default-src', 'x-content-type-options: nosniff'])
        expect(answer, name).toContain(header);
    }
  });
});

test('an answer that cannot be written down is an error of that call', async () => {
  const { ws, heard, state } = await open();
  await state;
  answers = { big: 1n };
  ws.send(JSON.stringify({ id: 1, channel: 'any', input: {} }));
  await until(() => heard.length === 2);
  expect(heard[1]).toMatchObject({ id: 1, answer: { ok: false, error: { kind: 'internal' } } });
  ws.close();
});

test('events that are forgotten become one "ask again"', () => {
  for (let i = 0; i < 40_001; i++) events.emit(notice(String(i)));
  expect(events.since(3)).toEqual([{ seq: 40_001, event: { type: 'resync' } }]);
  expect(events.since(40_000).map(({ seq }) => seq)).toEqual([40_001]);
  expect(events.since(40_001)).toEqual([]);
  expect(events.since(50_000)).toMatchObject([{ event: { type: 'resync' } }]);
});

test('a port that is taken is said so', async () => {
  const again = serve({ program: {} as never, files: folder, port: served.port, token: TOKEN });
  await expect(again).rejects.toMatchObject({ kind: 'conflict' });
});
