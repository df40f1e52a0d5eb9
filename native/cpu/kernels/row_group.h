// Rows taken together, one vector of each at a time.

#pragma once

#include "elementwise.h"

namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE {

// The rows of a group must not share a page: hardware prefetchers follow one place in each, and the others would cost more than is
// saved.
constexpr int64_t kPage = 4096;

// The number of rows is a template argument, so that loops over them disappear.
template <int64_t n>
struct RowGroup {
  static constexpr int64_t kRows = n;
  int64_t first;     // element
  int64_t distance;  // elements from one row to the next

  KERNEL_INLINE RowGroup at(int64_t column) const { return {first + column, distance}; }
  KERNEL_INLINE int64_t row(int64_t k) const { return first + k * distance; }
};

// Stores compute(element) for one vector of each row. All rows are computed first: a load right after a store waits for it where the
// two addresses have their last 12 bits in common.
template <class S, class Rows, class Lanes, class Compute>
KERNEL_INLINE void storeRows(S* destination, Rows rows, Lanes lanes, bool pastCaches, Compute compute) {
  VectorOf<S> values[Rows::kRows];
  for (int64_t k = 0; k < Rows::kRows; ++k) values[k] = compute(rows.row(k));
  if (pastCaches) {
    for (int64_t k = 0; k < Rows::kRows; ++k) storePastCaches(destination + rows.row(k), values[k], lanes);
  } else {
    for (int64_t k = 0; k < Rows::kRows; ++k) store(destination + rows.row(k), values[k], lanes);
  }
}

}  // namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE
