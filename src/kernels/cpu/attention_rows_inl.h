// Attention of a few rows (tokens of one sequence times the heads that share a kv head) over the keys of that
// head: what a work item of attention.h does. Rows share each load of K and V; each has its own range of keys
// and its own softmax. Where heads are small, several kv heads of one token (sets of rows, which all see the same
// keys) go together.
#pragma once

#include "kernels/cpu/attention_scratch_inl.h"
#include "kernels/cpu/kv_write_inl.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

template <typename E>
class AttentionRows {
 public:
  AttentionRows(const KernelContext& context, const AttentionScalars& scalars)
      : s_(scalars),
        scratch_(*reinterpret_cast<AttentionScratch*>(context.scratch)),
        k_cache_(context.buffer<float>(1)),
        v_cache_(context.buffer<float>(2)),
        columns_(static_cast<int>((scalars.head_dim + kLanes - 1) / kLanes)),
        head_words_((scalars.head_dim + kPerWord - 1) / kPerWord),
        stride_(columns_ * kLanes) {}

  // kv heads of a token that are best taken together.
  int most_sets() const {
    const int64_t group = s_.heads / s_.kv_heads;
    return group > kMostSetRows ? 1 : panel_sets(static_cast<int>(group), columns_);
  }

  // Starts on the rows of one sequence and of `sets` kv heads; more than one only for the rows of one token.
  void start(const int32_t* block_table, int64_t kv_head, int sets = 1) {
    table_ = block_table;
    kv_head_ = kv_head;
    sets_ = sets;
    rows_ = 0;
    upcoming_.table = nullptr;
  }
  // What comes after these rows: its first tile is fetched into the CPU's cache during their last.
  void announce(const int32_t* block_table, int64_t kv_head, int64_t first_key, int64_t last_key) {
    upcoming_ = {block_table, kv_head, first_key / kAttentionTile * kAttentionTile, last_key};
  }
  void add_row(const E* q, int64_t first_key, int64_t last_key) {
    float* to = scratch_.q + rows_ * stride_;
    if constexpr (kWords == Words::pairs) {
      to[head_words_ - 1] = 0;
      std::memcpy(to, q, static_cast<size_t>(s_.head_dim) * sizeof(E));
    } else {
      for (int64_t d = 0; d < s_.head_dim; d += kLanes) store(to + d, load_upto(q + d, s_.head_dim - d));
    }
    scratch_.first_key[rows_] = first_key;
    scratch_.last_key[rows_] = last_key;
    ++rows_;
  }

  // Leaves largest, lanes and sum of the keys [first, last) of each row that has any.
  void run_partition(int64_t first, int64_t last) {
    groups_ = sets_ > 1 ? 1 : (rows_ + kGroupRows - 1) / kGroupRows;
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
    next_ = locate({table_, kv_head_, start / kAttentionTile * kAttentionTile, stop});
    for (int64_t tile = start / kAttentionTile * kAttentionTile; tile < stop; tile += kAttentionTile) {
      here_ = next_;
      if (tile + kAttentionTile < stop)
        next_ = locate({table_, kv_head_, tile + kAttentionTile, stop});
      else if (upcoming_.table != nullptr)
        next_ = locate(upcoming_);
      cut_rows(tile, first, last);
      scores();
      for (int r = 0; r < rows_; ++r)
        if (scratch_.from[r] < scratch_.to[r]) softmax(r);
      weigh_values();
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
    start = start / partition_size * partition_size;
    merged_ = stop - start > partition_size ? scratch_.total : scratch_.sum;
    for (int64_t first = start; first < stop; first += partition_size) {
      const int64_t last = first + partition_size;
      run_partition(first, last);
      for (int r = 0; r < rows_; ++r) {
        float largest = 0, sum_p = 0;
        const float* sum = nullptr;
        if (!row_result(r, first, last, &largest, &sum_p, &sum)) continue;
        if (merged_ == scratch_.sum)
          scratch_.total_p[r] = sum_p;
        else
          merge_partition(scratch_.total_largest + r, scratch_.total_p + r, scratch_.total + r * stride_,
                          largest, sum_p, sum, s_.head_dim, scratch_.first_key[r] >= first);
      }
    }
  }
  void finish(int r, E* out) const {
    write_output(out, merged_ + r * stride_, scratch_.total_p[r], s_.head_dim);
  }

 private:
  static constexpr Words kWords = kCacheWords<E>;
  static constexpr int kPerWord = static_cast<int>(kWordElements<E>);

  bool staged() const { return kWords == Words::halves && rows_ >= kStagedRows * sets_; }
  int64_t set_words() const { return head_words_ * s_.block_size; }  // of K and V, from kv head to kv head
  static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
  static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

  // Where the chunks of 16 keys of a tile lie.
  struct Places {
    const float* k[kTileChunks];
    const float* v[kTileChunks];
  };
  struct Tile {
    const int32_t* table;
    int64_t kv_head, first, stop;  // keys
  };
  Places locate(const Tile& tile) const {
    Places places;
    for (int c = 0; c < kTileChunks; ++c) {
      const int64_t key = tile.first + c * kLanes;
      if (key >= tile.stop) {  // unused; a place to look ahead to, no more
        places.k[c] = places.k[0];
        places.v[c] = places.v[0];
        continue;
      }
      const int64_t block = tile.table[key / s_.block_size], offset = key % s_.block_size;
      const int64_t head = (block * s_.kv_heads + tile.kv_head) * set_words();
      places.k[c] = k_cache_ + head + offset;
      places.v[c] = v_cache_ + head + offset / kPerWord * s_.head_dim;
    }
    return places;
  }

  // What rows [begin, end) see of the tile: some of them the keys [from, to), all of them [all_from, all_to).
  struct Group {
    int begin, end;
    int from, to;
    int all_from, all_to;
  };
  void cut_rows(int64_t tile, int64_t first, int64_t last) {
    tile_ = {0, rows_, kAttentionTile, 0, 0, kAttentionTile};
    for (int g = 0; g < groups_; ++g) {
      Group group = {g * rows_ / groups_, (g + 1) * rows_ / groups_, kAttentionTile, 0, 0, kAttentionTile};
      for (int r = group.begin; r < group.end; ++r) {
        const int64_t from = larger(larger(scratch_.first_key[r], first), tile);
        const int64_t to = smaller(smaller(scratch_.last_key[r], last), tile + kAttentionTile);
        const int row_from = from < to ? static_cast<int>(from - tile) : 0;
        const int row_to = from < to ? static_cast<int>(to - tile) : 0;
        scratch_.from[r] = row_from;
        scratch_.to[r] = row_to;
        group.all_from = row_from > group.all_from ? row_from : group.all_from;
        group.all_to = row_to < group.all_to ? row_to : group.all_to;
        if (from >= to) continue;
        group.from = row_from < group.from ? row_from : group.from;
        group.to = row_to > group.to ? row_to : group.to;
      }
      tile_.from = group.from < tile_.from ? group.from : tile_.from;
      tile_.to = group.to > tile_.to ? group.to : tile_.to;
      group_[g] = group;
    }
  }
  static int first_chunk(int from) { return from / static_cast<int>(kLanes); }
  static int last_chunk(int to) { return (to + static_cast<int>(kLanes) - 1) / static_cast<int>(kLanes); }

  // p = q . k for the tile's keys; lanes that a row doesn't see hold anything.
  void scores() {
    if (!staged()) {
      for (int g = 0; g < groups_; ++g)
        score_group<kWords, true>(group_[g], 0, kTileChunks, here_.k, next_.k, head_words_, s_.block_size);
      return;
    }
    constexpr int kStep = panel_columns(kGroupRows);
    const int stop = last_chunk(tile_.to);
    for (int c = first_chunk(tile_.from); c < stop; c += kStep) {
      const int end = c + kStep < stop ? c + kStep : stop;
      const float* panels[kTileChunks];
      for (int i = c; i < end; ++i) {
        float* to = scratch_.panel + (i - c) * head_words_ * kPerWord * kLanes;
        for (int64_t w = 0; w < head_words_; ++w)
          widen(load(here_.k[i] + w * s_.block_size), to + w * kPerWord * kLanes, kLanes);
        panels[i] = to;
      }
      for (int g = 0; g < groups_; ++g)
        score_group<Words::floats, false>(group_[g], c, end, panels, nullptr, s_.head_dim, kLanes);
    }
  }
  // Words to f32, the elements of a word `apart` floats from one another.
  static void widen(Vec words, float* to, int64_t apart) {
    for (int i = 0; i < kPerWord; ++i) store(to + i * apart, part<kWords>(words, i));
  }
  // What the group sees in the chunks [first, last).
  template <Words kTake, bool kAhead>
  void score_group(const Group& group, int first, int last, const float* const* keys,
                   const float* const* ahead, int64_t count, int64_t stride) {
    first = static_cast<int>(larger(first, first_chunk(group.from)));
    last = static_cast<int>(smaller(last, last_chunk(group.to)));
    if (first >= last) return;
    const PanelCall call = {.a = scratch_.q + group.begin * stride_,
                            .a_stride = stride_,
                            .b = keys + first,
                            .ahead = kAhead ? ahead + first : nullptr,
                            .b_stride = stride,
                            .b_set = set_words(),
                            .count = count,
                            .out = scratch_.p + group.begin * kAttentionTile + first * kLanes,
                            .out_stride = kAttentionTile};
    panel<kTake, false, kAhead>(call, sets_, (group.end - group.begin) / sets_, last - first);
  }

  // The first lines of a chunk of the next tile's V, if there is such a chunk: otherwise memory
  // would be idle during softmax, which slows decode.
  void fetch_values(int set, int chunk) const {
    if (chunk >= kTileChunks) return;
    const float* v = next_.v[chunk] + set * set_words();
#pragma GCC unroll 16
    for (int line = 0; line < 16; ++line) __builtin_prefetch(v + line * kLanes, 0, 2);
  }

  // Scores of row r in the tile to p = exp(score - largest so far); its sums are scaled to the new largest.
  void softmax(int r) {
    const int from = scratch_.from[r], to = scratch_.to[r];
    const int first = first_chunk(from), last = last_chunk(to);
    float* p = scratch_.p + r * kAttentionTile;
    Vec score[kTileChunks];
    Vec top = set1(-__builtin_inff());
    for (int c = first; c < last; ++c) {
      score[c] = load(p + c * kLanes) * set1(s_.scale);
      const int64_t start = c * kLanes;
      if (from > start || to < start + kLanes)
        score[c] = select(lanes_between(from - start, to - start), score[c], set1(-__builtin_inff()));
      top = max(top, score[c]);
    }
    const int set_rows = rows_ / sets_, set = r / set_rows, chunk = 2 * (r % set_rows);
    fetch_values(set, chunk);
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
    fetch_values(set, chunk + 1);
    for (int c = first; c < last; ++c) {
      Vec weight = exp_nonpositive(score[c] - set1(now));
      if constexpr (kCacheWords<E> == Words::pairs) {
        store(reinterpret_cast<Bf16*>(p) + c * kLanes, weight);
        weight = round_bf16(weight);
      } else {
        store(p + c * kLanes, weight);
      }
      lanes = lanes + weight;
    }
    store(scratch_.lanes + r * kLanes, lanes);
  }

  // sum += p * v. Values of keys that a row doesn't see are not even multiplied by zero: they may be
  // anything.
  void weigh_values() {
    if (!staged()) {
      for (int g = 0; g < groups_; ++g) weigh_group<kWords, true>(group_[g], 0, columns_);
      return;
    }
    for (int key = tile_.from / kPerWord * kPerWord; key < tile_.to; key += kPerWord) {
      const float* v = value_at(here_, key);
      for (int c = 0; c < columns_; ++c)
        widen(load_upto(v + c * kLanes, s_.head_dim - c * kLanes),
              scratch_.panel + (c * kAttentionTile + key) * kLanes, kLanes);
    }
    constexpr int kStep = panel_columns(kGroupRows);
    for (int c = 0; c < columns_; c += kStep) {
      const int columns = columns_ - c < kStep ? columns_ - c : kStep;
      for (int g = 0; g < groups_; ++g) weigh_group<Words::floats, false>(group_[g], c, columns);
    }
  }
  const float* value_at(const Places& places, int key) const {
    return places.v[key / kLanes] + key % kLanes / kPerWord * s_.head_dim;
  }
  // Whole words that all rows of the group see go together; keys before and after by the rows that see the
  // same. Each row takes its keys in ascending order.
  template <Words kTake, bool kAhead>
  void weigh_group(const Group& group, int column, int columns) {
    constexpr int n = kTake == Words::floats ? 1 : 2;
    const int from = (group.all_from + n - 1) / n * n, to = group.all_to / n * n;
    const bool together = from < to;
    if (group.from < from || !together)
      weigh_edges<kTake, kAhead>(group, 0, together ? from : kAttentionTile, column, columns);
    if (!together) return;
    weigh<kTake, kAhead>(group.begin, group.end - group.begin, from, to, column, columns);
    if (group.to > to) weigh_edges<kTake, kAhead>(group, to, kAttentionTile, column, columns);
  }
  template <Words kTake, bool kAhead>
  void weigh_edges(const Group& group, int64_t first, int64_t last, int column, int columns) {
    const int *from = scratch_.from, *to = scratch_.to;
    for (int r = group.begin, next = r; r < group.end; r = next) {
      while (next < group.end && from[next] == from[r] && to[next] == to[r]) ++next;
      weigh<kTake, kAhead>(r, next - r, static_cast<int>(larger(from[r], first)),
                           static_cast<int>(smaller(to[r], last)), column, columns);
    }
  }
  // The keys [from, to), whole words of them and what else there is at either end.
  template <Words kTake, bool kAhead>
  void weigh(int row, int rows, int from, int to, int column, int columns) {
    if constexpr (kTake != Words::floats) {
      if (from < to && from % 2 != 0) weigh_one(row, rows, from++);
      const int whole = to / 2 * 2;
      if (from < whole) weigh_words<kTake, kAhead>(row, rows, from, whole, column, columns);
      if (from < to && whole < to) weigh_one(row, rows, whole);
    } else if (from < to) {
      weigh_words<kTake, kAhead>(row, rows, from, to, column, columns);
    }
  }
  // One key of a word whose other one the rows don't see.
  void weigh_one(int row, int rows, int key) {
    const float* v = value_at(here_, key);
    const float* values[kMaxColumns];
    for (int c = 0; c < columns_; ++c) {
      values[c] = scratch_.panel + c * kLanes;
      for (int set = 0; set < sets_; ++set)
        store(scratch_.panel + set * stride_ + c * kLanes,
              part<Words::halves>(load_upto(v + set * set_words() + c * kLanes, s_.head_dim - c * kLanes),
                                  key % 2));
    }
    float p[kMaxRows] = {};  // gcc 13 can't see that at least one row is there
    for (int r = 0; r < rows; ++r) p[r] = weight_of(row + r, key);
    panel<Words::floats, true, false>({.a = p,
                                       .a_stride = 1,
                                       .b = values,
                                       .ahead = nullptr,
                                       .b_stride = 0,
                                       .b_set = stride_,
                                       .count = 1,
                                       .out = scratch_.sum + row * stride_,
                                       .out_stride = stride_},
                                      sets_, rows / sets_, columns_);
  }
  float weight_of(int row, int key) const {
    const float* p = scratch_.p + row * kAttentionTile;
    if constexpr (kWords != Words::pairs) return p[key];
    uint32_t bits = 0;
    std::memcpy(reinterpret_cast<Bf16*>(&bits) + 1, reinterpret_cast<const Bf16*>(p) + key, sizeof(Bf16));
    float weight;
    std::memcpy(&weight, &bits, sizeof(weight));
    return weight;
  }
  template <Words kTake, bool kAhead>
  void weigh_words(int row, int rows, int from, int to, int column, int columns) {
    constexpr int n = kTake == Words::floats ? 1 : 2;  // keys of a word of V
    const float* values[kMaxColumns];
    const float* ahead[kMaxColumns];
    PanelCall call = {.a = nullptr,
                      .a_stride = kAttentionTile,
                      .b = values,
                      .ahead = ahead,
                      .b_stride = kAhead ? s_.head_dim : kLanes,
                      .b_set = set_words(),
                      .count = 0,
                      .out = scratch_.sum + row * stride_ + column * kLanes,
                      .out_stride = stride_};
    while (from < to) {
      int stop = to;
      if constexpr (kAhead) {
        // V where it lies: as far as chunks follow one another, which they do inside a block.
        int chunk = first_chunk(from);
        for (int c = 0; c < columns; ++c) {
          values[c] = value_at(here_, from) + (column + c) * kLanes;
          ahead[c] = value_at(next_, from) + (column + c) * kLanes;
        }
        const int64_t chunk_words = kLanes / n * s_.head_dim;
        while ((chunk + 1) * kLanes < to && here_.v[chunk + 1] == here_.v[chunk] + chunk_words) ++chunk;
        stop = static_cast<int>(smaller(to, (chunk + 1) * kLanes));
      } else {
        for (int c = 0; c < columns; ++c)
          values[c] = scratch_.panel + ((column + c) * kAttentionTile + from) * kLanes;
      }
      call.a = scratch_.p + row * kAttentionTile + (kTake == Words::pairs ? from / n : from);
      call.count = (stop - from) / n;
      const int whole = kAhead ? static_cast<int>(smaller(columns, s_.head_dim / kLanes - column)) : columns;
      if (whole > 0) panel<kTake, true, kAhead>(call, sets_, rows / sets_, whole);
      if (whole < columns) {  // the head's last elements, where they are no 16: what lies beyond isn't read
        PanelCall rest = call;
        rest.b += whole;
        rest.out += whole * kLanes;
        rest.lanes = s_.head_dim % kLanes;
        panel_rest<kTake>(rest, sets_, rows / sets_);
      }
      from = stop;
    }
  }

  const AttentionScalars& s_;
  AttentionScratch& scratch_;
  const float* k_cache_;  // words
  const float* v_cache_;
  int columns_;         // of 16 elements, in a head
  int64_t head_words_;  // of a key
  int64_t stride_;      // floats of a row in scratch: head_dim rounded up to 16
  const int32_t* table_ = nullptr;
  int64_t kv_head_ = 0;
  int rows_ = 0, groups_ = 0, sets_ = 1;
  const float* merged_ = nullptr;
  Places here_, next_;  // of this tile and the one after
  Tile upcoming_ = {};
  Group tile_;  // all rows
  Group group_[kMaxRows];
};

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE
