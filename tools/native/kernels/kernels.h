// Products of matrices (products.h), attention (attention.h), and kernels that take one pass over memory where
// TensorFlow's own operations take many: LayerNorm, GELU, residual sum, BatchNorm, AdamW. What each computes is said,
// in plain operations, by its twin in electron/engine/kernels, which it is tested against. An input that is said to be
// overwritten is written to where it lies: its owner may share it with nobody.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <type_traits>
#include <vector>

#include "attention.h"
#include "call.h"
#include "math.h"
#include "parallel.h"
#include "products.h"

namespace conmim {

// Attributes: what an operation is told beside its inputs. Each has those that it uses; SPECS declares them.

/** Of LayerNorm and BatchNorm: what is added to a variance. */
struct Epsilon {
  static constexpr std::initializer_list<const char*> SPECS = {"eps: float"};
  explicit Epsilon(Construction& from) : eps(from.number("eps")) {}
  float eps;
};

/** Of attention: in how many heads, and of how many tokens an image is. */
struct Heads {
  static constexpr std::initializer_list<const char*> SPECS = {"heads: int >= 1", "tokens: int >= 1"};
  explicit Heads(Construction& from) : heads(from.integer("heads")), tokens(from.integer("tokens")) {}
  int64_t heads, tokens;
};

/** Of a product: which of its factors is transposed, and the type of the result. */
struct Factored {
  static constexpr std::initializer_list<const char*> SPECS = {"transpose_a: bool", "transpose_b: bool",
                                                               "Ta: {float, bfloat16}", "Tb: {float, bfloat16}",
                                                               "T: {float, bfloat16}"};
  explicit Factored(Construction& from)
      : transpose_a(from.flag("transpose_a")), transpose_b(from.flag("transpose_b")), type(from.type("T")) {}
  bool transpose_a, transpose_b;
  TF_DataType type;
};

/** Of what works on lists of tensors: how many are in each. */
struct Count {
  static constexpr std::initializer_list<const char*> SPECS = {"count: int >= 1"};
  explicit Count(Construction& from) : count(from.integer("count")) {}
  int64_t count;
};

/** Of what is written into a tensor: from which value of the tensor on. */
struct Offset {
  static constexpr std::initializer_list<const char*> SPECS = {"offset: int"};
  explicit Offset(Construction& from) : offset(from.integer("offset")) {}
  int64_t offset;
};

template <class T>
void layerNorm(Call& call, const Epsilon& at) {
  const int64_t rows = call.dim(0, 0), d = call.dim(0, 1);
  const float *x = call.in<float>(0), *w = call.in<float>(1), *b = call.in<float>(2);
  T* y = call.out<T>(0, {rows, d});
  float* stats = call.out<float>(1, {rows, 2});
  const float eps = at.eps;
  parallelRows(rows, [=](int64_t from, int64_t to, int64_t) {
    for (int64_t r = from; r < to; r++) {
      const float* row = x + r * d;
      float sum = 0, square = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = 0; i < d; i++) sum += row[i];
      const float mean = sum / d;
#pragma omp simd reduction(+ : square)
      for (int64_t i = 0; i < d; i++) square += (row[i] - mean) * (row[i] - mean);
      const float rstd = 1.f / std::sqrt(square / d + eps);
      T* to_row = y + r * d;
#pragma omp simd
      for (int64_t i = 0; i < d; i++) store(to_row + i, (row[i] - mean) * rstd * w[i] + b[i]);
      stats[2 * r] = mean;
      stats[2 * r + 1] = rstd;
    }
  });
}

template <class T>
void layerNormGrad(Call& call) {
  const int64_t rows = call.dim(0, 0), d = call.dim(0, 1);
  const T* dy = call.in<T>(0);
  const float *x = call.in<float>(1), *w = call.in<float>(2), *stats = call.in<float>(3);
  float* into = call.in<float>(4);
  ColumnSums sums(rows, d, 2);
  parallelRows(rows, [&](int64_t from, int64_t to, int64_t c) {
    float *dw = sums.of(c, 0), *db = sums.of(c, 1);
    for (int64_t r = from; r < to; r++) {
      const T* g = dy + r * d;
      const float* row = x + r * d;
      float* dx = into + r * d;
      const float mean = stats[2 * r], rstd = stats[2 * r + 1];
      float sum = 0, dot = 0;
#pragma omp simd reduction(+ : sum, dot)
      for (int64_t i = 0; i < d; i++) {
        const float gw = load(g + i) * w[i];
        sum += gw;
        dot += gw * (row[i] - mean) * rstd;
      }
      sum /= d;
      dot /= d;
#pragma omp simd
      for (int64_t i = 0; i < d; i++) {
        const float gi = load(g + i), xhat = (row[i] - mean) * rstd;
        dw[i] += gi * xhat;
        db[i] += gi;
        dx[i] += rstd * (gi * w[i] - sum - xhat * dot);
      }
    }
  });
  sums.total(0, call.out<float>(0, {d}));
  sums.total(1, call.out<float>(1, {d}));
}

template <class T>
void gelu(Call& call) {
  const int64_t rows = call.dim(0, 0), d = call.dim(0, 1);
  const T* h = call.in<T>(0);
  const float* bias = call.in<float>(1);
  T* y = call.out<T>(0, {rows, d});
  parallelRows(rows, [=](int64_t from, int64_t to, int64_t) {
    for (int64_t r = from; r < to; r++)
#pragma omp simd
      for (int64_t i = 0; i < d; i++) {
        const float x = load(h + r * d + i) + bias[i];
        store(y + r * d + i, 0.5f * x * (1.f + erfFast(x * 0.70710678118654752f)));
      }
  });
}

template <class T>
void geluGrad(Call& call) {
  const int64_t rows = call.dim(0, 0), d = call.dim(0, 1);
  T *dy = call.in<T>(0), *h = call.in<T>(1);
  const float* bias = call.in<float>(2);
  ColumnSums sums(rows, d, 1);
  parallelRows(rows, [&](int64_t from, int64_t to, int64_t c) {
    float* db = sums.of(c, 0);
    for (int64_t r = from; r < to; r++)
#pragma omp simd
      for (int64_t i = 0; i < d; i++) {
        const float x = load(h + r * d + i) + bias[i];
        const float cdf = 0.5f * (1.f + erfFast(x * 0.70710678118654752f));
        const float dh = load(dy + r * d + i) * (cdf + x * 0.3989422804014327f * expFast(-0.5f * x * x));
        store(dy + r * d + i, dh);
        store(h + r * d + i, x * cdf);
        db[i] += dh;
      }
  });
  sums.total(0, call.out<float>(0, {d}));
}

/** The factor of a row's sample, or 1. */
struct Factors {
  const float* values;
  int64_t rows_each;
  float of(int64_t row) const { return values ? values[row / rows_each] : 1.f; }
};

inline Factors factorsOf(Call& call, int i, int64_t rows) {
  const int64_t samples = call.size(i);
  return {call.optional(i), samples == 0 ? rows : rows / samples};
}

template <class T>
void residual(Call& call) {
  const int64_t rows = call.dim(0, 0), d = call.dim(0, 1);
  const float* t = call.in<float>(0);
  const T* branch = call.in<T>(1);
  const float *bias = call.in<float>(2), *gamma = call.optional(3);
  const Factors factors = factorsOf(call, 4, rows);
  float* y = call.out<float>(0, {rows, d});
  parallelRows(rows, [=](int64_t from, int64_t to, int64_t) {
    for (int64_t r = from; r < to; r++) {
      const float f = factors.of(r);
      const int64_t at = r * d;
      if (gamma) {
#pragma omp simd
        for (int64_t i = 0; i < d; i++) y[at + i] = t[at + i] + f * gamma[i] * (load(branch + at + i) + bias[i]);
      } else {
#pragma omp simd
        for (int64_t i = 0; i < d; i++) y[at + i] = t[at + i] + f * (load(branch + at + i) + bias[i]);
      }
    }
  });
}

template <class T>
void residualGrad(Call& call) {
  const int64_t rows = call.dim(0, 0), d = call.dim(0, 1);
  const float* dt = call.in<float>(0);
  const T* branch = call.in<T>(1);
  const float *bias = call.in<float>(2), *gamma = call.optional(3);
  const Factors factors = factorsOf(call, 4, rows);
  T* dbranch = call.out<T>(0, {rows, d});
  ColumnSums sums(rows, d, 2);
  parallelRows(rows, [&](int64_t from, int64_t to, int64_t c) {
    float *dgamma = sums.of(c, 0), *dbias = sums.of(c, 1);
    for (int64_t r = from; r < to; r++) {
      const float f = factors.of(r);
      const int64_t at = r * d;
#pragma omp simd
      for (int64_t i = 0; i < d; i++) {
        const float g = f * dt[at + i];
        const float scaled = gamma ? g * gamma[i] : g;
        dgamma[i] += g * (load(branch + at + i) + bias[i]);
        dbias[i] += scaled;
        store(dbranch + at + i, scaled);
      }
    }
  });
  float* dgamma = call.out<float>(1, {gamma ? d : 0});
  if (gamma) sums.total(0, dgamma);
  sums.total(1, call.out<float>(2, {d}));
}

template <class T>
Attention<T> attentionOf(Call& call, const Heads& at) {
  const int64_t batch = call.dim(0, 0) / at.tokens, width = call.dim(0, 1) / 3 / at.heads;
  return {call.in<T>(0), call.in<float>(1), call.in<float>(2), call.optional(3), batch, at.tokens, at.heads, width};
}

template <class T>
void attend(Call& call, const Heads& at) {
  const Attention<T> of = attentionOf<T>(call, at);
  T* out = call.out<T>(0, {of.batch * of.n, of.dim()});
  withHolder<partsOf<T, T>()>([&](auto* unit) { attention<std::remove_pointer_t<decltype(unit)>>(of, out); });
}

template <class T>
void attendGrad(Call& call, const Heads& at) {
  const Attention<T> of = attentionOf<T>(call, at);
  const T* dout = call.in<T>(4);
  T* dqkv = call.out<T>(0, {of.batch * of.n, 3 * of.dim()});
  float *dq_bias = call.out<float>(1, {of.dim()}), *dv_bias = call.out<float>(2, {of.dim()});
  float* dbias = call.out<float>(3, {of.bias ? of.heads : 0, of.n, of.n});
  withHolder<partsOf<T, T>()>([&](auto* unit) {
    attentionGrad<std::remove_pointer_t<decltype(unit)>>(of, dout, dqkv, dq_bias, dv_bias, of.bias ? dbias : nullptr);
  });
}

/** A sum over many rows is exact to some 1e-7 of itself only where few of them are added to a long sum at a time. */
constexpr int64_t RUN = 64;

template <class T>
void batchNorm(Call& call, const Epsilon& at) {
  const int64_t rows = call.dim(0, 0), width = call.dim(0, 1);
  const T* x = call.in<T>(0);
  const float *gamma = call.optional(1), *beta = call.optional(2);
  T* y = call.out<T>(0, {rows, width});
  float* stats = call.out<float>(1, {2, width});
  // Mean and variance of what is left of the first row, in one pass: a column's first value is as near to its mean as
  // its spread is, so that their squares do not cancel.
  std::vector<float> origin(width), mean(width), square(width), scale(width), shift(width);
  for (int64_t i = 0; i < width; i++) origin[i] = load(x + i);
  ColumnSums sums(rows, width, 2);
  parallelRows(rows, [&](int64_t from, int64_t to, int64_t c) {
    std::vector<float> run(2 * width);
    float *sum = sums.of(c, 0), *squares = sums.of(c, 1), *few = run.data(), *few_squares = few + width;
    for (int64_t start = from; start < to; start += RUN) {
      std::fill(run.begin(), run.end(), 0.f);
      for (int64_t r = start; r < std::min(to, start + RUN); r++)
#pragma omp simd
        for (int64_t i = 0; i < width; i++) {
          const float d = load(x + r * width + i) - origin[i];
          few[i] += d;
          few_squares[i] += d * d;
        }
#pragma omp simd
      for (int64_t i = 0; i < width; i++) {
        sum[i] += few[i];
        squares[i] += few_squares[i];
      }
    }
  });
  sums.total(0, mean.data());
  sums.total(1, square.data());
  const float eps = at.eps;
  for (int64_t i = 0; i < width; i++) {
    const float d = mean[i] / rows;
    // In this order: where a comparison with NaN fails, std::max gives its first argument back, and what is not a
    // number stays so.
    const float variance = std::max(square[i] / rows - d * d, 0.f);
    stats[i] = origin[i] + d;
    stats[width + i] = variance;
    scale[i] = (gamma ? gamma[i] : 1.f) / std::sqrt(variance + eps);
    shift[i] = gamma ? beta[i] : 0.f;
  }
  const bool relu = gamma != nullptr;
  parallelRows(rows, [&](int64_t from, int64_t to, int64_t) {
    for (int64_t r = from; r < to; r++)
#pragma omp simd
      for (int64_t i = 0; i < width; i++) {
        const float v = (load(x + r * width + i) - stats[i]) * scale[i] + shift[i];
        // Not `v > 0 ? v : 0`: what is not a number must not become 0.
        store(y + r * width + i, relu && v < 0 ? 0.f : v);
      }
  });
}

template <class T>
void batchNormGrad(Call& call, const Epsilon& at) {
  const int64_t rows = call.dim(0, 0), width = call.dim(0, 1);
  T* dy = call.in<T>(0);
  const T* x = call.in<T>(1);
  const float *stats = call.in<float>(2), *gamma = call.optional(3), *beta = call.optional(4);
  float *dgamma = call.out<float>(0, {gamma ? width : 0}), *dbeta = call.out<float>(1, {gamma ? width : 0});
  std::vector<float> rstd(width), g_(width, 1.f), b_(width, 0.f), sum(width), dot(width);
  for (int64_t i = 0; i < width; i++) {
    rstd[i] = 1.f / std::sqrt(stats[width + i] + at.eps);
    if (gamma) {
      g_[i] = gamma[i];
      b_[i] = beta[i];
    }
  }
  const bool relu = gamma != nullptr;
  ColumnSums sums(rows, width, 2);
  parallelRows(rows, [&](int64_t from, int64_t to, int64_t c) {
    float *sum = sums.of(c, 0), *dot = sums.of(c, 1);
    for (int64_t r = from; r < to; r++)
#pragma omp simd
      for (int64_t i = 0; i < width; i++) {
        const float xhat = (load(x + r * width + i) - stats[i]) * rstd[i];
        const float g = relu && xhat * g_[i] + b_[i] <= 0 ? 0.f : load(dy + r * width + i);
        sum[i] += g;
        dot[i] += g * xhat;
      }
  });
  sums.total(0, sum.data());
  sums.total(1, dot.data());
  for (int64_t i = 0; i < width; i++) {
    if (gamma) {
      dgamma[i] = dot[i];
      dbeta[i] = sum[i];
    }
    sum[i] /= rows;
    dot[i] /= rows;
  }
  parallelRows(rows, [&](int64_t from, int64_t to, int64_t) {
    for (int64_t r = from; r < to; r++)
#pragma omp simd
      for (int64_t i = 0; i < width; i++) {
        T* at = dy + r * width + i;
        const float xhat = (load(x + r * width + i) - stats[i]) * rstd[i];
        const float g = relu && xhat * g_[i] + b_[i] <= 0 ? 0.f : load(at);
        store(at, g_[i] * rstd[i] * (g - sum[i] - xhat * dot[i]));
      }
  });
}

template <class T>
void columnSum(Call& call) {
  const int64_t rows = call.dim(0, 0), d = call.dim(0, 1);
  const T* x = call.in<T>(0);
  ColumnSums sums(rows, d, 1);
  parallelRows(rows, [&](int64_t from, int64_t to, int64_t c) {
    float* sum = sums.of(c, 0);
    for (int64_t r = from; r < to; r++)
#pragma omp simd
      for (int64_t i = 0; i < d; i++) sum[i] += load(x + r * d + i);
  });
  sums.total(0, call.out<float>(0, {d}));
}

template <class A, class B, class C>
void matMulOf(Call& call, const Factored& at, TF_Tensor* a, TF_Tensor* b) {
  const int rank = TF_NumDims(a);
  const int64_t rows = TF_Dim(a, rank - 2), width = TF_Dim(a, rank - 1);
  const int64_t b_rows = TF_Dim(b, rank - 2), b_width = TF_Dim(b, rank - 1);
  const int64_t m = at.transpose_a ? width : rows, k = at.transpose_a ? rows : width;
  const int64_t n = at.transpose_b ? b_rows : b_width, k_of_b = at.transpose_b ? b_width : b_rows;
  bool fits = TF_NumDims(b) == rank && k == k_of_b;
  std::vector<int64_t> shape;
  Stack stack{1, rows * width, b_rows * b_width, m * n};
  for (int d = 0; fits && d < rank - 2; d++) {
    shape.push_back(TF_Dim(a, d));
    stack.count *= shape.back();
    fits = TF_Dim(b, d) == shape.back();
  }
  if (!fits) return call.fail("ConmimMatMul: these shapes have no product");
  shape.insert(shape.end(), {m, n});
  C* c = call.out<C>(0, shape);
  product(Operand<A>{static_cast<const A*>(TF_TensorData(a)), width, !at.transpose_a},
          Operand<B>{static_cast<const B*>(TF_TensorData(b)), b_width, at.transpose_b}, c, n, m, n, k, stack);
}

/** Of two matrices, or of two stacks of as many; in the types that they have. */
inline void matMul(Call& call, const Factored& at) {
  TF_Tensor *a = call.tensor(0), *b = call.tensor(1);
  const bool wide_a = TF_TensorType(a) == TF_FLOAT, wide_b = TF_TensorType(b) == TF_FLOAT, wide = at.type == TF_FLOAT;
  if (wide_a && wide_b)
    return wide ? matMulOf<float, float, float>(call, at, a, b) : matMulOf<float, float, bf16>(call, at, a, b);
  if (wide_a) return wide ? matMulOf<float, bf16, float>(call, at, a, b) : matMulOf<float, bf16, bf16>(call, at, a, b);
  if (wide_b) return wide ? matMulOf<bf16, float, float>(call, at, a, b) : matMulOf<bf16, float, bf16>(call, at, a, b);
  return wide ? matMulOf<bf16, bf16, float>(call, at, a, b) : matMulOf<bf16, bf16, bf16>(call, at, a, b);
}

/** Vectors one after the other, of which parts of at most 65,536 values are worked on at once. */
class Parts {
 public:
  Parts(Call& call, const Count& at) {
    for (int64_t i = 0; i < at.count; i++) {
      const int64_t count = call.size(static_cast<int>(i));
      for (int64_t from = 0; from < count; from += VALUES) parts_.push_back({i, from, std::min(count, from + VALUES)});
    }
  }
  size_t parts() const { return parts_.size(); }
  /** Calls `work(vector, from, to, part)` for every part. */
  template <class Work>
  void parallel(const Work& work) const {
    Pool::get().run(parts_.size(), [&](int64_t p) { work(parts_[p].vector, parts_[p].from, parts_[p].to, p); });
  }

 private:
  static constexpr int64_t VALUES = 1 << 16;
  struct Part {
    int64_t vector, from, to;
  };
  std::vector<Part> parts_;
};

/** The `count` inputs from the one that is `which * count`th on. */
inline std::vector<float*> listOf(Call& call, const Count& at, int64_t which) {
  std::vector<float*> found;
  for (int64_t i = 0; i < at.count; i++) found.push_back(call.in<float>(static_cast<int>(which * at.count + i)));
  return found;
}

inline void sumSquares(Call& call, const Count& at) {
  const Parts vectors(call, at);
  const std::vector<float*> xs = listOf(call, at, 0);
  std::vector<double> parts(vectors.parts(), 0.);
  vectors.parallel([&](int64_t which, int64_t from, int64_t to, int64_t part) {
    const float* x = xs[which];
    double total = 0;
    for (int64_t at = from; at < to; at += 1024) {
      float sum = 0;
      const int64_t end = std::min(to, at + 1024);
#pragma omp simd reduction(+ : sum)
      for (int64_t i = at; i < end; i++) sum += x[i] * x[i];
      total += sum;
    }
    parts[part] = total;
  });
  double total = 0;
  for (double part : parts) total += part;
  *call.out<float>(0, {}) = static_cast<float>(total);
}

inline void adamW(Call& call, const Count& at) {
  const Parts vectors(call, at);
  const std::vector<float*> ps = listOf(call, at, 0), gs = listOf(call, at, 1);
  const std::vector<float*> ms = listOf(call, at, 2), vs = listOf(call, at, 3);
  const float* numbers = call.in<float>(static_cast<int>(4 * at.count));
  vectors.parallel([&](int64_t which, int64_t from, int64_t to, int64_t) {
    float *p = ps[which], *m = ms[which], *v = vs[which];
    const float *g = gs[which], *s = numbers + 7 * which;
    const float clip = s[0], keep = s[1], b1 = s[2], b2 = s[3], correction = s[4], eps = s[5], rate = s[6];
#pragma omp simd
    for (int64_t i = from; i < to; i++) {
      const float gi = g[i] * clip;
      m[i] = b1 * m[i] + (1.f - b1) * gi;
      v[i] = b2 * v[i] + (1.f - b2) * gi * gi;
      p[i] = p[i] * keep - rate * m[i] / (std::sqrt(v[i]) * correction + eps);
    }
  });
}

inline void average(Call& call, const Count& at) {
  const Parts vectors(call, at);
  const std::vector<float*> teachers = listOf(call, at, 0), students = listOf(call, at, 1);
  const float momentum = *call.in<float>(static_cast<int>(2 * at.count));
  vectors.parallel([&](int64_t which, int64_t from, int64_t to, int64_t) {
    float* teacher = teachers[which];
    const float* student = students[which];
#pragma omp simd
    for (int64_t i = from; i < to; i++) teacher[i] = momentum * teacher[i] + (1.f - momentum) * student[i];
  });
}

/** Values into a tensor, from its `offset`th on. */
inline void write(Call& call, const Offset& at) {
  const int64_t offset = at.offset, count = call.size(1);
  if (offset < 0 || offset + count > call.size(0)) return call.fail("ConmimWrite: there is no room for so many values");
  std::memcpy(call.in<float>(0) + offset, call.in<float>(1), count * sizeof(float));
}

/** Of this shape. */
inline void zeros(Call& call) {
  const int32_t* dims = call.in<int32_t>(0);
  const std::vector<int64_t> shape(dims, dims + call.size(0));
  int64_t count = 1;
  for (int64_t d : shape) count *= d;
  std::memset(call.out<float>(0, shape), 0, count * sizeof(float));
}

} // namespace conmim
