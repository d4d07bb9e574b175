import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { Store } from '../../electron/store/store.ts';
import { splitLabelled } from '../../electron/trainer/labelled.ts';
import { splitWords } from '../../shared/labels.ts';

const root = mkdtempSync(join(tmpdir(), 'labelled-'));
const store = Store.open(join(root, 'workbench.sqlite'));
afterAll(() => {
  store.close();
  rmSync(root, { recursive: true });
});

interface Given {
  path: string;
  label: string | null;
  /** Names the content. */
  content?: string;
  same?: boolean;
}
let made = 0;
const hashOf = (content: string) => createHash('sha256').update(content).digest('hex');

function put(id: number, images: Given[]): void {
  store.images.upsertMany(
    id,
    images.map(({ path, label, content = path, same = false }) => ({
      folder: 0,
      path,
      bytes: 1,
      mtime: 1,
      hash: hashOf(content),
      width: 9,
      height: 9,
      format: 'png',
      label,
      status: same ? 'skipped' : 'ok',
      reason: same ? 'duplicate' : null,
      detail: null,
    })),
  );
}
function newDataset(images: Given[], labels: 'none' | 'folders' = 'folders'): number {
  const { id } = store.datasets.create({ name: `set ${++made}`, folders: ['/x'], labels });
  put(id, images);
  return id;
}
const inClass = (label: string, n: number, from = 0): Given[] =>
  Array.from({ length: n }, (_, i) => ({ path: `${label}/${from + i}.png`, label }));
const hashes = (images: readonly { hash: string }[]) => images.map(({ hash }) => hash);

describe('about a fifth of each class', () => {
  test('holds for many images, is the same each time, and shares no content', () => {
    const id = newDataset([...inClass('a', 2000), ...inClass('b', 1000), ...inClass('c', 40)]);
    const { train, test, classes, notices } = splitLabelled(store, id);
    expect(classes).toEqual(['a', 'b', 'c']);
    expect(notices).toEqual([]);
    for (const [label, n] of [
      ['a', 2000],
      ['b', 1000],
    ] as const) {
      const share = test.filter((image) => image.label === label).length / n;
      expect(Math.abs(share - 0.2)).toBeLessThan(5 * Math.sqrt(0.16 / n));
    }
    expect(train.length + test.length).toBe(3040);
    expect(new Set([...hashes(train), ...hashes(test)]).size).toBe(3040);
    expect(splitLabelled(store, id)).toEqual(splitLabelled(store, id));
  });

  test('no training image becomes a test image when classes grow, in any order', () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 2, maxLength: 4 });
    fc.assert(
      fc.property(sizes, fc.array(sizes, { minLength: 1, maxLength: 4 }), fc.string(), (start, additions, salt) => {
        const counts: number[] = [];
        const grown = (more: number[]) =>
          more.flatMap((n, c) => {
            const from = counts[c] ?? 0;
            counts[c] = from + n;
            const images = inClass(`class${c}`, n, from);
            return images.map((image) => ({ ...image, content: `${salt} ${image.path}` }));
          });
        const id = newDataset([]);
        const trained = new Set<string>();
        for (const more of [start, ...additions]) {
          put(id, grown(more));
          let split: ReturnType<typeof splitLabelled>;
          try {
            split = splitLabelled(store, id);
          } catch (error) {
            expect(error).toMatchObject({ kind: 'bad-input' });
            continue;
          }
          expect(hashes(split.test).filter((hash) => trained.has(hash))).toEqual([]);
          expect(split.test.length).toBeGreaterThan(0);
          for (const label of split.classes) {
            expect(split.train.some((image) => image.label === label)).toBe(true);
            expect(split.test.some((image) => image.label === label)).toBe(true);
          }
          for (const hash of hashes(split.train)) trained.add(hash);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('a training that was begun keeps its tests where images go away; an older one keeps its ranks', () => {
    // Classes without an image below the threshold, so that the lowest is the test.
    const id = newDataset([...inClass('a', 4), ...inClass('b', 4), ...inClass('c', 4), ...inClass('d', 4)]);
    const { train, lone } = splitLabelled(store, id);
    expect(lone.length).toBeGreaterThan(0);
    const gone = store.images.list(id).filter(({ hash }) => lone.includes(hash));
    store.images.markVanished(gone.map((row) => row.id));
    const known = new Set(hashes(train));
    const again = () => splitLabelled(store, id, null, { lone });
    const split = (() => {
      try {
        return again();
      } catch {
        return null; // no test is left: that is said
      }
    })();
    expect(hashes(split?.test ?? []).filter((hash) => known.has(hash))).toEqual([]);

    const ranked = newDataset([...inClass('a', 20), ...inClass('b', 10)]);
    const old = splitLabelled(store, ranked, null, 'rank');
    expect(old.test.map(({ label }) => label).sort()).toEqual(['a', 'a', 'a', 'a', 'b', 'b']);
  });

  test('classes that cannot be on both sides are left out and named; none left is refused in words', () => {
    const id = newDataset([
      ...inClass('a', 30),
      ...inClass('b', 30),
      ...inClass('rare', 1),
      { path: 'x.png', label: null },
    ]);
    const { classes, train, test, notices } = splitLabelled(store, id);
    expect(classes).toEqual(['a', 'b']);
    expect([...train, ...test].some(({ label }) => label === 'rare')).toBe(false);
    expect(notices.join('\n')).toContain('Class "rare" is left out with its 1 image');
    expect(notices.join('\n')).toContain('1 image lies in no class folder');
    const { lone } = splitLabelled(store, id);
    const again = splitLabelled(store, id, null, { lone }); // as the training that was made of it asks
    expect(again.classes).toEqual(classes);
    expect([again.train, again.test].map(hashes)).toEqual([train, test].map(hashes));
    const single = newDataset(['a', 'b', 'c'].flatMap((label) => inClass(label, 1)));
    expect(() => splitLabelled(store, single)).toThrow('No class has images to train on and to test on.');
    const error = catchError(() => splitLabelled(store, single));
    expect(error).toMatchObject({ kind: 'bad-input' });
    expect(String(error.next)).not.toContain('--labels');
    const one = newDataset(inClass('cat', 8));
    expect(catchError(() => splitLabelled(store, one)).next).not.toContain('--labels');
    expect(catchError(() => splitLabelled(store, newDataset([{ path: 'a', label: null }], 'none'))).next).toContain(
      '--labels',
    );
  });
});

function catchError(act: () => unknown): { kind: string; why: string; next: string } {
  try {
    act();
  } catch (error) {
    return error as { kind: string; why: string; next: string };
  }
  throw new Error('nothing was thrown');
}

describe('test images of their own', () => {
  test('those that are trained on are left out and counted, wherever their copies lie; all of them are refused', () => {
    const train = newDataset([...inClass('a', 10), ...inClass('b', 10)]);
    const copies = inClass('a', 3).map((image, i) => ({ ...image, path: `a/copy ${i}.png`, content: image.path }));
    const other = newDataset([...copies, { path: 'b/new.png', label: 'b', content: 'new' }]);
    const split = splitLabelled(store, train, other);
    expect(split.train).toHaveLength(20);
    expect(split.test.map(({ path }) => path)).toEqual(['b/new.png']);
    expect(split.notices.join()).toContain('3 of 4 test images are training images too');
    expect(() => splitLabelled(store, train, train)).toThrow('All 20 test images are training images too.');
    // One image of a class is enough where the test is another dataset's.
    const few = newDataset([...inClass('a', 1), ...inClass('b', 1)]);
    const far = newDataset([{ path: 'b/far.png', label: 'b', content: 'far' }]);
    expect(splitLabelled(store, few, far)).toMatchObject({ classes: ['a', 'b'], notices: [] });
  });
});

test('equal files in folders of several classes, and class folders that are a split, are said', () => {
  const id = newDataset([
    ...inClass('clean', 8),
    ...inClass('copy', 8),
    { path: 'copy/from clean.png', label: 'copy', content: 'clean/0.png', same: true },
    { path: 'clean/twice.png', label: 'clean', content: 'clean/1.png', same: true },
  ]);
  const { notices } = splitLabelled(store, id);
  expect(notices).toEqual([expect.stringContaining('1 file is equal to one of another class: copy/from clean.png')]);
  const parts = newDataset(['train', 'val', 'test'].flatMap((label) => inClass(label, 20)));
  expect(splitLabelled(store, parts).notices).toEqual([expect.stringContaining('look like the parts of a split')]);
  for (const labels of [
    ['train', 'test'],
    ['Training', 'Validation'],
    ['dev', 'eval', 'train'],
  ])
    expect(splitWords(labels)).not.toBe('');
  for (const labels of [['bus', 'car', 'train'], ['train'], [], ['cat', 'dog']]) expect(splitWords(labels)).toBe('');
});
