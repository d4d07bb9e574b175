import { totalmem } from 'node:os';
import { bytes } from '../../shared/words.ts';
import { ImageFault } from './image-fault.ts';

const MB = 1e6;
/** An image that needs less memory than this, bytes, is decoded without asking: all threads together fit anywhere. */
export const SMALL = 64 * MB;

/** MB that decoding may take at a time: half of what this process may use, or what CONMIM_DECODE_MEMORY_MB says. */
function limit(): number {
  const told = Number(process.env.CONMIM_DECODE_MEMORY_MB);
  if (told > 0) return Math.floor(told);
  const constrained = process.constrainedMemory();
  const most = constrained > 0 && constrained < totalmem() ? constrained : totalmem();
  return Math.max(64, Math.floor(most / 2 / MB));
}
let known: number | undefined;
const limitMb = () => (known ??= limit());

/** Throws `ImageFault` for an image whose decoding takes more memory than there is for all of them. */
export function requireMemory(need: number): void {
  if (Math.ceil(need / MB) <= limitMb()) return;
  throw new ImageFault(
    'too-large',
    `it needs too much memory: about ${bytes(need, 3)} to decode it, where ${bytes(limitMb() * MB, 3)} may be used (CONMIM_DECODE_MEMORY_MB)`,
  );
}

/** A budget of memory for decoding, shared by all threads that get it. `take` waits until there is enough. */
export class DecodeMemory {
  readonly shared: SharedArrayBuffer;
  readonly #free: Int32Array;

  constructor(shared?: SharedArrayBuffer) {
    this.shared = shared ?? new SharedArrayBuffer(4);
    this.#free = new Int32Array(this.shared);
    if (!shared) this.#free[0] = limitMb();
  }

  /** @param need bytes @returns to be called once, when they are given back */
  async take(need: number): Promise<() => void> {
    if (need < SMALL) return () => {};
    const mb = Math.min(Math.ceil(need / MB), limitMb());
    for (;;) {
      const free = Atomics.load(this.#free, 0);
      if (free >= mb) {
        if (Atomics.compareExchange(this.#free, 0, free, free - mb) !== free) continue;
        return () => {
          Atomics.add(this.#free, 0, mb);
          Atomics.notify(this.#free, 0);
        };
      }
      const wait = Atomics.waitAsync(this.#free, 0, free);
      if (wait.async) await wait.value;
    }
  }
}

type Gate = (need: number) => Promise<() => void>;
let gate: Gate | undefined;

/** Where this thread asks for memory instead: a shared budget, or the process that has one. */
export function askForMemoryAt(other: Gate): void {
  gate = other;
}

/** Makes this thread use a budget that it shares with the others that get it. */
export function shareMemory(shared: SharedArrayBuffer): void {
  const memory = new DecodeMemory(shared);
  askForMemoryAt((need) => memory.take(need));
}

/** Waits for memory to decode with. @throws ImageFault where it can never be had */
export function memoryFor(need: number): Promise<() => void> {
  requireMemory(need);
  if (!gate) {
    const own = new DecodeMemory();
    gate = (bytes) => own.take(bytes);
  }
  return gate(need);
}
