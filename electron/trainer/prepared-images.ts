import { suggested } from '../../shared/command.ts';
import type { PreparedPlace } from '../data/prepared.ts';
import { preparedFile } from '../store/home.ts';
import type { Store } from '../store/store.ts';
import type { TrainingImage } from './training-images.ts';

export interface PreparedImages {
  places: ReadonlyMap<number, PreparedPlace>;
  /** What a person should know of it; empty where all images were prepared. */
  notice: string;
}

/**
 * Where a run's prepared images lie, those that have not changed since. The loader decodes and downsizes the others, to the
 * same pixels.
 */
export function preparedImages(
  store: Store,
  datasetId: number,
  size: number,
  images: readonly TrainingImage[],
): PreparedImages {
  const set = store.prepared.find(datasetId, size);
  const places = new Map<number, PreparedPlace>();
  const paths = new Map<number, string>();
  for (const { image_id, file, start, width, height, crc32 } of set ? store.prepared.images(set.id) : []) {
    let path = paths.get(file);
    if (path === undefined) {
      path = preparedFile(store.path, set!.id, file);
      paths.set(file, path);
    }
    places.set(image_id, { file: path, start, width, height, crc32 });
  }
  const missing = images.filter(({ id }) => !places.has(id)).length;
  if (missing === 0) return { places, notice: '' };
  const { name } = store.datasets.get(datasetId);
  const changed = set ? store.prepared.changed(set.id) : 0;
  const why = changed > 0 ? ` (${changed} of the dataset's have changed since)` : '';
  const command = suggested('prepare', [name], `--size ${size}`, process.platform);
  return {
    places,
    notice:
      `${missing} of ${images.length} images are not prepared at ${size} pixels${why}: they are decoded, to the same ` +
      `pixels, more slowly. \`${command}\` adds them.`,
  };
}
