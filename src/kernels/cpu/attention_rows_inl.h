// Attention of a few rows (tokens of one sequence times the heads that share a kv head) over the keys of that
// head: what a work item of attention.h does. Rows share each load of K and V; each has its own range of keys
// and its own softmax.
#pragma once

#include "kernels/cpu/attention.h"
#include "kernels/cpu/attention_panel_inl.h"
#include "kernels/cpu/math_inl.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

inline constexpr int kMaxRows = 96;
inline constexpr int kTileChunks = static_cast<int>(kAttentionTile / kLanes);
inline constexpr int kMaxColumns = static_cast<int>(kAttentionMaxHeadDim / kLanes);
// With fewer rows than this, K and V are read where they lie; with more they are first widened to f32 panels.
inline constexpr int kStagedRows = 12;

// A worker's scratch, a few 100 KiB that stay in its L2.
struct AttentionScratch {
  static constexpr int64_t kRowFloats = kMaxRows * kAttentionMaxHeadDim;
  alignas(64) float q[kRowFloats];
  alignas(64) float sum[kRowFloats];    // of p * v in the current partition
  alignas(64) float total[kRowFloats];  // the same over all partitions so far
  alignas(64) float p[kMaxRows * kAttentionTile];
  alignas(64) float panel[kAttentionTile * kAttentionMaxHeadDim];
  alignas(64) float lanes[kMaxRows * kLanes];  // sums of p, by lane
  float largest[kMaxRows], total_largest[kMaxRows], total_p[kMaxRows];
  int64_t first_key[kMaxRows], last_key[kMaxRows];  // a row sees [first, last)
  int from[kMaxRows], to[kMaxRows];                 // its part of the current tile
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

template <typename E>
class AttentionRows {
 public:
  AttentionRows(const KernelContext& context, const AttentionScalars& scalars)
      : s_(scalars),
        scratch_(*reinterpret_cast<AttentionScratch*>(context.scratch)),
        k_cache_(context.buffer<E>(1)),
        v_cache_(context.buffer<E>(2)),
        columns_(static_cast<int>((scalars.head_dim + kLanes - 1) / kLanes)),
        stride_(columns_ * kLanes) {}

  // Starts on a set of rows of one sequence and kv head.
  void start(const int32_t* block_table, int64_t kv_head) {
    table_ = block_table;
    kv_head_ = kv_head;
    rows_ = 0;
  }
  void add_row(const E* q, int64_t first_key, int64_t last_key) {
    float* to = scratch_.q + rows_ * stride_;
    for (int64_t d = 0; d < s_.head_dim; d += kLanes) store(to + d, load_upto(q + d, s_.head_dim - d));
    scratch_.first_key[rows_] = first_key;
    scratch_.last_key[rows_] = last_key;
    ++rows_;
  }

  // Leaves largest, lanes and sum of the keys [first, last) of each row that has any.
  void run_partition(int64_t first, int64_t last) {
    groups_ = (rows_ + kGroupRows - 1) / kGroupRows;
    staged_ = rows_ >= kStagedRows || s_.head_dim % kLanes != 0;
    int64_t start = last, stop = first;
    for (int r = 0; r < rows_; ++r) {
      scratch_.largest[r] = -__builtin_inff();
      store(scratch_.lanes + r * kLanes, zero());
      const int64_t from = larger(scratch_.first_key[r], first), to = smaller(scratch_.last_key[r], last);
      if (from >= to) continue;
      start = smaller(start, from);
      stop = larger(stop, to);
    }
    for (int64_t i = 0; i < rows_ * stride_; i += kLanes) store(scratch_.sum + i, zero());
    for (int64_t tile = start / kAttentionTile * kAttentionTile; tile < stop; tile += kAttentionTile) {
      cut_rows(tile, first, last);
      scores(tile);
      for (int r = 0; r < rows_; ++r)
        if (scratch_.from[r] < scratch_.to[r]) softmax(r);
      weigh_values(tile);
    }
  }

  // The row's sums in [first, last) of the last run_partition; false where it sees no key there.
  bool row_result(int r, int64_t first, int64_t last, float* largest, float* sum_p, const float** sum) const {
    if (larger(scratch_.first_key[r], first) >= smaller(scratch_.last_key[r], last)) return false;
    *largest = scratch_.largest[r];
    *sum_p = reduce_add(load(scratch_.lanes + r * kLanes));
    *sum = scratch_.sum + r * stride_;
    return true;
  }

  // All partitions of all rows, merged; then row r's output is finish(r, out).
  void run_all(int64_t partition_size) {
    int64_t start = scratch_.first_key[0], stop = 0;
    for (int r = 0; r < rows_; ++r) {
      start = smaller(start, scratch_.first_key[r]);
      stop = larger(stop, scratch_.last_key[r]);
    }
    for (int64_t first = start / partition_size * partition_size; first < stop; first += partition_size) {
      const int64_t last = first + partition_size;
      run_partition(first, last);
      for (int r = 0; r < rows_; ++r) {
        float largest = 0, sum_p = 0;
        const float* sum = nullptr;
        if (!row_result(r, first, last, &largest, &sum_p, &sum)) continue;
        merge_partition(scratch_.total_largest + r, scratch_.total_p + r, scratch_.total + r * stride_,
                        largest, sum_p, sum, s_.head_dim, scratch_.first_key[r] >= first);
      }
    }
  }
  void finish(int r, E* out) const {
    write_output(out, scratch_.total + r * stride_, scratch_.total_p[r], s_.head_dim);
  }

 private:
  static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
  static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
  int group_start(int group) const { return group * rows_ / groups_; }

  int64_t head_start(int64_t key) const {
    return (table_[key / s_.block_size] * s_.kv_heads + kv_head_) * s_.head_dim * s_.block_size;
  }
  const E* k_chunk(int64_t key) const { return k_cache_ + head_start(key) + key % s_.block_size; }
  const E* v_row(int64_t key) const { return v_cache_ + head_start(key) + key % s_.block_size * s_.head_dim; }

  void cut_rows(int64_t tile, int64_t first, int64_t last) {
    tile_from_ = kAttentionTile;
    tile_to_ = 0;
    for (int r = 0; r < rows_; ++r) {
      const int64_t from = larger(larger(scratch_.first_key[r], first), tile);
      const int64_t to = smaller(smaller(scratch_.last_key[r], last), tile + kAttentionTile);
      scratch_.from[r] = static_cast<int>(from < to ? from - tile : 0);
      scratch_.to[r] = static_cast<int>(from < to ? to - tile : 0);
      if (from >= to) continue;
      tile_from_ = scratch_.from[r] < tile_from_ ? scratch_.from[r] : tile_from_;
      tile_to_ = scratch_.to[r] > tile_to_ ? scratch_.to[r] : tile_to_;
    }
  }

  // Chunks of 16 keys that some row of [begin, end) sees.
  struct Chunks {
    int first, last;
  };
  Chunks chunks_of(int begin, int end) const {
    int from = kAttentionTile, to = 0;
    for (int r = begin; r < end; ++r) {
      if (scratch_.from[r] >= scratch_.to[r]) continue;
      from = scratch_.from[r] < from ? scratch_.from[r] : from;
      to = scratch_.to[r] > to ? scratch_.to[r] : to;
    }
    return {from / static_cast<int>(kLanes), (to + static_cast<int>(kLanes) - 1) / static_cast<int>(kLanes)};
  }

  // p = q . k for the tile's keys; lanes that a row doesn't see hold anything.
  void scores(int64_t tile) {
    const Chunks all = chunks_of(0, rows_);
    const E* keys[kTileChunks];
    for (int c = all.first; c < all.last; ++c) keys[c] = k_chunk(tile + c * kLanes);
    if (!staged_) {
      for (int g = 0; g < groups_; ++g) {
        const int begin = group_start(g), end = group_start(g + 1);
        score_group<E>(begin, end, chunks_of(begin, end), keys, s_.block_size);
      }
      return;
    }
    constexpr int kStep = panel_columns(kGroupRows);
    for (int c = all.first; c < all.last; c += kStep) {
      const int stop = c + kStep < all.last ? c + kStep : all.last;
      const float* panels[kTileChunks];
      for (int i = c; i < stop; ++i) {
        float* to = scratch_.panel + (i - c) * s_.head_dim * kLanes;
        for (int64_t d = 0; d < s_.head_dim; ++d) store(to + d * kLanes, load(keys[i] + d * s_.block_size));
        panels[i] = to;
      }
      for (int g = 0; g < groups_; ++g) {
        const int begin = group_start(g), end = group_start(g + 1);
        Chunks chunks = chunks_of(begin, end);
        chunks.first = chunks.first > c ? chunks.first : c;
        chunks.last = chunks.last < stop ? chunks.last : stop;
        score_group<float>(begin, end, chunks, panels, kLanes);
      }
    }
  }
  template <typename K>
  void score_group(int begin, int end, Chunks chunks, const K* const* keys, int64_t key_stride) {
    if (chunks.first >= chunks.last) return;
    const PanelCall<K> call = {.a = scratch_.q + begin * stride_,
                               .a_stride = stride_,
                               .b = keys + chunks.first,
                               .b_stride = key_stride,
                               .count = s_.head_dim,
                               .out = scratch_.p + begin * kAttentionTile + chunks.first * kLanes,
                               .out_stride = kAttentionTile};
    panel<false>(call, end - begin, chunks.last - chunks.first);
  }

  // Scores of row r in the tile to p = exp(score - largest so far); its sums are scaled to the new largest.
  void softmax(int r) {
    const int from = scratch_.from[r], to = scratch_.to[r];
    const Chunks chunks = chunks_of(r, r + 1);
    float* p = scratch_.p + r * kAttentionTile;
    Vec score[kTileChunks];
    Vec top = set1(-__builtin_inff());
    for (int c = chunks.first; c < chunks.last; ++c) {
      score[c] = load(p + c * kLanes) * set1(s_.scale);
      const int64_t start = c * kLanes;
      if (from > start || to < start + kLanes)
        score[c] = select(lanes_between(from - start, to - start), score[c], set1(-__builtin_inff()));
      top = max(top, score[c]);
    }
    const float before = scratch_.largest[r];
    const float tile_top = reduce_max(top);
    const float now = tile_top > before ? tile_top : before;
    Vec lanes = load(scratch_.lanes + r * kLanes);
    if (now != before) {
      const Vec shrink = exp_nonpositive(set1(before - now));
      lanes = lanes * shrink;
      float* sum = scratch_.sum + r * stride_;
      for (int64_t d = 0; d < stride_; d += kLanes) store(sum + d, load(sum + d) * shrink);
      scratch_.largest[r] = now;
    }
    for (int c = chunks.first; c < chunks.last; ++c) {
      const Vec weight = exp_nonpositive(score[c] - set1(now));
      store(p + c * kLanes, weight);
      lanes = lanes + weight;
    }
    store(scratch_.lanes + r * kLanes, lanes);
  }

  // sum += p * v. Values of keys that a row doesn't see are not even multiplied by zero: they may be
  // anything.
  void weigh_values(int64_t tile) {
    if (!staged_) {
      for (int g = 0; g < groups_; ++g) weigh_group<E>(group_start(g), group_start(g + 1), tile, 0, columns_);
      return;
    }
    for (int key = tile_from_; key < tile_to_; ++key) {
      const E* v = v_row(tile + key);
      for (int c = 0; c < columns_; ++c)
        store(scratch_.panel + (c * kAttentionTile + key) * kLanes,
              load_upto(v + c * kLanes, s_.head_dim - c * kLanes));
    }
    constexpr int kStep = panel_columns(kGroupRows);
    for (int c = 0; c < columns_; c += kStep) {
      const int columns = columns_ - c < kStep ? columns_ - c : kStep;
      for (int g = 0; g < groups_; ++g)
        weigh_group<float>(group_start(g), group_start(g + 1), tile, c, columns);
    }
  }
  // Keys that all rows of the group see go together; those before and after row by row, so that each row
  // takes its keys in ascending order.
  template <typename V>
  void weigh_group(int begin, int end, int64_t tile, int column, int columns) {
    int from = 0, to = kAttentionTile;
    for (int r = begin; r < end; ++r) {
      from = scratch_.from[r] > from ? scratch_.from[r] : from;
      to = scratch_.to[r] < to ? scratch_.to[r] : to;
    }
    const bool together = from < to;
    for (int r = begin; r < end; ++r)
      weigh<V>(r, 1, tile, scratch_.from[r], together ? from : scratch_.to[r], column, columns);
    if (!together) return;
    weigh<V>(begin, end - begin, tile, from, to, column, columns);
    for (int r = begin; r < end; ++r) weigh<V>(r, 1, tile, to, scratch_.to[r], column, columns);
  }
  template <typename V>
  void weigh(int row, int rows, int64_t tile, int from, int to, int column, int columns) {
    const V* values[kMaxColumns];
    PanelCall<V> call = {.a = nullptr,
                         .a_stride = kAttentionTile,
                         .b = values,
                         .b_stride = staged_ ? kLanes : s_.head_dim,
                         .count = 0,
                         .out = scratch_.sum + row * stride_ + column * kLanes,
                         .out_stride = stride_};
    while (from < to) {
      int stop = to;
      if constexpr (sizeof(V) == sizeof(E)) {
        // V where it lies: up to the end of its block.
        const int64_t left = s_.block_size - (tile + from) % s_.block_size;
        if (!staged_ && stop - from > left) stop = from + static_cast<int>(left);
      }
      for (int c = 0; c < columns; ++c) values[c] = value_column<V>(tile, from, column + c);
      call.a = scratch_.p + row * kAttentionTile + from;
      call.count = stop - from;
      panel<true>(call, rows, columns);
      from = stop;
    }
  }
  template <typename V>
  const V* value_column(int64_t tile, int key, int column) const {
    if constexpr (sizeof(V) == sizeof(E)) {
      if (!staged_) return reinterpret_cast<const V*>(v_row(tile + key)) + column * kLanes;
    }
    return reinterpret_cast<const V*>(scratch_.panel) + (column * kAttentionTile + key) * kLanes;
  }

  const AttentionScalars& s_;
  AttentionScratch& scratch_;
  const E* k_cache_;
  const E* v_cache_;
  int columns_;     // of 16 elements, in a head
  int64_t stride_;  // floats of a row in scratch: head_dim rounded up to 16
  const int32_t* table_ = nullptr;
  int64_t kv_head_ = 0;
  int rows_ = 0, groups_ = 0;
  bool staged_ = false;
  int tile_from_ = 0, tile_to_ = 0;
};

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE
