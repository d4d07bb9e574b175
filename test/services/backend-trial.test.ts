import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { backendChoice, chooseBackend, planBackends } from '../../electron/runtime/choice.ts';
import { cacheFolder, runtimeChoice } from '../../electron/runtime/runtime-folder.ts';
import { tryBackends } from '../../electron/services/machine/backend-trial.ts';
import { isAlive } from '../processes.ts';

const ROOT = join(import.meta.dirname, '../..');
const REAL = pathToFileURL(join(ROOT, 'electron/workers/trial.ts')).href;
const before = process.env.XDG_CACHE_HOME;
const runtime = runtimeChoice();
let folder: string;
let kept: string;
/** A cache of our own: the TensorFlow of this machine, and no choice. */
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'trial-'));
  process.env.XDG_CACHE_HOME = folder;
  mkdirSync(cacheFolder(), { recursive: true });
  writeFileSync(join(cacheFolder(), 'current.json'), JSON.stringify(runtime));
  kept = join(cacheFolder(), 'backend.json');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
afterAll(() => {
  if (before === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = before;
});

/** A program that does with the backend `name` what `body` says. */
function program(body: string): string {
  const path = join(folder, 'worker.mjs');
  writeFileSync(path, `const name = process.argv[2];\nconst figures = ${JSON.stringify(FIGURES)};\n${body}\n`);
  return path;
}
const FIGURES = { device: 'd', images_per_s: 1e9, load_s: 1, first_step_s: 1, steps: 1, why: '' };

function doctor(...more: string[]) {
  const env = { ...process.env, CONMIM_BACKEND: '' };
  const args = [join(ROOT, 'out/electron/cli.js'), 'doctor', '--json', '--home', join(folder, 'home'), ...more];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout);
}

/** Makes the trial one of another machine. */
function change(fact: string): void {
  const stored = JSON.parse(readFileSync(kept, 'utf8'));
  stored.trial.machine[fact] = 'another';
  writeFileSync(kept, JSON.stringify(stored));
}

test('one that crashes and one that hangs end themselves alone; the one that works is picked and used', async () => {
  const pid = join(folder, 'pid');
  const worker = program(`
    import { writeFileSync } from 'node:fs';
    if (name === 'tensorflow') process.kill(process.pid, 'SIGSEGV');
    if (name === 'webgpu') {
      writeFileSync(${JSON.stringify(pid)}, String(process.pid));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); // as native code that waits for a GPU: no timer runs
    }
    await import(${JSON.stringify(REAL)});`);
  const trial = await tryBackends({ worker });
  const [tensorflow, webgpu, wasm] = trial.results;
  expect(tensorflow).toMatchObject({
    images_per_s: null,
    why: expect.stringMatching(/^The process that tried tensorflow ended without a word. Signal SIGSEGV: native code/),
  });
  expect(webgpu).toMatchObject({
    images_per_s: null,
    why: 'The process that tried webgpu said nothing for 60 s. It hangs.',
  });
  expect(isAlive(Number(readFileSync(pid, 'utf8')))).toBe(false);
  expect(wasm).toMatchObject({ name: 'wasm', why: '', device: 'CPU, WebAssembly' });
  expect(wasm!.images_per_s).toBeGreaterThan(0);
  expect(wasm!.steps).toBeGreaterThan(0);
  expect(trial.pick).toBe('wasm');
  expect(backendChoice()).toEqual({ use: 'auto', trial, changed: [] });

  const used = doctor();
  expect(used.backend.name).toBe('wasm');
  expect(used.backend.why).toMatch(/^The last trial found it the fastest: wasm .* images\/s\.$/);
  expect(used.choice.trial).toEqual(trial);

  change('processor');
  const again = doctor();
  expect(again.choice.changed).toEqual(['processor']);
  expect(again.backend.name).toBe(runtime.state === 'ready' ? 'tensorflow' : 'wasm');
  expect(again.backend.warnings).toContainEqual(expect.stringMatching(/does not hold any more \(changed: processor\)/));
});

test('figures of one that crashes later do not count, and the fastest of the others is picked', async () => {
  const worker = program(`
    const speed = { tensorflow: 1e9, webgpu: 2, wasm: 1 }[name];
    process.on('message', ({ id }) => process.send({ type: 'progress', id, done: 1, total: 2, phase: '' }, () => {
      if (name === 'tensorflow') process.kill(process.pid, 'SIGABRT');
      process.send({ type: 'result', id, value: { ...figures, images_per_s: speed } });
    }));`);
  const trial = await tryBackends({ worker });
  expect(trial.results.map((one) => [one.name, one.images_per_s, one.why])).toEqual([
    ['tensorflow', null, expect.stringContaining('Signal SIGABRT')],
    ['webgpu', 2, ''],
    ['wasm', 1, ''],
  ]);
  expect(trial.pick).toBe('webgpu');
  expect(planBackends(undefined, {}).names).toEqual(['webgpu', 'tensorflow', 'wasm']);
  expect(planBackends(undefined, { CONMIM_BACKEND: 'cpu' })).toMatchObject({ names: ['cpu'], isStrict: true });
  expect(() => planBackends(undefined, { CONMIM_BACKEND: 'gpu' })).toThrow(/names no backend/);
});

test('where none works nothing is picked, and a canceled trial keeps nothing', async () => {
  const controller = new AbortController();
  const worker = program(`if (name === 'tensorflow') process.exit(3); else setInterval(() => {}, 1000);`);
  const progress = (done: number) => done === 1 && setTimeout(() => controller.abort(), 300);
  await expect(tryBackends({ worker, signal: controller.signal, progress })).rejects.toMatchObject({
    kind: 'canceled',
  });
  expect(existsSync(kept)).toBe(false);

  const trial = await tryBackends({ worker: program('process.exit(3);') });
  expect(trial.pick).toBe(null);
  expect(trial.results.map(({ why }) => why)).toEqual(
    Array(3).fill(expect.stringMatching(/ended without a word. Exit code 3.$/)),
  );
  expect(planBackends(undefined, {}).names).toEqual(['tensorflow', 'wasm']);
});

test('a choice outlives a trial, and comes before its pick; a damaged file counts as none', async () => {
  chooseBackend('wasm');
  await tryBackends({ worker: program('process.exit(3);') });
  expect(backendChoice()).toMatchObject({ use: 'wasm', trial: { pick: null } });
  expect(planBackends(undefined, {})).toMatchObject({ names: ['wasm'], isStrict: true });
  expect(planBackends(undefined, { CONMIM_BACKEND: 'auto' }).names).toEqual(['tensorflow', 'wasm']);
  writeFileSync(kept, '{"use":');
  expect(backendChoice()).toEqual({ use: 'auto', trial: null, changed: [] });
});

describe('conmim doctor', () => {
  test('--trial says of each backend how fast it is or why it does not work, and picks the fastest', () => {
    const { choice, backend } = doctor('--trial');
    const { results, pick } = choice.trial;
    expect(results.map((one: { name: string }) => one.name)).toEqual(['tensorflow', 'webgpu', 'wasm']);
    for (const one of results) expect(one.images_per_s !== null ? one.steps > 0 : one.why !== '').toBe(true);
    const speeds = results.map((one: { images_per_s: number | null }) => one.images_per_s ?? 0);
    expect(speeds[2]).toBeGreaterThan(0);
    expect(results[speeds.indexOf(Math.max(...speeds))].name).toBe(pick);
    expect(backend.name).toBe(pick);
  });

  test('--use is what is used from then on', () => {
    expect(doctor('--use', 'wasm').backend).toMatchObject({ name: 'wasm', why: 'It was chosen.' });
    expect(doctor().choice.use).toBe('wasm');
  });
});
