/** Requests above this, bytes, get fresh memory each time, which is not kept. */
const MOST = 64 * 2 ** 20;

/** Memory that is reused: what it gives is valid until the next request. */
export class Scratch {
  #bytes = new Uint8Array(0);

  take(length: number): Uint8Array<ArrayBuffer> {
    if (length > MOST) return new Uint8Array(length);
    if (this.#bytes.length < length) this.#bytes = new Uint8Array(length);
    return this.#bytes.subarray(0, length);
  }
}
