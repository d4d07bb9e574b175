import type { Checkpoint } from '../../shared/checkpoint.ts';
import type { RunConfig } from '../../shared/config.ts';

export type KeepPolicy = Pick<RunConfig['checkpoint'], 'keep_last' | 'keep_best' | 'keep_every_epochs'>;

/**
 * What to do with each checkpoint of a run: the latest `keep_last` stay whole; the best, and the first at or after every
 * `keep_every_epochs` epochs, stay without optimizer state; the others go.
 */
export function sortOut(
  checkpoints: Pick<Checkpoint, 'id' | 'step' | 'epoch' | 'is_best' | 'has_optimizer'>[],
  { keep_last, keep_best, keep_every_epochs }: KeepPolicy,
): { remove: number[]; strip: number[] } {
  const byStep = checkpoints.toSorted((a, b) => a.step - b.step);
  const whole = new Set(byStep.slice(-Math.max(1, keep_last)).map((c) => c.id));
  const periods = new Set<number>([0]);
  const remove: number[] = [];
  const strip: number[] = [];
  for (const { id, epoch, is_best, has_optimizer } of byStep) {
    const period = keep_every_epochs === null ? 0 : Math.floor(epoch / keep_every_epochs);
    const opensPeriod = !periods.has(period);
    periods.add(period);
    if (whole.has(id)) continue;
    if (!opensPeriod && !(keep_best && is_best)) remove.push(id);
    else if (has_optimizer) strip.push(id);
  }
  return { remove, strip };
}
