import * as tf from '@tensorflow/tfjs-core';
import type { ModelConfig, ProjectorConfig } from '../../shared/config.ts';
import { patchesOf } from '../../shared/config.ts';
import type { StateDict } from '../../shared/domain.ts';
import { AppError } from '../../shared/errors.ts';
import { requireFinite, requireFiniteTensor } from './finite.ts';
import { hostTidy } from './host.ts';
import { bufferSpecs, parameterSpecs, requireTensor } from './parameters.ts';
import { type NormMode, project } from './projector.ts';
import { encode, type Witness } from './vit.ts';
import { Weights } from './weights.ts';

/** A network that no longer learns: tokens, and features on the running statistics. Owns its tensors. */
export class FrozenNetwork {
  readonly model: ModelConfig;
  readonly projector: ProjectorConfig;
  readonly #weights: Weights;
  readonly #buffers: ReadonlyMap<string, tf.Tensor>;

  /** @throws AppError bad-file where a tensor is missing or of another shape */
  constructor(model: ModelConfig, projector: ProjectorConfig, state: StateDict) {
    this.model = model;
    this.projector = projector;
    if (state.has('head.weight'))
      throw new AppError(
        'bad-input',
        'These are the weights of a fine-tuned classifier.',
        'It has no projector and no mask token, so there are no look-ups to ask it for.',
        'Choose a checkpoint of the pretraining.',
      );
    this.#weights = new Weights(parameterSpecs(model, projector), state);
    this.#buffers = new Map(
      bufferSpecs(projector).map(({ name, shape }) => [name, tf.tensor(requireTensor(state, name, shape).data, shape)]),
    );
  }

  /**
   * @param images `[batch, side, side, 3]`, normalised
   * @param until after so many blocks (and the last LayerNorm)
   * @returns `[batch, 1 + K, dim]`, CLS first, row-major
   */
  tokens(images: Float32Array, until = this.model.depth): Float32Array {
    const tokens = hostTidy(() => encode(this.#weights, this.model, this.#input(images), null, { until }).tokens);
    return requireFinite(tokens, 'The features of the network');
  }

  /**
   * Features of patches, as they are: `tokens` of all blocks, `block-N` of the first N (the last LayerNorm follows in
   * both), `projector` on the running statistics, of unit length.
   * @returns `[batch * K, width]`, row-major
   */
  patches(images: Float32Array, feature: string): Float32Array {
    const features = hostTidy(() => {
      if (feature === 'projector') return this.features(images, null);
      const until = feature === 'tokens' ? this.model.depth : Number(feature.slice('block-'.length));
      const { tokens } = encode(this.#weights, this.model, this.#input(images), null, { until });
      return tf.slice(tokens, [0, 1, 0]);
    });
    return requireFinite(features, 'The features of the network');
  }

  /**
   * Attention of every block, as `witness` sees it: `[batch, heads, 1 + K, 1 + K]`, query by key, CLS first. The
   * tensors are this method's: what is wanted of them is copied while they are shown.
   */
  attention(images: Float32Array, witness: Witness): void {
    tf.tidy(() => {
      const { tokens } = encode(this.#weights, this.model, this.#input(images), null, { witness });
      requireFiniteTensor(tokens, 'The features of the network');
    });
  }

  /**
   * L2-normalised patch features: keys where nothing is masked, queries where something is.
   * @param mask `[batch, K]`, 1 = masked, or null
   * @param norm whether BatchNorm uses its running statistics, or the batch's as in training: an untrained network
   *   has no running ones, so comparisons with it take the batch's
   * @returns `[batch, K, out]`; the caller owns it
   */
  features(images: Float32Array, mask: Float32Array | null, norm: 'running' | 'batch' = 'running'): tf.Tensor3D {
    return tf.tidy(() => {
      const x = this.#input(images);
      const m = mask ? tf.tensor2d(mask, [x.shape[0], patchesOf(this.model)]) : null;
      const { tokens } = encode(this.#weights, this.model, x, m);
      const mode: NormMode =
        norm === 'batch' ? { kind: 'batch', observe: () => {} } : { kind: 'running', statistics: this.#buffers };
      const { features } = project(this.#weights, this.projector, tokens, mode);
      return requireFiniteTensor(features, 'The features of the network');
    });
  }

  #input(images: Float32Array): tf.Tensor4D {
    const side = this.model.image_size;
    return tf.tensor4d(images, [images.length / (side * side * 3), side, side, 3]);
  }

  dispose(): void {
    this.#weights.dispose();
    tf.dispose([...this.#buffers.values()]);
  }
}
