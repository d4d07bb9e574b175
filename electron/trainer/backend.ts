import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join, sep } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { AppError } from '../../shared/errors.ts';
import { type RuntimeChoice, runtimeChoice } from './runtime-folder.ts';

export interface BackendInfo {
  name: 'tensorflow' | 'wasm' | 'cpu';
  /** Of TensorFlow. */
  variant: 'cpu' | 'cuda' | null;
  /** In words. */
  device: string;
  versions: Record<string, string>;
  /** Why this one. */
  why: string;
  /** What the user should know, in plain words. */
  warnings: string[];
}

const require = createRequire(import.meta.url);
// tfjs-core's build for Node registers no gradients; the whole package's does.
require('@tensorflow/tfjs');
let loaded: BackendInfo | null = null;

/**
 * Makes a backend the one that computes: TensorFlow where it is set up, else WASM. Later calls give the first answer.
 * @throws AppError no-backend
 */
export async function loadBackend(prefer?: BackendInfo['name']): Promise<BackendInfo> {
  if (loaded && (prefer === undefined || loaded.name === prefer)) return loaded;
  const wanted = prefer ?? (process.env.CONMIM_BACKEND as BackendInfo['name'] | undefined);
  const choice = runtimeChoice();
  const warnings: string[] = [];
  if (wanted === undefined || wanted === 'tensorflow') {
    if (choice.state === 'ready') {
      try {
        loaded = await loadTensorFlow(choice);
        return loaded;
      } catch (error) {
        warnings.push(`TensorFlow is there and cannot be loaded: ${(error as Error).message.split('\n')[0]}`);
      }
    } else warnings.push(choice.why);
    if (wanted === 'tensorflow') {
      throw new AppError(
        'no-backend',
        'TensorFlow cannot be used.',
        warnings.join(' '),
        'Run `npm run setup`, and read what it says.',
      );
    }
    warnings.push(
      'The WASM backend is used: it gives the same results some fifteen times slower. `npm run setup` tries again to install TensorFlow.',
    );
  }
  loaded = wanted === 'cpu' ? await loadPlain() : await loadWasm(warnings);
  return loaded;
}

async function loadTensorFlow(choice: Extract<RuntimeChoice, { state: 'ready' }>): Promise<BackendInfo> {
  // The binding was written for an older Node.
  const util = require('node:util') as Record<string, unknown>;
  util.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  util.isArray = Array.isArray;
  const { NodeJSKernelBackend } = require('@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend');
  require('@tensorflow/tfjs-node-gpu/dist/register_all_kernels');
  process.env.TF_CPP_MIN_LOG_LEVEL = '3';
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
  return {
    name: 'tensorflow',
    variant: choice.variant,
    device: gpu ? 'GPU' : `CPU, ${availableParallelism()} cores`,
    versions: { tensorflow: choice.version, tfjs: tf.version_core },
    why: choice.why,
    warnings:
      choice.variant === 'cuda' && !gpu
        ? ['The cuda variant found no GPU that it can use, and computes on the CPU.']
        : [],
  };
}

async function loadWasm(warnings: string[]): Promise<BackendInfo> {
  try {
    const wasm = require('@tensorflow/tfjs-backend-wasm') as typeof import('@tensorflow/tfjs-backend-wasm');
    wasm.setWasmPaths(dirname(require.resolve('@tensorflow/tfjs-backend-wasm')) + sep);
    if (!(await tf.setBackend('wasm'))) throw new Error('it did not start');
  } catch (error) {
    throw new AppError(
      'no-backend',
      'No backend can be used.',
      [...warnings, (error as Error).message].join(' '),
      'Run `npm run setup`, and read what it says.',
      { cause: error },
    );
  }
  return {
    name: 'wasm',
    variant: null,
    device: 'CPU, WebAssembly',
    versions: { tfjs: tf.version_core },
    why: warnings[0] ?? 'It was asked for.',
    warnings,
  };
}

async function loadPlain(): Promise<BackendInfo> {
  require('@tensorflow/tfjs-backend-cpu');
  await tf.setBackend('cpu');
  return {
    name: 'cpu',
    variant: null,
    device: 'CPU, plain JavaScript',
    versions: { tfjs: tf.version_core },
    why: 'It was asked for.',
    warnings: [],
  };
}
