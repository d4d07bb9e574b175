import * as tf from '@tensorflow/tfjs-core';
import { isTensorFlow } from './kernels/device.ts';

/** An operation of TensorFlow in a profile. */
export interface ProfiledOperation {
  name: string;
  calls: number;
  ms: number;
}

type Execute = (name: string, ...rest: unknown[]) => unknown;

/**
 * Which operations the time of `act` went to. Each is timed where TensorFlow runs it: on a CPU that is its whole time, on
 * a GPU only its launch.
 * @returns operations by falling time, and all of the time with what was spent between them; null without TensorFlow
 */
export function profileOperations(act: () => void): { total_ms: number; operations: ProfiledOperation[] } | null {
  if (!isTensorFlow()) return null;
  const backend = tf.backend() as unknown as { binding: { executeOp: Execute } };
  const { binding } = backend;
  const found = new Map<string, ProfiledOperation>();
  const executeOp: Execute = (name, ...rest) => {
    const began = performance.now();
    try {
      return binding.executeOp(name, ...rest);
    } finally {
      const one = found.get(name) ?? { name, calls: 0, ms: 0 };
      one.calls++;
      one.ms += performance.now() - began;
      found.set(name, one);
    }
  };
  // The binding itself cannot be changed.
  backend.binding = Object.create(binding, { executeOp: { value: executeOp } });
  const began = performance.now();
  try {
    act();
  } finally {
    backend.binding = binding;
  }
  return { total_ms: performance.now() - began, operations: [...found.values()].sort((a, b) => b.ms - a.ms) };
}
