/** Above this, memory is taken anew each time and given back, bytes. */
const MOST = 64 * 2 ** 20;

/** Memory that is used again and again: what it gives holds until it is asked the next time. */
export class Scratch {
  #bytes = new Uint8Array(0);

  take(length: number): Uint8Array<ArrayBuffer> {
    if (length > MOST) return new Uint8Array(length);
    if (this.#bytes.length < length) this.#bytes = new Uint8Array(length);
    return this.#bytes.subarray(0, length);
  }
}
