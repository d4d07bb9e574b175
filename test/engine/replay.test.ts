import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { type Replay, type ReplayFolder, train } from '../../electron/engine/replay.ts';
import { readSafetensors } from '../../electron/formats/safetensors.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { replay as mae } from '../../methods/mae/replay.ts';
import type { StateDict } from '../../shared/tensors.ts';

// How a fixture's files become a training, and its results files again: MAE's fixture as it is, and cut up otherwise.

beforeAll(async () => {
  await loadBackend();
});

const FIXTURE = join(import.meta.dirname, '../../methods/mae/fixture/visible-1');
const said = JSON.parse(readFileSync(join(FIXTURE, 'fixture.json'), 'utf8'));
const stored = (name: string) => readSafetensors(join(FIXTURE, `${name}.safetensors`)).tensors;

/** A folder that gives some files otherwise than the fixture has them. @returns it, and what is written to it */
function folderOf(others: Record<string, StateDict> = {}): { folder: ReplayFolder; written: Map<string, StateDict> } {
  const written = new Map<string, StateDict>();
  const load = (name: string) => others[name] ?? stored(name);
  const folder: ReplayFolder = {
    has: () => true,
    load,
    write: (name, tensors) => written.set(name, tensors),
    writeJson: () => {},
  };
  return { folder, written };
}

const isDecoder = (name: string) => name.startsWith('decoder') || name === 'mask_token';
const renamed = (state: StateDict, is: (name: string) => boolean, rename: (name: string) => string): StateDict =>
  new Map([...state].flatMap(([name, tensor]) => (is(name) ? [[rename(name), tensor] as const] : [])));

/** The same network in two files, of which one has other names. */
const inTwo: typeof mae = {
  ...mae,
  networks: [
    {
      name: 'encoder',
      of: 'student',
      read: mae.names!.read,
      write: (state) => mae.names!.write(renamed(state, (name) => !isDecoder(name), String)),
    },
    {
      name: 'rest',
      of: 'student',
      read: (state) =>
        mae.names!.read(
          renamed(
            state,
            () => true,
            (name) => name.slice('part.'.length),
          ),
        ),
      write: (state) => renamed(mae.names!.write(state), isDecoder, (name) => `part.${name}`),
    },
  ],
};

test('a state that stands in several files, under other names, is trained and written as one that stands in one', () => {
  const init = stored('model.init');
  const files = {
    'encoder.init': renamed(init, (name) => !isDecoder(name), String),
    'rest.init': renamed(init, isDecoder, (name) => `part.${name}`),
  };
  const [whole, parts] = [folderOf(), folderOf(files)];
  expect(train(inTwo, parts.folder, said)).toEqual(train(mae, whole.folder, said));
  const final = whole.written.get('model.final')!;
  expect([...parts.written.keys()].filter((name) => name.endsWith('.final'))).toEqual(['encoder.final', 'rest.final']);
  for (const [name, tensor] of final) {
    const got = isDecoder(name)
      ? parts.written.get('rest.final')!.get(`part.${name}`)
      : parts.written.get('encoder.final')!.get(name);
    expect(got, name).toEqual(tensor);
  }
  const size = ['encoder.final', 'rest.final'].reduce((sum, name) => sum + parts.written.get(name)!.size, 0);
  expect(size).toBe(final.size);
});

test('results of each step are of its own tensors, and of the state that it leaves', () => {
  const results: Replay<never, never>['results'] = (shown, { student, updates }) =>
    new Map([
      ['pred', shown.get('pred')!],
      ['mask_token', student.get('mask_token')!],
      ['updates', { shape: [1], data: Float32Array.of(updates) }],
    ]);
  const { folder, written } = folderOf();
  train({ ...mae, results }, folder, said);
  const steps = said.steps.map((_: unknown, i: number) => written.get(`results.step${i}`)!);
  expect(steps.map((step: StateDict) => step.get('updates')!.data[0])).toEqual([1, 2, 3]);
  expect(steps[0].get('pred')).toEqual(written.get('features.step0')!.get('pred'));
  expect(steps[1].get('pred')).not.toEqual(steps[0].get('pred'));
  expect(steps.at(-1).get('mask_token')).toEqual(written.get('model.final')!.get('mask_token'));
});

test('tokens are of every input that the folder has, each of its own side', () => {
  const input = stored('tokens.eval').get('input')!;
  const [batch, , side] = input.shape as [number, number, number];
  const half = { shape: [batch, 3, side / 2, side / 2], data: input.data.slice(0, input.data.length / 4) };
  const asked: StateDict = new Map([
    ['input', input],
    ['input_local', half],
  ]);
  const { folder, written } = folderOf({ 'tokens.eval': asked });
  train(mae, folder, said);
  const tokens = written.get('tokens.eval')!;
  const K = (said.image_size / said.patch_size) ** 2;
  expect([...tokens.keys()]).toEqual(['input', 'tokens', 'input_local', 'tokens_local']);
  expect(tokens.get('tokens')!.shape).toEqual([batch, 1 + K, said.encoder.embed_dim]);
  expect(tokens.get('tokens_local')!.shape).toEqual([batch, 1 + K / 4, said.encoder.embed_dim]);
});
