import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { Events } from '../../electron/services/events.ts';
import { type Served, serve } from '../../electron/shell/browser.ts';
import type { AppEvent, Numbered } from '../../shared/ipc.ts';

let folder: string;
let served: Served;
let events: Events;
const notice = (text: string): AppEvent => ({ type: 'notice', text, run: null });

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'browser-'));
  const files = join(folder, 'site');
  mkdirSync(files);
  writeFileSync(join(files, 'index.html'), '<p>window</p>');
  writeFileSync(join(folder, 'outside.txt'), 'secret');
  events = new Events();
  const program = {
    session: events.session,
    get seq() {
      return events.seq;
    },
    call: async (channel: string, input: unknown) => ({ ok: true as const, value: { channel, input } }),
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
