import { dimensionsInUse, type Finding, type HealthReport, toldApart } from '../../shared/health.ts';
import { percent } from '../../shared/words.ts';
import { concatenated, type HealthFigure, placeShare, placeShareByChance, toUnitRows } from './health.ts';
import { tokensOf } from './inference.ts';
import type { Network } from './network.ts';

/** What health reports of methods share whose loss is on patches: whether their tokens differ, and how far by place alone. */

export const PATCH_SETS = [{ key: 'patches', title: 'patch tokens' }] as const;

export const PLACE_SHARE: HealthFigure = {
  key: 'place_share',
  title: 'Variance of patch tokens explained by place',
  words: percent,
  against: ({ references }) => `by chance ${percent(references.place_share_chance)}`,
};

export const PATCH_MEANING: readonly [term: string, text: string] = [
  'Patch tokens and images',
  'Tokens of all patches after the last block, of images of which nothing is hidden; images are their mean. The network ' +
    'sees the middle square, not augmented.',
];

/** Tokens of the patches of whole images, of unit length. */
export class PatchTokens {
  readonly #K: number;
  readonly #width: number;
  readonly #rows: Float32Array[] = [];

  constructor(K: number, width: number) {
    this.#K = K;
    this.#width = width;
  }

  /** @param images `[batch, side, side, 3]` @throws AppError diverged */
  add(student: Network, images: Float32Array, batch: number): void {
    const [K, width] = [this.#K, this.#width];
    const all = tokensOf(student, images);
    for (let i = 0; i < batch; i++) {
      const from = (i * (K + 1) + 1) * width; // without CLS
      this.#rows.push(toUnitRows(all.slice(from, from + K * width), width));
    }
  }

  result() {
    const features = concatenated(this.#rows);
    return {
      sets: { patches: { features, width: this.#width } },
      figures: { place_share: placeShare(features, this.#K, this.#width) },
      references: { place_share_chance: placeShareByChance(this.#rows.length, this.#K) },
    };
  }
}

/** @param advice what to do where they are bad */
export function patchFindings(report: HealthReport, advice: string): Finding[] {
  const { trained, untrained, references } = report;
  const { place_share } = trained.figures;
  return [
    toldApart(report, { set: 'patches', title: 'tokens', one: 'patches' }, advice),
    dimensionsInUse(report, 'patches', 'patch tokens'),
    {
      level: 'note',
      title: `The place of a patch explains ${percent(place_share)} of the variance of its token`,
      text:
        `Of the untrained network ${percent(untrained.figures.place_share)}; tokens that know nothing of their place have ` +
        `about ${percent(references.place_share_chance)} by chance.`,
    },
  ];
}
