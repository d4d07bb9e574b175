import { encode } from '../../electron/engine/encoder.ts';
import type { Explain } from '../../electron/engine/explanation.ts';
import { all } from '../../electron/engine/layers/embed.ts';
import { patchRows } from '../../electron/engine/layers/tokens.ts';
import type { RunConfig } from '../../shared/config.ts';
import { matches as matchesOf, sharesOf } from './step.ts';

/** Which patch of the second crop each patch of the first is matched with, as a step of training does it. */
const matches: Explain<RunConfig> = (student, { teacher, batch }, { model }) => {
  const { first, second } = batch as { first: Float32Array; second: Float32Array };
  const { places, cosines } = matchesOf(
    patchRows(encode(student, all(first))),
    patchRows(encode(teacher!, all(second))),
  );
  const K = places.length;
  const { distinct, same_place } = sharesOf(places, K);
  return {
    pictures: {},
    // Counted from 1, as people count.
    maps: { match: Array.from(places, (place) => place + 1), cosine: [...cosines] },
    figures: {
      distinct: Math.round(distinct * K),
      same: Math.round(same_place * K),
      cosine: cosines.reduce((sum, cosine) => sum + cosine / K, 0),
    },
    words:
      `Each of the ${K} patches of the first crop, as the student sees it, is matched with the patch of the second, as the ` +
      `teacher does, whose token has the largest cosine with its own: patches of ${model.patch_size} pixels. Several may be ` +
      'matched with one.',
  };
};

export const explain = { matches };
