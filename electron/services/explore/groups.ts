import { assignmentOf } from '../../../methods/steps.ts';
import { gridOf, type ModelConfig, patchesOf } from '../../../shared/config.ts';
import type { GroupsView, Input } from '../../../shared/contract/index.ts';
import type { ImageRow } from '../../../shared/dataset.ts';
import { AppError } from '../../../shared/errors.ts';
import { leftOutWords } from '../../../shared/left-out.ts';
import { inUse } from '../../../shared/statistics.ts';
import { ImageReader } from '../../data/readable.ts';
import { requireFinite } from '../../engine/finite.ts';
import { hostTidy } from '../../engine/host.ts';
import { fileOf } from '../../store/image-file.ts';
import type { Store } from '../../store/store.ts';
import { readableBatches } from '../evaluation/batches.ts';
import type { Networks } from '../ground/networks.ts';
import { centreImage, centrePixels, pictureUrl, stack } from '../ground/pictures.ts';

const BATCH = 32;
/** Groups that are shown, and rows of each. */
const [SHOWN, NEAREST] = [24, 8];
/** Side of what is shown around a patch, patches. */
const AROUND = 3;

/** A row with its own group: that to which it belongs most. */
interface Placed {
  image: ImageRow;
  /** Of a patch; null where images are sorted. */
  place: number | null;
  group: number;
  value: number;
}

/**
 * Sorts images, or their patches, into what a method has for that (prototypes, classes, codes), and shows the largest groups.
 * @throws AppError not-found; bad-input for a method that sorts nothing, and where no image can be read
 */
export async function groupsOf(store: Store, input: Input<'explore.groups'>, networks: Networks): Promise<GroupsView> {
  const checkpoint = store.checkpoints.get(input.checkpoint);
  const { config } = checkpoint;
  const { model, augment } = config;
  const { assign, groups: sorted } = await assignmentOf(checkpoint, input.key);
  const wanted = imagesOf(store, input);
  const files = wanted.map((row) => ({ ...row, file: fileOf(store.datasets.get(row.dataset_id), row) }));
  const rowsOfImage = sorted.of === 'patches' ? patchesOf(model) : 1;
  const reader = new ImageReader();
  const placed: Placed[] = [];
  let groups = 0;
  for await (const batch of readableBatches(files, BATCH, reader, (file) =>
    centreImage(file, model.image_size, augment),
  )) {
    const images = stack(batch.map(({ value }) => value));
    // Not within the tidy, which would free what it loads.
    const network = networks.whole(checkpoint, input.untrained ? 'untrained' : 'student');
    const scores = requireFinite(
      hostTidy(() => assign(network, images, config)),
      'What the network sorts images by',
    );
    groups = scores.length / batch.length / rowsOfImage;
    for (let row = 0; row < batch.length * rowsOfImage; row++) {
      const of = scores.subarray(row * groups, (row + 1) * groups);
      const group = of.reduce((best, value, i) => (value > of[best]! ? i : best), 0);
      const { image } = batch[Math.floor(row / rowsOfImage)]!;
      placed.push({ image, place: sorted.of === 'patches' ? row % rowsOfImage : null, group, value: of[group]! });
    }
  }
  const { leftOut } = reader;
  if (placed.length === 0) {
    const why = leftOutWords(leftOut, wanted.length);
    throw new AppError('bad-input', 'No image can be read.', why, 'Check the folders of the dataset.');
  }
  const byGroup = Map.groupBy(placed, ({ group }) => group);
  const own = placed.find(({ image }) => image.id === input.image)?.group;
  const largest = [...byGroup].sort(
    ([a, x], [b, y]) => Number(b === own) - Number(a === own) || y.length - x.length || a - b,
  );
  return {
    step: input.untrained ? 0 : checkpoint.step,
    grid: gridOf(model),
    images: placed.length / rowsOfImage,
    rows: placed.length,
    left_out: leftOut,
    groups,
    used: byGroup.size,
    perplexity: inUse(placed.map(({ group }) => group)),
    shown: await Promise.all(
      largest.slice(0, SHOWN).map(async ([group, rows]) => ({
        group: group + 1,
        count: rows.length,
        nearest: await Promise.all(
          nearestOf(rows, input.image).map(async ({ image: { id, hash, path, ...row }, place, value }) => ({
            image: id,
            hash,
            path,
            value,
            patch:
              place === null
                ? null
                : {
                    place,
                    picture: await around(fileOf(store.datasets.get(row.dataset_id), { ...row, path }), place, model),
                  },
          })),
        ),
      })),
    ),
  };
}

/** The nearest of a group, the nearest first; with the chosen image, where that is in it. */
function nearestOf(rows: readonly Placed[], chosen: number | null): Placed[] {
  const sorted = rows.toSorted((a, b) => b.value - a.value);
  const nearest = sorted.slice(0, NEAREST);
  const isChosen = ({ image }: Placed) => image.id === chosen;
  const own = sorted.find(isChosen);
  return !own || nearest.some(isChosen) ? nearest : [...nearest.slice(0, -1), own];
}

/** The chosen image, and others evenly over the dataset. */
function imagesOf(store: Store, { dataset, image, images }: Input<'explore.groups'>): ImageRow[] {
  store.datasets.get(dataset);
  const first = image === null ? [] : [store.images.get(image)];
  const rows = [...first, ...store.images.sample(dataset, images).filter(({ id }) => id !== image)];
  if (rows.length === 0) throw new AppError('bad-input', 'The dataset has no usable image.');
  return rows.slice(0, images);
}

/** A patch and its neighbours as a picture; at an edge as many, of which it is not the middle. */
async function around(file: string, place: number, model: ModelConfig): Promise<string> {
  const [grid, p] = [gridOf(model), model.patch_size];
  const pixels = await centrePixels(file, model.image_size);
  const span = Math.min(AROUND, grid);
  const from = (at: number) => Math.min(Math.max(0, at - 1), grid - span) * p;
  const [x0, y0, side] = [from(place % grid), from(Math.floor(place / grid)), span * p];
  const out = new Uint8Array(side * side * 3);
  for (let y = 0; y < side; y++) {
    const at = ((y0 + y) * model.image_size + x0) * 3;
    out.set(pixels.subarray(at, at + side * 3), y * side * 3);
  }
  return pictureUrl(out, side);
}
