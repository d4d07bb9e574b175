import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { damagedFiles, lookAt } from '../../electron/services/retrieval/contents.ts';
import { measureRecall, RECALL_GOAL, updateLists } from '../../electron/services/retrieval/vector-builder.ts';
import { VectorIndex } from '../../electron/services/retrieval/vector-index.ts';

const WIDTH = 40; // not a multiple of 16: codes are filled up
const folders: string[] = [];
beforeAll(() => loadBackend());
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

async function empty(): Promise<VectorIndex> {
  const folder = await mkdtemp(join(tmpdir(), 'vectors-'));
  folders.push(folder);
  return VectorIndex.open(folder, WIDTH);
}

/** Rows around centres, of unit length. */
function rows(n: number, seed: number, clusters = 300): Float32Array {
  const random = stream(seed, 0, 0, 'rows');
  const normal = () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  const fixed = stream(1, 0, 0, 'centres');
  const centres = Float32Array.from({ length: clusters * WIDTH }, () => fixed.next() - 0.5);
  const out = new Float32Array(n * WIDTH);
  for (let i = 0; i < n; i++) {
    const at = Math.floor(random.next() * clusters) * WIDTH;
    const row = Array.from({ length: WIDTH }, (_, d) => centres[at + d]! + 0.2 * normal());
    const length = Math.hypot(...row);
    out.set(
      row.map((x) => x / length),
      i * WIDTH,
    );
  }
  return out;
}

/** Rows in no clusters: spread evenly over all directions. */
function even(n: number, seed: number): Float32Array {
  const random = stream(seed, 0, 0, 'even');
  const normal = () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  const out = Float32Array.from({ length: n * WIDTH }, normal);
  for (let at = 0; at < out.length; at += WIDTH) {
    const length = Math.hypot(...out.subarray(at, at + WIDTH));
    for (let d = at; d < at + WIDTH; d++) out[d]! /= length;
  }
  return out;
}

/** The best of all cosines, in double precision: what the index is held against. */
function exact(all: Float32Array, query: Float32Array, k: number): { row: number; score: number }[] {
  const best: { row: number; score: number }[] = [];
  for (let row = 0; row < all.length / WIDTH; row++) {
    let score = 0;
    for (let d = 0; d < WIDTH; d++) score += query[d]! * all[row * WIDTH + d]!;
    if (best.length === k && score <= best.at(-1)!.score) continue;
    best.push({ row, score });
    best.sort((a, b) => b.score - a.score).splice(k);
  }
  return best;
}

test('a small index compares all rows', async () => {
  const index = await empty();
  const all = rows(3000, 2);
  index.append(all);
  await updateLists(index);
  expect(index.description.lists).toBe(0);
  const query = rows(1, 3);
  const hits = index.search(query, { k: 10 });
  const right = exact(all, query, 10);
  expect(hits.map(({ row }) => row)).toEqual(right.map(({ row }) => row));
  hits.forEach(({ score }, i) => {
    expect(score).toBeCloseTo(right[i]!.score, 3);
  });
  index.close();
});

test('lists: recall by score against double precision, filters, growth without rebuilding, opening again', async () => {
  const index = await empty();
  const first = rows(30_000, 4);
  index.append(first);
  await updateLists(index);
  expect(index.description.lists).toBeGreaterThan(100);
  expect(index.isMapped).toBe(process.platform !== 'win32');
  expect(index.description.recall!.recall).toBeGreaterThanOrEqual(RECALL_GOAL);
  expect(index.description.share).toBeLessThan(0.5);

  const more = rows(5000, 5);
  index.append(more);
  await updateLists(index);
  expect(index.description.segments.map(({ from, to }) => [from, to])).toEqual([
    [0, 30_000],
    [30_000, 35_000],
  ]);
  const all = new Float32Array([...first, ...more]);
  index.close();
  const again = await VectorIndex.open(index.folder, WIDTH);
  let [reached, odd] = [0, 0];
  for (let q = 0; q < 100; q++) {
    const query = rows(1, 100 + q);
    const least = exact(all, query, 10).at(-1)!.score;
    reached += again.search(query, { k: 10 }).filter(({ score }) => score >= least - 1e-4).length;
    const filtered = again.search(query, { k: 10, accept: (row) => row % 2 === 1 });
    expect(filtered).toHaveLength(10);
    odd += filtered.filter(({ row }) => row % 2 === 1).length;
  }
  expect(reached / 1000).toBeGreaterThanOrEqual(RECALL_GOAL);
  expect(odd).toBe(1000);
  // A planted row is found, first, in the old and in the new segment.
  for (const row of [17, 34_321])
    expect(again.search(all.slice(row * WIDTH, (row + 1) * WIDTH), { k: 1 })[0]!.row).toBe(row);
  // Few rows are let through: all of those are compared.
  const rare = again.search(rows(1, 9), { k: 5, accept: (row) => row % 7000 === 0, accepted: 5 });
  expect(rare.map(({ row }) => row).sort((a, b) => a - b)).toEqual([0, 7000, 14_000, 21_000, 28_000]);
  again.close();
});

test('rows of another kind are added: recall is measured anew, and more is looked at where it fell', async () => {
  const index = await empty();
  const all = [rows(21_000, 20, 40)];
  index.append(all[0]!);
  await updateLists(index);
  const { share: narrow, lists } = index.description;
  for (const times of [2, 3]) {
    all.push(even(21_000, times));
    index.append(all.at(-1)!);
    await updateLists(index);
    const { recall, segments, share } = index.description;
    expect(segments).toHaveLength(times); // nothing was built anew
    expect(index.description.lists).toBe(lists);
    expect(share).toBeGreaterThan(narrow);
    expect(recall!.recall).toBeGreaterThanOrEqual(RECALL_GOAL);
  }
  const joined = new Float32Array(all.length * 21_000 * WIDTH);
  for (const [i, one] of all.entries()) joined.set(one, i * one.length);
  let [found, missed] = [0, 0];
  for (let q = 0; q < 20; q++) {
    const query = even(1, 100 + q);
    const least = exact(joined, query, 10).at(-1)!.score;
    const reached = (share?: number) =>
      index.search(query, { k: 10, share }).filter(({ score }) => score >= least - 1e-4);
    found += reached().length;
    missed += 10 - reached(narrow).length;
  }
  expect(found / 200).toBeGreaterThanOrEqual(0.9);
  expect(missed / 200).toBeGreaterThan(0.2); // what the first share would miss
  index.close();
});

test('rotated codes fail recall, and the index says so', async () => {
  const index = await empty();
  // Clusters that are far larger than what is scored again: codes must tell their members apart.
  index.append(rows(25_000, 6, 5));
  await updateLists(index);
  const good = index.description.recall!.recall;
  const path = join(index.folder, `${index.description.segments[0]!.file}.codes`);
  const codes = readFileSync(path);
  index.close();
  const rotated = new Uint8Array(codes.length);
  const padded = 48;
  // The first values of every code turned round by one: lengths stay, directions do not.
  for (let at = 0; at < codes.length; at += padded)
    for (let d = 0; d < WIDTH; d++) rotated[at + ((d + 1) % WIDTH)] = codes[at + d]!;
  writeFileSync(path, rotated);
  const again = await VectorIndex.open(index.folder, WIDTH);
  const { recall } = await measureRecall(again);
  expect(good).toBeGreaterThanOrEqual(RECALL_GOAL);
  expect(recall).toBeLessThan(0.5);
  expect(again.description.recall!.recall).toBe(recall);
  again.close();
});

test('a segment that was cut is refused, with what to do', async () => {
  const index = await empty();
  index.append(rows(21_000, 7));
  await updateLists(index);
  index.close();
  const path = join(index.folder, `${index.description.segments[0]!.file}.codes`);
  writeFileSync(path, readFileSync(path).subarray(0, 5000));
  await expect(VectorIndex.open(index.folder, WIDTH)).rejects.toMatchObject({
    kind: 'bad-file',
    next: /build it again/,
  });
});

test('a build that is stopped anywhere goes on after what is finished, and ends like one that was not', async () => {
  const all = rows(22_000, 8);
  const whole = await empty();
  whole.append(all);
  const chunk = 4000;
  await updateLists(whole, { chunk });

  const index = await empty();
  index.append(all);
  const said: string[] = [];
  /** Builds until it says this. */
  const until = async (stop: string) => {
    said.length = 0;
    const abort = new AbortController();
    const built = updateLists(index, {
      chunk,
      signal: abort.signal,
      onProgress: (done, _total, phase) => {
        said.push(`${phase} ${done}`);
        if (said.at(-1) === stop) abort.abort();
      },
    });
    await expect(built).rejects.toThrow(/abort/);
  };
  await until('learning the lists 3');
  expect(said).toEqual([0, 1, 2, 3].map((turn) => `learning the lists ${turn}`));
  expect(readdirSync(index.folder)).toContain('learning.f32');
  await until('learning the lists 6');
  expect(said).toEqual([3, 4, 5, 6].map((turn) => `learning the lists ${turn}`));
  await until('sorting patches into lists 8000');
  expect(said.filter((words) => words.startsWith('learning'))).toEqual([
    'learning the lists 6',
    'learning the lists 7',
  ]);
  // As a process that is killed while it writes leaves it: part of a chunk more than was finished.
  appendFileSync(join(index.folder, 'segment-0-22000.lists'), Buffer.alloc(4 * 1234, 7));
  await until('sorting patches into lists 20000');
  expect(said).toEqual([8000, 12_000, 16_000, 20_000].map((n) => `sorting patches into lists ${n}`));
  await until('writing 12000');
  expect(said).toEqual([
    'sorting patches into lists 20000',
    'writing 0',
    'writing 4000',
    'writing 8000',
    'writing 12000',
  ]);
  expect(index.listed).toBe(0);
  appendFileSync(join(index.folder, 'segment-0-22000.codes'), Buffer.alloc(5000, 7));
  index.close();
  const again = await VectorIndex.open(index.folder, WIDTH); // and another process goes on
  said.length = 0;
  const abort = new AbortController();
  const measuring = updateLists(again, {
    chunk,
    signal: abort.signal,
    onProgress: (done, _total, phase) => {
      said.push(`${phase} ${done}`);
      if (phase === 'comparing with all patches') abort.abort();
    },
  });
  await expect(measuring).rejects.toThrow(/abort/);
  expect(said).toEqual(['writing 12000', 'writing 16000', 'writing 20000', 'comparing with all patches 0']);
  expect(again.listed).toBe(22_000);
  await updateLists(again, { chunk });

  const files = readdirSync(whole.folder).sort();
  expect(files).toEqual(['centres.f32', 'index.json', 'segment-0-22000.codes', 'segment-0-22000.order', 'vectors.f16']);
  expect(readdirSync(again.folder).sort()).toEqual(files);
  for (const file of files.filter((name) => name !== 'index.json'))
    expect(readFileSync(join(again.folder, file)).equals(readFileSync(join(whole.folder, file)))).toBe(true);
  const { recall, ...rest } = again.description;
  expect(rest).toEqual({ ...whole.description, recall: undefined });
  expect(recall!.recall).toBe(whole.description.recall!.recall);
  whole.close();
  again.close();
});

test('what was learned of other rows is not gone on with', async () => {
  const index = await empty();
  index.append(rows(21_000, 12));
  const said: string[] = [];
  const until = (turn: number) =>
    updateLists(index, {
      onProgress: (done, _total, phase) => {
        said.push(`${phase} ${done}`);
        if (phase.startsWith('learning') && done === turn) expect.fail('stop');
      },
    });
  await expect(until(4)).rejects.toThrow('stop');
  index.append(rows(300, 13));
  said.length = 0;
  await expect(until(2)).rejects.toThrow('stop');
  expect(said[0]).toBe('learning the lists 0');
  await updateLists(index);
  expect(index.listed).toBe(21_300);
  expect(readdirSync(index.folder)).not.toContain('learning.f32');
  index.close();
});

test('rows that came while a build was stopped are listed after it; rows that went end its plan', async () => {
  const index = await empty();
  index.append(rows(21_000, 9));
  const stop = () =>
    updateLists(index, { onProgress: (_done, _total, phase) => phase.startsWith('sorting') && expect.fail('stop') });
  await expect(stop()).rejects.toThrow('stop');
  index.append(rows(500, 10));
  await updateLists(index);
  expect(index.description.segments.map(({ from, to }) => [from, to])).toEqual([
    [0, 21_000],
    [21_000, 21_500],
  ]);
  index.append(rows(1000, 11));
  await expect(stop()).rejects.toThrow('stop');
  expect(index.description.planned).toMatchObject({ from: 21_500, to: 22_500 });
  index.truncate(22_000);
  expect(index.description).toMatchObject({ planned: null, segments: [], lists: 0 });
  expect(readdirSync(index.folder).filter((name) => name.startsWith('segment'))).toEqual([]);
  await updateLists(index);
  expect(index.listed).toBe(22_000);
  index.close();
});

test('whatever file of an index is changed, cut or gone, it is named, and opening says so in words', async () => {
  const index = await empty();
  index.append(rows(21_000, 30));
  await updateLists(index);
  index.close();
  const { folder } = index;
  const contents = lookAt(folder);
  expect(damagedFiles(folder, contents)).toEqual([]);
  const names = contents.files.map(({ name }) => name);
  expect(names.length).toBe(5); // description, vectors, centres, codes, order
  const kinds = ['flip', 'cut', 'longer', 'gone', 'empty'] as const;
  const damage = (path: string, sound: Buffer, kind: (typeof kinds)[number], at: number) => {
    const bytes = Buffer.from(sound);
    bytes[at % bytes.length]! ^= 1 << (at & 7);
    if (kind === 'gone') rmSync(path);
    else if (kind === 'flip') writeFileSync(path, bytes);
    else if (kind === 'cut') writeFileSync(path, sound.subarray(0, at % sound.length));
    else if (kind === 'longer') appendFileSync(path, 'x');
    else writeFileSync(path, '');
  };
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...names), fc.constantFrom(...kinds), fc.nat(), async (name, kind, at) => {
      const path = join(folder, name);
      const sound = readFileSync(path);
      damage(path, sound, kind, at);
      try {
        expect(damagedFiles(folder, contents)).toEqual([name]);
        const error = await VectorIndex.open(folder, WIDTH).then(
          (opened) => {
            opened.close();
            return null;
          },
          (thrown) => thrown,
        );
        if (error !== null) expect(error).toMatchObject({ kind: 'bad-file' });
      } finally {
        writeFileSync(path, sound);
      }
    }),
    { numRuns: 60 },
  );
  // A half of the blocks finds nothing that is sound damaged.
  expect(damagedFiles(folder, contents, 1e6)).toEqual([]);
});

test('a vector that is not of unit length is no answer', async () => {
  const index = await empty();
  index.append(rows(3000, 2));
  const path = join(index.folder, 'vectors.f16');
  const bytes = readFileSync(path);
  bytes.writeUInt16LE(0x7bff, 2 * WIDTH * 17); // 65,504
  writeFileSync(path, bytes);
  expect(() => index.search(rows(1, 3), { k: 10 })).toThrow('The index cannot be used.');
  index.close();
});
