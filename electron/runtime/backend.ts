import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join, sep } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { BackendInfo, BackendName } from '../../shared/backends.ts';
import { AppError } from '../../shared/errors.ts';
import { useCompiledKernels } from '../engine/kernels/device.ts';
import { multiplyFloats, widenProducts } from '../engine/kernels/matrices.ts';
import { addonPath } from '../files/built.ts';
import { type Plan, planBackends } from './choice.ts';
import { hasBf16, packageVersion } from './machine.ts';
import { type RuntimeChoice, runtimeChoice } from './runtime-folder.ts';

const require = createRequire(import.meta.url);
let loaded: BackendInfo | null = null;

const NAMES: Record<BackendName, string> = {
  tensorflow: 'TensorFlow',
  webgpu: 'WebGPU',
  wasm: 'The WASM backend',
  cpu: 'Plain JavaScript',
};

/**
 * Makes a backend the one that computes: the one that is asked for here, by `CONMIM_BACKEND`, or by what was chosen;
 * else the last trial's pick, TensorFlow where it is set up, WASM. Later calls give the first answer.
 * @throws AppError no-backend
 */
export async function loadBackend(prefer?: BackendName): Promise<BackendInfo> {
  if (loaded && (prefer === undefined || loaded.name === prefer)) return loaded;
  const plan = planBackends(prefer);
  const faults: string[] = [];
  let cause: unknown;
  for (const name of plan.names) {
    try {
      loaded = await load(name, plan, faults);
      return loaded;
    } catch (error) {
      cause = error;
      faults.push(`${NAMES[name]} cannot be used: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  const what = plan.isStrict ? `${NAMES[plan.names[0]!]} cannot be used.` : 'No backend can be used.';
  const why = plan.isStrict ? (cause as Error).message.split('\n')[0]! : faults.join(' ');
  throw new AppError('no-backend', what, why, plan.next, { cause });
}

/** @param faults what kept the ones before it from being used */
async function load(name: BackendName, plan: Plan, faults: readonly string[]): Promise<BackendInfo> {
  const warnings = [...plan.warnings, ...faults];
  switch (name) {
    case 'tensorflow': {
      const choice = runtimeChoice();
      if (choice.state !== 'ready') throw new Error(choice.why);
      const info = await loadTensorFlow(choice);
      const why = plan.why ? `${plan.why} ${info.why}` : info.why;
      return { ...info, why, warnings: [...warnings, ...info.warnings] };
    }
    case 'webgpu':
      return loadWebGpu(plan, warnings);
    case 'wasm': {
      if (faults.length > 0) warnings.push(SLOW);
      await loadWasm();
      return { ...plain('wasm', 'CPU, WebAssembly'), why: faults[0] ?? plan.why, warnings };
    }
    case 'cpu':
      require('@tensorflow/tfjs-backend-cpu');
      await tf.setBackend('cpu');
      return { ...plain('cpu', 'CPU, plain JavaScript'), why: plan.why };
  }
}

const SLOW =
  'The WASM backend is used: it gives the same results some fifteen times slower. `npm run setup` tries again to install TensorFlow.';

const plain = (name: BackendName, device: string): BackendInfo => ({
  name,
  variant: null,
  device,
  versions: { tfjs: tf.version_core },
  why: '',
  warnings: [],
});

async function loadWebGpu({ why, allowSoftware }: Plan, warnings: string[]): Promise<BackendInfo> {
  const { setWebGpu } = await import('./webgpu.ts');
  const { name, isSoftware } = await setWebGpu({ allowSoftware });
  if (isSoftware) warnings.push('This adapter computes on the CPU, slower than the other backends: it is for tests.');
  return {
    ...plain('webgpu', name),
    versions: { webgpu: packageVersion('webgpu'), tfjs: tf.version_core },
    why,
    warnings,
  };
}

/**
 * TensorFlow.js's Node backend asks for the whole package, most of which (layers, converters, data, gradients, backends
 * of browsers) the engine has no use for, and which takes longer to load than all the rest. All that the backend uses of
 * it stands in tfjs-core, but for methods like `x.toFloat()`, by which four kernels (Exp of whole numbers, ArgMax and
 * ArgMin of booleans, Prelu) convert what no network here gives them. Tests that want gradients import the package first.
 */
function standInForTfjs(): void {
  require.cache[require.resolve('@tensorflow/tfjs')] ??= require.cache[require.resolve('@tensorflow/tfjs-core')];
}

async function loadTensorFlow(choice: Extract<RuntimeChoice, { state: 'ready' }>): Promise<BackendInfo> {
  // The binding was written for an older Node.
  const util = require('node:util') as Record<string, unknown>;
  util.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  util.isArray = Array.isArray;
  standInForTfjs();
  const { NodeJSKernelBackend } = require('@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend');
  require('@tensorflow/tfjs-node-gpu/dist/register_all_kernels');
  process.env.TF_CPP_MIN_LOG_LEVEL = '3';
  // TensorFlow leaves oneDNN out on processors without AVX-512, where its products are twice as fast (docs/benchmarks.md).
  process.env.TF_ENABLE_ONEDNN_OPTS ??= '1';
  // TensorFlow's start-up chatter goes to the process's own error stream, past Node: muteNative is in the binding's folder.
  const quiet = require(join(choice.folder, 'quiet.node')) as { mute(): number; unmute(fd: number): void };
  const muted = quiet.mute();
  try {
    const binding = require(join(choice.folder, 'tfjs_binding.node'));
    tf.registerBackend('tensorflow', () => new NodeJSKernelBackend(binding), 3);
    await tf.setBackend('tensorflow');
    tf.tidy(() => tf.matMul(tf.ones([2, 2]), tf.ones([2, 2])).dataSync()); // what it says at first use is said here
  } finally {
    quiet.unmute(muted);
  }
  const backend = tf.backend() as unknown as { isUsingGpuDevice: boolean };
  const gpu = backend.isUsingGpuDevice;
  const fault = gpu ? null : loadKernels();
  widenProducts(!gpu && !hasBf16());
  return {
    name: 'tensorflow',
    variant: choice.variant,
    device: gpu ? 'GPU' : `CPU, ${availableParallelism()} cores`,
    versions: { tensorflow: choice.version, tfjs: tf.version_core },
    why: choice.why,
    warnings: [
      ...(choice.variant === 'cuda' && !gpu
        ? ['The cuda variant found no GPU that it can use, and computes on the CPU.']
        : []),
      ...(fault ? [fault] : []),
    ],
  };
}

/** What the addon of tools/native/kernels exports beside the operations that it registers with TensorFlow. */
export interface CompiledKernels {
  /** Whether the processor has tiles of bfloat16 (AMX) and the system lets them be used. */
  hasTiles: boolean;
  /** What all products are computed with from now on, for tests. @returns false where the processor has no such thing */
  holdProductsIn(name: 'automatic' | 'tiles' | 'pairs' | 'vectors'): boolean;
  /** Lets go of the memory that only loading TensorFlow's libraries needed. */
  forgetLoading(): void;
  /** Gives memory that was freed, and is kept for later, back to the system. */
  returnFreed(): void;
  /** Bytes that tensors of compiled kernels hold, and of the memory that is kept for them, gaps and all. */
  memory(): { live: number; used: number };
}

let kernels: CompiledKernels | null = null;
/** What the addon exports, or null where it is not used. */
export const compiledKernels = () => kernels;

/**
 * The engine's own kernels, compiled for this machine's processor; `CONMIM_KERNELS=plain` leaves them out.
 * @returns why they are not used, or null
 */
function loadKernels(): string | null {
  if (process.env.CONMIM_KERNELS === 'plain') return null;
  const path = addonPath('kernels');
  try {
    if (!path) throw new Error('they were not built');
    kernels = require(path) as CompiledKernels;
    useCompiledKernels(true);
    multiplyFloats(kernels.hasTiles);
    kernels.forgetLoading();
    return null;
  } catch (error) {
    const why = (error as Error).message.split('\n')[0];
    return `The engine's own kernels are not used, and steps take longer: ${why}. \`npm run setup\` builds them.`;
  }
}

async function loadWasm(): Promise<void> {
  const wasm = require('@tensorflow/tfjs-backend-wasm') as typeof import('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(dirname(require.resolve('@tensorflow/tfjs-backend-wasm')) + sep);
  if (!(await tf.setBackend('wasm'))) throw new Error('it did not start');
}
