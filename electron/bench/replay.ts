import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { FIRST_METHOD, findFixtureMethod, METHODS } from '../../methods/index.ts';
import { loadOf } from '../../methods/load.ts';
import { AppError } from '../../shared/errors.ts';
import type { StateDict } from '../../shared/tensors.ts';
import {
  firstStates,
  type OwnReplay,
  partOf,
  type Replay,
  type ReplayFolder,
  type ReplayOf,
  type ReplayResult,
  type ReplayStep,
  train,
} from '../engine/replay.ts';
import type { TrainerConfig } from '../engine/trainer.ts';
import { type Replace, writeWhole } from '../files/files.ts';
import { makeFolder } from '../files/outputs.ts';
import { readSafetensors, writeSafetensors } from '../formats/safetensors.ts';

type Opened = { said: unknown; replay: Replay<TrainerConfig, unknown> | OwnReplay };

/** @throws AppError not-found, bad-file */
async function open(folder: string): Promise<Opened> {
  const path = join(folder, 'fixture.json');
  try {
    const said = JSON.parse(readFileSync(path, 'utf8')) as { method?: unknown };
    const method = findFixtureMethod(String(said.method ?? FIRST_METHOD));
    const known = METHODS.map(({ name }) => name).join(', ');
    if (!method) throw new RangeError(`It is of a method "${said.method}"; known are ${known}.`);
    const { replay } = await loadOf<{ replay: ReplayOf }>(method.name, 'replay');
    const chosen = typeof replay === 'function' ? replay(said) : replay;
    if (typeof chosen !== 'function') chosen.read(said); // so that what is wrong with it is said at once
    return { said, replay: chosen };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new AppError(
        'not-found',
        `There is no ${path}.`,
        '',
        'Name a folder with fixture.json, the first states and the batches.',
      );
    }
    throw new AppError(
      'bad-file',
      `${path} cannot be used.`,
      error instanceof Error ? error.message : '',
      'Compare it with test/fixtures/README.md.',
      { cause: error },
    );
  }
}

const load = (folder: string, name: string): StateDict => readSafetensors(join(folder, `${name}.safetensors`)).tensors;

/** Files of a folder that have a name which `replay` writes, whatever the method. */
export function replayedIn(folder: string): string[] {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return []; // whoever writes there says so
  return readdirSync(folder).filter((name) =>
    /^(result\.json|.+\.(step\d+|final|eval)\.(json|safetensors))$/.test(name),
  );
}

/**
 * Runs a parity folder of any method and writes what came out: `result.json`, and the files of engine/replay.ts's `train`, or
 * those that the method writes by itself. Needs a backend to be set.
 * @throws AppError not-found, bad-file
 */
export async function replay(folder: string, to: string, how: Replace = { replace: true }): Promise<ReplayStep[]> {
  const { said, replay: of } = await open(folder);
  makeFolder(to);
  const files: ReplayFolder = {
    has: (name) => existsSync(join(folder, `${name}.safetensors`)),
    load: (name) => load(folder, name),
    write: (name, tensors) => writeSafetensors(join(to, `${name}.safetensors`), tensors, undefined, how),
    writeJson: (name, value) => writeWhole(join(to, name), [Buffer.from(`${JSON.stringify(value, null, 1)}\n`)], how),
  };
  const found = typeof of === 'function' ? of(files, said) : train(of, files, said);
  const result = Array.isArray(found) ? { steps: found } : (found as ReplayResult);
  files.writeJson('result.json', result);
  return result.steps as ReplayStep[];
}

/** The configuration, first states and first batch of a fixture, to ask them another way. @throws as `replay` */
export async function firstBatch<Config, Batch>(folder: string) {
  const { said, replay: of } = await open(folder);
  if (typeof of === 'function') throw new AppError('bad-file', `${folder} is no training of whole networks.`);
  const { config } = of.read(said);
  const part = partOf(load(folder, 'batch.step0'), 'batch.step0');
  const states = firstStates(of, (name) => load(folder, name));
  return { config: config as Config, states, batch: of.batch(part, config, 0) as Batch, part };
}
