// Random groups of ops that have bodies, and what they compute one by one.
#pragma once

#include "core/isa.h"
#include "graph/graph.h"
#include "graph/kernel_compiler.h"
#include "tests/loop/random_program.h"

namespace reprise::codegen {

// Ops of one expression: 30 tanh(a / 30); one of rows a and b and of numbers for each column c and d; max(a, 0)^2.
extern const ops::OpSchema kSoftcap, kBlend, kSquaredRelu;
void register_expression_ops();  // their launches; once is enough

struct RandomGroup {
  graph::Graph graph;
  graph::FusionGroup group;
  int64_t tokens = 1;  // of the step that runs
  int64_t width = 0;   // elements of a token's row, of which a row of the program is a part
};

// 1 to 8 ops over rows of one shape, f32 or bf16: plain ones, norms (of whole rows or parts), fused ones, ops of
// one expression. Fits a launch.
RandomGroup random_group(loop::Choices& choices);

// Runs the ops one after the other, as at level 0. `buffers` are those of the group's program.
void run_one_by_one(const RandomGroup& group, loop::Buffers& buffers, Isa level);

}  // namespace reprise::codegen
