// The unit of products on processors without tiles: a few rows of the result stay in registers.
#pragma once
#include <algorithm>
#include <cstring>

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
  static constexpr int64_t ROWS = VECTOR_ROWS, COLUMNS = 2 * LANES, DEPTH = 384, STEP = 1;
  static size_t panelBytes(int64_t vectors, int64_t depth) { return vectors * depth * sizeof(float); }

  typedef float Four __attribute__((vector_size(16)));
  typedef uint32_t Bits __attribute__((vector_size(16)));
  typedef uint16_t Halves __attribute__((vector_size(8)));

  /** Values as they are multiplied. */
  template <class T>
  static float as(const T* p) {
    if (!rounds || sizeof(T) == 2) return load(p);
    bf16 rounded;
    store(&rounded, load(p));
    return load(&rounded);
  }
  static Four four(const float* p) {
    Four x;
    std::memcpy(&x, p, sizeof x);
    if (!rounds) return x;
    const Bits bits = reinterpret_cast<Bits>(x);
    const Bits to_nearest = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000;
    const Bits is_none = reinterpret_cast<Bits>(x != x); // what is not a number stays so, as in `store`
    return reinterpret_cast<Four>((to_nearest & ~is_none) | (bits & is_none));
  }
  static Four four(const bf16* p) {
    Halves x;
    std::memcpy(&x, p, sizeof x);
    return reinterpret_cast<Four>(__builtin_convertvector(x, Bits) << 16);
  }

  /** `[k][vector]`, with zeros for vectors that are not there. */
  template <int64_t WIDTH, class T>
  static void pack(const Operand<T>& x, int64_t vector, int64_t vectors, int64_t at, int64_t count, char* into) {
    float* to = reinterpret_cast<float*>(into);
    if (!x.along) {
      for (int64_t k = 0; k < count; k++, to += WIDTH) {
        const T* from = x.values + (at + k) * x.stride + vector;
        __builtin_prefetch(from + 2 * WIDTH - 1); // of the next panel: rows lie on other pages
        if (vectors == WIDTH) {
          for (int64_t v = 0; v < WIDTH; v++) to[v] = as(from + v);
        } else {
          for (int64_t v = 0; v < WIDTH; v++) to[v] = v < vectors ? as(from + v) : 0.f;
        }
      }
      return;
    }
    if (vectors < WIDTH) std::fill(to, to + WIDTH * count, 0.f);
    const T* first = x.values + vector * x.stride + at;
    const int64_t whole = vectors < WIDTH ? 0 : count / 4 * 4;
    // A line of 16 values after the other: lines of many rows, a power of two apart, would drive one another out.
    for (int64_t line = 0; line < whole; line += 16)
      for (int64_t v = 0; v < WIDTH; v += 4)
        for (int64_t k = line; k < std::min(whole, line + 16); k += 4) {
          const int64_t w = std::min(v, WIDTH - 4); // the last four may be some of those before it
          const T* from = first + w * x.stride + k;
          const Four r0 = four(from), r1 = four(from + x.stride);
          const Four r2 = four(from + 2 * x.stride), r3 = four(from + 3 * x.stride);
          const Four a = __builtin_shufflevector(r0, r1, 0, 4, 1, 5), b = __builtin_shufflevector(r0, r1, 2, 6, 3, 7);
          const Four c = __builtin_shufflevector(r2, r3, 0, 4, 1, 5), d = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
          const Four columns[4] = {__builtin_shufflevector(a, c, 0, 1, 4, 5), __builtin_shufflevector(a, c, 2, 3, 6, 7),
                                   __builtin_shufflevector(b, d, 0, 1, 4, 5),
                                   __builtin_shufflevector(b, d, 2, 3, 6, 7)};
          for (int64_t i = 0; i < 4; i++) std::memcpy(to + (k + i) * WIDTH + w, &columns[i], sizeof(Four));
        }
    for (int64_t v = 0; v < vectors; v++)
      for (int64_t k = whole; k < count; k++) to[k * WIDTH + v] = as(first + v * x.stride + k);
  }
  template <class T>
  static void packRows(const Operand<T>& x, int64_t row, int64_t rows, int64_t at, int64_t count, char* into) {
    pack<ROWS>(x, row, rows, at, count, into);
  }
  template <class T>
  static void packColumns(const Operand<T>& x, int64_t column, int64_t columns, int64_t at, int64_t count, char* into) {
    pack<COLUMNS>(x, column, columns, at, count, into);
  }

  /** @param before `[ROWS][COLUMNS]`, sums to go on from, or null @param into rows `stride` values apart */
  void multiply(const char* packed_a, const char* packed_b, int64_t count, const float* before, float* into,
                int64_t stride) const {
    const float* a = reinterpret_cast<const float*>(packed_a);
    const float* b = reinterpret_cast<const float*>(packed_b);
    Lanes sums[ROWS][2];
    for (int64_t r = 0; r < ROWS; r++) {
      if (before) std::memcpy(sums[r], before + r * COLUMNS, sizeof sums[r]);
      else sums[r][0] = sums[r][1] = Lanes{};
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
    for (int64_t r = 0; r < ROWS; r++) std::memcpy(into + r * stride, sums[r], sizeof sums[r]);
  }
};

} // namespace conmim
