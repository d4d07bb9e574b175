import { explanationOf } from '../../../methods/steps.ts';
import { gridOf, patchesOf } from '../../../shared/config.ts';
import type { ExplainView, Input } from '../../../shared/contract/index.ts';
import type { ExplanationAnswer } from '../../../shared/method.ts';
import type { Explained } from '../../engine/explanation.ts';
import { requireFinite } from '../../engine/finite.ts';
import { fileOf } from '../../store/image-file.ts';
import type { Store } from '../../store/store.ts';
import { Networks } from '../ground/networks.ts';
import { centrePixels, normalisePixels, pictureUrl } from '../ground/pictures.ts';
import { maskFrom } from './mask.ts';

/** What only a run's method can be asked: its own code answers. */
export class Explanations {
  readonly #store: Store;
  readonly #networks: Networks;

  constructor(store: Store, networks = new Networks(store)) {
    this.#store = store;
    this.#networks = networks;
  }

  /**
   * @throws AppError not-found; bad-input for an explanation that the method has not, and for a mask of another size or
   * one that it cannot be asked with
   */
  async explain(input: Input<'explore.explain'>): Promise<ExplainView> {
    const checkpoint = this.#store.checkpoints.get(input.checkpoint);
    const { config } = checkpoint;
    const { explain, answer } = await explanationOf(checkpoint, input.key);
    const row = this.#store.images.get(input.image);
    const mask = maskFrom(config, input.mask, input.draw);
    const side = config.model.image_size;
    const pixels = await centrePixels(fileOf(this.#store.datasets.get(row.dataset_id), row), side);
    const image = normalisePixels(pixels, config.augment);
    const said = checked(
      answer,
      explain(
        this.#networks.whole(checkpoint, input.untrained ? 'untrained' : 'student'),
        { pixels, image, mask },
        config,
      ),
      pixels.length,
      patchesOf(config.model),
    );
    const pictures = answer.pictures.map(
      async ({ key }) => [key, await pictureUrl(said.pictures[key]!, side)] as const,
    );
    return {
      grid: gridOf(config.model),
      picture: await pictureUrl(pixels, side),
      path: row.path,
      step: input.untrained ? 0 : checkpoint.step,
      mask: [...mask].map(Boolean),
      pictures: Object.fromEntries(await Promise.all(pictures)),
      maps: said.maps,
      figures: said.figures,
      words: said.words,
    };
  }
}

/**
 * An answer as its method described it: an error of its code ends here, not in the window.
 * @throws AppError bad-file where a number is not finite @throws RangeError where a part is missing or of another size
 */
function checked(answer: ExplanationAnswer, said: Explained, size: number, K: number): Explained {
  const lengths = [
    ...answer.pictures.map(({ key }) => [key, said.pictures[key]?.length, size] as const),
    ...answer.maps.map(({ key }) => [key, said.maps[key]?.length, K] as const),
    ...answer.figures.map(({ key }) => [key, typeof said.figures[key] === 'number' ? 1 : undefined, 1] as const),
  ];
  for (const [key, has, wanted] of lengths)
    if (has !== wanted) throw new RangeError(`the explanation's "${key}" has ${has ?? 'no'} values, not ${wanted}`);
  const numbers = [...Object.values(said.maps).flat(), ...Object.values(said.figures)].filter((one) => one !== null);
  requireFinite(Float32Array.from(numbers), 'The numbers of the explanation');
  return said;
}
