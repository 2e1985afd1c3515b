// The passes themselves, each in the file of its name, which says why it is there. pass_list.cc puts them in
// order.
#pragma once

#include "graph/passes/pass.h"

namespace reprise::graph {

bool canonicalise(Graph& graph, PassContext& context);
bool constant_folding(Graph& graph, PassContext& context);
bool rotary_table(Graph& graph, PassContext& context);
bool cse(Graph& graph, PassContext& context);
bool dce(Graph& graph, PassContext& context);
bool prune_rows(Graph& graph, PassContext& context);
bool fuse_matmuls(Graph& graph, PassContext& context);
bool fuse_gate(Graph& graph, PassContext& context);
bool fuse_add_norm(Graph& graph, PassContext& context);
bool fuse_rotary_kv(Graph& graph, PassContext& context);
bool compile_groups(Graph& graph, PassContext& context);
bool in_place(Graph& graph, PassContext& context);

}  // namespace reprise::graph
