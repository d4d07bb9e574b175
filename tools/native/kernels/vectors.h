// The unit of products on processors without tiles: a few rows of the result stay in registers.
#pragma once
#include <algorithm>

#include "math.h"
#include "operand.h"

namespace conmim {

#ifdef __AVX512F__
constexpr int LANES = 16, VECTOR_ROWS = 14;
#else
constexpr int LANES = 8, VECTOR_ROWS = 6; // 12 sums of 16 registers
#endif

/** `rounds`: floats are rounded to bfloat16 before they are multiplied. */
template <bool rounds>
struct Vectors {
  typedef float Lanes __attribute__((vector_size(4 * LANES)));
  static constexpr int64_t ROWS = VECTOR_ROWS, COLUMNS = 2 * LANES, DEPTH = 256, STEP = 1;
  static size_t panelBytes(int64_t vectors, int64_t depth) { return vectors * depth * sizeof(float); }

  static float as(const float* p) {
    if (!rounds) return *p;
    bf16 rounded;
    store(&rounded, *p);
    return load(&rounded);
  }
  static float as(const bf16* p) { return load(p); }

  /** `[k][vector]`, with zeros for vectors that are not there. */
  template <int64_t WIDTH, class T>
  static void pack(const Operand<T>& x, int64_t vector, int64_t vectors, int64_t at, int64_t count, char* into) {
    float* to = reinterpret_cast<float*>(into);
    if (vectors < WIDTH) std::fill(to, to + WIDTH * count, 0.f);
    if (x.along) {
      for (int64_t k = 0; k < count; k += 16)
        for (int64_t v = 0; v < vectors; v++) {
          const T* from = x.values + (vector + v) * x.stride + at;
          for (int64_t i = k; i < std::min(count, k + 16); i++) to[i * WIDTH + v] = as(from + i);
        }
    } else if (vectors == WIDTH) {
      for (int64_t k = 0; k < count; k++) {
        const T* from = x.values + (at + k) * x.stride + vector;
        for (int64_t v = 0; v < WIDTH; v++) to[k * WIDTH + v] = as(from + v);
      }
    } else {
      for (int64_t k = 0; k < count; k++)
        for (int64_t v = 0; v < vectors; v++) to[k * WIDTH + v] = as(x.values + (at + k) * x.stride + vector + v);
    }
  }
  template <class T>
  static void packRows(const Operand<T>& x, int64_t row, int64_t rows, int64_t at, int64_t count, char* into) {
    pack<ROWS>(x, row, rows, at, count, into);
  }
  template <class T>
  static void packColumns(const Operand<T>& x, int64_t column, int64_t columns, int64_t at, int64_t count, char* into) {
    pack<COLUMNS>(x, column, columns, at, count, into);
  }

  void multiply(const char* packed_a, const char* packed_b, int64_t count, float* into, bool more) const {
    const float* a = reinterpret_cast<const float*>(packed_a);
    const float* b = reinterpret_cast<const float*>(packed_b);
    Lanes sums[ROWS][2];
    if (more) {
      for (int64_t r = 0; r < ROWS; r++) std::memcpy(sums[r], into + r * COLUMNS, sizeof sums[r]);
    } else {
      for (int64_t r = 0; r < ROWS; r++) sums[r][0] = sums[r][1] = Lanes{};
    }
    for (int64_t k = 0; k < count; k++, a += ROWS, b += COLUMNS) {
      Lanes left, right;
      std::memcpy(&left, b, sizeof left);
      std::memcpy(&right, b + LANES, sizeof right);
#pragma GCC unroll 14
      for (int64_t r = 0; r < ROWS; r++) {
        sums[r][0] += a[r] * left;
        sums[r][1] += a[r] * right;
      }
    }
    for (int64_t r = 0; r < ROWS; r++) std::memcpy(into + r * COLUMNS, sums[r], sizeof sums[r]);
  }
};

}  // namespace conmim
