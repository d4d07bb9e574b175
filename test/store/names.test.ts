import Database from 'better-sqlite3';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { findCheckpoint } from '../../electron/cli/model-commands.ts';
import { MOST_NAME, tagSchema } from '../../shared/names.ts';
import { isPrintable } from '../../shared/printable.ts';
import { CONFIG, catchError, image, newStore, state } from './helpers.ts';

const anything = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 250 }),
  fc.string({ unit: 'grapheme', maxLength: 250 }),
  fc.constantFrom('run:t1', 'RUN:1', '12', ' 7 ', '', ' ', '\x1b[31mRED', 'two\nlines', 'x'.repeat(100_000), '\ud800'),
  fc.constantFrom('-rf', '--help', 'e\u0301', '__proto__', "it's", '\u202e', 'spaced '),
);

test('a name is refused, or it is one line of a sensible length by which its run and dataset are found', () => {
  const { store } = newStore();
  let kept = 0;
  fc.assert(
    fc.property(anything, (name) => {
      for (const kind of ['dataset', 'run'] as const) {
        const make = () =>
          kind === 'dataset'
            ? store.datasets.create({ name, folders: [], labels: 'none' })
            : store.runs.create({
                name,
                dataset_id: null,
                preset: null,
                config: CONFIG,
                total_steps: 1,
                steps_per_epoch: 1,
              });
        let made: { id: number; name: string };
        try {
          made = make();
        } catch (error) {
          expect((error as { kind?: string }).kind).toMatch(/bad-input|conflict/);
          expect((error as Error).message.length).toBeLessThan(400);
          continue;
        }
        kept++;
        expect(isPrintable(made.name)).toBe(true);
        expect(made.name.length).toBeLessThanOrEqual(MOST_NAME);
        expect(made.name).not.toMatch(/^\d+$/);
        const found = kind === 'dataset' ? store.datasets.get(made.name) : store.runs.get(made.name);
        expect(found.id).toBe(made.id);
        expect((kind === 'dataset' ? store.datasets.get(name) : store.runs.get(name)).id).toBe(made.id);
        if (kind === 'run') {
          const { id } = store.checkpoints.save(
            made.id,
            { step: 1, epoch: 0, loss: null, config: CONFIG, state: {} },
            { student: state(1, 1), teacher: state(1, 1) },
          );
          expect(findCheckpoint(store, `run:${made.name}`)).toBe(id);
          store.runs.delete(made.id);
        } else store.datasets.delete(made.id);
      }
    }),
    { numRuns: 150 },
  );
  expect(kept).toBeGreaterThan(20);
});

describe('names', () => {
  test.each(['run:t1', '12', 'two\nlines', '\x1b]0;title\x07', 'x'.repeat(201), '\u202eevil', ' '])(
    'a run cannot be called %j, nor be renamed so',
    (name) => {
      const { store, run } = newStore();
      const base = { dataset_id: null, preset: null, config: CONFIG, total_steps: 1, steps_per_epoch: 1 };
      expect(catchError(() => store.runs.create({ ...base, name }))).toMatchObject({ kind: 'bad-input' });
      expect(catchError(() => store.runs.update(run.id, { name }))).toMatchObject({ kind: 'bad-input' });
      expect(store.runs.get(run.id).name).toBe(run.name);
    },
  );

  test('names of old stay as they are, and are found', () => {
    const { store, run, path } = newStore();
    const raw = new Database(path);
    onTestFinished(() => void raw.close());
    for (const name of ['run:t1', 'two\nlines', 'x'.repeat(300), ' padded ']) {
      raw.prepare('UPDATE runs SET name = ? WHERE id = ?').run(name, run.id);
      expect(store.runs.get(name).id).toBe(run.id);
      store.runs.update(run.id, { notes: 'n', name });
      expect(store.runs.get(run.id)).toMatchObject({ name, notes: 'n' });
    }
  });

  test('names that are made of others are cut and shown', () => {
    const { store } = newStore();
    expect(store.runs.freeName('imported a\nb\x1b.pth')).toBe('imported a\\nb\\x1b.pth');
    const long = store.runs.freeName('🐈'.repeat(300));
    expect(long.length).toBeLessThanOrEqual(MOST_NAME);
    expect(isPrintable(long)).toBe(true);
    const base = { dataset_id: null, preset: null, config: CONFIG, total_steps: 1, steps_per_epoch: 1 };
    store.runs.create({ ...base, name: long });
    const second = store.runs.freeName('🐈'.repeat(300));
    expect(second).toMatch(/… 2$/);
    expect(second.length).toBeLessThanOrEqual(MOST_NAME);
  });

  test('one name in two spellings is one name', () => {
    const { store } = newStore();
    const { id, name } = store.datasets.create({ name: ' caf\u0065\u0301 ', folders: [], labels: 'none' });
    expect(name).toBe('caf\u00e9');
    expect(store.datasets.get('cafe\u0301').id).toBe(id);
    const again = () => store.datasets.create({ name: 'cafe\u0301', folders: [], labels: 'none' });
    expect(catchError(again)).toMatchObject({ kind: 'conflict' });
  });

  test('tags too', () => {
    for (const tag of ['\x1b[1m', '', ' ', 'x'.repeat(51), 'a\nb', '\ud800'])
      expect(tagSchema.safeParse(tag).success, JSON.stringify(tag)).toBe(false);
    expect(tagSchema.parse(' good ')).toBe('good');
  });
});

test('a search finds letters large and small, and with accents however they are written', () => {
  const { store, dataset } = newStore();
  const paths = [
    'É.png',
    'é2.png',
    'e\u03013.png',
    'E\u03014.png',
    'e5.png',
    'STRASSE.png',
    'straße.png',
    'İz.png',
    'a\nb.png',
  ];
  store.images.upsertMany(
    dataset.id,
    paths.map((path) => image(path)),
  );
  const rest = {
    offset: 0,
    limit: 9,
    status: null,
    label: null,
    reason: null,
    sort: 'path',
    descending: false,
  } as const;
  const found = (search: string) => store.images.page(dataset.id, { ...rest, search }).images.map(({ path }) => path);
  for (const search of ['é', 'É', 'e\u0301', 'E\u0301']) expect(found(search).sort()).toEqual(paths.slice(0, 4).sort());
  for (const search of ['straße', 'STRASSE', 'Strasse']) expect(found(search).sort()).toEqual(paths.slice(5, 7).sort());
  expect(found('')).toHaveLength(9);
  expect(found('İ')).toEqual(['İz.png']);
  // By name: as it is, as it is shown, as it is typed.
  const { id } = store.images.list(dataset.id).find(({ path }) => path === 'a\nb.png')!;
  expect(store.images.named(dataset.id, 'a\nb.png')).toBe(id);
  expect(store.images.named(dataset.id, 'a\\nb.png')).toBe(id);
  expect(store.images.named(dataset.id, '\u00e93.png')).not.toBeNull();
  expect(store.images.named(dataset.id, '3.png')).toBeNull();
});

test('finds an image by its name on the disk, also where a shell’s text has lost its bytes', () => {
  const paths = ['lit\\x5cx41.png', 'caf\\xe9/1.png', 'caf\\xe9/2.png', 'caf\\xe8/2.png'];
  const { store, dataset } = newStore();
  store.images.upsertMany(
    dataset.id,
    paths.map((path) => image(path)),
  );
  const idOf = (path: string) => store.images.list(dataset.id).find((row) => row.path === path)!.id;
  expect(store.images.named(dataset.id, 'lit\\x41.png')).toBe(idOf('lit\\x5cx41.png'));
  expect(store.images.named(dataset.id, 'caf\ufffd/1.png')).toBe(idOf('caf\\xe9/1.png'));
  expect(store.images.named(dataset.id, 'caf\ufffd/2.png')).toBeNull(); // two are called so
});
