import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { once, submits } from '../../renderer/widgets/submits.ts';

test('a form that is sent again while it is at work does it once; afterwards it can be sent again', async () => {
  let [begun, kept] = [0, 0];
  let { promise, resolve } = Promise.withResolvers<void>();
  const send = submits(() => {
    begun++;
    return promise;
  });
  const event = { preventDefault: () => void kept++ };
  for (let i = 0; i < 3; i++) send(event);
  expect([begun, kept]).toEqual([1, 3]);
  resolve();
  await new Promise((done) => setImmediate(done));
  ({ promise, resolve } = Promise.withResolvers<void>());
  send(event);
  send(event);
  expect([begun, kept]).toEqual([2, 5]);
  resolve();
});

test('a button that is pressed again while what it began is at work begins it once, and again after a failure', async () => {
  let begun = 0;
  const { promise, reject } = Promise.withResolvers<void>();
  const press = once(() => {
    begun++;
    return promise;
  });
  const first = press();
  await press();
  expect(begun).toBe(1);
  reject(new Error('no'));
  await expect(first).rejects.toThrow('no');
  await expect(press()).rejects.toThrow('no');
  expect(begun).toBe(2);
});

// Components whose one button begins such work: each wraps it, as `makingOf` does.
const BEGINS =
  /call\('(datasets\.rescan|datasets\.import-sample|runtime\.trial|\w+\.build|explore\.accuracy|probes\.compute)'/;
test('what begins work by a button does so once', () => {
  const files = ['renderer', 'methods'].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.svelte'))
      .map((name) => `${folder}/${name}`),
  );
  const begin = files.filter((name) => BEGINS.test(readFileSync(name, 'utf8')));
  expect(begin.length).toBeGreaterThanOrEqual(7);
  expect(begin.filter((name) => !/\b(once|makingOf)\(/.test(readFileSync(name, 'utf8')))).toEqual([]);
});
