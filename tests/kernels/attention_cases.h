// A paged cache, sequences of random queries, keys and values, and steps over them: what the attention tests
// drive.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <span>
#include <vector>

#include "device/cpu/isa_select.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/kv_write.h"
#include "tests/kernels/vec_cases.h"

namespace reprise::kernels::cpu::testing {

// avx512_bf16 by SIMDe; null where the tests were built without it. Only its attention is meant.
const VecTable* attention_table_emulated();

// The levels that attention has code for, by their order of accumulation: the same bits within one.
struct AttentionLevel {
  std::string name;
  const VecTable* table;
  const VecTable* same_as;  // a table that has this one's bits
  bool rounds_weights;      // p to bf16
};
inline std::vector<AttentionLevel> attention_levels(DType dtype) {
  std::vector<AttentionLevel> all;
  for (const Level& level : levels()) {
    const bool pairs = level.table == &vec_table_avx512_bf16() && dtype == DType::bf16;
    all.push_back({level.name, level.table, pairs ? level.table : levels()[0].table, pairs});
  }
  const VecTable* emulated = attention_table_emulated();
  if (emulated != nullptr && dtype == DType::bf16)
    all.push_back({"avx512_bf16 emulated", emulated, emulated, true});
  return all;
}

struct AttentionShape {
  int64_t heads = 4, kv_heads = 2, head_dim = 16;
  int64_t block_size = 64, window = 0;
  int64_t partition_size = 0, partitions = 1;
  int64_t split_tokens = kAttentionMostSplitTokens;  // where there are several partitions
};

// [length, heads, head_dim] and [length, kv_heads, head_dim], values that the dtype holds
struct Sequence {
  int64_t length;
  std::vector<float> q, k, v;

  Sequence(const AttentionShape& shape, DType dtype, int64_t length_, uint32_t seed)
      : length(length_),
        q(random_values(dtype, length * shape.heads * shape.head_dim, 3 * seed, 2)),
        k(random_values(dtype, length * shape.kv_heads * shape.head_dim, 3 * seed + 1)),
        v(random_values(dtype, length * shape.kv_heads * shape.head_dim, 3 * seed + 2)) {}
};

// Tokens [start, start + count) of a sequence, in one step; seq -1: that many padding rows.
struct Span {
  int seq;
  int64_t start, count;
};
using Step = std::vector<Span>;

inline Step whole(int seq, const Sequence& sequence) {
  return {{seq, 0, sequence.length}};
}

// Runs the steps at a level on a fresh cache full of NaN; returns each sequence's outputs, [length, heads,
// head_dim].
inline std::vector<std::vector<float>> attend(const VecTable& table, DType dtype, const AttentionShape& shape,
                                              std::span<const Sequence> sequences,
                                              std::span<const Step> steps, uint32_t cut) {
  const int64_t block_size = shape.block_size;
  int64_t max_blocks = 1, blocks = 1;
  for (const Sequence& s : sequences) {
    max_blocks = std::max(max_blocks, (s.length + block_size - 1) / block_size);
    blocks += (s.length + block_size - 1) / block_size;
  }
  // Blocks in random order; what a sequence doesn't own must never be looked up.
  std::vector<int32_t> order(static_cast<size_t>(blocks - 1));
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i + 1);
  std::mt19937 generator(99);
  std::shuffle(order.begin(), order.end(), generator);
  std::vector<int32_t> tables(sequences.size() * static_cast<size_t>(max_blocks), 0x3fffffff);
  size_t next = 0;
  for (size_t s = 0; s < sequences.size(); ++s)
    for (int64_t b = 0; b * block_size < sequences[s].length; ++b)
      tables[s * static_cast<size_t>(max_blocks) + static_cast<size_t>(b)] = order[next++];

  const int64_t cache = blocks * kv_block_elements(dtype, shape.kv_heads, shape.head_dim, block_size);
  Bytes k_cache = poison(dtype, cache), v_cache = poison(dtype, cache);
  const int64_t q_row = shape.heads * shape.head_dim, kv_row = shape.kv_heads * shape.head_dim;
  std::vector<std::vector<float>> outputs;
  for (const Sequence& s : sequences) outputs.emplace_back(static_cast<size_t>(s.length * q_row), NAN);

  for (const Step& step : steps) {
    std::vector<float> q, k, v;
    std::vector<int32_t> slots, seq_of_token, positions;
    for (const Span& span : step) {
      for (int64_t t = span.start; t < span.start + span.count; ++t) {
        const auto append = [&](std::vector<float>& to, const std::vector<float>* from, int64_t row) {
          if (from == nullptr)
            to.insert(to.end(), static_cast<size_t>(row), NAN);
          else
            to.insert(to.end(), from->begin() + t * row, from->begin() + (t + 1) * row);
        };
        const Sequence* s = span.seq < 0 ? nullptr : &sequences[static_cast<size_t>(span.seq)];
        append(q, s ? &s->q : nullptr, q_row);
        append(k, s ? &s->k : nullptr, kv_row);
        append(v, s ? &s->v : nullptr, kv_row);
        seq_of_token.push_back(span.seq);
        positions.push_back(s ? static_cast<int32_t>(t) : 0);
        slots.push_back(
            s ? static_cast<int32_t>(tables[static_cast<size_t>(span.seq * max_blocks + t / block_size)] *
                                         block_size +
                                     t % block_size)
              : 0);
      }
    }
    const int64_t tokens = static_cast<int64_t>(positions.size());
    const StepSizes sizes{.tokens = tokens, .seqs = static_cast<int64_t>(sequences.size())};
    const KvWriteScalars write_scalars{.kv_heads = shape.kv_heads,
                                       .head_dim = shape.head_dim,
                                       .block_size = block_size,
                                       .k_stride = kv_row,
                                       .v_stride = kv_row};
    Call write{.sizes = sizes,
               .items = tokens * shape.kv_heads,
               .storage = {to_bytes(dtype, k), to_bytes(dtype, v), int_bytes(slots), k_cache, v_cache},
               .scalars = Call::scalar_bytes(write_scalars)};
    run(pick(&VecTable::kv_write, dtype)(table), write, cut);
    k_cache = write.storage[3];
    v_cache = write.storage[4];
    const int64_t split_tokens = shape.partitions > 1 ? shape.split_tokens : 0;
    const AttentionScalars scalars{.heads = shape.heads,
                                   .kv_heads = shape.kv_heads,
                                   .head_dim = shape.head_dim,
                                   .block_size = block_size,
                                   .max_blocks = max_blocks,
                                   .window = shape.window,
                                   .partition_size = shape.partition_size,
                                   .partitions = shape.partitions,
                                   .split_tokens = split_tokens,
                                   .q_stride = q_row,
                                   .out_stride = q_row,
                                   .scale = 1 / std::sqrt(static_cast<float>(shape.head_dim))};
    Call call{.sizes = sizes,
              .items = attention_dims(scalars).items.eval(sizes),
              .storage = {to_bytes(dtype, q), k_cache, v_cache, int_bytes(tables), int_bytes(seq_of_token),
                          int_bytes(positions), poison(dtype, tokens * q_row),
                          Bytes(static_cast<size_t>(attention_workspace_bytes(scalars)), std::byte{0xff})},
              .scalars = Call::scalar_bytes(scalars)};
    run(pick(&VecTable::paged_attention, dtype)(table), call, cut);
    if (split_tokens > 0) {
      Call merge = call;
      merge.items = attention_merge_dims(scalars).items.eval(sizes);
      merge.pointers = {7, 4, 5, 6};
      run(pick(&VecTable::attention_merge, dtype)(table), merge, cut);
      call = merge;
    }
    const auto out = to_floats(dtype, call.storage[6]);
    size_t row = 0;
    for (const Span& span : step) {
      for (int64_t t = span.start; t < span.start + span.count; ++t, ++row) {
        const auto from = out.begin() + static_cast<int64_t>(row) * q_row;
        if (span.seq >= 0)
          std::copy(from, from + q_row, outputs[static_cast<size_t>(span.seq)].begin() + t * q_row);
      }
    }
  }
  return outputs;
}

// In double precision.
struct Exact {
  std::vector<double> out;
  std::vector<double> spread;  // mean of |v - out|: by how much rounding of the weights may move out, at most
};
inline Exact exact_attention(const AttentionShape& shape, const Sequence& s) {
  const int64_t dim = shape.head_dim, group = shape.heads / shape.kv_heads;
  std::vector<double> out(s.q.size()), spread(s.q.size());
  for (int64_t t = 0; t < s.length; ++t) {
    for (int64_t h = 0; h < shape.heads; ++h) {
      const float* q = s.q.data() + (t * shape.heads + h) * dim;
      const int64_t first = shape.window > 0 ? std::max<int64_t>(0, t - shape.window + 1) : 0;
      std::vector<double> p;
      double largest = -INFINITY, sum = 0;
      for (int64_t j = first; j <= t; ++j) {
        const float* k = s.k.data() + (j * shape.kv_heads + h / group) * dim;
        double dot = 0;
        for (int64_t d = 0; d < dim; ++d) dot += static_cast<double>(q[d]) * k[d];
        p.push_back(dot / std::sqrt(static_cast<double>(dim)));
        largest = std::max(largest, p.back());
      }
      for (double& x : p) sum += x = std::exp(x - largest);
      for (int64_t d = 0; d < dim; ++d) {
        const auto at = static_cast<size_t>((t * shape.heads + h) * dim + d);
        const auto value = [&](int64_t j) {
          return s.v[static_cast<size_t>((j * shape.kv_heads + h / group) * dim + d)];
        };
        for (int64_t j = first; j <= t; ++j) out[at] += p[static_cast<size_t>(j - first)] / sum * value(j);
        for (int64_t j = first; j <= t; ++j)
          spread[at] += p[static_cast<size_t>(j - first)] / sum * std::abs(value(j) - out[at]);
      }
    }
  }
  return {out, spread};
}

}  // namespace reprise::kernels::cpu::testing
