import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type OpenProgram, openProgram } from '../../electron/ipc/program.ts';
import { databaseIn } from '../../electron/store/home.ts';
import { Store } from '../../electron/store/store.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { ASKS, CHANNEL_NAMES } from '../../shared/contract/index.ts';
import { callerOf, wait } from './calls.ts';

let home: string;
let program: OpenProgram;
let other: Store;
let heard: string[];
beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'other-process-'));
  program = await openProgram({ home, shell: { kind: 'browser', reveal: () => false } });
  other = Store.open(databaseIn(home));
  heard = [];
  program.listen(({ event }) => heard.push(event.type));
});
afterEach(async () => {
  other.close();
  await program.close('stop');
  rmSync(home, { recursive: true });
});
const call = callerOf(() => program);
const config = runConfigSchema.parse({});

/** What another connection writes, as the command line does; and the event by which windows hear of it. */
const CHANGES: [string, string, () => unknown][] = [
  ['a dataset', 'datasets', () => other.datasets.create({ name: 'd', folders: ['/x'], labels: 'none' })],
  ['a completed scan', 'datasets', () => other.datasets.markScanned(1)],
  ['a rename', 'datasets', () => other.datasets.rename(1, 'renamed')],
  ['a preset', 'presets', () => other.presets.save({ name: 'p', title: 'P', based_on: 'small-cpu', config })],
  ['a deleted preset', 'presets', () => other.presets.delete('p')],
  [
    'a run',
    'run',
    () => other.runs.create({ dataset_id: 1, preset: null, config, total_steps: 9, steps_per_epoch: 1 }),
  ],
  ['a deleted run', 'runs', () => other.runs.delete(1)],
  ['a deleted dataset', 'datasets', () => other.datasets.delete(1)],
];

test('what another process writes is told to windows, each by its event, and once', async () => {
  for (const [what, event, write] of CHANGES) {
    heard.length = 0;
    write();
    await wait(() => heard.includes(event)).catch(() => expect.fail(`${what} was not told`));
    await new Promise((done) => setTimeout(done, 600));
    expect(heard.filter((type) => type === event)).toHaveLength(1);
  }
});

test('an edit that began from what is not there any more is refused; one that says the same is not', async () => {
  await call('datasets.list', {});
  other.datasets.create({ name: 'd', folders: ['/x'], labels: 'none' });
  other.runs.create({ dataset_id: 1, preset: null, config, total_steps: 9, steps_per_epoch: 1, name: 'r' });
  other.runs.update(1, { notes: 'theirs', tags: ['a'] });
  const refused = { kind: 'changed', what: expect.stringMatching(/^The (name|notes|tags) of .* changed elsewhere/) };
  await expect(call('runs.annotate', { id: 1, notes: 'mine', before: { notes: '' } })).rejects.toMatchObject(refused);
  await expect(call('runs.annotate', { id: 1, tags: ['b'], before: { tags: [] } })).rejects.toMatchObject(refused);
  await expect(call('runs.annotate', { id: 1, name: 's', before: { name: 'q' } })).rejects.toMatchObject(refused);
  await expect(call('datasets.rename', { id: 1, name: 'e', before: 'c' })).rejects.toMatchObject(refused);
  expect(other.runs.get(1)).toMatchObject({ name: 'r', notes: 'theirs', tags: ['a'] });
  expect(other.datasets.get(1).name).toBe('d');
  // It was done already: the answer was lost on its way.
  await call('runs.annotate', { id: 1, notes: 'theirs', before: { notes: '' } });
  await call('datasets.rename', { id: 1, name: 'd', before: 'c' });
  await call('runs.annotate', { id: 1, notes: 'mine', tags: [], before: { notes: 'theirs', tags: ['a'] } });
  expect(other.runs.get(1)).toMatchObject({ name: 'r', notes: 'mine', tags: [] });
});

test('channels that only ask are known by name; all others do something', () => {
  for (const name of ASKS) expect(CHANNEL_NAMES).toContain(name);
  const does = CHANNEL_NAMES.filter((name) => !ASKS.has(name));
  const DOES = new Set(
    (
      'pick import import-sample rescan rename delete start save create pause stop resume move annotate export compute ' +
      'map-compute build accuracy measure continue reveal show estimate report install trial use doctor remove cancel dismiss restore locate'
    ).split(' '),
  );
  expect(does.filter((name) => !DOES.has(name.split('.').at(-1)!))).toEqual([]);
});
