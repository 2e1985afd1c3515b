// Groups of a graph's nodes as loop programs.
#pragma once

#include <cstdint>
#include <string>

#include "graph/kernel_compiler.h"
#include "loop/program.h"

namespace reprise::codegen {

// Columns of the rows that all nodes of the group go over; 0: they are no functions over the same rows, or there are
// too many buffers for a launch.
int64_t group_columns(const graph::Graph& graph, const graph::FusionGroup& group);

// Why group_columns() is 0, in a few words; empty where it is not.
std::string why_not_rows(const graph::Graph& graph, const graph::FusionGroup& group);

// "add_rms_norm.matmul_group.silu_mul", shortened where it is long.
std::string name_of_group(const graph::Graph& graph, const graph::FusionGroup& group);

// The group in one program, named after its ops: reads its inputs and writes its outputs, in their orders. Each node's
// outputs are rounded to their dtypes, as when the nodes run one by one. Throws Error on a program that is too large.
loop::Program program_of(const graph::Graph& graph, const graph::FusionGroup& group);

}  // namespace reprise::codegen
