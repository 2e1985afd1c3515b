// The scratch memory of attention_rows_inl.h, and how the sums of partitions are merged.
#pragma once

#include "kernels/cpu/attention.h"
#include "kernels/cpu/attention_panel_inl.h"
#include "kernels/cpu/math_inl.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

inline constexpr int kMaxRows = 96;
inline constexpr int kTileChunks = static_cast<int>(kAttentionTile / kLanes);
inline constexpr int kMaxColumns = static_cast<int>(kAttentionMaxHeadDim / kLanes);
// K and V are read where they lie, but for words of two bf16 that are multiplied by FMAs: from so many rows
// on they are first widened to f32 panels.
inline constexpr int kStagedRows = 12;

// How the words of a cache of E are multiplied at this level.
template <typename E>
inline constexpr Words kCacheWords = sizeof(E) == 4           ? Words::floats
                                     : REPRISE_VEC_LEVEL == 3 ? Words::pairs
                                                              : Words::halves;

// A worker's scratch, a few 100 KiB that stay in its L2.
struct AttentionScratch {
  static constexpr int64_t kRowFloats = kMaxRows * kAttentionMaxHeadDim;
  alignas(64) float q[kRowFloats];                 // as the products take it: f32, or pairs of bf16
  alignas(64) float sum[kRowFloats];               // of p * v in the current partition
  alignas(64) float total[kRowFloats];             // the same over all partitions so far
  alignas(64) float p[kMaxRows * kAttentionTile];  // as q; a row of pairs begins where one of f32 does
  alignas(64) float panel[kAttentionTile * kAttentionMaxHeadDim];
  alignas(64) float lanes[kMaxRows * kLanes];  // sums of p, by lane
  float largest[kMaxRows], total_largest[kMaxRows], total_p[kMaxRows];
  int64_t first_key[kMaxRows], last_key[kMaxRows];  // a row sees [first, last)
  int from[kMaxRows], to[kMaxRows];                 // its part of the current tile, 0 and 0 where it has none
};

// Adds a partition's sums (largest score, sum of p, weighted v) to those of the partitions before it.
REPRISE_VEC_INLINE void merge_partition(float* total_largest, float* total_p, float* total, float largest,
                                        float sum_p, const float* sum, int64_t dim, bool first) {
  if (first) {
    *total_largest = largest;
    *total_p = sum_p;
    for (int64_t d = 0; d < dim; d += kLanes) store_upto(total + d, load_upto(sum + d, dim - d), dim - d);
    return;
  }
  const float top = *total_largest > largest ? *total_largest : largest;
  const Vec before = exp_nonpositive(set1(*total_largest - top));
  const Vec now = exp_nonpositive(set1(largest - top));
  *total_largest = top;
  *total_p = first_lane(fma(set1(sum_p), now, set1(*total_p) * before));
  for (int64_t d = 0; d < dim; d += kLanes) {
    const int64_t left = dim - d;
    store_upto(total + d, fma(load_upto(sum + d, left), now, load_upto(total + d, left) * before), left);
  }
}

template <typename E>
REPRISE_VEC_INLINE void write_output(E* out, const float* total, float sum_p, int64_t dim) {
  for (int64_t d = 0; d < dim; d += kLanes)
    store_upto(out + d, load_upto(total + d, dim - d) / set1(sum_p), dim - d);
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE
