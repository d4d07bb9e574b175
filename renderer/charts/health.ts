import type { Metric } from '../../shared/domain.ts';

export interface Health {
  /** `alarm`: it is going wrong; `note`: worth knowing. */
  level: 'alarm' | 'note';
  text: string;
  advice: string;
}

const LOW_RANK = 3;
const HIGH_COSINE = 0.9;
/** Share of ln K above which a loss is worse than guessing: batches vary. */
const ABOVE = 1.02;
/** A curve is judged by the mean of so many of its last points. */
const LAST = 10;

const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const SLOWER =
  'Try a teacher that follows more slowly (momentum.start closer to 1), a lower optimizer.lr, or the strong teacher view.';

/** What the curves of a run say of its health, in words. @param K patches of an image */
export function healthOf(metrics: readonly Metric[], K: number): Health[] {
  const found: Health[] = [];
  const last = metrics.slice(-LAST);
  if (last.length < LAST) return found;
  const lnK = Math.log(K);
  const ranks = metrics.flatMap(({ rank_teacher: rank }) => (rank === null ? [] : [rank]));
  const cosine = metrics.findLast(({ cosine_teacher: value }) => value !== null)?.cosine_teacher ?? 0;
  const loss = mean(last.map((m) => m.loss));
  const top1 = mean(last.map((m) => m.top1));
  const isWorse = loss > lnK * ABOVE;

  if (
    ranks.length > 0 &&
    (ranks.at(-1)! < LOW_RANK || (cosine > HIGH_COSINE && ranks.at(-1)! < Math.max(...ranks) / 2))
  ) {
    found.push({
      level: 'alarm',
      text: `The teacher's keys have collapsed: effective rank ${ranks.at(-1)!.toFixed(1)}, mean cosine ${cosine.toFixed(2)}. All patches look alike to it, so look-ups say nothing.`,
      advice: SLOWER,
    });
  } else if (isWorse) {
    found.push({
      level: 'alarm',
      text: `The loss (${loss.toFixed(2)}) is above ln K (${lnK.toFixed(2)}): look-ups are worse than guessing, which a collapse begins with.`,
      advice: SLOWER,
    });
  } else if (loss > lnK * 0.99 && metrics.at(-1)!.step > 300) {
    found.push({
      level: 'alarm',
      text: `The loss stays at ln K (${lnK.toFixed(2)}): nothing is learned yet.`,
      advice:
        'With few images take model.position=absolute and a rate of 1e-3 to 2e-3: the shared relative bias starts at zero.',
    });
  }
  const controls = metrics.flatMap(({ top1_control: c, top1: t }) => (c === null ? [] : [{ c, gap: t - c }]));
  if (found.length === 0 && controls.length >= 2 * LAST) {
    const control = mean(controls.slice(-LAST).map(({ c }) => c));
    const gap = mean(controls.slice(-LAST).map((x) => x.gap));
    const bestTop1 = Math.max(...metrics.map((m) => m.top1));
    const bestControl = Math.max(...controls.map(({ c }) => c));
    if (top1 < bestTop1 - 0.1 && control < bestControl - 0.1 && gap > 0.1) {
      found.push({
        level: 'note',
        text: `Look-ups fall (${(top1 * 100).toFixed(0)} %), and those with another image's keys as well (${(control * 100).toFixed(0)} %): position is being forgotten, content explains ${(gap * 100).toFixed(0)} %. That is not a collapse.`,
        advice: '',
      });
    } else if (gap < 0.02 && control > 3 / K) {
      found.push({
        level: 'note',
        text: `Look-ups are no better than with another image's keys: so far position alone is learned.`,
        advice: 'A smaller crop (augment.crop_scale) or a gentler teacher view shows more content.',
      });
    }
  }
  return found;
}
