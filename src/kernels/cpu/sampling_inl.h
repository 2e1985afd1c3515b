// Implementation of what sampling_bodies.h declares, compiled once for each level of the ISA.
#pragma once

#include "kernels/cpu/math_inl.h"
#include "kernels/cpu/sampling_bodies.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

static void block_maxima(const float* x, int64_t n, float* maxima) {
  const Vec lowest = set1(-__builtin_inff());
  for (int64_t start = 0; start < n; start += SamplingBodies::kBlock) {
    const int64_t stop = start + SamplingBodies::kBlock < n ? start + SamplingBodies::kBlock : n;
    Vec largest = lowest;
    for (int64_t i = start; i < stop; i += kLanes) {
      Vec v = load_upto(x + i, n - i);
      if (n - i < kLanes) v = select(lanes_between(0, n - i), v, lowest);
      largest = max(v, largest);
    }
    *maxima++ = reduce_max(largest);
  }
}

static void exp_weights(const float* x, int64_t n, float shift, float scale, float* y) {
  const Vec by = set1(shift), times = set1(scale);
  for (int64_t i = 0; i < n; i += kLanes) {
    const Vec weight = exp_nonpositive((load_upto(x + i, n - i) - by) * times);
    store_upto(y + i, max(weight, zero()), n - i);  // max takes its second argument for a NaN
  }
}

static void chunk_sums(const float* w, int64_t n, float* sums) {
  for (int64_t start = 0; start < n; start += SamplingBodies::kChunk) {
    const int64_t stop = start + SamplingBodies::kChunk < n ? start + SamplingBodies::kChunk : n;
    Vec sum = zero();
    for (int64_t i = start; i < stop; i += kLanes) sum = sum + load_upto(w + i, n - i);
    *sums++ = reduce_add(sum);
  }
}

static void drop_below(float* w, int64_t n, float least) {
  const Vec bound = set1(least);
  for (int64_t i = 0; i < n; i += kLanes) {
    const Vec v = load_upto(w + i, n - i);
    store_upto(w + i, select(less(v, bound), zero(), v), n - i);
  }
}

static constexpr SamplingBodies kSamplingBodies{.block_maxima = block_maxima,
                                                .exp_weights = exp_weights,
                                                .chunk_sums = chunk_sums,
                                                .drop_below = drop_below};

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE
