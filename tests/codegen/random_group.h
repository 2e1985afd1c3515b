// Random groups of ops that have bodies, and what they compute one by one.
#pragma once

#include <span>

#include "core/isa.h"
#include "graph/graph.h"
#include "graph/kernel_compiler.h"
#include "tests/loop/random_program.h"

namespace reprise::codegen {

// Ops of one expression: 30 tanh(a / 30); one of rows a and b and of numbers for each column c and d; max(a, 0)^2.
extern const ops::OpSchema kSoftcap, kBlend, kSquaredRelu;
void register_expression_ops();  // their launches; once is enough

size_t bytes_of(const graph::Value& value, const StepSizes& sizes);

struct RandomGroup {
  graph::Graph graph;
  graph::FusionGroup group;
  int64_t tokens = 1;  // of the step that runs
  int64_t width = 0;   // elements of a token's row, of which a row of the program is a part
};

// 1 to 8 ops over rows of one shape, f32 or bf16: plain ones, norms (of whole rows or parts), fused ones, ops of
// one expression. Fits a launch.
RandomGroup random_group(loop::Choices& choices);

// A matmul of 1 to 4 segments, f32 or bf16, with up to 3 ops over its rows before it and up to 4 of each element of its
// results behind it: a group that codegen/matmul_program.h takes.
RandomGroup random_matmul_group(loop::Choices& choices);

// Runs the ops one after the other, as at level 0. `buffers` are the group's inputs and outputs.
void run_one_by_one(const RandomGroup& group, std::span<std::byte* const> buffers, Isa level);

}  // namespace reprise::codegen
