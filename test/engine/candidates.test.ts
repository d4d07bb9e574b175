import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { advance, enqueue } from '../../electron/engine/enqueue.ts';
import { infoNCE } from '../../electron/engine/losses/info-nce.ts';
import { ntXent } from '../../electron/engine/losses/nt-xent.ts';
import { Network } from '../../electron/engine/network.ts';
import { startOf } from '../../electron/engine/parameters.ts';
import { pointerBuffer, queueBuffer } from '../../electron/engine/queue.ts';
import { differentiate, Value } from '../../electron/engine/tape.ts';
import { Gradients } from '../../electron/engine/weights.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { modelSchema } from '../../shared/config.ts';

// Losses over candidates beside plain numbers in double precision, and the queue that candidates are kept in.

beforeAll(async () => {
  await loadBackend();
});

const numbers = (name: string, count: number) => {
  const random = stream(5, 0, 0, name);
  return Float32Array.from({ length: count }, () => random.next() * 2 - 1);
};
const WIDTH = 4;
/** Rows of unit length. */
function rowsOf(name: string, count: number): number[][] {
  const all = numbers(name, count * WIDTH);
  return Array.from({ length: count }, (_, i) => {
    const row = Array.from(all.subarray(i * WIDTH, (i + 1) * WIDTH));
    return row.map((v) => v / Math.hypot(...row));
  });
}
const value = (rows: number[][]) => new Value(tf.tensor2d(rows));
const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, v, i) => sum + v * b[i]!, 0);
/** Of finding the candidate `right` among these. */
const entropy = (logits: number[], right: number) =>
  Math.log(logits.reduce((sum, v) => sum + Math.exp(v), 0)) - logits[right]!;
const mean = (some: readonly number[]) => some.reduce((a, b) => a + b, 0) / some.length;

test('among keys of the batch, each query looks for its own', () => {
  const [q, k] = [rowsOf('q', 5), rowsOf('k', 5)];
  const { loss, logits, top1 } = infoNCE(value(q), value(k), 0.2);
  const said = q.map((query) => k.map((key) => dot(query, key) / 0.2));
  expect(loss.tensor.dataSync()[0]).toBeCloseTo(mean(said.map((row, i) => entropy(row, i))), 5);
  said.flat().forEach((v, i) => void expect(logits!.tensor.dataSync()[i]).toBeCloseTo(v, 4));
  expect(top1).toBeCloseTo(mean(said.map((row, i) => +(row[i] === Math.max(...row)))), 6);
});

test('with a queue, the candidates are the own key and the queue, and no other key of the batch', () => {
  const [q, k, old] = [rowsOf('q', 3), rowsOf('k', 3), rowsOf('old', 6)];
  const columns = tf.tidy(() => tf.transpose(tf.tensor2d(old)));
  const { loss, logits, top1 } = infoNCE(value(q), value(k), 0.07, columns as tf.Tensor2D);
  const said = q.map((query, i) => [k[i]!, ...old].map((key) => dot(query, key) / 0.07));
  expect(logits!.tensor.shape).toEqual([3, 7]);
  said.flat().forEach((v, i) => void expect(logits!.tensor.dataSync()[i]).toBeCloseTo(v, 4));
  expect(loss.tensor.dataSync()[0]).toBeCloseTo(mean(said.map((row) => entropy(row, 0))), 5);
  expect(top1).toBeCloseTo(mean(said.map((row) => +(row[0] === Math.max(...row)))), 6);
});

test('in pieces of rows, which need less memory at once, the numbers are those of the whole', () => {
  const [q, k, old] = [rowsOf('q', 7), rowsOf('k', 7), rowsOf('old', 6)];
  const columns = tf.tidy(() => tf.transpose(tf.tensor2d(old))) as tf.Tensor2D;
  for (const queue of [columns, null]) {
    const answer = (largest: number) => {
      const gradients = new Gradients();
      const queries = value(q);
      const { loss, logits, top1 } = differentiate(gradients, 1, () => infoNCE(queries, value(k), 0.2, queue, largest));
      const gradient = queries.takeGradient();
      return { loss, top1, gradient: Array.from(gradient.dataSync()), isWhole: logits !== null };
    };
    const whole = answer(1000);
    expect(whole.isWhole).toBe(true);
    // Two rows at once, and one; the last piece is smaller than the others.
    for (const largest of [14, 20, 1]) {
      const pieces = answer(largest);
      expect(pieces.isWhole).toBe(false);
      expect(pieces.loss).toBeCloseTo(whole.loss, 6);
      expect(pieces.top1).toBe(whole.top1);
      pieces.gradient.forEach((v, i) => void expect(v).toBeCloseTo(whole.gradient[i]!, 6));
    }
  }
});

test('each view finds its partner among all others, itself left out', () => {
  const u = rowsOf('u', 8);
  const { loss, accuracy, entropy: ofChoice } = ntXent(value(u), 0.5);
  const losses = u.map((row, i) => {
    const others = [...u.keys()].filter((j) => j !== i);
    return entropy(
      others.map((j) => dot(row, u[j]!) / 0.5),
      others.indexOf((i + 4) % 8),
    );
  });
  expect(loss.tensor.dataSync()[0]).toBeCloseTo(mean(losses), 5);
  const across = u.slice(0, 4).map((row) => u.slice(4).map((other) => Math.exp(dot(row, other) / 0.5)));
  expect(accuracy).toBeCloseTo(mean(across.map((row, i) => +(row[i] === Math.max(...row)))), 6);
  const entropies = across.map((row) => {
    const sum = row.reduce((a, b) => a + b, 0);
    return -row.reduce((total, v) => total + (v / sum) * Math.log(v / sum), 0);
  });
  expect(ofChoice).toBeCloseTo(mean(entropies), 5);
  expect(() => ntXent(value(rowsOf('u', 3)), 0.5)).toThrow('no two views');
});

test('features that are all one, or no numbers, find nothing', () => {
  const [alike, none] = [1, Number.NaN].map((v) => Array.from({ length: 6 }, () => [v, 0, 0, 0]));
  for (const rows of [alike!, none!]) {
    expect(infoNCE(value(rows), value(rows), 0.2).top1).toBe(0);
    expect(infoNCE(value(rows), value(rows), 0.2, tf.tensor2d([[1], [0], [0], [0]])).top1).toBe(0);
    expect(ntXent(value(rows), 0.2).accuracy).toBe(0);
  }
  expect(infoNCE(value(alike!), value(alike!), 0.2).loss.tensor.dataSync()[0]).toBeCloseTo(Math.log(6), 5);
  expect(ntXent(value(alike!), 0.2).loss.tensor.dataSync()[0]).toBeCloseTo(Math.log(5), 5);
});

const NAMES = { queue: 'queue', pointer: 'queue_ptr' };
const buffers = [queueBuffer('queue', 2, 6), queueBuffer('queue2', 2, 6), pointerBuffer('queue_ptr')];
function queueNetwork(seed = 1) {
  const spec = { model: modelSchema.parse({}), parameters: [], buffers };
  return new Network(
    spec,
    startOf(spec, (name) => stream(seed, 0, 0, name)),
  );
}

test('a queue starts with columns of unit length, other ones for another seed, and for another queue', () => {
  const states = [1, 1, 2].map((seed) => queueNetwork(seed));
  const [one, same, other] = states.map((network) => network.get('queue')!.data);
  expect(same).toEqual(one);
  expect(other).not.toEqual(one);
  expect(states[0]!.get('queue2')!.data).not.toEqual(one);
  for (let column = 0; column < 6; column++) expect(Math.hypot(one![column]!, one![6 + column]!)).toBeCloseTo(1, 6);
  for (const network of states) network.dispose();
});

test('keys replace the oldest, from where the pointer stands, and go on at the front after the end', () => {
  const before = tf.memory().numTensors;
  const network = queueNetwork();
  const start = [...network.get('queue')!.data];
  const keys = (from: number) =>
    tf.tensor2d(
      Array.from({ length: 6 }, (_, i) => from + i),
      [3, 2],
    );
  const put = (from: number, names = NAMES) => tf.tidy(() => enqueue(network, names, keys(from)));
  put(10);
  put(20, { ...NAMES, queue: 'queue2' }); // shares the pointer, which has not moved
  tf.tidy(() => advance(network, NAMES, 3));
  expect([...network.get('queue')!.data]).toEqual([10, 12, 14, ...start.slice(3, 6), 11, 13, 15, ...start.slice(9)]);
  expect([...network.get('queue2')!.data].slice(0, 3)).toEqual([20, 22, 24]);
  expect([...network.get('queue_ptr')!.data]).toEqual([3]);
  put(30);
  tf.tidy(() => advance(network, NAMES, 3));
  expect([...network.get('queue')!.data]).toEqual([10, 12, 14, 30, 32, 34, 11, 13, 15, 31, 33, 35]);
  expect([...network.get('queue_ptr')!.data]).toEqual([0]);
  expect(() => tf.tidy(() => enqueue(network, NAMES, tf.zeros([4, 2])))).toThrow('whole batches of 4');
  network.dispose();
  expect(tf.memory().numTensors).toBe(before);
});
