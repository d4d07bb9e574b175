// Operands as the processor's products of bfloat16 want them, two values of k side by side; floats in one part,
// rounded, or in three that are as exact as they. The unit of products on processors that have such products without
// tiles.
#pragma once
#include "math.h"
#include "operand.h"

#if defined(__AVX512BF16__) && defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define CONMIM_PAIRS
#if defined(__GNUC__) && !defined(__clang__)
// What intrinsics leave undefined on purpose, GCC 12 takes for a variable that was forgotten.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif

#include <algorithm>

namespace conmim {

/** A step of k in one tile: 16 vectors of 32 values, `[vector][k]`, or for columns `[k / 2][vector][2]`. */
constexpr int64_t TILE_BYTES = 1024, TILE_K = 32;

/** Exchanges rows and columns of 16 by 16 values of 32 bits. */
inline void transposeTile(__m512i* r) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; i++) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

/** Floats whose low 16 bits are zero: `x` to nearest, ties away. */
inline __m512 upper(__m512 x) {
  const __m512i bits = _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
  return _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32(0xffff0000)));
}

/** The upper halves of 16 floats and 16 more, one after the other. */
inline __m512i sideBySide(__m512 first, __m512 second) {
  alignas(64) static constexpr uint16_t ODD[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31,
                                                   33, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
  return _mm512_permutex2var_epi16(_mm512_castps_si512(first), _mm512_load_si512(ODD), _mm512_castps_si512(second));
}

/** The upper halves of 16 floats and of 16 more, by turns. */
inline __m512i byTurns(__m512 first, __m512 second) {
  return _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(_mm512_castps_si512(first), 16),
                                 _mm512_castps_si512(second));
}

inline __mmask16 firstLanes(int64_t count) { return count >= 16 ? 0xffff : count <= 0 ? 0 : (1u << count) - 1; }
inline __mmask32 firstWords(int64_t count) { return count >= 32 ? ~0u : count <= 0 ? 0 : (1u << count) - 1; }

/** The parts of two vectors of floats: each the nearest bfloat16 to what those before it left. */
template <int PARTS, class Join>
inline void split(__m512 x, __m512 y, __m512i* parts, const Join& join) {
  for (int p = 0; p < PARTS; p++) {
    const __m512 a = upper(x), b = upper(y);
    parts[p] = join(a, b);
    x = _mm512_sub_ps(x, a);
    y = _mm512_sub_ps(y, b);
  }
}

/** Up to 32 values of one vector, in parts. */
template <int PARTS>
inline void piece(const float* p, int64_t count, __m512i* parts) {
  const __m512 x = _mm512_maskz_loadu_ps(firstLanes(count), p);
  const __m512 y = _mm512_maskz_loadu_ps(firstLanes(count - 16), p + 16);
  if (PARTS == 1) parts[0] = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(y, x)); // rounded as `store` does
  else split<PARTS>(x, y, parts, sideBySide);
}
template <int PARTS>
inline void piece(const bf16* p, int64_t count, __m512i* parts) {
  parts[0] = _mm512_maskz_loadu_epi16(firstWords(count), p);
}

/** Value k and value k + 1 of up to 16 vectors, by turns, in parts; `two`: whether there is a value k + 1. */
template <int PARTS>
inline void pair(const float* p, int64_t stride, bool two, int64_t count, __m512i* parts) {
  const __m512 x = _mm512_maskz_loadu_ps(firstLanes(count), p);
  const __m512 y = _mm512_maskz_loadu_ps(two ? firstLanes(count) : 0, p + stride);
  if (PARTS == 1) {
    const __m512i both = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(y, x));
    const __m512i first = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(both));
    const __m512i second = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(both, 1));
    parts[0] = _mm512_or_si512(first, _mm512_slli_epi32(second, 16));
  } else split<PARTS>(x, y, parts, byTurns);
}
template <int PARTS>
inline void pair(const bf16* p, int64_t stride, bool two, int64_t count, __m512i* parts) {
  const __m512i x = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(firstLanes(count), p));
  const __m512i y = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(two ? firstLanes(count) : 0, p + stride));
  parts[0] = _mm512_or_si512(x, _mm512_slli_epi32(y, 16));
}

/** A tile of each part, of rows that `row` gives. */
template <int PARTS, int TILES, bool TRANSPOSED, class Row>
inline void packTiles(char* into, const Row& row) {
  __m512i rows[PARTS][16];
  for (int64_t i = 0; i < 16; i++) {
    __m512i parts[PARTS];
    row(i, parts);
    for (int p = 0; p < PARTS; p++) {
      if (TRANSPOSED) rows[p][i] = parts[p];
      else _mm512_store_si512(into + TILES * p * TILE_BYTES + 64 * i, parts[p]);
    }
  }
  if (!TRANSPOSED) return;
  for (int p = 0; p < PARTS; p++) {
    transposeTile(rows[p]);
    for (int64_t i = 0; i < 16; i++) _mm512_store_si512(into + TILES * p * TILE_BYTES + 64 * i, rows[p][i]);
  }
}

/**
 * A panel: of each step of k, of each part, a tile for every 16 vectors.
 * @tparam PAIRS whether tiles are `[k / 2][vector][2]`; else `[vector][k]`
 */
template <int PARTS, int TILES, bool PAIRS, class T>
inline void packPanel(const Operand<T>& x, int64_t vector, int64_t vectors, int64_t at, int64_t count, char* into) {
  for (int64_t k = 0; k < count; k += TILE_K)
    for (int64_t half = 0; half < TILES; half++, into += TILE_BYTES) {
      const int64_t first = vector + half * 16, have = vectors - half * 16;
      const T* from = x.values + (x.along ? first * x.stride + at + k : (at + k) * x.stride + first);
      // The next panel's place: its rows lie on other pages, where the processor does not look ahead by itself.
      const int64_t ahead = 16 * TILES * (x.along ? x.stride : 1);
      // Operands lie along k or across it, tiles too: where the two differ, they are transposed on the way.
      if (x.along)
        packTiles<PARTS, TILES, PAIRS>(into, [&](int64_t i, __m512i* parts) {
          const T* row = from + i * x.stride;
          _mm_prefetch(row + ahead, _MM_HINT_T0);
          if (sizeof(T) == 4) _mm_prefetch(row + ahead + 16, _MM_HINT_T0);
          piece<PARTS>(i < have ? row : from, i < have ? count - k : 0, parts);
        });
      else
        packTiles<PARTS, TILES, !PAIRS>(into, [&](int64_t i, __m512i* parts) {
          const int64_t left = count - k - 2 * i;
          _mm_prefetch(from + 2 * i * x.stride + ahead, _MM_HINT_T0);
          _mm_prefetch(from + (2 * i + 1) * x.stride + ahead, _MM_HINT_T0);
          pair<PARTS>(left > 0 ? from + 2 * i * x.stride : from, x.stride, left > 1, left > 0 ? have : 0, parts);
        });
      if (half == TILES - 1) into += TILES * (PARTS - 1) * TILE_BYTES;
    }
}

/**
 * Whether pairs of bfloat16 are multiplied faster than floats: AMD says so of Zen 4 and later (Software Optimization
 * Guide, 2023); on an Intel Xeon without its tiles such products took 1.3 times as long as those of floats.
 */
inline bool hasFastPairs() {
  static const bool fast = (__builtin_cpu_init(), __builtin_cpu_is("amd") != 0);
  return fast;
}

/** 14 rows by 32 columns of the result in registers; a panel of rows has room for 16. */
struct Pairs {
  static constexpr int64_t ROWS = 14, COLUMNS = 32, DEPTH = 256, STEP = TILE_K;
  static size_t panelBytes(int64_t vectors, int64_t depth) { return (vectors + 15) / 16 * depth / TILE_K * TILE_BYTES; }

  template <class T>
  static void packRows(const Operand<T>& x, int64_t row, int64_t rows, int64_t at, int64_t count, char* into) {
    packPanel<1, 1, true>(x, row, rows, at, count, into);
  }
  template <class T>
  static void packColumns(const Operand<T>& x, int64_t column, int64_t columns, int64_t at, int64_t count, char* into) {
    packPanel<1, 2, true>(x, column, columns, at, count, into);
  }

  /** As `Vectors::multiply`. */
  void multiply(const char* a, const char* b, int64_t count, const float* before, float* into, int64_t stride) const {
    __m512 sums[ROWS][2];
    for (int64_t r = 0; r < ROWS; r++)
      for (int64_t h = 0; h < 2; h++)
        sums[r][h] = before ? _mm512_loadu_ps(before + r * COLUMNS + 16 * h) : _mm512_setzero_ps();
    for (int64_t k = 0; k < count; k += TILE_K, b += TILE_BYTES)
      for (int64_t p = 0; p < 16; p++, a += 64, b += 64) {
        const auto left = reinterpret_cast<__m512bh>(_mm512_load_si512(b));
        const auto right = reinterpret_cast<__m512bh>(_mm512_load_si512(b + TILE_BYTES));
#pragma GCC unroll 14
        for (int64_t r = 0; r < ROWS; r++) {
          int32_t both;
          std::memcpy(&both, a + 4 * r, 4);
          const auto row = reinterpret_cast<__m512bh>(_mm512_set1_epi32(both));
          sums[r][0] = _mm512_dpbf16_ps(sums[r][0], row, left);
          sums[r][1] = _mm512_dpbf16_ps(sums[r][1], row, right);
        }
      }
    for (int64_t r = 0; r < ROWS; r++)
      for (int64_t h = 0; h < 2; h++) _mm512_storeu_ps(into + r * stride + 16 * h, sums[r][h]);
  }
};

} // namespace conmim
#endif
