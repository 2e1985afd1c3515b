// Groups of a graph's nodes around a matmul, as a program of their own kind (loop/matmul.h).
#pragma once

#include <string>

#include "graph/kernel_compiler.h"
#include "loop/matmul.h"

namespace reprise::codegen {

// Whether one of the nodes is a matmul, so that the group is no loop program.
bool has_matmul(const graph::Graph& graph, const graph::FusionGroup& group);

// Why a group with a matmul becomes no program, in a few words; empty where it becomes one: before the matmul stand
// functions over the rows that it multiplies, behind it functions of each element of its results, which have as many
// columns as each of its segments.
std::string why_not_matmul(const graph::Graph& graph, const graph::FusionGroup& group);

// The program, whose buffers are the group's inputs and outputs, in their orders. Throws Error on one that is too large.
loop::Matmul matmul_of(const graph::Graph& graph, const graph::FusionGroup& group);

}  // namespace reprise::codegen
