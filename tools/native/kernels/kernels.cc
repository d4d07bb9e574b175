// Products of matrices (products.h), attention (attention.h), and kernels that take one pass over memory where
// TensorFlow's own operations take many: LayerNorm, GELU, residual sum, BatchNorm, AdamW. Registered as TensorFlow operations of the CPU when this addon is loaded; what each
// computes is said, in plain operations, by its twin in electron/engine/kernels, which it is tested against.
// An input that is said to be overwritten is written to where it lies: its owner may share it with nobody.
#include <node_api.h>

#include <string>

#include "attention.h"
#include "math.h"
#include "parallel.h"
#include "products.h"
#include "tensorflow.h"

namespace conmim {
namespace {

template <class T>
constexpr TF_DataType typeOf() {
  return sizeof(T) == 4 ? TF_FLOAT : TF_BFLOAT16;
}

struct Attributes {
  float eps = 0;
  int64_t heads = 1, tokens = 1, flag = 0, flag_b = 0;
  TF_DataType type = TF_FLOAT;
};

/** One execution of a kernel: its inputs and outputs, released at its end. */
class Call {
 public:
  Call(TF_OpKernelContext* context, const Attributes& attributes) : at(attributes), context_(context) {}
  ~Call() {
    for (TF_Tensor* t : held_) TF_DeleteTensor(t);
    TF_DeleteStatus(status_);
  }
  TF_Tensor* tensor(int i) {
    TF_Tensor* t = nullptr;
    TF_GetInput(context_, i, &t, status_);
    held_.push_back(t);
    return t;
  }
  template <class T>
  T* in(int i) {
    return static_cast<T*>(TF_TensorData(tensor(i)));
  }
  /** Null for an input without values: what is optional is left out so. */
  const float* optional(int i) {
    TF_Tensor* t = tensor(i);
    return TF_TensorElementCount(t) == 0 ? nullptr : static_cast<const float*>(TF_TensorData(t));
  }
  template <class T>
  T* out(int i, const std::vector<int64_t>& shape) {
    int64_t count = 1;
    for (int64_t d : shape) count *= d;
    TF_Tensor* t =
        TF_AllocateOutput(context_, i, typeOf<T>(), shape.data(), static_cast<int>(shape.size()), count * sizeof(T), status_);
    held_.push_back(t);
    return static_cast<T*>(TF_TensorData(t));
  }
  /** The operation fails, and says so. */
  void fail(const char* why) {
    TF_SetStatus(status_, TF_INVALID_ARGUMENT, why);
    TF_OpKernelContext_Failure(context_, status_);
  }
  int64_t size(int i) { return TF_TensorElementCount(tensor(i)); }
  int64_t dim(int i, int axis) { return TF_Dim(tensor(i), axis); }
  const Attributes& at;

 private:
  TF_OpKernelContext* context_;
  TF_Status* status_ = TF_NewStatus();
  std::vector<TF_Tensor*> held_;
};

template <class T>
void layerNorm(Call& call) {
  const int64_t rows = call.dim(0, 0), d = call.dim(0, 1);
  const float *x = call.in<float>(0), *w = call.in<float>(1), *b = call.in<float>(2);
  T* y = call.out<T>(0, {rows, d});
  float* stats = call.out<float>(1, {rows, 2});
  const float eps = call.at.eps;
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
  T* dy = call.in<T>(0);
  const T* h = call.in<T>(1);
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

Factors factorsOf(Call& call, int i, int64_t rows) {
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
Attention<T> attentionOf(Call& call) {
  const int64_t rows = call.dim(0, 0), n = call.at.tokens, heads = call.at.heads;
  return {call.in<T>(0), call.in<float>(1), call.in<float>(2), call.optional(3), rows / n, n, heads, call.dim(0, 1) / 3 / heads};
}

template <class T>
void attend(Call& call) {
  const Attention<T> of = attentionOf<T>(call);
  T* out = call.out<T>(0, {of.batch * of.n, of.dim()});
  withHolder<partsOf<T, T>()>([&](auto* unit) { attention<std::remove_pointer_t<decltype(unit)>>(of, out); });
}

template <class T>
void attendGrad(Call& call) {
  const Attention<T> of = attentionOf<T>(call);
  const T* dout = call.in<T>(4);
  T* dqkv = call.out<T>(0, {of.batch * of.n, 3 * of.dim()});
  float *dq_bias = call.out<float>(1, {of.dim()}), *dv_bias = call.out<float>(2, {of.dim()});
  float* dbias = call.out<float>(3, {of.bias ? of.heads : 0, of.n, of.n});
  withHolder<partsOf<T, T>()>([&](auto* unit) {
    attentionGrad<std::remove_pointer_t<decltype(unit)>>(of, dout, dqkv, dq_bias, dv_bias, of.bias ? dbias : nullptr);
  });
}

constexpr int64_t COLUMNS = 128; // of BatchNorm at once: a row's part is a few cache lines

template <class Work>
void parallelColumns(int64_t width, const Work& work) {
  Pool::get().run((width + COLUMNS - 1) / COLUMNS, [&](int64_t c) {
    const int64_t from = c * COLUMNS;
    work(from, std::min(COLUMNS, width - from));
  });
}

template <class T>
void batchNorm(Call& call) {
  const int64_t rows = call.dim(0, 0), width = call.dim(0, 1);
  const T* x = call.in<T>(0);
  const float *gamma = call.optional(1), *beta = call.optional(2);
  T* y = call.out<T>(0, {rows, width});
  float* stats = call.out<float>(1, {2, width});
  const float eps = call.at.eps;
  parallelColumns(width, [=](int64_t from, int64_t count) {
    float mean[COLUMNS] = {}, variance[COLUMNS] = {}, scale[COLUMNS], shift[COLUMNS];
    for (int64_t r = 0; r < rows; r++)
      for (int64_t i = 0; i < count; i++) mean[i] += load(x + r * width + from + i);
    for (int64_t i = 0; i < count; i++) mean[i] /= rows;
    for (int64_t r = 0; r < rows; r++)
      for (int64_t i = 0; i < count; i++) {
        const float d = load(x + r * width + from + i) - mean[i];
        variance[i] += d * d;
      }
    for (int64_t i = 0; i < count; i++) {
      variance[i] /= rows;
      stats[from + i] = mean[i];
      stats[width + from + i] = variance[i];
      scale[i] = (gamma ? gamma[from + i] : 1.f) / std::sqrt(variance[i] + eps);
      shift[i] = gamma ? beta[from + i] : 0.f;
    }
    for (int64_t r = 0; r < rows; r++)
      for (int64_t i = 0; i < count; i++) {
        const float v = (load(x + r * width + from + i) - mean[i]) * scale[i] + shift[i];
        // Not `v > 0 ? v : 0`: what is not a number must not become 0.
        store(y + r * width + from + i, gamma && v < 0 ? 0.f : v);
      }
  });
}

template <class T>
void batchNormGrad(Call& call) {
  const int64_t rows = call.dim(0, 0), width = call.dim(0, 1);
  T* dy = call.in<T>(0);
  const T* x = call.in<T>(1);
  const float *stats = call.in<float>(2), *gamma = call.optional(3), *beta = call.optional(4);
  float *dgamma = call.out<float>(0, {gamma ? width : 0}), *dbeta = call.out<float>(1, {gamma ? width : 0});
  const float eps = call.at.eps;
  parallelColumns(width, [=](int64_t from, int64_t count) {
    float rstd[COLUMNS], sum[COLUMNS] = {}, dot[COLUMNS] = {}, g_[COLUMNS], b_[COLUMNS];
    const float* mean = stats + from;
    for (int64_t i = 0; i < count; i++) {
      rstd[i] = 1.f / std::sqrt(stats[width + from + i] + eps);
      g_[i] = gamma ? gamma[from + i] : 1.f;
      b_[i] = gamma ? beta[from + i] : 0.f;
    }
    const bool relu = gamma != nullptr;
    for (int64_t r = 0; r < rows; r++)
      for (int64_t i = 0; i < count; i++) {
        const float xhat = (load(x + r * width + from + i) - mean[i]) * rstd[i];
        const float g = relu && xhat * g_[i] + b_[i] <= 0 ? 0.f : load(dy + r * width + from + i);
        sum[i] += g;
        dot[i] += g * xhat;
      }
    for (int64_t i = 0; gamma && i < count; i++) {
      dgamma[from + i] = dot[i];
      dbeta[from + i] = sum[i];
    }
    for (int64_t i = 0; i < count; i++) {
      sum[i] /= rows;
      dot[i] /= rows;
    }
    for (int64_t r = 0; r < rows; r++)
      for (int64_t i = 0; i < count; i++) {
        T* at = dy + r * width + from + i;
        const float xhat = (load(x + r * width + from + i) - mean[i]) * rstd[i];
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
void matMulOf(Call& call, TF_Tensor* a, TF_Tensor* b) {
  const int rank = TF_NumDims(a);
  const bool transposed_a = call.at.flag != 0, transposed_b = call.at.flag_b != 0;
  const int64_t rows = TF_Dim(a, rank - 2), width = TF_Dim(a, rank - 1);
  const int64_t b_rows = TF_Dim(b, rank - 2), b_width = TF_Dim(b, rank - 1);
  const int64_t m = transposed_a ? width : rows, k = transposed_a ? rows : width;
  const int64_t n = transposed_b ? b_rows : b_width, k_of_b = transposed_b ? b_width : b_rows;
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
  product(Operand<A>{static_cast<const A*>(TF_TensorData(a)), width, !transposed_a},
          Operand<B>{static_cast<const B*>(TF_TensorData(b)), b_width, transposed_b}, c, n, m, n, k, stack);
}

/** Of two matrices, or of two stacks of as many; in the types that they have. */
void matMul(Call& call) {
  TF_Tensor *a = call.tensor(0), *b = call.tensor(1);
  const bool wide_a = TF_TensorType(a) == TF_FLOAT, wide_b = TF_TensorType(b) == TF_FLOAT, wide = call.at.type == TF_FLOAT;
  if (wide_a && wide_b) return wide ? matMulOf<float, float, float>(call, a, b) : matMulOf<float, float, bf16>(call, a, b);
  if (wide_a) return wide ? matMulOf<float, bf16, float>(call, a, b) : matMulOf<float, bf16, bf16>(call, a, b);
  if (wide_b) return wide ? matMulOf<bf16, float, float>(call, a, b) : matMulOf<bf16, float, bf16>(call, a, b);
  return wide ? matMulOf<bf16, bf16, float>(call, a, b) : matMulOf<bf16, bf16, bf16>(call, a, b);
}

constexpr int64_t VALUES = 1 << 16; // of a vector at once

template <class Work>
void parallelValues(int64_t count, const Work& work) {
  Pool::get().run((count + VALUES - 1) / VALUES,
                  [&](int64_t c) { work(c * VALUES, std::min(count, (c + 1) * VALUES), c); });
}

void sumSquares(Call& call) {
  const int64_t count = call.size(0);
  const float* x = call.in<float>(0);
  std::vector<double> parts((count + VALUES - 1) / VALUES, 0.);
  parallelValues(count, [&](int64_t from, int64_t to, int64_t c) {
    double total = 0;
    for (int64_t at = from; at < to; at += 1024) {
      float sum = 0;
      const int64_t end = std::min(to, at + 1024);
#pragma omp simd reduction(+ : sum)
      for (int64_t i = at; i < end; i++) sum += x[i] * x[i];
      total += sum;
    }
    parts[c] = total;
  });
  double total = 0;
  for (double part : parts) total += part;
  *call.out<float>(0, {}) = static_cast<float>(total);
}

void adamW(Call& call) {
  const int64_t count = call.size(0);
  float *p = call.in<float>(0), *m = call.in<float>(2), *v = call.in<float>(3);
  const float *g = call.in<float>(1), *s = call.in<float>(4);
  const float clip = s[0], keep = s[1], b1 = s[2], b2 = s[3], correction = s[4], eps = s[5], rate = s[6];
  parallelValues(count, [=](int64_t from, int64_t to, int64_t) {
#pragma omp simd
    for (int64_t i = from; i < to; i++) {
      const float gi = g[i] * clip;
      m[i] = b1 * m[i] + (1.f - b1) * gi;
      v[i] = b2 * v[i] + (1.f - b2) * gi * gi;
      p[i] = p[i] * keep - rate * m[i] / (std::sqrt(v[i]) * correction + eps);
    }
  });
}

void average(Call& call) {
  const int64_t count = call.size(0);
  float* teacher = call.in<float>(0);
  const float *student = call.in<float>(1), momentum = *call.in<float>(2);
  parallelValues(count, [=](int64_t from, int64_t to, int64_t) {
#pragma omp simd
    for (int64_t i = from; i < to; i++) teacher[i] = momentum * teacher[i] + (1.f - momentum) * student[i];
  });
}

void* create(TF_OpKernelConstruction* construction) {
  auto* attributes = new Attributes;
  TF_Status* status = TF_NewStatus();
  TF_OpKernelConstruction_GetAttrFloat(construction, "eps", &attributes->eps, status);
  TF_OpKernelConstruction_GetAttrInt64(construction, "heads", &attributes->heads, status);
  TF_OpKernelConstruction_GetAttrInt64(construction, "tokens", &attributes->tokens, status);
  TF_OpKernelConstruction_GetAttrInt64(construction, "flag", &attributes->flag, status);
  TF_OpKernelConstruction_GetAttrInt64(construction, "flag_b", &attributes->flag_b, status);
  TF_OpKernelConstruction_GetAttrType(construction, "T", &attributes->type, status);
  if (TF_GetCode(status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status);
  TF_DeleteStatus(status);
  return attributes;
}

template <void (*kernel)(Call&)>
void compute(void* attributes, TF_OpKernelContext* context) {
  Call call(context, *static_cast<Attributes*>(attributes));
  kernel(call);
}

void remove(void* attributes) { delete static_cast<Attributes*>(attributes); }

std::string failure;

void note(TF_Status* status, const std::string& what) {
  if (TF_GetCode(status) != TF_OK && failure.empty()) failure = what + ": " + TF_Message(status);
}

void define(const char* name, std::initializer_list<const char*> inputs, std::initializer_list<const char*> outputs) {
  TF_Status* status = TF_NewStatus();
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(name);
  for (const char* spec : inputs) TF_OpDefinitionBuilderAddInput(op, spec);
  for (const char* spec : outputs) TF_OpDefinitionBuilderAddOutput(op, spec);
  for (const char* spec : {"T: {float, bfloat16} = DT_FLOAT", "eps: float = 0.0", "heads: int = 1", "tokens: int = 1",
                           "flag: int = 0", "flag_b: int = 0", "A: {float, bfloat16} = DT_FLOAT",
                           "B: {float, bfloat16} = DT_FLOAT"})
    TF_OpDefinitionBuilderAddAttr(op, spec);
  TF_OpDefinitionBuilderSetIsStateful(op, true); // some write to their inputs: none may be left out or done twice
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, TF_ShapeInferenceContextSetUnknownShape);
  TF_RegisterOpDefinition(op, status);
  note(status, name);
  TF_DeleteStatus(status);
}

template <void (*kernel)(Call&)>
void implement(const char* name, TF_DataType type) {
  TF_Status* status = TF_NewStatus();
  TF_KernelBuilder* builder = TF_NewKernelBuilder(name, "CPU", create, compute<kernel>, remove);
  TF_KernelBuilder_TypeConstraint(builder, "T", type, status);
  note(status, name);
  TF_RegisterKernelBuilder(name, builder, status);
  note(status, name);
  TF_DeleteStatus(status);
}

#define BOTH(name, kernel)                         \
  implement<kernel<float>>(name, TF_FLOAT);        \
  implement<kernel<bf16>>(name, TF_BFLOAT16);

void registerAll() {
  define("ConmimLayerNorm", {"x: float", "w: float", "b: float"}, {"y: T", "stats: float"});
  BOTH("ConmimLayerNorm", layerNorm)
  define("ConmimLayerNormGrad", {"dy: T", "x: float", "w: float", "stats: float", "into: float"},
         {"dw: float", "db: float"});
  BOTH("ConmimLayerNormGrad", layerNormGrad)
  define("ConmimGelu", {"h: T", "bias: float"}, {"y: T"});
  BOTH("ConmimGelu", gelu)
  define("ConmimGeluGrad", {"dy: T", "h: T", "bias: float"}, {"db: float"});
  BOTH("ConmimGeluGrad", geluGrad)
  define("ConmimResidual", {"t: float", "branch: T", "bias: float", "gamma: float", "factors: float"}, {"y: float"});
  BOTH("ConmimResidual", residual)
  define("ConmimResidualGrad", {"dt: float", "branch: T", "bias: float", "gamma: float", "factors: float"},
         {"dbranch: T", "dgamma: float", "dbias: float"});
  BOTH("ConmimResidualGrad", residualGrad)
  define("ConmimAttention", {"qkv: T", "q_bias: float", "v_bias: float", "bias: float"}, {"out: T"});
  BOTH("ConmimAttention", attend)
  define("ConmimAttentionGrad", {"qkv: T", "q_bias: float", "v_bias: float", "bias: float", "dout: T"},
         {"dqkv: T", "dq_bias: float", "dv_bias: float", "dbias: float"});
  BOTH("ConmimAttentionGrad", attendGrad)
  define("ConmimBatchNorm", {"x: T", "gamma: float", "beta: float"}, {"y: T", "stats: float"});
  BOTH("ConmimBatchNorm", batchNorm)
  define("ConmimBatchNormGrad", {"dy: T", "x: T", "stats: float", "gamma: float", "beta: float"},
         {"dgamma: float", "dbeta: float"});
  BOTH("ConmimBatchNormGrad", batchNormGrad)
  define("ConmimColumnSum", {"x: T"}, {"sum: float"});
  BOTH("ConmimColumnSum", columnSum)
  define("ConmimMatMul", {"a: A", "b: B"}, {"c: T"});
  implement<matMul>("ConmimMatMul", TF_FLOAT);
  implement<matMul>("ConmimMatMul", TF_BFLOAT16);
  define("ConmimSumSquares", {"x: float"}, {"sum: float"});
  implement<sumSquares>("ConmimSumSquares", TF_FLOAT);
  define("ConmimAdamW", {"p: float", "g: float", "m: float", "v: float", "scalars: float"}, {});
  implement<adamW>("ConmimAdamW", TF_FLOAT);
  define("ConmimAverage", {"teacher: float", "student: float", "momentum: float"}, {});
  implement<average>("ConmimAverage", TF_FLOAT);
}

/** holdProductsIn("automatic" | "tiles" | "pairs" | "vectors"): whether this processor can; where it cannot, nothing changes. */
napi_value holdProductsIn(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value name, answer;
  char given[16] = "";
  napi_get_cb_info(env, info, &count, &name, nullptr, nullptr);
  napi_get_value_string_utf8(env, name, given, sizeof given, nullptr);
  bool can = false;
  const char* const NAMES[] = {"automatic", "tiles", "pairs", "vectors"};
  for (int i = 0; i < 4; i++) {
    if (std::strcmp(given, NAMES[i]) != 0 || !canHold(static_cast<Holder>(i))) continue;
    holder = static_cast<Holder>(i);
    can = true;
  }
  napi_get_boolean(env, can, &answer);
  return answer;
}

}  // namespace
}  // namespace conmim

NAPI_MODULE_INIT() {
  static const bool once = (conmim::registerAll(), true);
  (void)once;
  if (!conmim::failure.empty()) napi_throw_error(env, nullptr, conmim::failure.c_str());
  napi_value function, tiles;
  napi_create_function(env, nullptr, 0, conmim::holdProductsIn, nullptr, &function);
  napi_set_named_property(env, exports, "holdProductsIn", function);
  napi_get_boolean(env, conmim::canHold(conmim::Holder::tiles), &tiles);
  napi_set_named_property(env, exports, "hasTiles", tiles);
  return exports;
}
