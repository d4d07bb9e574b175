import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect as connectRaw } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { Events } from '../../electron/services/events.ts';
import { type Served, serve } from '../../electron/shell/browser.ts';
import type { AppEvent, Numbered } from '../../shared/ipc.ts';

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
    media: async (path: string) => ({ status: 200, type: 'image/webp', body: Buffer.from(path) }),
  };
  served = await serve({ program, files, port: 0 });
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
const cookie = async () => {
  const { headers } = await get(new URL(served.url).pathname + new URL(served.url).search);
  return headers['set-cookie']![0]!.split(';')[0]!;
};

describe('who is let in', () => {
  test('the token of the address, once; then the cookie', async () => {
    const first = await get(`/${new URL(served.url).search}`);
    expect(first.status).toBe(303);
    expect(first.headers.location).toBe('./');
    expect(first.headers['set-cookie']![0]).toMatch(/HttpOnly; SameSite=Strict/);
    const page = await get('/', { cookie: await cookie() });
    expect(page).toMatchObject({ status: 200, text: '<p>window</p>' });
    expect(page.headers['content-security-policy']).toContain("script-src 'self'");
  });

  test('nobody else: no token, a wrong one, a wrong cookie', async () => {
    for (const path of ['/', '/?token=', '/?token=wrong', `/?token=${'A'.repeat(32)}`, '/media/thumb/1', '/socket'])
      expect((await get(path)).status, path).toBe(403);
    const wrong = (await cookie()).replace(/=.*/, `=${'A'.repeat(32)}`);
    expect((await get('/', { cookie: wrong })).status).toBe(403);
  });

  test('no other host, so that a foreign name that leads here is refused', async () => {
    const own = await cookie();
    for (const host of [
      'evil.example',
      `evil.example:${served.port}`,
      '127.0.0.1.evil.example',
      'localhost.evil.example',
    ])
      expect((await get('/', { cookie: own, host })).status, host).toBe(421);
    for (const host of ['localhost:9', '[::1]:80', '127.0.0.1'])
      expect((await get('/', { cookie: own, host })).status, host).toBe(200);
  });

  test('nothing outside the window’s folder, and nothing but reading', async () => {
    const own = await cookie();
    for (const path of ['/../outside.txt', '/..%2foutside.txt', '/%2e%2e/outside.txt', '/assets/../../outside.txt'])
      expect((await get(path, { cookie: own })).text, path).not.toContain('secret');
    expect((await get('/', { cookie: own }, 'POST')).status).toBe(405);
    expect((await get('/nothing.js', { cookie: own })).status).toBe(404);
  });
});

/** A window's end of the socket. */
function connect(headers: Record<string, string>, query = '') {
  const ws = new WebSocket(`ws://127.0.0.1:${served.port}/socket${query}`, { headers });
  const heard: Record<string, unknown>[] = [];
  ws.on('message', (data) => heard.push(JSON.parse(String(data))));
  const state = new Promise<'open' | 'refused'>((resolve) => {
    ws.once('open', () => resolve('open'));
    ws.once('error', () => resolve('refused'));
  });
  return { ws, heard, state };
}
const origin = () => `http://127.0.0.1:${served.port}`;
const until = async (what: () => boolean) => {
  while (!what()) await new Promise((r) => setTimeout(r, 5));
};

describe('the socket', () => {
  test('only from the page itself: foreign and missing origins are refused', async () => {
    const own = await cookie();
    for (const headers of [
      { cookie: own },
      { cookie: own, origin: 'http://evil.example' },
      { cookie: own, origin: 'null' },
      { cookie: own, origin: `http://localhost:${served.port}` },
      { origin: origin() },
    ])
      expect(await connect(headers as Record<string, string>).state).toBe('refused');
    const { ws, state } = connect({ cookie: own, origin: origin() });
    expect(await state).toBe('open');
    ws.close();
  });

  test('calls are answered under their number; two windows hear the same events', async () => {
    const headers = { cookie: await cookie(), origin: origin() };
    const [a, b] = [connect(headers), connect(headers)];
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
    const headers = { cookie: await cookie(), origin: origin() };
    const first = connect(headers);
    await first.state;
    await until(() => first.heard.length === 1);
    events.emit(notice('1'));
    await until(() => first.heard.length === 2);
    first.ws.terminate();
    for (const text of ['2', '3', '4']) events.emit(notice(text));
    const back = connect(headers, `?since=1&session=${events.session}`);
    await until(() => back.heard.length === 4);
    events.emit(notice('5'));
    await until(() => back.heard.length === 5);
    expect(back.heard.slice(1).map((message) => message.seq)).toEqual([2, 3, 4, 5]);
    back.ws.close();
  });

  test('what is no call ends the connection, not the program', async () => {
    const headers = { cookie: await cookie(), origin: origin() };
    const { ws, state } = connect(headers);
    await state;
    const closed = new Promise((resolve) => ws.once('close', resolve));
    ws.send('{"id": "no number"');
    expect(await closed).toBe(1003);
    expect((await get('/', { cookie: headers.cookie })).status).toBe(200);
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
  test('targets, headers and cookies of any bytes, with and without an upgrade, whole and reset', async () => {
    const own = await cookie();
    const bytes = fc.array(fc.integer({ min: 0, max: 255 })).map((codes) => String.fromCharCode(...codes));
    const line = bytes.map((text) => text.replace(/[\r\n\0]/g, ''));
    const target = fc.oneof(
      line.map((text) => `/${text}`),
      fc.constantFrom('/socket', '//', '///', '/socket?since=x', '*', 'http://', 'http://[', '/%', '/%zz', '/media/%'),
      fc.constantFrom(`/?token=${'\xe9'.repeat(32)}`, '/?token=%ff', '/\\', 'http://x:99999/', '/%00', '/..%00/a'),
    );
    const credential = fc.oneof(
      line,
      fc.constantFrom(own, own.replace(/=.*/, `=${'\xe9'.repeat(32)}`), own.slice(0, -1), `${own}; ${own}`),
    );
    const headers = fc.record(
      {
        host: fc.oneof(fc.constant(`127.0.0.1:${served.port}`), line),
        origin: fc.oneof(fc.constant(origin()), fc.constant('null'), line),
        cookie: credential,
        'sec-websocket-key': fc.oneof(fc.constant('dGhlIHNhbXBsZSBub25jZQ=='), line),
        'sec-websocket-extensions': line,
        'sec-websocket-protocol': line,
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(target, headers, fc.boolean(), fc.boolean(), async (to, given, upgrade, reset) => {
        const sent = message(to, { ...given, ...(upgrade ? WEBSOCKET : { connection: 'close' }) });
        const answer = raw(sent, { reset: reset || (upgrade && given.cookie === own) });
        if (reset) await answer;
        else await Promise.race([answer, new Promise((r) => setTimeout(r, 50))]);
      }),
      { numRuns: 400 },
    );
    await isThere();
  });

  test('a target that is no address, a cookie of other bytes, a socket that is reset at once', async () => {
    const host = `127.0.0.1:${served.port}`;
    expect(await raw(message('//', { host, ...WEBSOCKET }))).toMatch(/^HTTP\/1\.1 400 /);
    const odd = (await cookie()).replace(/=.*/, `=${'\xe9'.repeat(32)}`);
    const asked = { host, origin: origin(), cookie: odd, 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' };
    expect(await raw(message('/socket', { ...asked, ...WEBSOCKET }))).toMatch(/^HTTP\/1\.1 403 /);
    expect(await raw(message('/', { host, cookie: odd, connection: 'close' }))).toMatch(/^HTTP\/1\.1 403 /);
    for (let i = 0; i < 50; i++) void raw(message('/socket', { host, ...WEBSOCKET }), { reset: true });
    await isThere();
  });

  test('refusals of every kind have the headers that keep a page in', async () => {
    const host = `127.0.0.1:${served.port}`;
    const own = await cookie();
    const refusals = {
      'no HTTP': 'no HTTP at all\r\n\r\n',
      'long header': message('/', { host, long: 'x'.repeat(100_000) }),
      'no UTF-8': message('/%', { host, cookie: own, connection: 'close' }),
      'no UTF-8 either': message('/%zz', { host, cookie: own, connection: 'close' }),
      'no address': message('//', { host, cookie: own, connection: 'close' }),
      stranger: message('/', { host, connection: 'close' }),
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
  const { ws, heard, state } = connect({ cookie: await cookie(), origin: origin() });
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
  const again = serve({ program: {} as never, files: folder, port: served.port });
  await expect(again).rejects.toMatchObject({ kind: 'conflict' });
});
