import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, homedir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';

export interface BackendInfo {
  name: 'tensorflow' | 'wasm' | 'cpu';
  variant: string | null;
  device: string;
  versions: Record<string, string>;
  why: string;
  warnings: string[];
}
let loaded: BackendInfo | null = null;
export async function loadBackend(): Promise<BackendInfo> {
  if (loaded) return loaded;
  const require = createRequire(import.meta.url);
  (require('node:util') as { isNullOrUndefined?: unknown }).isNullOrUndefined ??= (v: unknown) => v == null;
  const { NodeJSKernelBackend } = require('@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend');
  require('@tensorflow/tfjs-node-gpu/dist/register_all_kernels');
  const { folder } = JSON.parse(readFileSync(join(homedir(), '.cache/conmim-workbench/current.json'), 'utf8'));
  const b = require(join(folder, 'tfjs_binding.node'));
  tf.registerBackend('tensorflow', () => new NodeJSKernelBackend(b), 10);
  await tf.setBackend('tensorflow');
  loaded = {
    name: 'tensorflow',
    variant: 'cpu',
    device: `CPU, ${availableParallelism()} cores`,
    versions: {},
    why: '',
    warnings: [],
  };
  return loaded;
}
