import * as tf from '@tensorflow/tfjs-core';
import type { Network } from '../network.ts';
import { l2Normalize } from './tokens.ts';

/**
 * Brings the rows of a matrix to unit length in place, outside of any gradient and of what an optimizer keeps (prototypes of
 * SwAV, arXiv 2006.09882). @param name of the parameter
 */
export function makeRowsUnit({ weights }: Network, name: string): void {
  const old = weights.get(name);
  const rows = tf.keep(l2Normalize(old));
  old.dispose();
  weights.replace(name, rows);
}
