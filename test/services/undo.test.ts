import { existsSync, mkdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Events } from '../../electron/services/ground/events.ts';
import { type Deletion, Deletions } from '../../electron/services/ground/undo.ts';
import type { AppEvent } from '../../shared/contract/events.ts';
import { scratch } from '../store/helpers.ts';

let folder: string;
let deletions: Deletions;
let heard: AppEvent[];
beforeEach(() => {
  folder = scratch();
  const events = new Events();
  heard = [];
  events.listen(({ event }) => heard.push(event));
  deletions = new Deletions(events);
});
afterEach(() => void vi.useRealTimers());

/** A folder that is deleted; with something in it, that fails. */
function hide(id: number, kind: Deletion['kind'] = 'index', isFull = false): string {
  const path = join(folder, String(id));
  mkdirSync(path);
  if (isFull) writeFileSync(join(path, 'something'), '');
  const shown = () => heard.push({ type: 'indexes' });
  deletions.add({
    kind,
    ids: [id],
    name: `folder ${id}`,
    what: `Gone: ${id}.`,
    act: () => rmdirSync(path),
    changed: shown,
  });
  return path;
}
const failures = () => heard.flatMap((event) => (event.type === 'failure' ? [event.error] : []));
const FAILED = (id: number) => ({
  kind: 'bad-file',
  what: `Deleting folder ${id} failed: what is left of it is shown again.`,
  why: expect.stringMatching(/^ENOTEMPTY: /),
  next: 'See that its files can be written, and delete it again.',
});

test('half a minute later, a deletion that fails is shown again, and said', () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const [full, empty] = [hide(1, 'index', true), hide(2)];
  expect([1, 2].map((id) => deletions.isHidden('index', id))).toEqual([true, true]);
  heard.length = 0;
  vi.advanceTimersByTime(60_000); // an error of a timer would end the process: here it would be thrown
  expect([full, empty].map((path) => existsSync(path))).toEqual([true, false]);
  expect([1, 2].map((id) => deletions.isHidden('index', id))).toEqual([false, false]);
  expect(heard.map(({ type }) => type).toSorted()).toEqual(['failure', 'indexes', 'indexes']);
  expect(failures()).toMatchObject([FAILED(1)]);
});

test('before something is made in its place the failure is thrown, when the others are carried out', () => {
  const paths = [hide(1, 'index', true), hide(2), hide(3, 'index', true), hide(4), hide(5, 'prepared')];
  expect(() => deletions.settle('index')).toThrow(FAILED(1).what);
  expect(paths.map((path) => existsSync(path))).toEqual([true, false, true, false, true]);
  expect([1, 2, 3, 4].filter((id) => deletions.isHidden('index', id))).toEqual([]);
  expect(deletions.isHidden('prepared', 5)).toBe(true);
  expect(failures()).toMatchObject([FAILED(3)]); // the first is its caller's to say
  rmSync(join(paths[0]!, 'something'));
  deletions.settle('index'); // nothing waits any more
  expect(existsSync(paths[0]!)).toBe(true);
});

test('at the end of the program one that fails does not keep the others', () => {
  const paths = [hide(1, 'index', true), hide(2), hide(3, 'prepared')];
  deletions.close();
  expect(paths.map((path) => existsSync(path))).toEqual([true, false, false]);
  expect(failures()).toMatchObject([FAILED(1)]);
});

test('what is hidden is not deleted a second time: one undo brings it back', () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const gone: number[] = [];
  const ask = (...ids: number[]) =>
    deletions.add({
      kind: 'run',
      ids,
      name: `run ${ids}`,
      what: `Gone: ${ids}.`,
      changed: () => {},
      act: () => void gone.push(...ids),
    });
  const { undo } = ask(1);
  // A button that was pressed twice, and another window that had chosen it too.
  for (const ids of [[1], [1, 2]]) expect(() => ask(...ids)).toThrow('Deleted already: run 1.');
  expect(deletions.isHidden('run', 2)).toBe(false);
  deletions.restore(undo);
  expect(deletions.isHidden('run', 1)).toBe(false);
  vi.advanceTimersByTime(60_000);
  expect(gone).toEqual([]);
  ask(1, 2);
  vi.advanceTimersByTime(60_000);
  expect(gone).toEqual([1, 2]);
});
