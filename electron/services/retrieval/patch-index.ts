import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import sharp from 'sharp';
import type { Checkpoint } from '../../../shared/checkpoint.ts';
import { gridOf, patchesOf, type RunConfig } from '../../../shared/config.ts';
import type { AlikeView, Input, RetrievalView, Searched } from '../../../shared/contract/index.ts';
import type { BuildReport } from '../../../shared/contract/retrieval.ts';
import type { Dataset, ImageRow } from '../../../shared/dataset.ts';
import { AppError } from '../../../shared/errors.ts';
import { leftOutWords } from '../../../shared/left-out.ts';
import { isWhole, type RetrievalIndex, type RetrievalSpec, WHOLE_FEATURES } from '../../../shared/retrieval.ts';
import { percent, plural } from '../../../shared/words.ts';
import { ImageReader } from '../../data/readable.ts';
import type { FrozenNetwork } from '../../engine/inference.ts';
import { poolTokens } from '../../engine/pooled.ts';
import { writeWhole } from '../../files/files.ts';
import { folderBytes } from '../../files/folders.ts';
import { fileOf } from '../../store/image-file.ts';
import type { SlotRow } from '../../store/retrieval.ts';
import type { Store } from '../../store/store.ts';
import { Networks } from '../ground/networks.ts';
import { centrePixels, normalisePixels, stack } from '../ground/pictures.ts';
import { type Contents, damagedFiles, lookAt, readContents, writeContents } from './contents.ts';
import { indexFolder, specOf, sweepIndexes } from './folders.ts';
import { RECALL_GOAL, updateLists } from './vector-builder.ts';
import { brokenIndex, EXACT_ROWS, FILES, type Hit, VectorIndex } from './vector-index.ts';

const BATCH = 32;
/** Images from whose features the mean is computed that is subtracted from all. */
const MEAN_IMAGES = 64;
/** Cosine from which on patches are called the same. */
const SAME = 0.9995;
const PICTURE = 192;
/** No image has this number: what a file has that is in no dataset. */
const NO_IMAGE = 0;
/** Indexes that stay open: those of a run's checkpoints are asked in turn, of two runs even. */
const OPEN = 256;
/** Pictures that stay drawn, some kB each: neighbouring checkpoints find the same images. */
const PICTURES = 2000;
const GONE = Symbol('cannot be read');

export interface SearchQuery {
  spec: RetrievalSpec;
  /** Image of the query: of any dataset. */
  image: number;
  /** One patch or a region, whose features are averaged. */
  patches: readonly number[];
  /** Searches the query's own image alone. */
  isWithinImage?: boolean;
  k: number;
  label?: string | null;
  /** Start of the path. */
  folder?: string;
  /** Whether patches of the query's own image may be answers. */
  sameImage?: boolean;
  /** Whether copies may: files of the same content, and patches that look the same to the network. */
  duplicates?: boolean;
}

/** Which answers are asked for. */
type Filters = Pick<SearchQuery, 'k' | 'label' | 'folder' | 'sameImage' | 'duplicates'>;

/** A window's words for it. */
export const queryOf = (input: Input<'retrieval.search'>): SearchQuery => ({
  spec: specOf(input),
  image: input.image,
  patches: input.patches,
  isWithinImage: input.within,
  k: input.k,
  label: input.label,
  folder: input.folder,
  sameImage: input.same_image,
  duplicates: input.duplicates,
});

interface Opened {
  vectors: VectorIndex;
  bySlot: Map<number, SlotRow>;
  mean: Float32Array;
}

/** What an index is built of. */
interface Building {
  spec: RetrievalSpec;
  checkpoint: Checkpoint;
  /** Of its feature. */
  width: number;
  dataset: Dataset;
  wanted: readonly ImageRow[];
  signal: AbortSignal | undefined;
  onProgress: ((done: number, total: number, phase: string) => void) | undefined;
}

/** What is asked of whole images. */
export interface AlikeQuery {
  spec: RetrievalSpec;
  /** Image of the query, of any dataset; or a file that is in none. */
  of: { image: number } | { file: string; hash: string };
  k: number;
  label?: string | null;
  /** Start of the path. */
  folder?: string;
  /** Whether copies may be answers: files of the same content, and images that look the same to the network. */
  duplicates?: boolean;
}

/** Searches patches of datasets, or whole images, by what a checkpoint's network makes of them. Needs a backend. */
export class PatchIndexes {
  readonly #store: Store;
  readonly #networks: Networks;
  readonly #opened = new LRUCache<string, Opened>({ max: OPEN, dispose: ({ vectors }) => vectors.close() });
  readonly #pictures = new LRUCache<string, string>({ max: PICTURES });

  constructor(store: Store, networks = new Networks(store)) {
    this.#store = store;
    this.#networks = networks;
  }

  /**
   * Builds an index, goes on with one that was cut short, or adds new images. Features that are there are not computed again.
   * @throws AppError bad-input where the dataset has no usable image or the network has no such feature; conflict while it is
   * being built elsewhere
   */
  async build(
    spec: RetrievalSpec,
    {
      signal,
      onProgress,
    }: { signal?: AbortSignal | undefined; onProgress?: (done: number, total: number, phase: string) => void } = {},
  ): Promise<BuildReport> {
    const checkpoint = this.#store.checkpoints.get(spec.checkpoint_id);
    const width = widthOf(checkpoint.config, spec.feature);
    const dataset = this.#store.datasets.get(spec.dataset_id);
    const wanted = spread([...this.#store.images.iterate(dataset.id, { status: 'ok' })], spec.max_images);
    if (wanted.length === 0) throw new AppError('bad-input', `Dataset "${dataset.name}" has no usable image.`);
    sweepIndexes(this.#store);
    const { id } = this.#store.retrieval.ensure(spec);
    const lock = this.#store.retrieval.take(id);
    if (lock === null) {
      const next = 'Wait until that has ended.';
      throw new AppError('conflict', 'This index is being built by another process.', '', next);
    }
    try {
      return await this.#build(id, { spec, checkpoint, width, dataset, wanted, signal, onProgress });
    } finally {
      lock.remove();
    }
  }

  async #build(
    id: number,
    { spec, checkpoint, width, dataset, wanted, signal, onProgress }: Building,
  ): Promise<BuildReport> {
    const { config } = checkpoint;
    this.#store.retrieval.setReady(id, false);
    this.#opened.clear();
    const folder = indexFolder(this.#store, id);
    mkdirSync(folder, { recursive: true });
    const K = rowsOf(config, spec.feature);
    const repaired = this.#clearDamaged(id, folder, K, width);
    const network = this.#networks.of(checkpoint, spec.part);
    const vectors = await VectorIndex.open(folder, width).catch((error) => {
      if (!(error instanceof AppError)) throw error;
      clearLists(folder);
      return VectorIndex.open(folder, width);
    });
    const reader = new ImageReader();
    try {
      const withFile = (image: ImageRow) => ({ ...image, file: fileOf(dataset, image) });
      const read = async (images: readonly ImageRow[]) => {
        const good = await reader.read(images.map(withFile), (file) => centrePixels(file, config.model.image_size));
        const input = stack(good.map(({ value }) => normalisePixels(value, config.augment)));
        return {
          images: good.map(({ image }) => image),
          features: good.length > 0 ? featuresOf(network, config, spec.feature, input) : new Float32Array(),
        };
      };
      if (!existsSync(join(folder, MEAN))) {
        const { features } = await read(spread(wanted, MEAN_IMAGES));
        if (features.length === 0) {
          const why = leftOutWords(reader.leftOut, wanted.length);
          throw new AppError('bad-input', `No image of "${dataset.name}" can be read.`, why, 'Look at its folders.');
        }
        writeWhole(join(folder, MEAN), [new Uint8Array(meanOf(features, width).buffer)]);
      }
      const mean = readMean(folder, width);
      const there = this.#store.retrieval.get(id).images;
      vectors.truncate(there * K); // a batch that was cut short
      const known = new Set(this.#store.retrieval.slots(id).flatMap((slot) => (slot.ok ? [slot.id] : [])));
      const missing = wanted.filter((image) => !known.has(image.id));
      let slot = there;
      for (let at = 0; at < missing.length; at += BATCH) {
        signal?.throwIfAborted();
        const { images, features } = await read(missing.slice(at, at + BATCH));
        if (images.length > 0) {
          vectors.append(centred(features, mean));
          this.#store.retrieval.addImages(id, slot, images);
          slot += images.length;
        }
        onProgress?.(Math.min(missing.length, at + BATCH), missing.length, 'features of images');
      }
      await updateLists(vectors, { signal, onProgress, group: K });
      writeContents(folder, lookAt(folder));
      this.#store.retrieval.setReady(id, true);
      const { rows, description } = vectors;
      return {
        index: this.#store.retrieval.get(id),
        patches: rows,
        bytes: await folderBytes(folder),
        recall: description.recall,
        unreadable: reader.leftOut.length,
        left_out: reader.leftOut,
        repaired,
      };
    } finally {
      vectors.close();
    }
  }

  /** @throws AppError not-found where no index of this kind is ready */
  async search(query: SearchQuery): Promise<RetrievalView> {
    const { spec } = query;
    const checkpoint = this.#store.checkpoints.get(spec.checkpoint_id);
    const { config } = checkpoint;
    const K = patchesOf(config.model);
    if (isWhole(spec.feature))
      throw new AppError(
        'bad-input',
        `"${spec.feature}" is of whole images, and has no patches.`,
        '',
        'Choose tokens.',
      );
    const width = widthOf(config, spec.feature);
    const bad = query.patches.find((patch) => patch >= K);
    if (bad !== undefined || query.patches.length === 0)
      throw new AppError('bad-input', `There is no patch ${bad ?? ''}: an image has ${K}, from 0 on.`);
    const row = this.#store.images.get(query.image);
    const index = this.#store.retrieval.find(spec);
    const opened = index?.is_ready ? await this.#open(index, width) : null;
    if (!opened && !query.isWithinImage) throw notIndexed();
    const slot = opened && slotOf(opened, row);
    let own: Float32Array;
    if (opened && slot !== undefined && slot !== null)
      own = centred(new Float32Array(opened.vectors.read(slot * K, (slot + 1) * K)), new Float32Array(width));
    else {
      const raw = await this.#featuresOf(checkpoint, spec, this.#fileOf(row));
      own = centred(raw, opened?.mean ?? meanOf(raw, width));
    }
    const vector = unit(meanOf(own, width, query.patches));
    const similarity = Array.from({ length: K }, (_, patch) => dot(vector, own, patch * width));
    const start = performance.now();
    const found = query.isWithinImage
      ? withinImage(similarity, query, row)
      : this.#answers(opened!, vector, K, query, row);
    const ms = performance.now() - start;
    const side = config.model.image_size;
    const pictures = new Map<number, string>();
    for (const { image } of found.results)
      if (!pictures.has(image.id)) pictures.set(image.id, await this.#picture(image, side, PICTURE).catch(() => ''));
    return {
      grid: gridOf(config.model),
      picture: await this.#picture(row, side),
      path: row.path,
      patches: [...query.patches],
      similarity,
      results: found.results.map(({ image, patch, score }) => ({
        image: image.id,
        path: image.path,
        label: image.label,
        patch,
        score,
        picture: pictures.get(image.id)!,
      })),
      searched: this.#searched(query, opened, found.rows, found.isExact, ms, K),
    };
  }

  /** Whole images like one. @throws AppError not-found where no index of this kind is ready; bad-file */
  async alike(query: AlikeQuery): Promise<AlikeView> {
    const { spec, of } = query;
    if (!isWhole(spec.feature)) {
      const next = `Choose ${WHOLE_FEATURES.join(' or ')}.`;
      throw new AppError('bad-input', `"${spec.feature}" is of patches, not of whole images.`, '', next);
    }
    const checkpoint = this.#store.checkpoints.get(spec.checkpoint_id);
    const { config } = checkpoint;
    const index = this.#store.retrieval.find(spec);
    if (!index?.is_ready) throw notIndexed();
    const opened = await this.#open(index, widthOf(config, spec.feature));
    const row = 'image' in of ? this.#store.images.get(of.image) : null;
    const asked = 'image' in of ? { ...row!, file: this.#fileOf(row!) } : { id: NO_IMAGE, ...of };
    const slot = slotOf(opened, asked);
    const vector =
      slot === undefined
        ? centred(await this.#featuresOf(checkpoint, spec, asked.file), opened.mean)
        : unit(new Float32Array(opened.vectors.read(slot, slot + 1)));
    const start = performance.now();
    // An image is no answer to itself.
    const found = this.#answers(opened, vector, 1, { ...query, sameImage: false }, asked);
    const ms = performance.now() - start;
    const side = config.model.image_size;
    return {
      picture: row
        ? await this.#picture(row, side, PICTURE)
        : await drawn(await centrePixels(asked.file, side), side, PICTURE),
      path: row?.path ?? null,
      results: found.results.map(({ image: { id, hash, path, label }, score }) => ({
        image: id,
        hash: hash.slice(0, 16),
        path,
        label,
        score,
      })),
      searched: this.#searched(query, opened, found.rows, found.isExact, ms, 1),
    };
  }

  /** Features of an image's middle square: a row for each patch, or one. @throws AppError bad-file */
  async #featuresOf(checkpoint: Checkpoint, { part, feature }: RetrievalSpec, file: string): Promise<Float32Array> {
    const { config } = checkpoint;
    const pixels = await centrePixels(file, config.model.image_size);
    const network = this.#networks.of(checkpoint, part);
    return featuresOf(network, config, feature, stack([normalisePixels(pixels, config.augment)]));
  }

  /** An image as a network of this configuration sees it. */
  async pictureOf(image: number, { model }: RunConfig): Promise<Pick<RetrievalView, 'picture' | 'path'>> {
    const row = this.#store.images.get(image);
    return { picture: await this.#picture(row, model.image_size), path: row.path };
  }

  /** The middle square as a data URL. @param side what a network sees @param size of the picture @throws AppError bad-file */
  async #picture(image: Pick<ImageRow, 'id' | 'folder' | 'path' | 'hash'>, side: number, size = side): Promise<string> {
    const key = `${image.id} ${image.hash} ${side} ${size}`;
    const pixels = this.#pictures.has(key) ? null : await centrePixels(this.#fileOf(image), side).catch(() => GONE);
    // What was found stays found where its file has gone: a grey square stands for it, as long as it is away.
    if (pixels === GONE) return drawn(new Uint8Array(side * side * 3).fill(128), side, size);
    const known = this.#pictures.get(key) ?? (await drawn(pixels as Uint8Array, side, size));
    this.#pictures.set(key, known);
    return known;
  }

  /** @param K rows of an image @param own the query's image */
  #answers(
    { vectors, bySlot }: Opened,
    vector: Float32Array,
    K: number,
    { k, label = null, folder = '', sameImage = true, duplicates = true }: Filters,
    own: Pick<ImageRow, 'id' | 'hash'>,
  ) {
    const allowed = new Uint8Array(Math.ceil(vectors.rows / K));
    let images = 0;
    for (const [slot, image] of bySlot) {
      if (!image.ok || (label !== null && image.label !== label) || !image.path.startsWith(folder)) continue;
      if (!sameImage && image.id === own.id) continue;
      if (!duplicates && image.id !== own.id && image.hash === own.hash) continue;
      allowed[slot] = 1;
      images++;
    }
    const rows = images * K;
    const accept = (row: number) => allowed[Math.floor(row / K)] === 1;
    const asPatch = ({ row, score }: Hit) => ({ image: bySlot.get(Math.floor(row / K))!, patch: row % K, score });
    let hits: ReturnType<typeof asPatch>[] = [];
    // Copies crowd out answers: more are asked for until enough are left.
    for (let ask = duplicates ? k : 4 * k; ; ask *= 4) {
      const got = vectors.search(vector, { k: ask, accept, accepted: rows });
      hits = got.map(asPatch);
      if (duplicates) break;
      hits = hits.filter(({ score }, i) => score < SAME && (i === 0 || Math.abs(hits[i - 1]!.score - score) > 1e-6));
      if (hits.length >= k || got.length < ask || ask > 4096) break;
    }
    return { results: hits.slice(0, k), rows, isExact: rows <= EXACT_ROWS };
  }

  #searched(
    query: Filters & { spec: RetrievalSpec; isWithinImage?: boolean },
    opened: Opened | null,
    rows: number,
    isExact: boolean,
    ms: number,
    K: number,
  ): Searched {
    const dataset = this.#store.datasets.get(query.spec.dataset_id).name;
    const recall = isExact ? null : (opened!.vectors.description.recall?.recall ?? null);
    const images = Math.round(rows / K);
    const isOfWhole = isWhole(query.spec.feature);
    const patches = isOfWhole ? 0 : rows;
    const what = query.isWithinImage
      ? `The ${rows} patches of this image`
      : `${isOfWhole ? '' : `${plural(rows, 'patch', 'patches')} of `}${plural(images, 'image')} of ${dataset}`;
    const filters = [
      ...(query.label ? [`class ${query.label}`] : []),
      ...(query.folder ? [`paths that begin with ${query.folder}`] : []),
      ...(query.sameImage === false ? ['other images only'] : []),
      ...(query.duplicates === false ? ['no copies'] : []),
    ];
    const how = isExact
      ? 'all compared, so nothing is missed'
      : recall === null
        ? 'through an index whose recall was not measured'
        : `through an index that finds ${percent(recall)} of the ten ` +
          `nearest${recall < RECALL_GOAL ? ' – too few: answers may be missing, delete it in Runtime and build it again' : ''}`;
    return {
      dataset,
      images,
      patches,
      is_exact: isExact,
      recall,
      ms,
      words:
        `${what}${filters.length > 0 ? ` (${filters.join(', ')})` : ''} were searched by ${WORDS[query.spec.feature] ?? query.spec.feature} of the ` +
        `${query.spec.part === 'untrained' ? 'untrained network' : query.spec.part}, ${how}, in ${ms.toFixed(1)} ms.`,
    };
  }

  #fileOf(image: Pick<ImageRow, 'id' | 'folder' | 'path'>): string {
    const { dataset_id } = this.#store.images.get(image.id);
    return fileOf(this.#store.datasets.get(dataset_id), image);
  }

  async #open(index: RetrievalIndex, width: number): Promise<Opened> {
    const { scanned_at } = this.#store.datasets.get(index.dataset_id);
    // A number may be given again after its index was deleted.
    const key = `${index.id} ${index.created_at} ${scanned_at} ${index.images}`;
    const known = this.#opened.get(key);
    if (known) return known;
    const folder = indexFolder(this.#store, index.id);
    const { config } = this.#store.checkpoints.get(index.checkpoint_id);
    let vectors: VectorIndex | null = null;
    try {
      requireSound(folder, index.images * rowsOf(config, index.feature), width);
      vectors = await VectorIndex.open(folder, width);
      const slots = this.#store.retrieval.slots(index.id);
      const bySlot = new Map(slots.map((s) => [s.slot, s]));
      const opened = { vectors, bySlot, mean: readMean(folder, width) };
      this.#opened.set(key, opened);
      return opened;
    } catch (error) {
      vectors?.close();
      const why = error instanceof AppError ? error : brokenIndex(folder, `${(error as Error).message}.`);
      // Whoever asks for it builds it then, which makes anew what is damaged.
      if (why.kind === 'bad-file') this.#store.retrieval.setReady(index.id, false);
      throw why;
    }
  }

  /** Before a build: removes damaged files of an index, and those made from them. @returns the damaged files */
  #clearDamaged(id: number, folder: string, K: number, width: number): string[] {
    let contents: Contents | null = null;
    let damaged: string[] = [];
    try {
      contents = readContents(folder);
      if (contents) damaged = damagedFiles(folder, contents, Number.POSITIVE_INFINITY);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      damaged = readdirSync(folder); // without a list of checksums no file can be trusted
    }
    const there = this.#store.retrieval.get(id).images;
    const isShort = sizeOf(folder, FILES.vectors) < there * K * width * Float16Array.BYTES_PER_ELEMENT;
    if (isShort && !damaged.includes(FILES.vectors)) damaged.push(FILES.vectors);
    if (existsSync(join(folder, MEAN)) && sizeOf(folder, MEAN) !== 4 * width) damaged.push(MEAN);
    if (there > 0 && !existsSync(join(folder, MEAN))) damaged.push(MEAN);
    if (damaged.includes(FILES.vectors) || damaged.includes(MEAN)) {
      for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true, force: true });
      this.#store.retrieval.clearImages(id);
      return [...new Set(damaged)];
    }
    if (damaged.length > 0) clearLists(folder);
    // What is only added to stays known while it is being built; the lists may go and come.
    const kept = contents?.files.filter(({ name }) => name === FILES.vectors || name === MEAN);
    if (kept) writeContents(folder, { isComplete: false, files: kept });
    return damaged;
  }

  close(): void {
    this.#opened.clear();
    this.#networks.close();
  }
}

const MEAN = 'mean.f32';

const sizeOf = (folder: string, name: string) => statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0;

/** Removes all but the vectors and what they are measured from: the lists are learned and written anew. */
function clearLists(folder: string): void {
  for (const name of readdirSync(folder))
    if (name !== FILES.vectors && name !== MEAN) rmSync(join(folder, name), { recursive: true, force: true });
}

/** @throws AppError bad-file where a file is not as it was written */
function requireSound(folder: string, rows: number, width: number): void {
  if (sizeOf(folder, FILES.vectors) !== rows * width * Float16Array.BYTES_PER_ELEMENT)
    throw brokenIndex(folder, `Its vectors are not those of ${rows} patches.`);
  const contents = readContents(folder);
  if (contents === null) {
    writeContents(folder, lookAt(folder)); // an older version built it, which noted nothing
    return;
  }
  const damaged = contents.isComplete ? damagedFiles(folder, contents) : ['contents.json'];
  if (damaged.length > 0)
    throw brokenIndex(
      folder,
      `${damaged.join(', ')} ${damaged.length === 1 ? 'is' : 'are'} not as written: a length or checksum differs.`,
    );
}

function readMean(folder: string, width: number): Float32Array {
  const bytes = readFileSync(join(folder, MEAN));
  if (bytes.length !== 4 * width) throw brokenIndex(folder, `${MEAN} is not whole.`);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** Features of whole images, in words. */
const WORDS: Record<string, string> = { mean: 'the mean of their patch tokens', cls: 'their CLS tokens' };

const notIndexed = () =>
  new AppError('not-found', 'This dataset has no index of these features yet.', '', 'Build it first.');

/** Where an image stands in an index; undefined where it is not in it, or has changed since. */
const slotOf = ({ bySlot }: Opened, { id }: Pick<ImageRow, 'id'>): number | undefined =>
  [...bySlot.values()].find((one) => one.id === id && one.ok)?.slot;

/** Rows that an image has in an index. */
const rowsOf = ({ model }: RunConfig, feature: string): number => (isWhole(feature) ? 1 : patchesOf(model));

/** @param input `[n, side, side, 3]`, normalised @returns `[n * rows of an image, width]` */
function featuresOf(network: FrozenNetwork, { model }: RunConfig, feature: string, input: Float32Array): Float32Array {
  if (!isWhole(feature)) return network.patches(input, feature);
  const n = input.length / (3 * model.image_size ** 2);
  return poolTokens(network.tokens(input), n, patchesOf(model), model.embed_dim)[feature];
}

/** @throws AppError bad-input with the features that there are */
function widthOf({ model, projector }: RunConfig, feature: string): number {
  if (isWhole(feature)) return model.embed_dim;
  if (feature === 'projector' && projector) return projector.out;
  const block = /^block-([1-9]\d{0,3})$/.exec(feature);
  if (feature !== 'tokens' && !(block && Number(block[1]) <= model.depth))
    throw new AppError(
      'bad-input',
      `There is no feature "${feature}".`,
      '',
      `Choose tokens, ${projector ? 'projector, ' : ''}or block-1 to block-${model.depth}.`,
    );
  return model.embed_dim;
}

/** At most so many, spread evenly; all where `most` is 0. */
function spread<T>(all: readonly T[], most: number): readonly T[] {
  if (most === 0 || all.length <= most) return all;
  return Array.from({ length: most }, (_, i) => all[Math.floor((i * all.length) / most)]!);
}

/** Mean of rows, all or those named: `[width]`. */
function meanOf(features: Float32Array, width: number, rows?: readonly number[]): Float32Array {
  const which = rows ?? Array.from({ length: features.length / width }, (_, i) => i);
  const sum = new Float64Array(width);
  for (const row of which) for (let d = 0; d < width; d++) sum[d]! += features[row * width + d]!;
  return Float32Array.from(sum, (x) => x / which.length);
}

function unit(vector: Float32Array): Float32Array {
  const length = Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0)) || 1;
  return vector.map((x) => x / length);
}

/**
 * Rows less a mean, scaled to unit length. Tokens of a ViT share a large part that says nothing of the patch; the cosines of
 * what is left tell patches apart.
 */
function centred(features: Float32Array, mean: Float32Array): Float32Array {
  const out = new Float32Array(features.length);
  for (let at = 0; at < features.length; at += mean.length) {
    out.set(unit(features.subarray(at, at + mean.length).map((x, d) => x - mean[d]!)), at);
  }
  return out;
}

function dot(vector: Float32Array, rows: Float32Array, at: number): number {
  let sum = 0;
  for (let d = 0; d < vector.length; d++) sum += vector[d]! * rows[at + d]!;
  return sum;
}

function withinImage(similarity: number[], { patches, k }: SearchQuery, image: ImageRow) {
  const results = similarity
    .map((score, patch) => ({ image, patch, score }))
    .filter(({ patch }) => !patches.includes(patch))
    .sort((a, b) => b.score - a.score)
    .slice(0, k);
  return { results, rows: similarity.length, isExact: true };
}

async function drawn(pixels: Uint8Array, side: number, size: number): Promise<string> {
  const webp = await sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
    .resize(size, size)
    .webp({ quality: 85 })
    .toBuffer();
  return `data:image/webp;base64,${webp.toString('base64')}`;
}
