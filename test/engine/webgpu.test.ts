import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FIXTURES, parityChecks } from './parity-checks.ts';
import { NO_SWIFTSHADER, swiftShader } from './swiftshader.ts';

/** The engine on WebGPU, computed by Chromium's SwiftShader: the arithmetic is that of a GPU's driver, the speed is not. */
const ROOT = join(import.meta.dirname, '../..');
const shader = swiftShader();
if (!shader) console.log(`skipped: ${NO_SWIFTSHADER}`);
afterAll(() => shader?.remove());

/** SwiftShader compiles some hundred kernels in software before the first step is done. */
const MINUTES = 15 * 60_000;
const run = (args: string[], env: NodeJS.ProcessEnv): SpawnSyncReturns<string> =>
  spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8', env, timeout: MINUTES, maxBuffer: 1e8 });

describe.skipIf(!shader).each(['relpos', 'abspos'])(
  `replay of %s on WebGPU (else skipped: ${NO_SWIFTSHADER})`,
  (name) => {
    const to = mkdtempSync(join(tmpdir(), 'replay-webgpu-'));
    beforeAll(() => {
      const args = [join(ROOT, 'out/electron/cli.js'), 'replay', join(FIXTURES, name), to, '--json'];
      const { status, stdout, stderr } = run(args, { ...shader!.env, CONMIM_BACKEND: 'webgpu' });
      expect(stderr).toBe('');
      expect(JSON.parse(stdout).backend).toBe('webgpu');
      expect(status).toBe(0);
    }, MINUTES);
    afterAll(() => rmSync(to, { recursive: true }));

    parityChecks(name, to);
  },
);

describe.skipIf(!shader)(`the backend (else skipped: ${NO_SWIFTSHADER})`, () => {
  /** Lines that a program writes which has `tf` and WebGPU's backend `gpu`. */
  const say = (body: string, env: NodeJS.ProcessEnv = shader!.env) => {
    const program = `
      import * as tf from '@tensorflow/tfjs-core';
      import { loadBackend } from './electron/runtime/backend.ts';
      const say = (value) => process.stdout.write(JSON.stringify(value) + '\\n');
      const info = await loadBackend();
      const gpu = tf.backend();
      ${body}`;
    const done = run(['--input-type=module-typescript', '-e', program], { ...env, CONMIM_BACKEND: 'webgpu' });
    if (done.status !== 0) throw new Error(done.stderr);
    return done.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  };

  test('reads at once, adds any number of tensors, and lets other immediates run in their turn', () => {
    const [read, summed, order, leaked] = say(`
      const order = [];
      setImmediate((word) => order.push(word), 'immediate');
      say(Array.from(tf.tidy(() => tf.matMul(tf.tensor2d([[1, 2], [3, 4]]), tf.tensor2d([[5], [6]])).dataSync())));
      order.push('read');
      const before = tf.memory().numTensors;
      const terms = Array.from({ length: 40 }, (_, i) => tf.fill([2000], i));
      const sum = tf.addN(terms);
      say([...new Set(sum.dataSync())]);
      tf.dispose([sum, ...terms]);
      await new Promise((resolve) => setImmediate(resolve));
      say(order);
      say([tf.memory().numTensors - before, gpu.numDataIds()]);`);
    expect(read).toEqual([17, 39]);
    expect(summed).toEqual([780]);
    expect(order).toEqual(['read', 'immediate']);
    expect(leaked).toEqual([0, 0]);
  });

  test('reads what was asked for as a promise and at once in any order', () => {
    const [values] = say(`
      const x = tf.fill([3000], 2), y = tf.square(x), z = tf.square(y);
      const later = y.data(); // Dawn waits for this one already
      const now = z.dataSync()[2999];
      say([now, (await later)[0], (await tf.add(y, z).data())[7]]);`);
    expect(values).toEqual([16, 4, 20]);
  });

  test('says that the GPU failed, where it would read zeros', () => {
    const [error] = say(`
      const x = tf.square(tf.fill([3000], 2));
      gpu.device.destroy();
      try { say(x.dataSync()[0]); } catch (error) { say(error.message); }`);
    expect(error).toMatch(/^The GPU could not compute this: /);
  });

  test('names its adapter and says that it is software', () => {
    const [info] = say('say(info)');
    expect(info.device).toMatch(/SwiftShader/);
    expect(info.warnings).toEqual([expect.stringMatching(/computes on the CPU/)]);
  });

  test('a software adapter is refused by whom it was not asked for by name', () => {
    const program = `
      import { setWebGpu } from './electron/runtime/webgpu.ts';
      await setWebGpu({ allowSoftware: false }).catch((error) => process.stdout.write(error.message));`;
    const { stdout } = run(['--input-type=module-typescript', '-e', program], shader!.env);
    expect(stdout).toMatch(/^The only adapter, .*SwiftShader.*, computes on the CPU/);
  });
});

test('where there is no GPU, WebGPU says so', (context) => {
  const nowhere = { ...process.env, VK_ICD_FILENAMES: '/nowhere.json', VK_DRIVER_FILES: '/nowhere.json' };
  if (process.platform !== 'linux') context.skip('only Vulkan can be told to find no driver');
  const args = [join(ROOT, 'out/electron/cli.js'), 'replay', join(FIXTURES, 'abspos'), tmpdir(), '--json'];
  const { status, stdout } = run(args, { ...nowhere, CONMIM_BACKEND: 'webgpu' });
  expect(status).toBe(1);
  expect(JSON.parse(stdout).error).toMatchObject({
    kind: 'no-backend',
    what: 'WebGPU cannot be used.',
    why: expect.stringMatching(/No GPU was found/),
  });
});
