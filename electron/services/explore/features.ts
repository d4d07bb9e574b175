import { LRUCache } from 'lru-cache';
import type { Checkpoint } from '../../../shared/checkpoint.ts';
import { gridOf, patchesOf } from '../../../shared/config.ts';
import type { AttentionView, ColoursView, Input } from '../../../shared/contract/index.ts';
import type { ImageRow } from '../../../shared/dataset.ts';
import { AppError } from '../../../shared/errors.ts';
import { type LeftOut, leftOutWords } from '../../../shared/left-out.ts';
import { ImageReader } from '../../data/readable.ts';
import { hostCopy } from '../../engine/host.ts';
import { fileOf } from '../../store/image-file.ts';
import type { Store } from '../../store/store.ts';
import { readableBatches } from '../evaluation/batches.ts';
import { Networks } from '../ground/networks.ts';
import { centreImage, centrePixels, normalisePixels, pictureUrl, stack } from '../ground/pictures.ts';
import { principalComponents, projectRows, rescaleColumns } from './principal.ts';

const BATCH = 16;
/** Tokens and attention that stay for the next question: a checkpoint's and its untrained network's. */
const KEPT = 3;
const MILLION = 1_000_000;
/** Three components of fewer patches say nothing. */
const LEAST_PATCHES = 4;

interface BlockAttention {
  /** `[heads, 1 + K, 1 + K]` */
  probabilities: Float32Array;
  /** Of each head. */
  distance: number[];
}

/** What a network makes of images: patch tokens as colours, and where tokens look. Needs a backend to be set. */
export class FeatureViews {
  readonly #store: Store;
  readonly #networks: Networks;
  readonly #tokens = new LRUCache<string, { tokens: Float32Array; rows: ImageRow[]; leftOut: LeftOut[] }>({
    max: KEPT,
  });
  readonly #attention = new LRUCache<string, BlockAttention[]>({ max: KEPT });

  constructor(store: Store, networks = new Networks(store)) {
    this.#store = store;
    this.#networks = networks;
  }

  #file({ dataset_id, folder, path }: ImageRow): string {
    return fileOf(this.#store.datasets.get(dataset_id), { folder, path });
  }

  /**
   * First three principal components of patch tokens as red, green and blue, on one basis for all images (DINOv2,
   * arXiv 2304.07193, “PCA of patch features”: the first component tells the foreground, which gets a basis of its own).
   * @throws AppError not-found; bad-input for a block that is not there, or where a threshold leaves no patches
   */
  async colours(input: Input<'explore.colours'>): Promise<ColoursView> {
    const checkpoint = this.#store.checkpoints.get(input.checkpoint);
    const { model } = checkpoint.config;
    const [K, grid, dim] = [patchesOf(model), gridOf(model), model.embed_dim];
    const block = input.block ?? model.depth;
    if (block > model.depth)
      throw new AppError('bad-input', `There is no block ${block}.`, `The network has ${model.depth}.`, 'Choose one.');
    const wanted = this.#images(input);
    const ids = wanted.map(({ id, hash }) => `${id} ${hash}`);
    const key = JSON.stringify([checkpoint.id, checkpoint.created_at, input.untrained || input.part, block, ids]);
    const made = this.#tokens.get(key) ?? (await this.#patchTokens(checkpoint, input, block, wanted));
    this.#tokens.set(key, made);
    const { tokens, rows, leftOut } = made;
    const shown = foregroundOf(tokens, dim, input.foreground);
    if (shown.length < LEAST_PATCHES) {
      const why = `The threshold leaves ${shown.length} of ${tokens.length / dim} patches.`;
      throw new AppError('bad-input', 'There is nothing to colour.', why, 'Move it, or take the other side.');
    }
    const chosen = new Float32Array(shown.length * dim);
    shown.forEach((patch, i) => {
      chosen.set(tokens.subarray(patch * dim, (patch + 1) * dim), i * dim);
    });
    const basis = principalComponents(chosen, dim, 3);
    const width = basis.components.length;
    const levels = rescaleColumns(projectRows(chosen, basis), width);
    const rgba = new Uint8Array(rows.length * K * 4);
    shown.forEach((patch, i) => {
      for (let c = 0; c < 3; c++) rgba[patch * 4 + c] = Math.round(255 * (levels[i * width + c] ?? 0.5));
      rgba[patch * 4 + 3] = 255;
    });
    return {
      grid,
      block,
      step: input.untrained ? 0 : checkpoint.step,
      depth: model.depth,
      images: await Promise.all(
        rows.map(async ({ id, hash, path }, i) => ({
          id,
          hash,
          path,
          colours: await pictureUrl(rgba.subarray(i * K * 4, (i + 1) * K * 4), grid, 4),
        })),
      ),
      explained: basis.explained,
      left_out: leftOut,
      coloured: shown.length,
      patches: rows.length * K,
    };
  }

  /** The chosen image, and others evenly over the dataset. */
  #images({ dataset, image, images }: Input<'explore.colours'>): ImageRow[] {
    this.#store.datasets.get(dataset);
    const first = image === null ? [] : [this.#store.images.get(image)];
    const rows = [...first, ...this.#store.images.sample(dataset, images).filter(({ id }) => id !== image)];
    if (rows.length === 0) throw new AppError('bad-input', 'The dataset has no usable image.');
    return rows.slice(0, images);
  }

  /** Patch tokens of the images that can be read, `[images * K, dim]`: CLS is left out. */
  async #patchTokens(
    checkpoint: Checkpoint,
    { part, untrained }: Input<'explore.colours'>,
    block: number,
    wanted: ImageRow[],
  ) {
    const { model, augment } = checkpoint.config;
    const [K, dim] = [patchesOf(model), model.embed_dim];
    const out = new Float32Array(wanted.length * K * dim);
    const rows: ImageRow[] = [];
    const reader = new ImageReader();
    const files = wanted.map((row) => ({ ...row, file: this.#file(row) }));
    for await (const batch of readableBatches(files, BATCH, reader, (file) =>
      centreImage(file, model.image_size, augment),
    )) {
      const images = batch.map(({ value }) => value);
      const tokens = this.#networks.of(checkpoint, untrained ? 'untrained' : part).tokens(stack(images), block);
      for (const [i, { image }] of batch.entries()) {
        const start = i * (K + 1) * dim;
        out.set(tokens.subarray(start + dim, start + (K + 1) * dim), rows.length * K * dim);
        rows.push(image);
      }
    }
    const { leftOut } = reader;
    if (rows.length === 0) {
      const why = leftOutWords(leftOut, wanted.length);
      throw new AppError('bad-input', 'No image can be read.', why, 'Check the folders of the dataset.');
    }
    return { tokens: out.subarray(0, rows.length * K * dim), rows, leftOut };
  }

  /** Where CLS, or a patch, of an image looks. @throws AppError not-found; bad-input for a patch that is not there */
  async attention(input: Input<'explore.attention'>): Promise<AttentionView> {
    const checkpoint = this.#store.checkpoints.get(input.checkpoint);
    const { model, augment } = checkpoint.config;
    const [K, grid, heads] = [patchesOf(model), gridOf(model), model.num_heads];
    const n = K + 1;
    if (input.patch !== null && input.patch >= K)
      throw new AppError('bad-input', `There is no patch ${input.patch + 1}.`, `An image has ${K}.`, 'Choose one.');
    const row = this.#store.images.get(input.image);
    const pixels = await centrePixels(this.#file(row), model.image_size);
    const key = JSON.stringify([checkpoint.id, checkpoint.created_at, input.untrained || input.part, input.image]);
    let blocks = this.#attention.get(key);
    if (!blocks) {
      const seen: BlockAttention[] = [];
      const network = this.#networks.of(checkpoint, input.untrained ? 'untrained' : input.part);
      network.attention(normalisePixels(pixels, augment), (_, tensor) => {
        const probabilities = hostCopy(tensor);
        seen.push({ probabilities, distance: distances(probabilities, grid, heads) });
      });
      blocks = seen;
      this.#attention.set(key, blocks);
    }
    const query = input.patch === null ? 0 : input.patch + 1;
    return {
      grid,
      heads,
      step: input.untrained ? 0 : checkpoint.step,
      path: row.path,
      picture: await pictureUrl(pixels, model.image_size),
      depth: model.depth,
      patch: input.patch,
      blocks: blocks.map(({ probabilities, distance }) =>
        Array.from({ length: heads }, (_, head) => {
          const own = probabilities.subarray((head * n + query) * n, (head * n + query + 1) * n);
          return {
            patches: Array.from(own.subarray(1), (p) => Math.round(p * MILLION)),
            cls: own[0]!,
            entropy: own.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0),
            distance: distance[head]!,
          };
        }),
      ),
    };
  }
}

/** Places of the patches that are coloured. @param tokens `[n, dim]` */
function foregroundOf(tokens: Float32Array, dim: number, foreground: Input<'explore.colours'>['foreground']): number[] {
  const all = [...Array(tokens.length / dim).keys()];
  if (foreground === null) return all;
  const first = rescaleColumns(projectRows(tokens, principalComponents(tokens, dim, 1)), 1);
  const { side, threshold } = foreground;
  return all.filter((i) => (side === 'upper' ? first[i]! > threshold : first[i]! < threshold));
}

/** How far patches look for patches, in patches: mean over all of them, by head. @param p `[heads, 1 + K, 1 + K]` */
function distances(p: Float32Array, grid: number, heads: number): number[] {
  const K = grid * grid;
  const n = K + 1;
  return Array.from({ length: heads }, (_, head) => {
    let [sum, weight] = [0, 0];
    for (let i = 0; i < K; i++) {
      const row = (head * n + i + 1) * n + 1;
      for (let j = 0; j < K; j++) {
        const share = p[row + j]!;
        sum += share * Math.hypot((i % grid) - (j % grid), Math.floor(i / grid) - Math.floor(j / grid));
        weight += share;
      }
    }
    return weight > 0 ? sum / weight : 0;
  });
}
