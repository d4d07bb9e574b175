import type { RunConfig } from '../../shared/config.ts';

/**
 * One value of the published `cosine_scheduler` (utils.py): linear warm-up over `warmup` steps (both ends included, as
 * `np.linspace`), then half a cosine from `base` to `final`, which the last step does not quite reach.
 */
export function cosineSchedule(
  step: number,
  total: number,
  base: number,
  final: number,
  warmup = 0,
  start = 0,
): number {
  if (step < warmup) return warmup === 1 ? start : start + ((base - start) * step) / (warmup - 1);
  const length = Math.max(1, total - warmup);
  return final + 0.5 * (base - final) * (1 + Math.cos((Math.PI * Math.min(step - warmup, length)) / length));
}

export interface Rates {
  lr: number;
  weight_decay: number;
  momentum: number;
}

/** Steps of warm-up as they are asked for. */
export function wantedWarmup({ optimizer }: Pick<RunConfig, 'optimizer'>, stepsPerEpoch: number): number {
  const { warmup_steps, warmup_epochs } = optimizer;
  return warmup_steps >= 0 ? warmup_steps : Math.trunc(warmup_epochs * stepsPerEpoch);
}

/** The same, never more than all steps: the published code asserts that, we shorten, and say so. */
export const warmupSteps = (config: RunConfig, totalSteps: number, stepsPerEpoch: number): number =>
  Math.min(wantedWarmup(config, stepsPerEpoch), totalSteps);

/** What a method without a moving average has. */
const NO_TEACHER = { schedule: 'none', start: 0, end: 0 } as const;

/**
 * Learning rate, weight decay and momentum of a step, counted from 0.
 * @param peakAfterWarmup whether the warm-up of W steps has the rate t / W of the peak at step t, so that the step after it is
 *   the first at the peak; else its last one is
 */
export function ratesAt(
  config: RunConfig,
  step: number,
  totalSteps: number,
  stepsPerEpoch: number,
  peakAfterWarmup = false,
): Rates {
  const { lr, min_lr, warmup_lr, weight_decay, weight_decay_end } = config.optimizer;
  const { schedule, start, end } = config.momentum ?? NO_TEACHER;
  const momentum =
    schedule === 'none' ? 0 : schedule === 'constant' ? start : cosineSchedule(step, totalSteps, start, end);
  const warmup = warmupSteps(config, totalSteps, stepsPerEpoch);
  return {
    lr:
      peakAfterWarmup && step < warmup
        ? warmup_lr + ((lr - warmup_lr) * step) / warmup
        : cosineSchedule(step, totalSteps, lr, min_lr, warmup, warmup_lr),
    weight_decay: cosineSchedule(step, totalSteps, weight_decay, weight_decay_end ?? weight_decay),
    momentum,
  };
}
