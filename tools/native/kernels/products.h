// Products of matrices, by blocks that fit a core's second cache (Goto and van de Geijn, Anatomy of High-Performance
// Matrix Multiplication, 2008). Floats are cut, packed and converted a block at a time, so that nothing of a matrix's
// size is kept beside it; what is multiplied as bfloat16, of the smaller factor all at once, for all threads.
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

#include "guard.h"
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
    permit(mine.memory_.get(), mine.bytes_);
    if (bytes > mine.bytes_) {
      mine.memory_.reset(static_cast<char*>(std::aligned_alloc(64, (bytes + 4095) / 4096 * 4096)));
      mine.bytes_ = bytes;
    }
    forbid(mine.memory_.get() + bytes, mine.bytes_ - bytes);
    return mine.memory_.get();
  }

 private:
  struct Free {
    void operator()(char* p) const { std::free(p); }
  };
  std::unique_ptr<char, Free> memory_;
  size_t bytes_ = 0;
};

/** Where the sums of two panels belong in the result, and how many rows and columns of them there are. */
template <class C>
struct Place {
  C* to;
  int64_t stride, rows, columns;
};

/**
 * Multiplies two panels: to where they belong after the `last` slab of k, else to `sum`, `[ROWS][COLUMNS]`.
 * @param before sums to go on from, or null @tparam ROOM whether there is room for whole panels
 */
template <bool ROOM, class Unit, class C>
void multiplyInto(const Unit& unit, const char* left, const char* right, int64_t count, const float* before, float* sum,
                  bool last, const Place<C>& place) {
  constexpr int64_t R = Unit::ROWS, S = Unit::COLUMNS;
  C* const to = place.to;
  const int64_t stride = place.stride, m = place.rows, n = place.columns;
  if constexpr (sizeof(C) == sizeof(float)) {
    if (last && (ROOM || (m == R && n == S))) return unit.multiply(left, right, count, before, to, stride);
  }
  unit.multiply(left, right, count, before, sum, S);
  if (!last) return;
  for (int64_t r = 0; r < m; r++) {
    if (n == S) {
#pragma omp simd
      for (int64_t s = 0; s < S; s++) store(to + r * stride + s, sum[r * S + s]);
    } else {
      for (int64_t s = 0; s < n; s++) store(to + r * stride + s, sum[r * S + s]);
    }
  }
}

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
  char* memory =
      Workspace<0>::of(rows * a_panel + columns * b_panel + (once ? 1 : rows * columns) * R * S * sizeof(float));
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
        float* sum = once ? sums : sums + (j * rows + i) * R * S;
        const Place<C> place{c + (from_m + i * R) * ldc + from_n + j * S, ldc, std::min(R, to_m - from_m - i * R),
                             std::min(S, to_n - from_n - j * S)};
        multiplyInto<ROOM>(unit, packed_a + i * a_panel, packed_b + j * b_panel, count, at > 0 ? sum : nullptr, sum,
                           last, place);
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
    block<Unit>(Operand<A>{a.values + s * stack.a, a.stride, a.along},
                Operand<B>{b.values + s * stack.b, b.stride, b.along}, c + s * stack.c, ldc, k, rows.at(i),
                rows.at(i + 1), columns.at(j), columns.at(j + 1));
  });
}

/** Vectors of a factor, packed as a unit multiplies them: by slabs of k, and panels of vectors. */
template <class Unit, bool ROWS>
struct Panels {
  static constexpr int64_t WIDTH = ROWS ? Unit::ROWS : Unit::COLUMNS;
  char* memory;
  int64_t vectors, k, depth;

  int64_t count() const { return (vectors + WIDTH - 1) / WIDTH; }
  int64_t slabs() const { return (k + depth - 1) / depth; }
  int64_t deep(int64_t slab) const { return std::min(depth, k - slab * depth); }
  size_t bytes() const { return Unit::panelBytes(WIDTH, depth) * count() * slabs(); }
  char* at(int64_t slab, int64_t panel) const {
    return memory + (slab * count() + panel) * Unit::panelBytes(WIDTH, depth);
  }
  /** @param first the factor's vector that is the first of these */
  template <class T>
  void pack(const Operand<T>& x, int64_t first, int64_t slab, int64_t panel) const {
    const int64_t from = first + panel * WIDTH, have = std::min(WIDTH, vectors - panel * WIDTH);
    if constexpr (ROWS) Unit::packRows(x, from, have, slab * depth, deep(slab), at(slab, panel));
    else Unit::packColumns(x, from, have, slab * depth, deep(slab), at(slab, panel));
  }
};

/** Of a factor that all threads read, what is packed at once, at most. */
constexpr int64_t SHARED_BYTES = 32 << 20;

/**
 * The product of two factors each value of which is packed once: `p` for all threads, before they begin, and of `q` by
 * each thread the vectors of its own block. Worth the memory where values are multiplied so fast that packing counts.
 * @tparam P_ROWS whether `p` is the left factor
 */
template <class Unit, bool P_ROWS, class P, class Q, class C>
void productShared(const Operand<P>& p, const Operand<Q>& q, C* c, int64_t ldc, int64_t of_p, int64_t of_q, int64_t k) {
  using PanelsP = Panels<Unit, P_ROWS>;
  using PanelsQ = Panels<Unit, !P_ROWS>;
  constexpr int64_t R = Unit::ROWS, S = Unit::COLUMNS;
  const int64_t depth = Cut(k, Unit::DEPTH, Unit::STEP).largest(), threads = Pool::get().threads();
  const int64_t panel_bytes = PanelsP{nullptr, PanelsP::WIDTH, k, depth}.bytes();
  const Cut rounds(of_p, std::max<int64_t>(1, SHARED_BYTES / panel_bytes) * PanelsP::WIDTH, PanelsP::WIDTH);
  int64_t most = BLOCK; // blocks for all cores to end together
  while (most > 128 && Cut(of_q, most, PanelsQ::WIDTH).count < 2 * threads) most /= 2;
  const Cut blocks(of_q, most, PanelsQ::WIDTH);
  for (int64_t round = 0; round < rounds.count; round++) {
    const int64_t first_p = rounds.at(round);
    PanelsP shared{nullptr, rounds.at(round + 1) - first_p, k, depth};
    shared.memory = Workspace<2>::of(shared.bytes());
    const int64_t panels = shared.count(), slabs = shared.slabs();
    // Neighbours by one thread: of what lies across k, they are in the same lines.
    const int64_t group = std::clamp<int64_t>(panels * slabs / (4 * threads), 1, 8);
    const int64_t groups = (panels + group - 1) / group;
    Pool::get().run(slabs * groups, [&](int64_t task) {
      const int64_t from = task % groups * group;
      for (int64_t i = from; i < std::min(panels, from + group); i++) shared.pack(p, first_p, task / groups, i);
    });
    // As many of them at a time as leave room for the sums in a core's cache.
    const Cut parts(panels, BLOCK / PanelsP::WIDTH, 1);
    Pool::get().run(blocks.count, [&](int64_t task) {
      const int64_t first_q = blocks.at(task);
      PanelsQ own{nullptr, blocks.at(task + 1) - first_q, k, depth};
      const int64_t sums_count = slabs == 1 ? 1 : own.count() * parts.largest();
      own.memory = Workspace<0>::of(own.bytes() + sums_count * R * S * sizeof(float));
      float* sums = reinterpret_cast<float*>(own.memory + own.bytes());
      Unit unit;
      for (int64_t part = 0; part < parts.count; part++) {
        const int64_t from = parts.at(part), to = parts.at(part + 1);
        for (int64_t slab = 0; slab < slabs; slab++)
          for (int64_t j = 0; j < own.count(); j++) {
            if (part == 0) own.pack(q, first_q, slab, j);
            for (int64_t i = from; i < to; i++) {
              float* sum = slabs == 1 ? sums : sums + (j * (to - from) + i - from) * R * S;
              const char *in_p = shared.at(slab, i), *in_q = own.at(slab, j);
              const int64_t at_p = i * PanelsP::WIDTH, at_q = j * PanelsQ::WIDTH;
              const int64_t row = P_ROWS ? first_p + at_p : first_q + at_q;
              const int64_t column = P_ROWS ? first_q + at_q : first_p + at_p;
              const int64_t have_p = std::min(PanelsP::WIDTH, shared.vectors - at_p);
              const int64_t have_q = std::min(PanelsQ::WIDTH, own.vectors - at_q);
              const Place<C> place{c + row * ldc + column, ldc, P_ROWS ? have_p : have_q, P_ROWS ? have_q : have_p};
              multiplyInto<false>(unit, P_ROWS ? in_p : in_q, P_ROWS ? in_q : in_p, shared.deep(slab),
                                  slab > 0 ? sum : nullptr, sum, slab + 1 == slabs, place);
            }
          }
      }
    });
  }
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
  if (holder == Holder::automatic ? hasTiles() : holder == Holder::tiles)
    return act(static_cast<Tiles<PARTS>*>(nullptr));
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
    using Unit = std::remove_pointer_t<decltype(unit)>;
    // In three parts values are multiplied so long that to pack them once more costs less than memory for all of them.
    if (partsOf<A, B>() > 1 || stack.count > 1) return productBy<Unit>(a, b, c, ldc, m, n, k, stack);
    if (m <= n) productShared<Unit, true>(a, b, c, ldc, m, n, k);
    else productShared<Unit, false>(b, a, c, ldc, n, m, k);
  });
}

} // namespace conmim
