import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FileLock } from '../../electron/store/file-lock.ts';
import { databaseIn } from '../../electron/store/home.ts';
import { Store } from '../../electron/store/store.ts';

/** The program as it is built, ended by signals. */
const CLI = join(import.meta.dirname, '../../out/electron/cli.js');
const folder = mkdtempSync(join(tmpdir(), 'ending-'));
const home = join(folder, 'home');
const images = join(folder, 'images');
const tiny = [
  ...['model.image_size=32', 'model.patch_size=8', 'mask.unit=8', 'model.embed_dim=16', 'model.depth=1'],
  ...['model.num_heads=2', 'projector.hidden=16', 'projector.out=8', 'train.batch_size=4', 'data.workers=1'],
].flatMap((s) => ['--set', s]);
/** What is waited for on a machine under load, ms. */
const LONG = 120_000;

interface Running {
  child: ChildProcess;
  said: () => string;
  json: () => { error: { kind: string; what: string } };
  ended: Promise<number | string>;
}
const children: ChildProcess[] = [];
function start(args: string[], env: NodeJS.ProcessEnv = {}): Running {
  const { npm_execpath: _, ...own } = process.env;
  const child = spawn(process.execPath, [CLI, ...args, '--home', home], { env: { ...own, ...env } });
  children.push(child);
  let [said, document] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text) => {
    document += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    said += text;
  });
  const ended = once(child, 'close').then(([code, signal]) => code ?? signal);
  return { child, said: () => said, json: () => JSON.parse(document), ended };
}
const run = async (...args: string[]) => {
  const one = start(args);
  return { code: await one.ended, said: one.said() };
};
async function until(what: () => boolean): Promise<void> {
  const began = performance.now();
  while (!what()) {
    if (performance.now() - began > LONG) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}
let store: Store;
const trains = (name: string, step: number) => () => {
  const found = store.runs.list().find((one) => one.name === name);
  return found?.status === 'running' && found.step >= step;
};
const pretrain = (name: string, ...more: string[]) => [
  ...['pretrain', 'pictures', ...tiny, '--steps', '1000000', '--set', 'checkpoint.every_steps=1000000'],
  ...['--name', name, ...more],
];

beforeAll(async () => {
  for (const [c, name] of ['light', 'dark'].entries()) {
    mkdirSync(join(images, name), { recursive: true });
    for (let i = 0; i < 60; i++) {
      const noise = Uint8Array.from({ length: 40 * 40 * 3 }, (_, p) => c * 140 + ((p * (i + 3) * 7919) % 110));
      const image = sharp(Buffer.from(noise), { raw: { width: 40, height: 40, channels: 3 } });
      await image.png().toFile(join(images, name, `${i}.png`));
    }
  }
  expect((await run('import', images, '--name', 'pictures', '--labels', 'folders')).code).toBe(0);
  expect((await run('pretrain', 'pictures', ...tiny, '--steps', '4', '--name', 'short')).code).toBe(0);
  store = Store.open(databaseIn(home));
});
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  store?.close();
  rmSync(folder, { recursive: true, force: true });
});

test.skipIf(process.platform === 'win32').each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  '%s to the command pauses the run with all that it has learned',
  async (signal) => {
    const { child, ended, said } = start(pretrain(signal));
    await until(trains(signal, 5));
    const seen = store.runs.list().at(-1)!;
    child.kill(signal);
    expect(await ended).toBe(0);
    expect(said()).toContain('Pausing');
    const run = store.runs.get(seen.id);
    expect(run).toMatchObject({ status: 'paused', pid: null });
    expect(store.checkpoints.latest(run.id)!.step).toBe(run.step);
    expect(run.step).toBeGreaterThanOrEqual(seen.step);
  },
);

test.skipIf(process.platform === 'win32').each(['SIGTERM', 'SIGHUP'] as const)(
  '%s to the trainer pauses the run',
  async (signal) => {
    const name = `trainer, ${signal}`;
    const { ended } = start(pretrain(name));
    await until(trains(name, 5));
    process.kill(store.runs.list().at(-1)!.pid!, signal);
    expect(await ended).toBe(0);
    expect(store.runs.list().at(-1)).toMatchObject({ status: 'paused' });
  },
);

const LONGEST: [string, string[]][] = [
  ['evaluate knn', ['evaluate', 'run:short', '--dataset', 'pictures', '--task', 'knn']],
  ['evaluate linear', ['evaluate', 'run:short', '--dataset', 'pictures', '--task', 'linear']],
  ['evaluate lookup', ['evaluate', 'run:short', '--dataset', 'pictures', '--task', 'lookup']],
  ['index', ['index', 'run:short', '--dataset', 'pictures']],
  ['health', ['health', 'run:short', '--dataset', 'pictures', '--out', join(folder, 'health.html')]],
  ['map', ['features', 'run:short', '--dataset', 'pictures', '--view', 'map', '--out', join(folder, 'map.png')]],
  ['travel', ['travel', 'short', '--dataset', 'pictures', '--image', 'dark/0.png', '--patch', '1,1']],
  ['embeddings', ['embeddings', 'run:short', '--dataset', 'pictures', '--out', join(folder, 'e.npy')]],
  ['presets', ['presets', '--dataset', 'pictures', '--preset', 'small-gpu']],
  ['pause of a run that does not hear', ['pause', 'deaf']],
];

/** Whether the command listens by now: nothing but a listener of its own catches SIGHUP. */
function hears({ pid }: ChildProcess): boolean {
  const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]!;
  return (BigInt(`0x${caught}`) & 1n) === 1n;
}

test.skipIf(process.platform !== 'linux')(
  'every long command is ended by a signal in words',
  { timeout: 600_000 },
  async () => {
    // A run that is claimed by this process, which does not look at what is asked of it.
    const { dataset_id, preset, config } = store.runs.list()[0]!;
    const deaf = store.runs.create({ name: 'deaf', dataset_id, preset, config, total_steps: 9, steps_per_epoch: 1 });
    const lock = store.runs.claim(deaf.id, process.pid) as FileLock;
    for (const [i, [name, args]] of LONGEST.entries()) {
      const signal = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const)[i % 3]!;
      const code = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }[signal];
      for (const delay of [0, 700]) {
        const { child, ended, said, json } = start([...args, '--json']);
        await until(() => hears(child)); // as soon as it has started, before its code is loaded
        await new Promise((resolve) => setTimeout(resolve, delay));
        child.kill(signal);
        const how = await ended;
        // A machine that is free may have been quicker: it has said its result, and is about to end.
        if (delay > 0 && (how === 0 || how === signal)) continue;
        expect([name, how, json().error.kind]).toEqual([name, code, 'canceled']);
        expect(said()).not.toMatch(/Please report|\n\s+at /);
      }
    }
    lock.remove();
  },
);

test('a run that has not paused is said, with the exit code of a failure', async () => {
  const { dataset_id, preset, config } = store.runs.list()[0]!;
  const busy = store.runs.create({ name: 'busy', dataset_id, preset, config, total_steps: 9, steps_per_epoch: 1 });
  const lock = store.runs.claim(busy.id, process.pid) as FileLock;
  for (const order of ['pause', 'stop']) {
    const { ended, json } = start([order, 'busy', '--wait', '1', '--json']);
    expect([await ended, json().error]).toMatchObject([1, { kind: 'conflict' }]);
  }
  expect(store.runs.get(busy.id)).toMatchObject({ status: 'running', request: 'stop' });
  lock.remove();
});

test('a clock that is set back keeps nothing from being stored, and no pause from being heard', async () => {
  const offset = join(folder, 'offset');
  const clock = join(folder, 'clock.mjs');
  writeFileSync(offset, '3600000');
  writeFileSync(
    clock,
    `import { readFileSync } from 'node:fs';
     const real = Date.now;
     Date.now = () => real() + Number(readFileSync(${JSON.stringify(offset)}, 'utf8'));`,
  );
  const minutes = ['--set', 'checkpoint.every_minutes=0.02'];
  const { ended } = start(pretrain('clock', ...minutes), { NODE_OPTIONS: `--import ${clock}` });
  await until(trains('clock', 5));
  writeFileSync(offset, '0');
  await new Promise((resolve) => setTimeout(resolve, 300)); // what was begun by the other time is done
  const { id, step } = store.runs.list().at(-1)!;
  const kept = store.checkpoints.latest(id)?.step ?? 0;
  await until(() => store.runs.get(id).step > step + 5);
  await until(() => (store.checkpoints.latest(id)?.step ?? 0) > kept);
  const paused = await run('pause', 'clock');
  expect(paused.code).toBe(0);
  expect(await ended).toBe(0);
  expect(store.runs.get(id).status).toBe('paused');
});
