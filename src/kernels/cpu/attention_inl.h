// Implementation of the kernels that attention.h declares (buffers, items and scalars are listed there).
// Compiled once for each level of the ISA. Here: the rows of attention that belong to a range of work items.
#pragma once

#include "kernels/cpu/attention_rows_inl.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

inline constexpr int64_t kOnePartition = int64_t{1} << 40;

// Keys [first, last) that a token sees.
struct KeyRange {
  int64_t first, last;
};
REPRISE_VEC_INLINE KeyRange visible_keys(const AttentionScalars& s, int64_t position) {
  const int64_t first = s.window > 0 ? position - s.window + 1 : 0;
  return {first > 0 ? first : 0, position + 1};
}

REPRISE_VEC_INLINE bool splits(const AttentionScalars& s, int64_t tokens) {
  return tokens <= s.split_tokens;
}

template <typename E>
REPRISE_VEC_INLINE void zero_heads(E* out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] = 0;
}

// A token and a kv head of it; the work items are numbers of pairs.
struct Pair {
  int64_t token, kv_head;
};

// The pair that comes next.
template <typename E>
REPRISE_VEC_INLINE void announce(const KernelContext& context, AttentionRows<E>& rows, Pair pair) {
  const auto& s = context.get_scalars<AttentionScalars>();
  const int32_t seq = context.buffer<int32_t>(4)[pair.token];
  if (seq < 0) return;
  const KeyRange keys = visible_keys(s, context.buffer<int32_t>(5)[pair.token]);
  rows.announce(context.buffer<int32_t>(3) + seq * s.max_blocks, pair.kv_head, keys.first, keys.last);
}

// Tokens [token, token + count) of one sequence, all partitions. The pair `after` comes next, if there is one.
template <typename E>
void attend_tokens(const KernelContext& context, AttentionRows<E>& rows, int64_t kv_head, int64_t token,
                   int64_t count, const Pair* after) {
  const auto& s = context.get_scalars<AttentionScalars>();
  const int32_t seq = context.buffer<int32_t>(4)[token];
  const int32_t* positions = context.buffer<int32_t>(5);
  const int64_t group = s.heads / s.kv_heads;
  E* out = context.buffer<E>(6) + kv_head * group * s.head_dim;
  if (seq < 0) {
    for (int64_t t = token; t < token + count; ++t) zero_heads(out + t * s.out_stride, group * s.head_dim);
    return;
  }
  const int64_t partition_size = s.partitions > 1 ? s.partition_size : kOnePartition;
  for (int64_t h0 = 0; h0 < group; h0 += kMaxRows) {  // more heads than rows: then count is 1
    const int64_t heads = group - h0 < kMaxRows ? group - h0 : kMaxRows;
    rows.start(context.buffer<int32_t>(3) + seq * s.max_blocks, kv_head);
    for (int64_t t = token; t < token + count; ++t) {
      const KeyRange keys = visible_keys(s, positions[t]);
      const E* q = context.buffer<E>(0) + t * s.q_stride + (kv_head * group + h0) * s.head_dim;
      for (int64_t h = 0; h < heads; ++h) rows.add_row(q + h * s.head_dim, keys.first, keys.last);
    }
    if (h0 + heads == group && after != nullptr) announce(context, rows, *after);
    rows.run_all(partition_size);
    int r = 0;
    for (int64_t t = token; t < token + count; ++t)
      for (int64_t h = h0; h < h0 + heads; ++h) rows.finish(r++, out + t * s.out_stride + h * s.head_dim);
  }
}

// `sets` kv heads of one token, all partitions.
template <typename E>
void attend_heads(const KernelContext& context, AttentionRows<E>& rows, Pair first, int sets,
                  const Pair* after) {
  const auto& s = context.get_scalars<AttentionScalars>();
  const int32_t seq = context.buffer<int32_t>(4)[first.token];
  const int64_t group = s.heads / s.kv_heads, heads = sets * group, head = first.kv_head * group;
  E* out = context.buffer<E>(6) + first.token * s.out_stride + head * s.head_dim;
  if (seq < 0) return zero_heads(out, heads * s.head_dim);
  const KeyRange keys = visible_keys(s, context.buffer<int32_t>(5)[first.token]);
  const E* q = context.buffer<E>(0) + first.token * s.q_stride + head * s.head_dim;
  rows.start(context.buffer<int32_t>(3) + seq * s.max_blocks, first.kv_head, sets);
  for (int64_t h = 0; h < heads; ++h) rows.add_row(q + h * s.head_dim, keys.first, keys.last);
  if (after != nullptr) announce(context, rows, *after);
  rows.run_all(s.partitions > 1 ? s.partition_size : kOnePartition);
  for (int64_t h = 0; h < heads; ++h) rows.finish(static_cast<int>(h), out + h * s.head_dim);
}

// One partition of one token, into the workspace.
template <typename E>
void attend_partition(const KernelContext& context, AttentionRows<E>& rows, int64_t kv_head, int64_t token,
                      int64_t partition) {
  const auto& s = context.get_scalars<AttentionScalars>();
  const int32_t seq = context.buffer<int32_t>(4)[token];
  const KeyRange keys = visible_keys(s, context.buffer<int32_t>(5)[token]);
  const int64_t first = partition * s.partition_size, last = first + s.partition_size;
  if (seq < 0 || keys.last <= first || keys.first >= last) return;
  const int64_t group = s.heads / s.kv_heads;
  for (int64_t h0 = 0; h0 < group; h0 += kMaxRows) {
    const int64_t heads = group - h0 < kMaxRows ? group - h0 : kMaxRows;
    const int64_t head = kv_head * group + h0;
    rows.start(context.buffer<int32_t>(3) + seq * s.max_blocks, kv_head);
    for (int64_t h = 0; h < heads; ++h)
      rows.add_row(context.buffer<E>(0) + token * s.q_stride + (head + h) * s.head_dim, keys.first,
                   keys.last);
    rows.run_partition(first, last);
    for (int64_t h = 0; h < heads; ++h) {
      float* to = context.buffer<float>(7) +
                  ((token * s.heads + head + h) * s.partitions + partition) * (s.head_dim + 2);
      const float* sum = nullptr;
      rows.row_result(static_cast<int>(h), first, last, to + s.head_dim, to + s.head_dim + 1, &sum);
      std::memcpy(to, sum, static_cast<size_t>(s.head_dim) * sizeof(float));
    }
  }
}

// The pairs [begin, end), numbered token * kv_heads + kv_head: kv heads of a token go together, tokens don't. For
// steps with as many tokens as sequences (decode).
template <typename E>
void attend_by_token(const KernelContext& context, AttentionRows<E>& rows, int64_t begin, int64_t end,
                     int most_sets) {
  const int64_t kv_heads = context.get_scalars<AttentionScalars>().kv_heads;
  for (int64_t number = begin; number < end;) {
    const Pair pair = {number / kv_heads, number % kv_heads};
    int sets = 1;
    while (sets < most_sets && pair.kv_head + sets < kv_heads && number + sets < end) ++sets;
    number += sets;
    const Pair after = {number / kv_heads, number % kv_heads};
    attend_heads(context, rows, pair, sets, number < end ? &after : nullptr);
  }
}

// The pairs [begin, end), numbered kv_head * T + token: neighbours of one sequence go together.
template <typename E>
void attend_by_head(const KernelContext& context, AttentionRows<E>& rows, int64_t begin, int64_t end) {
  const auto& s = context.get_scalars<AttentionScalars>();
  const int64_t tokens = context.sizes.tokens;
  const int32_t* seqs = context.buffer<int32_t>(4);
  const int64_t group = s.heads / s.kv_heads;
  const int64_t most = group < kMaxRows ? kMaxRows / group : 1;
  for (int64_t number = begin; number < end;) {
    const int64_t token = number % tokens;
    int64_t count = 1;
    while (count < most && number + count < end && token + count < tokens &&
           seqs[token + count] == seqs[token])
      ++count;
    const int64_t kv_head = number / tokens;
    number += count;
    const Pair after = {number % tokens, number / tokens};
    attend_tokens(context, rows, kv_head, token, count, number < end ? &after : nullptr);
  }
}

// Item: number of the pair * parts + partition.
template <typename E>
void paged_attention(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& s = context.get_scalars<AttentionScalars>();
  const int64_t tokens = context.sizes.tokens;
  AttentionRows<E> rows(context, s);
  if (splits(s, tokens)) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t pair = item / s.partitions;
      attend_partition(context, rows, pair / tokens, pair % tokens, item % s.partitions);
    }
    return;
  }
  // The item of a pair's first partition stands for all of them.
  const int64_t parts = attention_parts(s);
  begin = (begin + parts - 1) / parts;
  end = (end + parts - 1) / parts;
  const int most_sets = rows.most_sets();
  if ((most_sets > 1 || s.code != nullptr) && tokens == context.sizes.seqs)
    attend_by_token(context, rows, begin, end, most_sets);
  else
    attend_by_head(context, rows, begin, end);
}

template <typename E>
void attention_merge(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& s = context.get_scalars<AttentionScalars>();
  if (!splits(s, context.sizes.tokens)) return;
  const int64_t stride = s.head_dim + 2;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t token = item / s.heads, head = item % s.heads;
    E* out = context.buffer<E>(3) + token * s.out_stride + head * s.head_dim;
    if (context.buffer<int32_t>(1)[token] < 0) {
      zero_heads(out, s.head_dim);
      continue;
    }
    const KeyRange keys = visible_keys(s, context.buffer<int32_t>(2)[token]);
    const int64_t first = keys.first / s.partition_size, last = (keys.last - 1) / s.partition_size;
    const float* parts = context.buffer<float>(0) + item * s.partitions * stride;
    alignas(64) float total[kAttentionMaxHeadDim];
    float largest = 0, sum_p = 0;
    for (int64_t i = first; i <= last; ++i) {
      const float* part = parts + i * stride;
      merge_partition(&largest, &sum_p, total, part[s.head_dim], part[s.head_dim + 1], part, s.head_dim,
                      i == first);
    }
    write_output(out, total, sum_p, s.head_dim);
  }
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE
