import { LRUCache } from 'lru-cache';
import { methodOf } from '../../../methods/index.ts';
import { networkOf } from '../../../methods/networks.ts';
import { stepOf } from '../../../methods/steps.ts';
import type { Checkpoint } from '../../../shared/checkpoint.ts';
import type { StateDict } from '../../../shared/tensors.ts';
import { FrozenNetwork, requirePretrained } from '../../engine/inference.ts';
import { Network } from '../../engine/network.ts';
import type { Store } from '../../store/store.ts';
import { untrainedState } from '../../trainer/training.ts';

/** Networks that stay loaded: student and teacher of two checkpoints, and an untrained one. */
const KEPT = 5;

/** `untrained` is the network before its first step. */
export type NetworkName = 'student' | 'teacher' | 'untrained';

/**
 * Networks that were asked lately stay loaded, so that the next question is answered at once. It owns them: a caller does
 * not dispose of one, and uses it before it asks for many others.
 */
export class Networks {
  readonly #store: Store;
  readonly #loaded = new LRUCache<string, FrozenNetwork | Network>({
    max: KEPT,
    dispose: (network) => network.dispose(),
  });

  constructor(store: Store) {
    this.#store = store;
  }

  /** Its encoder, and a projector. @throws AppError as `FrozenNetwork` */
  of(checkpoint: Asked, name: NetworkName): FrozenNetwork {
    const { model, projector } = checkpoint.config;
    return this.#get(checkpoint, name, 'frozen', (state) => new FrozenNetwork(model, projector, state));
  }

  /** With all its heads, as its method asks it. @throws AppError as `wholeNetwork` */
  whole(checkpoint: Asked, name: NetworkName): Network {
    return this.#get(checkpoint, name, 'whole', (state) => wholeNetwork(checkpoint.config, state, name));
  }

  #get<N extends FrozenNetwork | Network>(
    { id, created_at, config }: Asked,
    name: NetworkName,
    kind: string,
    make: (state: StateDict) => N,
  ): N {
    const key = `${id} ${created_at} ${name} ${kind}`; // a number may be given again after its checkpoint was deleted
    const known = this.#loaded.get(key);
    if (known) return known as N;
    const network = make(name === 'untrained' ? this.#untrained(id, config) : this.#store.checkpoints.load(id, name));
    this.#loaded.set(key, network);
    return network;
  }

  /** Before training, but with the networks that the run took over: these are not what it trained. */
  #untrained(id: number, config: Checkpoint['config']): StateDict {
    const state = untrainedState(config);
    const borrowed = methodOf(config).borrows?.(config) ?? [];
    if (borrowed.length === 0) return state;
    const now = this.#store.checkpoints.source(id, 'student');
    for (const name of state.keys()) {
      const tensor = borrowed.some(({ prefix }) => name.startsWith(prefix)) ? now.get(name) : undefined;
      if (tensor) state.set(name, tensor);
    }
    return state;
  }

  close(): void {
    this.#loaded.clear();
  }
}

type Asked = Pick<Checkpoint, 'id' | 'created_at' | 'config'>;

/**
 * A network with all heads of its method, which the caller owns.
 * @throws AppError bad-input for a classifier; bad-file where a tensor is missing or of another shape
 */
export function wholeNetwork(config: Checkpoint['config'], state: StateDict, name: NetworkName = 'student'): Network {
  requirePretrained(state);
  // A teacher may lack what only its student has.
  const spec = name === 'teacher' ? stepOf(config).teacher(config) : null;
  return new Network(spec ?? networkOf(config), state);
}
