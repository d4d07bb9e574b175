/** @param tokens `[n, 1 + K, dim]` @returns CLS, and the mean of the patches: `[n, dim]` each */
export function poolTokens(tokens: Float32Array, n: number, K: number, dim: number) {
  const cls = new Float32Array(n * dim);
  for (let i = 0; i < n; i++) {
    const start = i * (K + 1) * dim;
    cls.set(tokens.subarray(start, start + dim), i * dim);
  }
  return { cls, mean: pooledMean(tokens, n, K, dim) };
}

/** The mean of the patches: `[n, dim]`. @param tokens as `poolTokens` */
export function pooledMean(tokens: Float32Array, n: number, K: number, dim: number): Float32Array {
  const mean = new Float32Array(n * dim);
  for (let i = 0; i < n; i++) {
    const start = i * (K + 1) * dim;
    for (let p = 1; p <= K; p++) for (let d = 0; d < dim; d++) mean[i * dim + d]! += tokens[start + p * dim + d]! / K;
  }
  return mean;
}
