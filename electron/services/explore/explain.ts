import { methodOf } from '../../../methods/index.ts';
import { explanationOf } from '../../../methods/steps.ts';
import { gridOf, patchesOf, type RunConfig } from '../../../shared/config.ts';
import type { ExplainView, GroupsView, Input } from '../../../shared/contract/index.ts';
import type { ImageRow } from '../../../shared/dataset.ts';
import { AppError } from '../../../shared/errors.ts';
import type { ExplanationAnswer } from '../../../shared/method.ts';
import type { Explained } from '../../engine/explanation.ts';
import { requireFinite } from '../../engine/finite.ts';
import { fileOf } from '../../store/image-file.ts';
import type { Store } from '../../store/store.ts';
import { Networks } from '../ground/networks.ts';
import { centrePixels, normalisePixels, pictureUrl } from '../ground/pictures.ts';
import { viewsOfImage } from '../recipes/lab.ts';
import { groupsOf } from './groups.ts';
import { maskFrom } from './mask.ts';

/** What only a run's method can be asked: its own code answers. */
export class Explanations {
  readonly #store: Store;
  readonly #networks: Networks;

  constructor(store: Store, networks = new Networks(store)) {
    this.#store = store;
    this.#networks = networks;
  }

  /** The image and others of its dataset in the run's views, as one draw makes them. */
  async #batch(config: RunConfig, first: ImageRow, count: number, draw: number) {
    const others = this.#store.images.sample(first.dataset_id, count).filter(({ id }) => id !== first.id);
    const made: { row: ImageRow; views: Record<string, Uint8Array> }[] = [];
    for (const row of [first, ...others].slice(0, count)) {
      try {
        made.push({ row, views: (await viewsOfImage(this.#store, config, row, draw)).views });
      } catch (error) {
        if (row === first || !(error instanceof AppError)) throw error; // another that cannot be read is left out
      }
    }
    const specs = methodOf(config).views(config);
    return {
      views: Object.fromEntries(
        specs.map(({ name }) => [name, joined(made.map(({ views }) => normalisePixels(views[name]!, config.augment)))]),
      ),
      images: await Promise.all(
        made.map(async ({ row, views }) => ({
          image: row.id,
          path: row.path,
          views: Object.fromEntries(
            await Promise.all(
              specs.map(async ({ name, side }) => [name, await pictureUrl(views[name]!, side)] as const),
            ),
          ),
        })),
      ),
    };
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
    const mask = methodOf(config).mask
      ? maskFrom(config, input.mask, input.draw)
      : new Uint8Array(patchesOf(config.model));
    const side = config.model.image_size;
    const pixels = await centrePixels(fileOf(this.#store.datasets.get(row.dataset_id), row), side);
    const image = normalisePixels(pixels, config.augment);
    const batch = answer.batch === undefined ? null : await this.#batch(config, row, answer.batch, input.draw);
    const network = (part: 'student' | 'teacher') =>
      this.#networks.whole(checkpoint, input.untrained ? 'untrained' : part);
    const teacher = batch && methodOf(config).hasTeacher ? network('teacher') : null;
    const asked = { pixels, image, mask, teacher, batch: batch?.views ?? null };
    const said = checked(answer, explain(network('student'), asked, config), {
      size: pixels.length,
      K: patchesOf(config.model),
      images: batch?.images.length ?? 1,
    });
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
      batch: batch?.images ?? [],
      pairs: said.pairs ?? {},
    };
  }

  /** What many images, or their patches, are sorted into. @throws as `groupsOf` */
  groups(input: Input<'explore.groups'>): Promise<GroupsView> {
    return groupsOf(this.#store, input, this.#networks);
  }
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/**
 * An answer as its method described it: an error of its code ends here, not in the window.
 * @throws AppError bad-file where a number is not finite @throws RangeError where a part is missing or of another size
 */
function checked(
  answer: ExplanationAnswer,
  said: Explained,
  { size, K, images }: { size: number; K: number; images: number },
): Explained {
  const lengths = [
    ...answer.pictures.map(({ key }) => [key, said.pictures[key]?.length, size] as const),
    ...answer.maps.map(({ key }) => [key, said.maps[key]?.length, K] as const),
    ...(answer.pairs ?? []).map(
      ({ key, rows, columns }) => [key, said.pairs?.[key]?.length, rows.length * columns.length * images ** 2] as const,
    ),
    ...answer.figures.map(({ key }) => [key, typeof said.figures[key] === 'number' ? 1 : undefined, 1] as const),
  ];
  for (const [key, has, wanted] of lengths)
    if (has !== wanted) throw new RangeError(`the explanation's "${key}" has ${has ?? 'no'} values, not ${wanted}`);
  const numbers = [said.maps, said.pairs ?? {}, said.figures]
    .flatMap((one): (number | null)[] => Object.values(one).flat())
    .filter((one) => one !== null);
  requireFinite(Float32Array.from(numbers), 'The numbers of the explanation');
  return said;
}
