import * as tf from '@tensorflow/tfjs-core';
import { floats } from './kernels/device.ts';
import type { Gradients } from './weights.ts';

/**
 * A tensor on its way through a network, and the gradient that comes back to it. The tape owns the tensor: a layer reads
 * it, and disposes of nothing.
 */
export class Value<T extends tf.Tensor = tf.Tensor> {
  readonly tensor: T;
  /**
   * Computes the tensor anew, in floats, from what is kept anyway; the caller owns what comes back. Null where it is not
   * needed: then `tensor` is read.
   */
  readonly again: (() => T) | null;
  #gradient: tf.Tensor | null = null;

  constructor(tensor: T, again: (() => T) | null = null) {
    this.tensor = tensor;
    this.again = again;
  }

  /** Adds to the gradient of this value, and owns what is given from then on; sums are in floats. */
  addGradient(gradient: tf.Tensor): void {
    const before = this.#gradient;
    this.#gradient = before ? tf.tidy(() => tf.add(floats(before), floats(gradient))) : gradient;
    if (before) tf.dispose([before, gradient]);
  }

  /** The gradient, which the caller owns; zeros where none has come. */
  takeGradient(): tf.Tensor {
    const gradient = this.#gradient ?? tf.zerosLike(this.tensor);
    this.#gradient = null;
    return gradient;
  }

  /** Frees the gradient of a value that nothing comes before. */
  dropGradient(): void {
    this.#gradient?.dispose();
    this.#gradient = null;
  }
}

/** A layer's way back: owns the gradient of its output, and adds to those of its inputs and parameters. */
export type WayBack<T extends tf.Tensor = tf.Tensor> = (gradient: T, gradients: Gradients) => void;

interface Entry {
  value: Value;
  /** Before the names of the parameters that `back` knows: of the part of a network that it is in. */
  prefix: string;
  back: WayBack | null;
  /** What `back` reads; freed after it. */
  kept: tf.Tensor[];
}

/**
 * Where values are listed in the order in which they were computed. One that records walks back in reverse; one that
 * does not only frees them at its end.
 */
interface Tape {
  records: boolean;
  /** Of what is recorded now. */
  prefix: string;
  entries: Entry[];
}

let current: Tape | null = null;

/** Whether a layer's way back will be walked: otherwise nothing need be kept for it. */
export const isRecording = (): boolean => current?.records ?? false;

/**
 * Hands a layer's output to the tape.
 * @param kept tensors that the way back reads; freed after it, or at once where nothing is recorded
 */
export function record<V extends Value>(
  value: V,
  back: WayBack<V['tensor']> | null = null,
  kept: readonly (tf.Tensor | null)[] = [],
): V {
  const tensors = kept.filter((tensor) => tensor !== null);
  if (!isRecording()) tf.dispose(tensors);
  // Outside of a tape the caller owns the output, as with any function of tensors.
  current?.entries.push({
    value,
    back: back as WayBack | null,
    kept: isRecording() ? tensors : [],
    prefix: current.prefix,
  });
  return value;
}

/** Frees a value that nothing will read any more, before the tape would; only where nothing is recorded. */
export function release(value: Value): void {
  if (isRecording()) return;
  value.tensor.dispose();
  const entries = current?.entries ?? [];
  const at = entries.findLastIndex((entry) => entry.value === value);
  if (at >= 0) entries.splice(at, 1);
}

/** While `compute` runs, the tape puts `prefix` before the parameter names of gradients. */
export function withinPart<R>(prefix: string, compute: () => R): R {
  const tape = current;
  if (!tape) return compute();
  const outer = tape.prefix;
  tape.prefix = outer + prefix;
  try {
    return compute();
  } finally {
    tape.prefix = outer;
  }
}

function within<R>(tape: Tape, compute: () => R): R {
  const outer = current;
  current = tape;
  try {
    return compute();
  } finally {
    current = outer;
  }
}

function free({ value, kept }: Entry): void {
  value.dropGradient();
  tf.dispose([value.tensor, ...kept]);
}

/** Forward pass: keeps only the tensors that the tape recorded. */
function forward<R>(tape: Tape, compute: () => R): R {
  let found: R;
  tf.tidy(() => {
    found = within(tape, compute);
    for (const { value, kept } of tape.entries) for (const tensor of [value.tensor, ...kept]) tf.keep(tensor);
  });
  return found!;
}

/**
 * Computes a value that no gradient reaches (stop-gradient). Nothing but that value is left: neither what layers made on the
 * way, nor what `compute` made itself.
 */
export function frozen<V extends Value>(compute: () => V): V {
  const tape: Tape = { records: false, prefix: '', entries: [] };
  let value: V | null = null;
  try {
    tf.tidy(() => {
      value = within(tape, compute);
      return value.tensor;
    });
    tape.entries = tape.entries.filter((entry) => entry.value !== value);
    return record(value!);
  } finally {
    tape.entries.forEach(free);
  }
}

/**
 * Computes a loss, and adds the gradients of every parameter that it depends on to `gradients`.
 * @param compute gives the loss, a scalar, and whatever else is wanted of the step; its values are freed on the way back, and
 *   what it made beside them before that: it disposes of nothing
 * @param scale of the loss, so that small gradients are not lost in fp16
 * @returns what `compute` gave, with the loss as a number
 */
export function differentiate<R extends { loss: Value<tf.Scalar> }>(
  gradients: Gradients,
  scale: number,
  compute: () => R,
): Omit<R, 'loss'> & { loss: number } {
  const tape: Tape = { records: true, prefix: '', entries: [] };
  try {
    const { loss, ...rest } = forward(tape, compute);
    const value = loss.tensor.dataSync()[0]!;
    loss.addGradient(tf.scalar(scale));
    for (let entry = tape.entries.pop(); entry; entry = tape.entries.pop()) {
      if (entry.back) {
        const gradient = entry.value.takeGradient();
        entry.value.tensor.dispose(); // all that read it have gone back
        entry.back(gradient, gradients.under(entry.prefix));
        tf.dispose(entry.kept);
      } else free(entry);
    }
    return { ...rest, loss: value };
  } finally {
    tape.entries.forEach(free); // only after an error
  }
}
