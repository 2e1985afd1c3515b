// Runs a loop program (loop/program.h): its generated code where that is there, by interpretation where not.
// Both give the same bits, so that the one may take the place of the other between any two calls.
#pragma once

#include <algorithm>
#include <atomic>

#include "core/isa.h"
#include "core/launch.h"
#include "kernels/cpu/vec_kernels.h"
#include "loop/program.h"

namespace reprise::kernels::cpu {

// A program and what runs it. Lives as long as the recordings that name it.
struct LoopCode {
  loop::Program program;
  std::atomic<KernelFunction> generated{nullptr};  // null: interpreted
};

// Work items: items_of_row() for each row, row by row. Buffers: the program's operands without its locals.
struct LoopScalars {
  const LoopCode* code = nullptr;
  // Of a call that is no launch of its own: 0, or so many columns of each row are computed, by a program whose columns
  // don't need one another. Items are rows then, and those of the first `tiles` operands have these columns alone.
  int64_t columns = 0;
  int64_t tiles = 0;
};

inline LaunchDims loop_dims(const loop::Program& program, Dim rows) {
  const int64_t elements =
      std::min(program.columns, program.items_of_row() > 1 ? loop::Program::kItemColumns : program.columns);
  return {.items = rows * program.items_of_row(),
          .grain = std::max<int64_t>(1, loop::Program::kGrainElements / elements)};
}

}  // namespace reprise::kernels::cpu
