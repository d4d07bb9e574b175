import type { BackendName, BackendUse } from '../../../shared/backends.ts';

export const BACKEND_WORDS: Record<BackendName, string> = {
  tensorflow: 'TensorFlow',
  webgpu: 'WebGPU',
  wasm: 'WASM',
  cpu: 'plain JavaScript',
};

/** What is used, in a sentence. */
export const useOf = (use: BackendUse): string =>
  use === 'auto' ? 'the fastest of the last trial, else TensorFlow, else WASM' : BACKEND_WORDS[use];

/** Images a second, with the precision that a trial of seconds has. */
export const speed = (value: number): string => (value < 100 ? value.toPrecision(3) : String(Math.round(value)));
