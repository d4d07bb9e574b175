import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { EmbeddingPart, partFolder } from '../../electron/services/embeddings/part.ts';
import { scratch } from '../store/helpers.ts';

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
const answer = async (child: ChildProcess) => (await once(child, 'message'))[0] as string;
async function spawned(file: string): Promise<ChildProcess> {
  const child = fork(join(import.meta.dirname, 'part-child.ts'), [file]);
  children.push(child);
  expect(await answer(child)).toBe('ready');
  return child;
}
const tell = (child: ChildProcess, message: object) => {
  const answered = answer(child);
  child.send(message);
  return answered;
};
const valuesOf = (part: EmbeddingPart) => [...part.read()].flatMap(({ values }) => [...values]);

test('of processes that take at once what a dead one left, one has it', { timeout: 120_000 }, async () => {
  const file = join(scratch(), 'all.npy');
  const all = await Promise.all(Array.from({ length: 3 }, () => spawned(file)));
  const dead = spawnSync(process.execPath, ['-e', '']).pid;
  const begun = new EmbeddingPart(file, 'the same', 1);
  begun.append({ images: 1, unreadable: [] }, Float32Array.of(7));
  begun.close();
  for (let round = 0; round < 40; round++) {
    writeFileSync(join(partFolder(file), 'process'), String(dead)); // as a kill leaves it
    const take = Date.now() + 20;
    const answers = await Promise.all(all.map((child) => tell(child, { take })));
    expect(answers.toSorted(), `round ${round}`).toEqual(['conflict', 'conflict', 'taken']);
    await Promise.all(all.map((child) => tell(child, { close: true })));
  }
  // And where nothing is there, and who had it removes all again.
  const empty = join(scratch(), 'empty.npy');
  const others = await Promise.all(Array.from({ length: 3 }, () => spawned(empty)));
  for (let round = 0; round < 20; round++) {
    const take = Date.now() + 20;
    const answers = await Promise.all(others.map((child) => tell(child, { take })));
    expect(answers.toSorted(), `round ${round}`).toEqual(['conflict', 'conflict', 'taken']);
    await Promise.all(others.map((child) => tell(child, { close: true })));
    expect(existsSync(partFolder(empty))).toBe(false);
  }
});

test('a process that is stopped keeps it, and a killed one leaves it to the next, with what it had', async () => {
  const file = join(scratch(), 'killed.npy');
  const child = await spawned(file);
  expect(await tell(child, { take: 0 })).toBe('taken');
  expect(await tell(child, { append: 3 })).toBe('appended');
  child.kill('SIGSTOP');
  const take = () => new EmbeddingPart(file, 'the same', 1);
  expect(take).toThrow(`killed.npy is being written by another export, of process ${child.pid}.`);
  child.kill('SIGKILL');
  await once(child, 'exit');
  const part = take();
  expect(valuesOf(part)).toEqual([3]);
  expect(take).toThrow(`of process ${process.pid}.`); // nor twice in one process
  part.append({ images: 2, unreadable: [{ id: 1, path: 'a', why: 'b' }] }, Float32Array.of(5));
  part.close();
  const next = take();
  expect(valuesOf(next)).toEqual([3, 5]);
  next.remove();
  expect(existsSync(next.folder)).toBe(false);
});

test('what a disk changed of it is computed again, with what follows; the rest is kept', () => {
  const file = join(scratch(), 'changed.npy');
  const values = (i: number) => Float32Array.from({ length: 8 }, (_, d) => i + d / 8);
  const open = () => new EmbeddingPart(file, 'the same', 2);
  const write = () => {
    const part = open();
    for (let i = part.chunks.length; i < 5; i++) part.append({ images: 4, unreadable: [] }, values(i));
    return part;
  };
  write().close();
  const [data, done] = ['values.f32', 'done.jsonl'].map((name) => join(partFolder(file), name)) as [string, string];
  const all = Array.from({ length: 5 }, (_, i) => [...values(i)]).flat();
  const [soundData, soundDone] = [readFileSync(data), readFileSync(done)];
  fc.assert(
    fc.property(fc.boolean(), fc.nat(), fc.integer({ min: 1, max: 255 }), (isData, at, mask) => {
      const bytes = Buffer.from(isData ? soundData : soundDone);
      bytes[at % bytes.length]! ^= mask;
      writeFileSync(data, isData ? bytes : soundData);
      writeFileSync(done, isData ? soundDone : bytes);
      const part = open();
      expect(part.chunks.length).toBeLessThan(5);
      expect(valuesOf(part)).toEqual(all.slice(0, 8 * part.chunks.length));
      if (isData) expect(part.chunks.length).toBe(Math.floor((at % bytes.length) / 32));
      if (part.chunks.length > 0) part.close();
      else {
        part.append({ images: 4, unreadable: [] }, values(0)); // with nothing in it, it goes
        part.close();
      }
      const whole = write();
      expect(valuesOf(whole)).toEqual(all);
      whole.close();
    }),
    { numRuns: 60 },
  );
});
