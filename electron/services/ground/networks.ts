import { LRUCache } from 'lru-cache';
import type { Checkpoint } from '../../../shared/checkpoint.ts';
import { FrozenNetwork } from '../../engine/inference.ts';
import type { Store } from '../../store/store.ts';
import { untrainedState } from '../../trainer/training.ts';

/** Networks that stay loaded: student and teacher of two checkpoints, and an untrained one. */
const KEPT = 5;

export type NetworkName = 'student' | 'teacher' | 'untrained';

/**
 * Networks that were asked lately stay loaded, so that the next question is answered at once. It owns them: a caller does
 * not dispose of one, and uses it before it asks for many others.
 */
export class Networks {
  readonly #store: Store;
  readonly #loaded = new LRUCache<string, FrozenNetwork>({ max: KEPT, dispose: (network) => network.dispose() });

  constructor(store: Store) {
    this.#store = store;
  }

  /** @param name `untrained` is the network before its first step @throws AppError as `FrozenNetwork` */
  of({ id, created_at, config }: Pick<Checkpoint, 'id' | 'created_at' | 'config'>, name: NetworkName): FrozenNetwork {
    const key = `${id} ${created_at} ${name}`; // a number may be given again after its checkpoint was deleted
    const known = this.#loaded.get(key);
    if (known) return known;
    const state = name === 'untrained' ? untrainedState(config) : this.#store.checkpoints.load(id, name);
    const network = new FrozenNetwork(config.model, config.projector, state);
    this.#loaded.set(key, network);
    return network;
  }

  close(): void {
    this.#loaded.clear();
  }
}
