// Products of matrices, by blocks that fit a core's second cache (Goto and van de Geijn, Anatomy of High-Performance
// Matrix Multiplication, 2008). Operands are cut, packed and, where need be, converted a block at a time, so that nothing
// of a matrix's size is kept beside it.
//
// Where the processor has tiles of bfloat16 (AMX) they multiply floats too: a float is the sum of three bfloat16 to the
// last bit, and of the nine products of two such sums the six that matter are added up in floats (Henry, Tang and
// Heinecke, Leveraging the bfloat16 Artificial Intelligence Datatype for Higher-Precision Computations, 2019): errors
// are those of products of floats, test/engine/kernels.test.ts compares them.
#pragma once
#include <cstdlib>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

#include "math.h"
#include "parallel.h"
#include "tiles.h"
#include "vectors.h"

namespace conmim {

constexpr int64_t BLOCK = 512; // rows and columns of the result, at most

/** A length in as few blocks as can be, none longer than `most`, of whole units, that differ by one unit at most. */
struct Cut {
  int64_t length, unit, units, count;
  Cut(int64_t length, int64_t most, int64_t unit) : length(length), unit(unit), units((length + unit - 1) / unit) {
    const int64_t fit = std::max<int64_t>(1, most / unit);
    count = std::max<int64_t>(1, (units + fit - 1) / fit);
  }
  /** Where a block begins; where the last one ends, for `count`. */
  int64_t at(int64_t block) const { return std::min(length, units * block / count * unit); }
  int64_t largest() const { return (units + count - 1) / count * unit; }
};

/** A thread's memory, kept from use to use; of each `USE` its own. */
template <int USE>
class Workspace {
 public:
  static char* of(size_t bytes) {
    thread_local Workspace mine;
    if (bytes > mine.bytes_) {
      mine.memory_.reset(static_cast<char*>(std::aligned_alloc(64, (bytes + 4095) / 4096 * 4096)));
      mine.bytes_ = bytes;
    }
    return mine.memory_.get();
  }

 private:
  struct Free {
    void operator()(char* p) const { std::free(p); }
  };
  std::unique_ptr<char, Free> memory_;
  size_t bytes_ = 0;
};

/**
 * A block of a product: rows `from_m` to `to_m`, columns `from_n` to `to_n`. Sums run over all of K in the same order
 * whatever the blocks are.
 * @tparam ROOM whether `c` has room for whole panels, which are then zeros beyond the block
 */
template <class Unit, bool ROOM = false, class A, class B, class C>
void block(const Operand<A>& a, const Operand<B>& b, C* c, int64_t ldc, int64_t k, int64_t from_m, int64_t to_m,
           int64_t from_n, int64_t to_n) {
  constexpr int64_t R = Unit::ROWS, S = Unit::COLUMNS;
  const int64_t rows = (to_m - from_m + R - 1) / R, columns = (to_n - from_n + S - 1) / S;
  const int64_t depth = Cut(k, Unit::DEPTH, Unit::STEP).largest();
  const size_t a_panel = Unit::panelBytes(R, depth), b_panel = Unit::panelBytes(S, depth);
  const bool once = k <= depth;
  char* memory = Workspace<0>::of(rows * a_panel + columns * b_panel + (once ? 1 : rows * columns) * R * S * sizeof(float));
  char *packed_a = memory, *packed_b = packed_a + rows * a_panel;
  float* sums = reinterpret_cast<float*>(packed_b + columns * b_panel);
  Unit unit;
  for (int64_t at = 0; at < k; at += depth) {
    const int64_t count = std::min(depth, k - at);
    for (int64_t i = 0; i < rows; i++)
      Unit::packRows(a, from_m + i * R, std::min(R, to_m - from_m - i * R), at, count, packed_a + i * a_panel);
    for (int64_t j = 0; j < columns; j++)
      Unit::packColumns(b, from_n + j * S, std::min(S, to_n - from_n - j * S), at, count, packed_b + j * b_panel);
    const bool last = at + depth >= k;
    for (int64_t j = 0; j < columns; j++)
      for (int64_t i = 0; i < rows; i++) {
        const char *left = packed_a + i * a_panel, *right = packed_b + j * b_panel;
        float* sum = once ? sums : sums + (j * rows + i) * R * S;
        const float* before = at > 0 ? sum : nullptr;
        const int64_t m = std::min(R, to_m - from_m - i * R), n = std::min(S, to_n - from_n - j * S);
        C* to = c + (from_m + i * R) * ldc + from_n + j * S;
        if constexpr (sizeof(C) == sizeof(float)) {
          if (last && (ROOM || (m == R && n == S))) {
            unit.multiply(left, right, count, before, to, ldc);
            continue;
          }
        }
        unit.multiply(left, right, count, before, sum, S);
        if (!last) continue;
        for (int64_t r = 0; r < m; r++) {
          if (n == S) {
#pragma omp simd
            for (int64_t s = 0; s < S; s++) store(to + r * ldc + s, sum[r * S + s]);
          } else {
            for (int64_t s = 0; s < n; s++) store(to + r * ldc + s, sum[r * S + s]);
          }
        }
      }
  }
}

/** Where the next matrix of a stack begins, in values. */
struct Stack {
  int64_t count, a, b, c;
};

template <class Unit, class A, class B, class C>
void productBy(Operand<A> a, Operand<B> b, C* c, int64_t ldc, int64_t m, int64_t n, int64_t k, const Stack& stack) {
  // Blocks for all cores to end together, and none so small that packing is most of the work.
  int64_t most_m = BLOCK, most_n = BLOCK;
  const int64_t wanted = Pool::get().threads() == 1 ? 1 : 2 * Pool::get().threads();
  const auto over = [&] { return std::pair(Cut(m, most_m, Unit::ROWS), Cut(n, most_n, Unit::COLUMNS)); };
  for (auto cuts = over(); stack.count * cuts.first.count * cuts.second.count < wanted; cuts = over()) {
    const int64_t tall = cuts.first.largest(), wide = cuts.second.largest();
    if (std::max(tall, wide) <= 128) break;
    (tall > wide ? most_m : most_n) = std::max(tall, wide) / 2;
  }
  const auto cuts = over();
  const Cut &rows = cuts.first, &columns = cuts.second;
  // Of one factor a block is read again and again, and of the other all: the one that is smaller, as often as there are
  // blocks of the first.
  const int64_t all_a = m * k * sizeof(A), all_b = n * k * sizeof(B), each = rows.count * columns.count;
  const bool down = all_b + columns.count * all_a < all_a + rows.count * all_b;
  Pool::get().run(stack.count * each, [&](int64_t task) {
    const int64_t s = task / each, at = task % each;
    const int64_t i = down ? at % rows.count : at / columns.count, j = down ? at / rows.count : at % columns.count;
    block<Unit>(Operand<A>{a.values + s * stack.a, a.stride, a.along}, Operand<B>{b.values + s * stack.b, b.stride, b.along},
                c + s * stack.c, ldc, k, rows.at(i), rows.at(i + 1), columns.at(j), columns.at(j + 1));
  });
}

/** What sums of a result's block are held in. */
enum class Holder { automatic, tiles, pairs, vectors };
/** Of all products; other than by itself for tests. */
inline Holder holder = Holder::automatic;

inline bool canHold(Holder by) {
#ifdef CONMIM_TILES
  if (by == Holder::tiles) return hasTiles();
#endif
#ifdef CONMIM_PAIRS
  if (by == Holder::pairs) return true;
#endif
  return by == Holder::automatic || by == Holder::vectors;
}

/** Calls `act` with what sums are held in here, for operands of so many parts. */
template <int PARTS, class Act>
void withHolder(const Act& act) {
#ifdef CONMIM_TILES
  if (holder == Holder::automatic ? hasTiles() : holder == Holder::tiles) return act(static_cast<Tiles<PARTS>*>(nullptr));
#endif
#ifdef CONMIM_PAIRS
  if (PARTS == 1 && (holder == Holder::automatic ? hasFastPairs() : holder == Holder::pairs))
    return act(static_cast<Pairs*>(nullptr));
#endif
  act(static_cast<Vectors<PARTS == 1>*>(nullptr));
}

/** Operands that are both floats are multiplied as floats. */
template <class A, class B>
constexpr int partsOf() {
  return sizeof(A) == 4 && sizeof(B) == 4 ? 3 : 1;
}

/**
 * C = A B, for a stack of matrices. Floats are multiplied as floats; where an operand is of bfloat16, the other is
 * rounded to it, and sums are of floats.
 */
template <class A, class B, class C>
void product(Operand<A> a, Operand<B> b, C* c, int64_t ldc, int64_t m, int64_t n, int64_t k, const Stack& stack) {
  withHolder<partsOf<A, B>()>([&](auto* unit) {
    productBy<std::remove_pointer_t<decltype(unit)>>(a, b, c, ldc, m, n, k, stack);
  });
}

}  // namespace conmim
