import type { EngineOptions } from '../engine/trainer.ts';
import { collectGarbage } from '../runtime/garbage.ts';
import { benchConfig, median, noise, timeStep, untrainedEngine } from './step.ts';

export interface MethodBenchOptions extends EngineOptions {
  model: string;
  image: number;
  patch: number;
  batch: number;
  steps: number;
  /** Settings of both kinds of step, KEY=VALUE. */
  set: readonly string[];
  /** Further settings of the steps to compare with. */
  against: readonly string[];
}

/** What a kind of step took. */
export interface StepTime {
  /** The settings that make it. */
  settings: string;
  /** Of a step: the median, the shortest, the longest. */
  seconds: number;
  seconds_least: number;
  seconds_most: number;
  images_per_second: number;
  /** Its median over that of the first. */
  of_the_first: number;
  /** The processor's time of all cores, of a step: less touched by what else the machine does. */
  cpu_seconds: number;
  cpu_of_the_first: number;
}

/**
 * Times whole training steps of a method in turn with steps of other settings, on noise, so that other load of the machine
 * slows both. Needs a backend to be set.
 * @returns of the other settings first, then of the method's own
 * @throws AppError bad-input
 */
export function timeAgainst(name: string, options: MethodBenchOptions): StepTime[] {
  const { model, image, patch, batch, steps, set, against } = options;
  const kinds = [[...set, ...against], set].map((settings) => {
    const config = benchConfig({ method: name, model, image, patch, batch, set: settings });
    const engine = untrainedEngine(config, options);
    return {
      settings: settings.join(' ') || 'as published',
      config,
      engine,
      times: [] as number[],
      cpu: [] as number[],
    };
  });
  collectGarbage();
  try {
    for (let step = 0; step <= steps; step++) {
      for (const { config, engine, times, cpu } of kinds) {
        const input = noise(config, batch);
        const { seconds, cpu_seconds } = timeStep(engine, input);
        if (step === 0) continue; // it compiles kernels for its shapes
        times.push(seconds);
        cpu.push(cpu_seconds);
      }
    }
  } finally {
    for (const { engine } of kinds) engine.dispose();
  }
  return kinds.map(({ settings, times, cpu }) => ({
    settings,
    seconds: median(times),
    seconds_least: Math.min(...times),
    seconds_most: Math.max(...times),
    images_per_second: batch / median(times),
    of_the_first: median(times) / median(kinds[0]!.times),
    cpu_seconds: median(cpu),
    cpu_of_the_first: median(cpu) / median(kinds[0]!.cpu),
  }));
}
