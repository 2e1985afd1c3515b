// The graph as text, for people, tests and reports; parse() takes back what print() gives.
//
//   graph model {
//     input %token_ids : i32[T]
//     weight %model.norm.weight : f32[64]
//     weight %lm_head.weight : bf16 panels[512, 64]
//     state %keys.0 : bf16[9, 1024]
//     %12 = rms_norm(%10, %model.norm.weight) {eps = 1e-06} : bf16[T, 64]  # model.norm  decoder.cc:57
//     %13, %14 = add_rms_norm(%12, %11, %w) {eps = 1e-06} share(0: 1) : bf16[T, 64], bf16[T, 64]
//     %keys.0@1, %values.0@1 = kv_write(%k, %v, %slots, %keys.0, %values.0) {...} : ...
//     return logits = %40
//   }
// An absent optional input is written `_`. Comments after # carry layer and source and are read back.
#pragma once

#include <string>
#include <string_view>

#include "graph/graph.h"

namespace reprise::graph {

std::string print(const Graph& graph);
// Types of results are those written; verify() compares them with what the ops infer. Throws Error with line
// and column.
Graph parse(std::string_view text);

}  // namespace reprise::graph
