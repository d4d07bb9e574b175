import * as tf from '@tensorflow/tfjs-core';
import type { ModelConfig, ProjectorConfig } from '../../shared/config.ts';
import { AppError } from '../../shared/errors.ts';
import type { StateDict } from '../../shared/tensors.ts';
import { encode } from './encoder.ts';
import { requireFinite, requireFiniteTensor } from './finite.ts';
import { type HeadConfig, projectorHead } from './heads.ts';
import { hostTidy } from './host.ts';
import { floats } from './kernels/device.ts';
import type { Witness } from './layers/block.ts';
import { all } from './layers/embed.ts';
import { project } from './layers/head.ts';
import { patches, type Tokens, unit } from './layers/tokens.ts';
import { Network } from './network.ts';
import { bufferSpecs, parameterSpecs, plainEncoder } from './parameters.ts';

/** An encoder, and a projector, that no longer learn: features on the running statistics. Owns its tensors. */
export class FrozenNetwork {
  readonly model: ModelConfig;
  /** Null for an encoder alone. */
  readonly projector: ProjectorConfig | null;
  readonly #head: HeadConfig | null;
  readonly #network: Network;

  /**
   * @param projector null for an encoder alone
   * @throws AppError bad-file where a tensor is missing or of another shape
   */
  constructor(model: ModelConfig, projector: ProjectorConfig | null | undefined, state: StateDict) {
    this.model = model;
    this.projector = projector ?? null;
    this.#head = projector ? projectorHead(model.embed_dim, projector) : null;
    requirePretrained(state);
    const spec = projector
      ? { parameters: parameterSpecs(model, projector), buffers: bufferSpecs(projector) }
      : plainEncoder(model);
    this.#network = new Network({ model, ...spec }, state);
  }

  /**
   * @param images `[batch, side, side, 3]`, normalised
   * @param until after so many blocks (and the last LayerNorm)
   * @returns `[batch, 1 + K, dim]`, CLS first, row-major
   */
  tokens(images: Float32Array, until = this.model.depth): Float32Array {
    return tokensOf(this.#network, images, until);
  }

  /**
   * Features of patches, as they are: `tokens` of all blocks, `block-N` of the first N (the last LayerNorm follows in
   * both), `projector` on the running statistics, of unit length.
   * @returns `[batch * K, width]`, row-major
   * @throws RangeError for the projector of an encoder alone
   */
  patches(images: Float32Array, feature: string): Float32Array {
    const features = hostTidy(() => {
      if (feature === 'projector') {
        if (!this.#head) throw new RangeError('an encoder alone has no projector');
        return unit(patches(project(this.#network, this.#head, encode(this.#network, all(images)), 'running'))).tensor;
      }
      const until = feature === 'tokens' ? this.model.depth : Number(feature.slice('block-'.length));
      return patches(encode(this.#network, all(images), { until })).tensor;
    });
    return requireFinite(features, 'The features of the network');
  }

  /**
   * Attention of every block, as `witness` sees it: `[batch, heads, 1 + K, 1 + K]`, query by key, CLS first. The
   * tensors live only during each call of `witness`: copy what you need.
   */
  attention(images: Float32Array, witness: Witness): void {
    tf.tidy(() => {
      const { tensor } = encode(this.#network, all(images), { witness });
      requireFiniteTensor(tensor, 'The features of the network');
    });
  }

  dispose(): void {
    this.#network.dispose();
  }
}

/** @throws AppError bad-input for the weights of a fine-tuning */
export function requirePretrained(state: StateDict): void {
  if (!state.has('head.weight')) return;
  throw new AppError(
    'bad-input',
    'These are the weights of a fine-tuned classifier.',
    'It has a classifier in place of the heads of its pretraining.',
    'Choose a checkpoint of the pretraining.',
  );
}

/**
 * Tokens of whole images. @param images `[batch, side, side, 3]`, normalised @returns `[batch, 1 + K, dim]`, CLS first
 * @throws AppError diverged
 */
export function tokensOf(network: Network, images: Float32Array, until = network.model.depth): Float32Array {
  const tokens = hostTidy(() => byImage(encode(network, all(images), { until })));
  return requireFinite(tokens, 'The features of the network');
}

/** `[batch, n, width]`, as floats; within a tidy. */
const byImage = ({ tensor, batch, n, width }: Tokens) => tf.reshape(floats(tensor), [batch, n, width]);
