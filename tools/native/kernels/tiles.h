// The unit of products on processors with tiles of bfloat16 (AMX): 32 rows by 32 columns of the result, in four tiles.
#pragma once
#include "pairs.h"

#if defined(CONMIM_PAIRS) && defined(__AMX_BF16__) && defined(__AMX_TILE__) && defined(__linux__)
#define CONMIM_TILES
#include <sys/syscall.h>
#include <unistd.h>

namespace conmim {

/** Whether the kernel lets this process have tiles; asked once. */
inline bool hasTiles() {
  constexpr int REQUEST = 0x1023, TILE_DATA = 18; // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  static const bool has = syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
  return has;
}

/** @tparam PARTS how many bfloat16 a value is the sum of: 3 for floats, as exact as they; 1 for floats to be rounded */
template <int PARTS>
class Tiles {
 public:
  static constexpr int64_t ROWS = 32, COLUMNS = 32, DEPTH = PARTS == 1 ? 256 : 128, STEP = TILE_K;
  static size_t panelBytes(int64_t vectors, int64_t depth) {
    return vectors / 16 * depth / TILE_K * PARTS * TILE_BYTES;
  }

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
    packPanel<PARTS, 2, false>(x, row, rows, at, count, into);
  }
  template <class T>
  static void packColumns(const Operand<T>& x, int64_t column, int64_t columns, int64_t at, int64_t count, char* into) {
    packPanel<PARTS, 2, true>(x, column, columns, at, count, into);
  }

  /** As `Vectors::multiply`. Tiles 0 to 3 are sums, 4 and 5 rows, 6 and 7 columns. */
  void multiply(const char* a, const char* b, int64_t count, const float* before, float* into, int64_t stride) const {
    constexpr int64_t ROW = COLUMNS * sizeof(float);
    if (before) {
      _tile_loadd(0, before, ROW);
      _tile_loadd(1, before + 16, ROW);
      _tile_loadd(2, before + 16 * COLUMNS, ROW);
      _tile_loadd(3, before + 16 * COLUMNS + 16, ROW);
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
    const int64_t bytes = stride * sizeof(float);
    _tile_stored(0, into, bytes);
    _tile_stored(1, into + 16, bytes);
    _tile_stored(2, into + 16 * stride, bytes);
    _tile_stored(3, into + 16 * stride + 16, bytes);
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
};

} // namespace conmim
#endif
