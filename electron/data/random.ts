/** A stream of random numbers: xoshiro128** (Blackman and Vigna, 2018), seeded by hashing a key. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(words: readonly number[]) {
    // splitmix32 over a running hash of the key: near keys give unrelated states.
    let h = 0x9e3779b9;
    const mix = (word: number) => {
      h = Math.imul(h ^ word, 0x85ebca6b);
      h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
      h ^= h >>> 16;
      return h;
    };
    for (const word of words) mix(word | 0);
    this.#a = mix(1) | 1; // never all zero
    this.#b = mix(2);
    this.#c = mix(3);
    this.#d = mix(4);
    for (let i = 0; i < 8; i++) this.#word();
  }

  #word(): number {
    const scrambled = Math.imul(this.#b, 5);
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9);
    const t = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result >>> 0;
  }

  /** Uniform in [0, 1), 32 bits. */
  next(): number {
    return this.#word() / 2 ** 32;
  }

  uniform(low: number, high: number): number {
    return low + (high - low) * this.next();
  }

  /** A whole number from 0 to n - 1. */
  int(n: number): number {
    return Math.floor(this.next() * n);
  }

  /** Of mean 0 and variance 1: Box and Muller. */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
  }

  /** Fisher and Yates, in place. */
  shuffle<T extends { [i: number]: unknown; length: number }>(items: T): T {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.int(i + 1);
      const item = items[i];
      items[i] = items[j];
      items[j] = item;
    }
    return items;
  }
}

function textWords(text: string): number[] {
  return Array.from(text, (c) => c.codePointAt(0)!);
}

/** Between two texts of a key: no character has this number. */
const END = -1;

/**
 * Everything random is a pure function of these four, so that no worker's timing can change it. The key of an image comes
 * from its content (`ImageRow.hash`). Its row number would not do: it depends on what else the database holds and on the
 * order in which threads read files, so the same folder would give another run in another data folder.
 * @param image an image's key; a place in a list, or 0, for what belongs to no image
 */
export function stream(seed: number, epoch: number, image: number | string, purpose: string): Random {
  const words = typeof image === 'number' ? [image] : [...textWords(image), END];
  return new Random([seed, epoch, ...words, ...textWords(purpose)]);
}

/** The order of n things in an epoch. */
export function permutation(seed: number, epoch: number, n: number): Uint32Array {
  return stream(seed, epoch, 0, 'order').shuffle(Uint32Array.from({ length: n }, (_, i) => i));
}
