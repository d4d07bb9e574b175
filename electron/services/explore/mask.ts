import { methodOf, requireMask } from '../../../methods/index.ts';
import { patchesOf, type RunConfig } from '../../../shared/config.ts';
import { AppError } from '../../../shared/errors.ts';
import { stream } from '../../data/random.ts';

/** Seed of the masks that Explore draws: the same each time. */
const SEED = 20220519;

/** A mask of the run's generator, `[K]`: the same for the same draw. The i-th image of an image's company has the i-th. */
export const drawnMask = (config: RunConfig, draw: number): Uint8Array =>
  requireMask(config, stream(SEED, draw, 0, 'explore mask'));

/** The same for an image of many, by its content. */
export const maskOfImage = (config: RunConfig, hash: string): Uint8Array =>
  requireMask(config, stream(SEED, 0, hash, 'accuracy mask'));

/** A mask that was drawn by hand, or one of the generator; none of a method that hides nothing. @throws AppError bad-input for one of another size */
export function maskFrom(config: RunConfig, mask: readonly boolean[] | null, draw: number): Uint8Array {
  const K = patchesOf(config.model);
  if (mask === null) return methodOf(config).mask ? drawnMask(config, draw) : new Uint8Array(K);
  if (mask.length !== K) throw new AppError('bad-input', `The mask has ${mask.length} patches, the image ${K}.`);
  return Uint8Array.from(mask, Number);
}
