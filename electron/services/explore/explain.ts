import { LRUCache } from 'lru-cache';
import { networkOf } from '../../../methods/networks.ts';
import { explanationOf } from '../../../methods/steps.ts';
import type { Checkpoint } from '../../../shared/checkpoint.ts';
import { gridOf, patchesOf } from '../../../shared/config.ts';
import type { ExplainView, Input } from '../../../shared/contract/index.ts';
import type { ExplanationAnswer } from '../../../shared/method.ts';
import type { Explained } from '../../engine/explanation.ts';
import { requireFinite } from '../../engine/finite.ts';
import { Network } from '../../engine/network.ts';
import { fileOf } from '../../store/image-file.ts';
import type { Store } from '../../store/store.ts';
import { untrainedSource } from '../../trainer/training.ts';
import { centrePixels, normalisePixels, pictureUrl } from '../ground/pictures.ts';
import { maskFrom } from './mask.ts';

/** Networks with all their heads that stay loaded: of two checkpoints, each with the untrained one beside it. */
const KEPT = 4;

/** What only a run's method can be asked: its own code answers. Networks that were asked lately stay loaded. */
export class Explanations {
  readonly #store: Store;
  readonly #loaded = new LRUCache<string, Network>({ max: KEPT, dispose: (network) => network.dispose() });

  constructor(store: Store) {
    this.#store = store;
  }

  #network({ id, created_at, config }: Checkpoint, isUntrained: boolean): Network {
    const key = `${id} ${created_at} ${isUntrained}`; // a number may be given again after its checkpoint was deleted
    const known = this.#loaded.get(key);
    if (known) return known;
    const state = isUntrained ? untrainedSource(config) : this.#store.checkpoints.load(id, 'student');
    const network = new Network(networkOf(config), state);
    this.#loaded.set(key, network);
    return network;
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
      explain(this.#network(checkpoint, input.untrained), { pixels, image, mask }, config),
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

  close(): void {
    this.#loaded.clear();
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
