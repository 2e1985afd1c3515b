// Causal attention over a paged KV cache (core/kv_layout.h), for prefill, decode and any mix of them
// in a step.
//
// Numbers. A token's output depends on its query, the keys and values at positions 0..position that its
// window lets it see, the scale, partition_size and the level's order of accumulation; not on T, its
// neighbours, how a prompt was cut into chunks, block_size, the cut of the items or the number of workers.
// For that: keys are taken in tiles of 64 at absolute positions, each tile with one update of the running
// maximum (an online softmax: Milakov and Gimelshein 2018); the sum of p runs in 16 lanes (key k in lane k %
// 16); a score is one chain over the head's elements from +0, times the scale; an output element is one chain
// over the keys of a tile in order. What a link of a chain is:
//  - f32, and bf16 but for the level avx512_bf16: an FMA; p stays f32. The same bits at all these levels.
//  - bf16 at avx512_bf16: a vdpbf16ps. In a score it takes the elements 2i and 2i + 1, a last one without the
//    other beside zero; in an output the keys 2i and 2i + 1, and is an FMA where the token sees only one. p
//    is rounded to bf16 before it is summed, so that the weights add up to one. (amx keeps to FMAs: on
//    machines that have it vdpbf16ps is slower.)
// Partitions of partition_size keys, edges at absolute positions, are computed apart and merged in ascending
// order (flash-decoding). A token that sees one partition only gets the bits of partitions = 1; beyond that
// the bits depend on partition_size, which is therefore fixed with max_model_len.
#pragma once

#include <algorithm>
#include <atomic>

#include "core/dtype.h"
#include "core/isa.h"
#include "core/kv_layout.h"
#include "core/launch.h"

namespace reprise::kernels::cpu {

inline constexpr int64_t kAttentionMaxHeadDim = 256;
// Steps of up to so many tokens may spread their partitions over the workers by way of the workspace. In longer
// ones a worker takes a token's partitions one after the other, to the same bits.
inline constexpr int64_t kAttentionMostSplitTokens = 16;

// Code that was generated for one shape (loop/attention.h), of a level. It computes whole items of its own, which are
// `sets` kv heads of a token, numbered token by token, in steps with as many tokens as sequences that are not split: the
// bits of the kernel here. All else, and all until the code is there, `by_hand` does. Lives as long as the recordings
// that name it.
struct AttentionCode {
  int64_t sets = 1;
  KernelFunction by_hand = nullptr;  // paged_attention_kernel() of the level
  std::atomic<KernelFunction> generated{nullptr};
};

struct AttentionScalars {
  int64_t heads = 0;  // a multiple of kv_heads
  int64_t kv_heads = 0;
  int64_t head_dim = 0;        // 1..256
  int64_t block_size = 0;      // a multiple of 16
  int64_t max_blocks = 0;      // columns of block_tables
  int64_t window = 0;          // a token sees keys > position - window; 0: all
  int64_t partition_size = 0;  // a multiple of 64; read where partitions > 1
  int64_t partitions = 1;      // ceil(max_model_len / partition_size)
  int64_t split_tokens = 0;    // steps of up to so many tokens spread partitions over workers; 0: none does
  int64_t q_stride = 0;        // elements from token to token, >= heads * head_dim
  int64_t out_stride = 0;
  float scale = 1;
  Unused<4> unused{};
  const AttentionCode* code = nullptr;  // of coded_attention(); the pairs of such steps go token by token
};

// Items: T * kv_heads, times partitions where steps may be split. A token with seq_of_token < 0 (a padding row) gets zeros.
//   0 q [T, heads, head_dim]   1 k_cache   2 v_cache   3 block_tables i32 [S, max_blocks]   4 seq_of_token
//   i32 [T] 5 positions i32 [T]   6 out [T, heads, head_dim], not q   7 workspace, absent where no step
//   is split
const Kernel& paged_attention_kernel(Isa isa, DType dtype);

// The same launch with scalars.code, which must not be null; at most 96 heads share a kv head.
void coded_attention(const KernelContext& context, int64_t begin, int64_t end);

// Second launch, needed where steps may be split: merges what the first left in the workspace. Items: T * heads.
//   0 workspace   1 seq_of_token   2 positions   3 out
const Kernel& attention_merge_kernel(Isa isa, DType dtype);

// f32 [split_tokens, heads, partitions, head_dim + 2]. Contents undefined before and after.
int64_t attention_workspace_bytes(const AttentionScalars& scalars);

// Items of a token and a KV head: the first stands for all where a step is not split.
inline int64_t attention_parts(const AttentionScalars& scalars) {
  return scalars.split_tokens > 0 ? scalars.partitions : 1;
}
// What split_tokens should be: beyond it the tokens alone keep so many workers busy, and splitting would only
// add work.
inline int64_t attention_split_tokens(const AttentionScalars& scalars, int workers) {
  constexpr int64_t kItemsPerWorker = 4;
  if (scalars.partitions == 1 || workers == 1) return 0;
  return std::min((kItemsPerWorker * workers - 1) / scalars.kv_heads, kAttentionMostSplitTokens);
}

inline LaunchDims attention_dims(const AttentionScalars& scalars) {
  // Steps that are split have few items: they are cut anywhere.
  const bool whole_items = scalars.code != nullptr && scalars.split_tokens == 0;
  return {.items = kTokens * (scalars.kv_heads * attention_parts(scalars)),
          .grain = whole_items ? scalars.code->sets : 1};
}
inline LaunchDims attention_merge_dims(const AttentionScalars& scalars) {
  return {.items = kTokens * scalars.heads, .grain = 1};
}

}  // namespace reprise::kernels::cpu
