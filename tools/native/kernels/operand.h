// A matrix as a factor of a product sees it.
#pragma once
#include <cstdint>

namespace conmim {

/** Vectors (rows of the left factor, columns of the right one) of which products are taken along k. */
template <class T>
struct Operand {
  const T* values;
  /** Between vectors where each lies in one piece; else between the values of one vector. */
  int64_t stride;
  /** Whether a vector lies in one piece, along k. */
  bool along;
};

} // namespace conmim
