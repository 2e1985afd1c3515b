// Implementation of the kernels that softmax.h declares (buffers, items and scalars are listed there).
// Compiled once for each level of the ISA.
#pragma once

#include "kernels/cpu/math64_inl.h"
#include "kernels/cpu/math_inl.h"
#include "kernels/cpu/softmax.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

inline constexpr float kMinusInfinity = -__builtin_inff();

REPRISE_VEC_INLINE float row_max(const float* x, int64_t columns) {
  Vec largest = set1(kMinusInfinity);
  for (int64_t i = 0; i < columns; i += kLanes) {
    const int64_t left = columns - i;
    Vec v = load_upto(x + i, left);
    if (left < kLanes) v = select(lanes_between(0, left), v, set1(kMinusInfinity));
    largest = max(v, largest);  // a NaN in v loses
  }
  return reduce_max(largest);
}

struct RowStats {
  float max, log_sum;
};

// A vocabulary has 100,000 columns: sums of 64 vectors are summed, which keeps the error of the sum at a few
// ulp.
REPRISE_VEC_INLINE RowStats row_stats(const float* x, int64_t columns) {
  constexpr int64_t kStretch = 64 * kLanes;
  const float largest = row_max(x, columns);
  const Vec shift = set1(largest);
  Vec total = zero();
  for (int64_t start = 0; start < columns; start += kStretch) {
    const int64_t stop = start + kStretch < columns ? start + kStretch : columns;
    Vec sum = zero();
    for (int64_t i = start; i < stop; i += kLanes) {
      const int64_t left = columns - i;
      Vec v = exp_nonpositive(load_upto(x + i, left) - shift);
      if (left < kLanes) v = select(lanes_between(0, left), v, zero());
      sum = sum + v;
    }
    total = total + sum;
  }
  const float sum = reduce_add(total);
  // Not finite where the row holds NaN or infinities: log64 wants a number.
  return {largest, sum < __builtin_inff() ? static_cast<float>(log64(static_cast<double>(sum))) : sum};
}

static void log_sum_exp(const KernelContext& context, int64_t begin, int64_t end) {
  const int64_t columns = context.get_scalars<RowScalars>().columns;
  for (int64_t row = begin; row < end; ++row) {
    const RowStats stats = row_stats(context.buffer<float>(0) + row * columns, columns);
    context.buffer<float>(1)[2 * row] = stats.max;
    context.buffer<float>(1)[2 * row + 1] = stats.log_sum;
  }
}

static void log_softmax(const KernelContext& context, int64_t begin, int64_t end) {
  const int64_t columns = context.get_scalars<RowScalars>().columns;
  for (int64_t row = begin; row < end; ++row) {
    const float* x = context.buffer<float>(0) + row * columns;
    float* y = context.buffer<float>(1) + row * columns;
    const RowStats stats = row_stats(x, columns);
    for (int64_t i = 0; i < columns; i += kLanes)
      store_upto(y + i, load_upto(x + i, columns - i) - set1(stats.max) - set1(stats.log_sum), columns - i);
  }
}

static void argmax(const KernelContext& context, int64_t begin, int64_t end) {
  const int64_t columns = context.get_scalars<RowScalars>().columns;
  for (int64_t row = begin; row < end; ++row) {
    const float* x = context.buffer<float>(0) + row * columns;
    const float largest = row_max(x, columns);
    int64_t index = 0;
    while (index < columns && x[index] != largest) ++index;
    context.buffer<int32_t>(1)[row] = static_cast<int32_t>(index < columns ? index : 0);
  }
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE
