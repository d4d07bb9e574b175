import { createRequire } from 'node:module';
import { addonPath } from '../files/built.ts';

/**
 * The loader's arithmetic as tools/native/imaging computes it: the same bytes as the functions of augment-ops.ts and
 * resample.ts, which say what each does and are used where this is not there. All work in place but the last two.
 */
export interface Imaging {
  hue(rgb: Uint8Array, shift: number): void;
  saturation(rgb: Uint8Array, factor: number): void;
  grayscale(rgb: Uint8Array): void;
  /** Sum of the luma of all pixels. */
  lumaSum(rgb: Uint8Array): number;
  /** Each value by a table of 256. */
  mapValues(rgb: Uint8Array, table: Uint8Array): void;
  flip(rgb: Uint8Array, width: number): void;
  /** Three box blurs in each direction, whose weights are of 24 bits after the point. */
  boxBlurs(rgb: Uint8Array, width: number, height: number, radius: number, inner: number, outer: number): void;
  /** Two passes of weighted sums. @param start the first byte of the box */
  resample(
    data: Uint8Array,
    start: number,
    width: number,
    rows: number,
    across: ResampleWeights,
    down: ResampleWeights,
    out: Uint8Array,
  ): void;
  /** Each channel by a table of 256 of its own: `[3, 256]`. */
  normalise(rgb: Uint8Array, tables: Float32Array, out: Float32Array): void;
}

/** Weights of a resampling along one axis. */
export interface ResampleWeights {
  /** Room for taps of an output pixel. */
  taps: number;
  /** First input pixel of each output pixel. */
  first: Int32Array;
  count: Int32Array;
  /** `[out * taps]`, fixed point. */
  values: Int32Array;
}

function load(): Imaging | null {
  const path = addonPath('imaging');
  try {
    return path ? (createRequire(import.meta.url)(path) as Imaging) : null;
  } catch {
    return null; // built for another machine
  }
}

const built = load();
let plain = process.env.CONMIM_IMAGING === 'plain';

/** Whether to use only what runs on every machine: this program's own JavaScript, and sharp. */
export const isPlain = () => plain;
/** For tests; `CONMIM_IMAGING=plain` is the same for a process. */
export function usePlainImaging(use: boolean): void {
  plain = use;
}

/** The compiled arithmetic; null where it was not built, or is not to be used. */
export const compiledImaging = (): Imaging | null => (plain ? null : built);
