import type { Metric } from './run.ts';

/**
 * What is measured of features at each checkpoint, beside the untrained network, and stored among the figures of its step:
 * so it stays when the checkpoint is deleted.
 */

/** k-NN accuracy where the images have classes, RankMe where they have none. */
export const FEATURE_TASKS = ['knn', 'rankme'] as const;
export type FeatureTask = (typeof FEATURE_TASKS)[number];

/** Their keys among the figures of a step. */
export const featureKeys = (task: FeatureTask) => ({
  trained: `${task}_features`,
  untrained: `${task}_untrained`,
  images: `${task}_images`,
});

/** What always saying the most frequent class gets right. */
export const KNN_CHANCE = 'knn_chance';

export interface FeatureMeasure {
  step: number;
  task: FeatureTask;
  trained: number;
  untrained: number;
  /** Images that were asked. */
  images: number;
  /** What no network is needed for; null where that means nothing. */
  chance: number | null;
}

/** Those among the figures of steps, in their order. */
export function measuresIn(metrics: readonly Pick<Metric, 'step' | 'figures'>[]): FeatureMeasure[] {
  return metrics.flatMap(({ step, figures }) =>
    FEATURE_TASKS.flatMap((task) => {
      const keys = featureKeys(task);
      const [trained, untrained, images] = [figures[keys.trained], figures[keys.untrained], figures[keys.images]];
      if (typeof trained !== 'number' || typeof untrained !== 'number' || typeof images !== 'number') return [];
      const chance = task === 'knn' ? (figures[KNN_CHANCE] ?? null) : null;
      return [{ step, task, trained, untrained, images, chance }];
    }),
  );
}

/** The same as figures of a step. */
export function asFigures({
  task,
  trained,
  untrained,
  images,
  chance,
}: Omit<FeatureMeasure, 'step'>): Metric['figures'] {
  const keys = featureKeys(task);
  return {
    [keys.trained]: trained,
    [keys.untrained]: untrained,
    [keys.images]: images,
    ...(chance !== null && { [KNN_CHANCE]: chance }),
  };
}
