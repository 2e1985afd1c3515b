// The passes in the order in which they run, and why each stands where it does.
#include "graph/passes/passes.h"

namespace reprise::graph {
namespace {

constexpr Pass kPasses[] = {
    // One form for what is written in several ways, so that everything after matches one form.
    {.name = "canonicalise",
     .what = "operands of add and mul in the order of definition",
     .run = canonicalise},
    // Equal after the operands are in order; before the tables, so that each is made once.
    {.name = "cse", .what = "equal nodes are computed once", .run = cse},
    {.name = "constant_folding", .what = "nodes of constants are computed at start", .run = constant_folding},
    {.name = "rotary_table", .what = "angles of all positions are computed at start", .run = rotary_table},
    // Dead readers would keep all rows alive, and would count as further uses in every fusion.
    {.name = "dce", .what = "nodes that nothing reads are dropped", .run = dce},
    // While the ops are plain: afterwards sums and norms hang together.
    {.name = "prune_rows", .what = "rows that nothing reads are not computed", .run = prune_rows},
    {.name = "fuse_matmuls", .what = "q, k and v, gate and up in one launch", .run = fuse_matmuls},
    {.name = "fuse_gate", .what = "activation of the gate with the product", .run = fuse_gate},
    {.name = "fuse_add_norm", .what = "residual sum with the norm that follows", .run = fuse_add_norm},
    {.name = "fuse_rotary_kv",
     .what = "norms and rotation of q and k with the write to the cache",
     .run = fuse_rotary_kv},
    // What the fusions left behind: rows of tables that they look up themselves.
    {.name = "dce", .what = "nodes that nothing reads are dropped", .run = dce},
    // When nothing else looks for patterns any more: a compiled op is no op that a pass knows.
    {.name = "compile_groups", .what = "groups of nodes become generated kernels", .run = compile_groups},
    // Last of all: any pass that came later could put a reader behind the node that overwrites.
    {.name = "in_place",
     .what = "outputs take the storage of inputs read for the last time",
     .run = in_place},
};

}  // namespace

std::span<const Pass> pass_list() {
  return kPasses;
}

}  // namespace reprise::graph
