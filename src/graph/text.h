// The graph as text, for people, tests and reports; parse() takes back what print() gives.
//
//   graph model {
//     input %token_ids : i32[T]
//     weight %model.norm.weight : f32[64]
//     weight %lm_head.weight : bf16 panels[512, 64]
//     state %keys.0 : bf16[9, 1024]
//     %12 = rms_norm(%10, %model.norm.weight) {eps = 1e-06} : bf16[T, 64]  # model.norm src/models/norm.cc:57
//     %13, %14 = add_rms_norm(%12, %11, %w) {eps = 1e-06} share(0: 1) : bf16[T, 64], bf16[T, 64]
//     %keys.0@1, %values.0@1 = kv_write(%k, %v, %slots, %keys.0, %values.0) {...} : ...
//     return logits = %40
//   }
//
// An absent optional input is written `_`. Attributes are integers, reals (with a point or an exponent),
// dtypes, or dims in brackets ([T], [2*T+1]). The comment after # carries layer and source and is read back;
// other comments stand on lines of their own. Names with other than letters, digits and . _ @ / - + $ are
// quoted as in JSON. Outputs beyond those that an op computes are new versions of the inputs that it writes.
#pragma once

#include <string>
#include <string_view>

#include "graph/graph.h"

namespace reprise::graph {

std::string print(const Graph& graph);
// Types of results are those written; verify() compares them with what the ops infer. Throws Error with line
// and column.
Graph parse(std::string_view text);

std::string type_text(const Value& value);      // "bf16 panels[512, 64]"
std::string attributes_text(const Node& node);  // "{eps = 1e-06}", "" where there are none

}  // namespace reprise::graph
