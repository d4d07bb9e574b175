import type { Finding, HealthReport } from '../../shared/health.ts';
import type { Network } from './network.ts';

/** What a method's health report judges, beside how images are told apart: methods/NAME/health.ts. */
export interface Health<Config> {
  /** Sets of features that are looked at: key in the report, and what they are called, in the plural. */
  sets: readonly { key: string; title: string }[];
  /** Rows of its table, of what `measure` gives. */
  figures: readonly HealthFigure[];
  /** Terms, and what they mean, beside those of every set. */
  meanings: readonly (readonly [term: string, text: string])[];
  /** What the curves of its training show, for who cannot see them. */
  curves: string;
  /** Images that are asked together at least: more than one where a BatchNorm, or an image's neighbour, has a part. */
  together: number;
  /** Figures of one network, from its answers batch by batch. */
  measure(config: Config): HealthMeasure;
  /** What the figures say, in words; the thresholds are ours, and stand in the sentences. */
  findings(report: HealthReport, config: Config): Finding[];
}

export interface HealthFigure {
  key: string;
  title: string;
  words(value: number | null): string;
  /** What to hold it against. */
  against(report: HealthReport): string;
}

/** Networks with all their heads. The teacher is null where the method has none. */
export interface HealthNetworks {
  student: Network;
  teacher: Network | null;
}

export interface HealthBatch {
  /** `[batch, side, side, 3]`, normalised. */
  images: Float32Array;
  /** `[K]` each, 1 = hidden. */
  masks: readonly Uint8Array[];
}

export interface HealthMeasure {
  /** @throws AppError diverged */
  add(networks: HealthNetworks, batch: HealthBatch): void;
  result(): {
    /** Rows of unit length, `[rows, width]`. */
    sets: Record<string, { features: Float32Array; width: number }>;
    figures: Record<string, number | null>;
    references: Record<string, number>;
  };
}

/**
 * Alignment (Wang and Isola, arXiv 2005.10242): mean of |x - y|² over pairs; 0 where both features of a pair are one, 2 where
 * they have nothing in common. @param x @param y `[n, width]` each, of unit length, row by row a pair
 */
export function alignment(x: Float32Array, y: Float32Array, width: number): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i]! - y[i]!) ** 2;
  return sum / (x.length / width);
}

/** Arrays as one. */
export function concatenated(parts: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Rows scaled to length one, in place. */
export function toUnitRows(features: Float32Array, width: number): Float32Array {
  for (let at = 0; at < features.length; at += width) {
    let squared = 0;
    for (let d = at; d < at + width; d++) squared += features[d]! ** 2;
    const scale = 1 / Math.max(1e-12, Math.sqrt(squared));
    for (let d = at; d < at + width; d++) features[d]! *= scale;
  }
  return features;
}

/**
 * Share of the variance of patches' features that their place explains (eta squared: variance of the places' means over
 * all): 1 where a feature says where it is and nothing else. By chance alone it is about (K - 1) / (n - 1) of n features.
 * @param features `[images * K, width]`, the patches of an image together
 */
export function placeShare(features: Float32Array, K: number, width: number): number {
  const images = features.length / (K * width);
  const means = new Float64Array(K * width);
  const mean = new Float64Array(width);
  features.forEach((value, i) => {
    means[i % (K * width)]! += value / images;
    mean[i % width]! += value / (images * K);
  });
  let [between, total] = [0, 0];
  for (let i = 0; i < K * width; i++) between += (means[i]! - mean[i % width]!) ** 2 * images;
  features.forEach((value, i) => {
    total += (value - mean[i % width]!) ** 2;
  });
  return total > 1e-12 ? between / total : 1;
}

/** Its value by chance. @param images that were looked at */
export const placeShareByChance = (images: number, K: number): number => (K - 1) / (images * K - 1);
