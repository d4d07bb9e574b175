import { expect, test } from 'vitest';
import { submits } from '../../renderer/widgets/submits.ts';

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
