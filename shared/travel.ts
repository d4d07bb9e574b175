/** How the answers of several networks differ for the same patch. */

/** A patch of an image. */
export interface Place {
  image: number;
  patch: number;
}

export interface Difference {
  /** Rank of each answer among those it is compared with, from 1; null where it is not among them. */
  ranks: (number | null)[];
  /** Share of the answers that both have; null where there is nothing to compare. */
  overlap: number | null;
}

/** Answers, nearest first, against those of another network on the same grid of patches; null for none. */
export function compareAnswers(reference: readonly Place[] | null, answers: readonly Place[]): Difference {
  const key = ({ image, patch }: Place) => `${image} ${patch}`;
  const places = new Map(reference?.map((one, i) => [key(one), i + 1]));
  const ranks = answers.map((one) => places.get(key(one)) ?? null);
  const overlap =
    reference === null || answers.length === 0 ? null : ranks.filter((rank) => rank !== null).length / answers.length;
  return { ranks, overlap };
}

/** The network nearest to another one in steps; of two equally near, the one that is untrained if the other is too. */
export function nearestStop<T extends { step: number; is_untrained: boolean }>(
  stops: readonly T[],
  { step, is_untrained }: { step: number; is_untrained: boolean },
): T | undefined {
  const far = (one: T) => Math.abs(one.step - step) + (one.is_untrained === is_untrained ? 0 : 0.5);
  return stops.reduce<T | undefined>((best, one) => (best && far(best) <= far(one) ? best : one), undefined);
}
