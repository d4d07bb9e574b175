import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import type { RunConfig } from '../../shared/config.ts';
import { AppError } from '../../shared/errors.ts';
import { loadBackend } from '../runtime/backend.ts';
import { collectGarbage } from '../runtime/garbage.ts';
import { createRun } from '../services/runs/runs.ts';
import type { Store } from '../store/store.ts';
import { pretrainingData } from '../trainer/run-data.ts';
import { Training } from '../trainer/training.ts';

/** What a training process holds after a step. Sizes are bytes. */
export interface MemorySample {
  step: number;
  /** Tensors that TensorFlow.js knows, and arrays that the backend holds for them. */
  tensors: number;
  arrays: number;
  tensor_bytes: number;
  /** What JavaScript holds after it was collected: objects, and arrays outside of its heap. */
  heap: number;
  buffers: number;
  /** Resident, of the whole process. */
  resident: number;
}

export interface MemoryBench {
  backend: string;
  steps: number;
  batch: number;
  samples: MemorySample[];
  /** Growth from the sample after the first quarter, when everything has settled, to the last. */
  growth: { steps: number; tensors: number; arrays: number; tensor_bytes: number; heap: number; resident: number };
}

export interface MemoryOptions {
  dataset: string;
  config: RunConfig;
  /** Steps from one sample to the next. */
  every: number;
  signal?: AbortSignal;
  onProgress?: (done: number, total: number) => void;
}

/** Resident bytes of this process, as Linux says; elsewhere as Node does. */
function resident(): number {
  try {
    return 1024 * Number(/^VmRSS:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]);
  } catch {
    return process.memoryUsage.rss();
  }
}

/** Trains a run of this configuration in this process, with all that a run does, and looks at its memory. */
export async function benchMemory(store: Store, options: MemoryOptions): Promise<MemoryBench> {
  const { dataset, config, every, signal, onProgress } = options;
  const backend = await loadBackend();
  const run = createRun(store, { dataset, config, preset: null });
  const samples: MemorySample[] = [];
  const look = (step: number) => {
    collectGarbage();
    const { numTensors, numBytes } = tf.memory();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    samples.push({
      step,
      tensors: numTensors,
      arrays: tf.backend().numDataIds(),
      tensor_bytes: numBytes,
      heap: heapUsed,
      buffers: arrayBuffers,
      resident: resident(),
    });
  };
  const data = pretrainingData(store, run);
  try {
    const training = new Training(
      store,
      run,
      {
        onMetric: ({ step }) => {
          onProgress?.(step, run.total_steps);
          if (step % every === 0 || step === run.total_steps) look(step);
        },
        onCheckpoint: () => {},
        onNotice: () => {},
        request: () => (signal?.aborted ? 'stop' : null),
      },
      data,
    );
    await training.train();
  } finally {
    await data.close();
  }
  if (signal?.aborted) throw new AppError('canceled', 'The measurement was ended.');
  const last = samples.at(-1)!;
  const settled = samples.find(({ step }) => step >= run.total_steps / 4)!;
  const more = (key: 'tensors' | 'arrays' | 'tensor_bytes' | 'heap' | 'resident') => last[key] - settled[key];
  return {
    backend: backend.name,
    steps: run.total_steps,
    batch: config.train.batch_size,
    samples,
    growth: {
      steps: last.step - settled.step,
      tensors: more('tensors'),
      arrays: more('arrays'),
      tensor_bytes: more('tensor_bytes'),
      heap: more('heap'),
      resident: more('resident'),
    },
  };
}
