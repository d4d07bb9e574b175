/** L2-normalised features of a batch, `[batch * K, out]` each. */
export interface Features {
  queries: Float32Array;
  keys: Float32Array;
  out: number;
}

/** One look-up of a replayed batch: places are patches, row by row. */
export interface ReplayedLookup {
  image: number;
  patch: number;
  /** The likeliest place. */
  found: number;
  /** Of the true place, from 1; a tie counts against it. */
  rank: number;
  /** Of the true place. */
  probability: number;
  /** Nats. */
  entropy: number;
  /** The likeliest first. */
  top5: { patch: number; probability: number }[];
}

/**
 * The look-ups of a batch's masked patches, each among its own image's keys (arXiv 2205.09616, eq. 3), in double
 * precision from the features that a step computed: what the window's answers are compared with.
 * @param features `[batch * K, out]` @param mask `[batch, K]`, 1 = masked
 */
export function lookupsOf(
  { queries, keys, out }: Features,
  mask: Float32Array,
  K: number,
  temperature: number,
): ReplayedLookup[] {
  return [...mask.keys()].flatMap((query) => {
    if (!mask[query]) return [];
    const [image, patch] = [Math.floor(query / K), query % K];
    const logits = Array.from({ length: K }, (_, place) => {
      let sum = 0;
      for (let d = 0; d < out; d++) sum += queries[query * out + d]! * keys[(image * K + place) * out + d]!;
      return sum / temperature;
    });
    const most = Math.max(...logits);
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
    const chances = logits.map((logit) => Math.exp(logit - most) / total);
    const order = [...chances.keys()].sort((a, b) => chances[b]! - chances[a]!);
    return [
      {
        image,
        patch,
        found: order[0]!,
        rank: logits.filter((logit) => logit >= logits[patch]!).length,
        probability: chances[patch]!,
        entropy: chances.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0),
        top5: order.slice(0, 5).map((place) => ({ patch: place, probability: chances[place]! })),
      },
    ];
  });
}
