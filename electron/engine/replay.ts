import type { HostTensor, StateDict } from '../../shared/tensors.ts';
import type { Rates } from './schedule.ts';
import type { Method, StepResult, TrainerConfig } from './trainer.ts';

/**
 * How a method reads a parity fixture: what its published code was given, and under which names it said what came out.
 * A folder has fixture.json, NETWORK.init and batch.stepN (.safetensors), and whatever of the results was kept.
 */
export interface Replay<Config extends TrainerConfig, Batch> {
  method: Method<Config, Batch>;
  /** @param said fixture.json @throws ZodError */
  read(said: unknown): { config: Config; rates: Rates[] };
  /** What the files of the trained network, and of its average, are called. */
  networks: { student: string; teacher?: string };
  /** @throws AppError bad-file where a tensor is missing */
  batch(part: (name: string) => HostTensor, config: Config): Batch;
  /** The name of the images in a batch that tokens are asked of where the folder has no tokens.eval. */
  input: string;
  /** What features.step0 calls the tensors that a step shows, where that has other names. */
  shown?: Readonly<Record<string, string>>;
  /** Under which keys result.json says a step. */
  result(step: StepResult): Record<string, number>;
  /** Files beside the common ones, made of the first step's features. */
  more?: {
    files: readonly string[];
    write(features: StateDict, part: (name: string) => HostTensor, config: Config): Record<string, unknown>;
  };
  /** Published names, where this engine has others. */
  names?: { read(state: StateDict): StateDict; write(state: StateDict): StateDict };
  /** Changes tensors of the first states that no step touches, as the published code does; in place. */
  untouched?(init: Record<'student' | 'teacher', StateDict>, used: ReadonlySet<string>, rates: readonly Rates[]): void;
}

/** `[batch, 3, h, w]`, as published code has images, as the engine's `[batch, h, w, 3]`. */
export function channelsLast({ shape, data }: HostTensor): Float32Array {
  const [batch, channels, h, w] = shape as [number, number, number, number];
  const [area, out] = [h * w, new Float32Array(data.length)];
  for (let b = 0; b < batch; b++) {
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < area; i++) out[(b * area + i) * channels + c] = data[(b * channels + c) * area + i]!;
    }
  }
  return out;
}
