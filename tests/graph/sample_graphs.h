// Graphs as text that several tests of this folder begin with, and an op made for them.
#pragma once

#include <string>

#include "graph/graph.h"
#include "ops/registry.h"

namespace reprise::graph {

// One layer's attention with its write to the cache, and what follows.
inline const std::string kAttentionText = R"(graph attention {
  input %q : f32[T, 64]
  input %k : f32[T, 32]
  input %v : f32[T, 32]
  input %slots : i32[T]
  input %tables : i32[S, 4]
  input %seq : i32[T]
  input %positions : i32[T]
  weight %norm : f32[64]
  weight %o_proj : f32 panels[64, 64]
  state %keys.0 : f32[9, 512]
  state %values.0 : f32[9, 512]
  %keys.0@1, %values.0@1 = kv_write(%k, %v, %slots, %keys.0, %values.0) {kv_heads = 2, head_dim = 16, block_size = 16} : f32[9, 512], f32[9, 512]  # layers.0.self_attn src/models/layers/attention.cc:51
  %20 = paged_attention(%q, %keys.0@1, %values.0@1, %tables, %seq, %positions) {heads = 4, kv_heads = 2, head_dim = 16, scale = 0.25, window = 0, block_size = 16, partition_size = 64, max_model_len = 64} : f32[T, 64]  # layers.0.self_attn src/models/layers/attention.cc:52
  %21 = matmul(%20, %o_proj, _) {out = f32} : f32[T, 64]  # layers.0.self_attn
  %22 = rms_norm(%21, %norm) {eps = 1e-05} : f32[T, 64]  # layers.0.mlp src/models/layers/decoder.cc:57
  return hidden = %22
}
)";

// Takes two tensors and may write over either.
inline const ops::OpSchema& mix_op() {
  static constexpr std::string_view kInputs[] = {"a", "b"};
  static const ops::OpSchema schema{.name = "test_mix",
                                    .kind = ops::OpKind::elementwise,
                                    .input_names = kInputs,
                                    .may_share = {0b11},
                                    .infer = [](const ops::OpCall& call, ops::OutputSpecs& outputs) {
                                      outputs.add(call.input(0).dtype, call.input(0).shape);
                                    }};
  return schema;
}

inline std::string with(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  if (at == std::string::npos) throw std::logic_error("the text has no '" + from + "'");
  return text.replace(at, from.size(), to);
}

}  // namespace reprise::graph
