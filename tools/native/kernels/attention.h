// Attention of a head of an image at a time: its logits and probabilities stay in a core's cache, and are not kept for
// the way back, which computes them again (Dao et al., FlashAttention, arXiv 2205.14135, section 3.1; a head's whole
// matrix fits here, so its softmax needs no second thoughts).
#pragma once
#include <cmath>
#include <vector>

#include "math.h"
#include "parallel.h"
#include "products.h"

namespace conmim {

/** Of `batch` images of `n` tokens, `heads` heads of `width` values; `qkv` is `[batch * n, 3 * heads * width]`. */
template <class T>
struct Attention {
  const T* qkv;
  const float *q_bias, *v_bias;
  /** Added to the logits of all images: `[heads, n, n]`, or null. */
  const float* bias;
  int64_t batch, n, heads, width;

  int64_t dim() const { return heads * width; }
  float scale() const { return 1.f / std::sqrt(static_cast<float>(width)); }
  const T* tokens(int64_t image, int64_t head) const { return qkv + image * n * 3 * dim() + head * width; }
};

/** A head's matrices in a thread's memory. */
template <class Unit, class T>
struct HeadMemory {
  explicit HeadMemory(const Attention<T>& of) {
    // Of the results of products there are whole panels; and whole vectors, so that no value is computed by itself.
    const int64_t tall = (of.n + Unit::ROWS - 1) / Unit::ROWS * Unit::ROWS;
    const int64_t across = std::max<int64_t>(Unit::COLUMNS, 16);
    const int64_t w = (of.width + across - 1) / across * across;
    stride = (of.n + across - 1) / across * across;
    const size_t square = tall * stride, narrow = tall * w;
    char* at = Workspace<1>::of((2 * square + narrow) * sizeof(float) + 2 * (square + narrow) * sizeof(T) + 7 * 64);
    const auto take = [&at](size_t bytes) {
      char* taken = at;
      at += (bytes + 63) / 64 * 64;
      return taken;
    };
    logits = reinterpret_cast<float*>(take(square * sizeof(float)));
    more = reinterpret_cast<float*>(take(square * sizeof(float)));
    sums = reinterpret_cast<float*>(take(narrow * sizeof(float)));
    probabilities = reinterpret_cast<T*>(take(square * sizeof(T)));
    dlogits = reinterpret_cast<T*>(take(square * sizeof(T)));
    q = reinterpret_cast<T*>(take(narrow * sizeof(T)));
    v = reinterpret_cast<T*>(take(narrow * sizeof(T)));
    sums_stride = w;
  }
  /** `[n, stride]` each, of which n columns count. */
  float *logits, *more;
  T *probabilities, *dlogits;
  int64_t stride;
  /** `[n, sums_stride]`, of which as many columns count as a head has. */
  float* sums;
  int64_t sums_stride;
  /** `[n, width]` each. */
  T *q, *v;
};

/** Queries (over the root of their width) and values of a head with their biases, and its probabilities. */
template <class Unit, class T>
void attend(const Attention<T>& of, int64_t image, int64_t head, const HeadMemory<Unit, T>& memory) {
  const int64_t n = of.n, w = of.width, dim = of.dim(), stride = 3 * dim, whole = (n + 15) / 16 * 16;
  const float scale = of.scale();
  const T* tokens = of.tokens(image, head);
  const float *q_bias = of.q_bias + head * w, *v_bias = of.v_bias + head * w;
  for (int64_t r = 0; r < n; r++) {
    const T *q = tokens + r * stride, *v = q + 2 * dim;
#pragma omp simd
    for (int64_t i = 0; i < w; i++) store(memory.q + r * w + i, (load(q + i) + q_bias[i]) * scale);
#pragma omp simd
    for (int64_t i = 0; i < w; i++) store(memory.v + r * w + i, load(v + i) + v_bias[i]);
  }
  block<Unit, true>(Operand<T>{memory.q, w, true}, Operand<T>{tokens + dim, stride, true}, memory.logits, memory.stride,
                    w, 0, n, 0, n);
  for (int64_t r = 0; r < n; r++) {
    float* row = memory.logits + r * memory.stride;
    if (of.bias) {
      const float* add = of.bias + (head * n + r) * n;
#pragma omp simd
      for (int64_t i = 0; i < n; i++) row[i] += add[i];
    }
    for (int64_t i = n; i < whole; i++) row[i] = -INFINITY; // nobody looks there
    float largest = -INFINITY, sum = 0;
#pragma omp simd reduction(max : largest)
    for (int64_t i = 0; i < whole; i++) largest = row[i] > largest ? row[i] : largest;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < whole; i++) {
      row[i] = expFast(row[i] - largest);
      sum += row[i];
    }
    const float share = 1.f / sum;
    T* p = memory.probabilities + r * memory.stride;
#pragma omp simd
    for (int64_t i = 0; i < whole; i++) {
      row[i] *= share;
      store(p + i, row[i]);
    }
  }
}

/** @param out `[batch * n, dim]` */
template <class Unit, class T>
void attention(const Attention<T>& of, T* out) {
  Pool::get().run(of.batch * of.heads, [&](int64_t task) {
    const int64_t image = task / of.heads, head = task % of.heads, n = of.n, w = of.width;
    const HeadMemory<Unit, T> memory(of);
    attend(of, image, head, memory);
    block<Unit>(Operand<T>{memory.probabilities, memory.stride, true}, Operand<T>{memory.v, w, false},
                out + image * n * of.dim() + head * w, of.dim(), n, 0, n, 0, w);
  });
}

/**
 * @param dout `[batch * n, dim]` @param dqkv `[batch * n, 3 * dim]` @param dq_bias, dv_bias `[dim]`
 * @param dbias `[heads, n, n]`, or null
 */
template <class Unit, class T>
void attentionGrad(const Attention<T>& of, const T* dout, T* dqkv, float* dq_bias, float* dv_bias, float* dbias) {
  const int64_t n = of.n, w = of.width, dim = of.dim(), stride = 3 * dim;
  // Images in groups, whose number does not depend on cores: the gradient of the bias is summed over each group, then
  // over all.
  const int64_t groups = std::min<int64_t>(of.batch, 4), square = n * n, whole = (n + 15) / 16 * 16;
  std::vector<float> of_biases(groups * 2 * dim, 0.f), of_bias(dbias ? groups * of.heads * square : 0, 0.f);
  Pool::get().run(groups * of.heads, [&](int64_t task) {
    const int64_t group = task / of.heads, head = task % of.heads;
    const HeadMemory<Unit, T> memory(of);
    float *q_sums = of_biases.data() + group * 2 * dim + head * w, *v_sums = q_sums + dim;
    for (int64_t image = of.batch * group / groups; image < of.batch * (group + 1) / groups; image++) {
      attend(of, image, head, memory);
      const T* tokens = of.tokens(image, head);
      const Operand<T> upstream{dout + image * n * dim + head * w, dim, false};
      T* to = dqkv + image * n * stride + head * w;
      const auto finish = [&](T* into, float factor, float* sums) {
        for (int64_t r = 0; r < n; r++)
#pragma omp simd
          for (int64_t i = 0; i < w; i++) {
            const float g = memory.sums[r * memory.sums_stride + i] * factor;
            store(into + r * stride + i, g);
            sums[i] += g;
          }
      };
      block<Unit, true>(Operand<T>{memory.probabilities, memory.stride, false}, upstream, memory.sums,
                        memory.sums_stride, n, 0, n, 0, w);
      finish(to + 2 * dim, 1.f, v_sums);
      block<Unit, true>(Operand<T>{upstream.values, dim, true}, Operand<T>{memory.v, w, true}, memory.more,
                        memory.stride, w, 0, n, 0, n);
      float* sum = dbias ? of_bias.data() + (group * of.heads + head) * square : nullptr;
      for (int64_t r = 0; r < n; r++) {
        float *dp = memory.more + r * memory.stride, *p = memory.logits + r * memory.stride, dot = 0;
        T* to_row = memory.dlogits + r * memory.stride;
        for (int64_t i = n; i < whole; i++) dp[i] = 0;
#pragma omp simd reduction(+ : dot)
        for (int64_t i = 0; i < whole; i++) dot += dp[i] * p[i];
#pragma omp simd
        for (int64_t i = 0; i < whole; i++) {
          dp[i] = p[i] * (dp[i] - dot);
          store(to_row + i, dp[i]);
        }
        if (!sum) continue;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) sum[r * n + i] += dp[i];
      }
      block<Unit, true>(Operand<T>{memory.dlogits, memory.stride, true}, Operand<T>{tokens + dim, stride, false},
                        memory.sums, memory.sums_stride, n, 0, n, 0, w);
      finish(to, of.scale(), q_sums);
      block<Unit>(Operand<T>{memory.dlogits, memory.stride, false}, Operand<T>{memory.q, w, false}, to + dim, stride, n,
                  0, n, 0, w);
    }
  });
  for (int64_t i = 0; i < dim; i++) dq_bias[i] = dv_bias[i] = 0.f;
  for (int64_t g = 0; g < groups; g++)
    for (int64_t i = 0; i < dim; i++) {
      dq_bias[i] += of_biases[g * 2 * dim + i];
      dv_bias[i] += of_biases[g * 2 * dim + dim + i];
    }
  if (!dbias) return;
  parallelRows(of.heads * n, [&](int64_t from, int64_t to, int64_t) {
    for (int64_t i = from * n; i < to * n; i++) {
      float total = 0;
      for (int64_t g = 0; g < groups; g++) total += of_bias[g * of.heads * square + i];
      dbias[i] = total;
    }
  });
}

} // namespace conmim
