// The unit of products on processors with tiles of bfloat16 (AMX): 32 rows by 32 columns of the result, in four tiles.
#pragma once
#include "math.h"
#include "operand.h"

#if defined(__AMX_BF16__) && defined(__AMX_TILE__) && defined(__AVX512F__) && defined(__AVX512BW__) && defined(__linux__)
#define CONMIM_TILES
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace conmim {

/** Whether the kernel lets this process have tiles; asked once. */
inline bool hasTiles() {
  constexpr int REQUEST = 0x1023, TILE_DATA = 18; // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  static const bool has = syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
  return has;
}

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
  const __m512 x = _mm512_maskz_loadu_ps(firstLanes(count), p), y = _mm512_maskz_loadu_ps(firstLanes(count - 16), p + 16);
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

template <int PARTS>
class Tiles {
 public:
  static constexpr int64_t ROWS = 32, COLUMNS = 32, DEPTH = PARTS == 1 ? 256 : 128, STEP = TILE_K;
  static size_t panelBytes(int64_t vectors, int64_t depth) { return vectors / 16 * depth / TILE_K * PARTS * TILE_BYTES; }

  Tiles() {
    struct alignas(64) {
      uint8_t palette = 1, start = 0, reserved[14] = {};
      uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config;
    _tile_loadconfig(&config);
  }
  ~Tiles() { _tile_release(); }

  template <class T>
  static void packRows(const Operand<T>& x, int64_t row, int64_t rows, int64_t at, int64_t count, char* into) {
    pack<false>(x, row, rows, at, count, into);
  }
  template <class T>
  static void packColumns(const Operand<T>& x, int64_t column, int64_t columns, int64_t at, int64_t count, char* into) {
    pack<true>(x, column, columns, at, count, into);
  }

  /** Tiles 0 to 3 are sums, 4 and 5 rows, 6 and 7 columns. */
  void multiply(const char* a, const char* b, int64_t count, float* into, bool more) const {
    constexpr int64_t ROW = COLUMNS * sizeof(float);
    float* lower = into + 16 * COLUMNS;
    if (more) {
      _tile_loadd(0, into, ROW);
      _tile_loadd(1, into + 16, ROW);
      _tile_loadd(2, lower, ROW);
      _tile_loadd(3, lower + 16, ROW);
    } else {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    }
    constexpr int64_t ADVANCE = 2 * PARTS * TILE_BYTES;
    for (int64_t k = 0; k < count; k += TILE_K, a += ADVANCE, b += ADVANCE) {
      if (PARTS == 1) {
        rows(a);
        columns(b);
        add();
      } else {
        // Each product has one factor of the one before it.
        rows(a);
        columns(b + 4 * TILE_BYTES);
        add();
        columns(b + 2 * TILE_BYTES);
        add();
        rows(a + 2 * TILE_BYTES);
        add();
        columns(b);
        add();
        rows(a + 4 * TILE_BYTES);
        add();
        rows(a);
        add();
      }
    }
    _tile_stored(0, into, ROW);
    _tile_stored(1, into + 16, ROW);
    _tile_stored(2, lower, ROW);
    _tile_stored(3, lower + 16, ROW);
  }

 private:
  static void rows(const char* a) {
    _tile_loadd(4, a, 64);
    _tile_loadd(5, a + TILE_BYTES, 64);
  }
  static void columns(const char* b) {
    _tile_loadd(6, b, 64);
    _tile_loadd(7, b + TILE_BYTES, 64);
  }
  static void add() {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }

  /** A panel: of each step of k, of each part, two tiles. */
  template <bool pairs, class T>
  static void pack(const Operand<T>& x, int64_t vector, int64_t vectors, int64_t at, int64_t count, char* into) {
    for (int64_t k = 0; k < count; k += TILE_K)
      for (int64_t half = 0; half < 2; half++, into += TILE_BYTES) {
        const int64_t first = vector + half * 16, have = vectors - half * 16;
        const T* from = x.values + (x.along ? first * x.stride + at + k : (at + k) * x.stride + first);
        // The next panel's place: its rows lie on other pages, where the processor does not look ahead by itself.
        const int64_t ahead = x.along ? 32 * x.stride : 32;
        // Operands lie along k or across it, tiles too: where the two differ, they are transposed on the way.
        if (x.along) packTiles<pairs>(into, [&](int64_t i, __m512i* parts) {
          const T* row = from + i * x.stride;
          _mm_prefetch(row + ahead, _MM_HINT_T0);
          if (sizeof(T) == 4) _mm_prefetch(row + ahead + 16, _MM_HINT_T0);
          piece<PARTS>(i < have ? row : from, i < have ? count - k : 0, parts);
        });
        else packTiles<!pairs>(into, [&](int64_t i, __m512i* parts) {
          const int64_t left = count - k - 2 * i;
          _mm_prefetch(from + 2 * i * x.stride + ahead, _MM_HINT_T0);
          _mm_prefetch(from + (2 * i + 1) * x.stride + ahead, _MM_HINT_T0);
          pair<PARTS>(left > 0 ? from + 2 * i * x.stride : from, x.stride, left > 1, left > 0 ? have : 0, parts);
        });
        if (half == 1) into += 2 * (PARTS - 1) * TILE_BYTES;
      }
  }

  /** A tile of each part, of rows that `row` gives. */
  template <bool transposed, class Row>
  static void packTiles(char* into, const Row& row) {
    __m512i rows[PARTS][16];
    for (int64_t i = 0; i < 16; i++) {
      __m512i parts[PARTS];
      row(i, parts);
      for (int p = 0; p < PARTS; p++) {
        if (transposed) rows[p][i] = parts[p];
        else _mm512_store_si512(into + 2 * p * TILE_BYTES + 64 * i, parts[p]);
      }
    }
    if (!transposed) return;
    for (int p = 0; p < PARTS; p++) {
      transposeTile(rows[p]);
      for (int64_t i = 0; i < 16; i++) _mm512_store_si512(into + 2 * p * TILE_BYTES + 64 * i, rows[p][i]);
    }
  }
};

}  // namespace conmim
#endif
