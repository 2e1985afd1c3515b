// A matmul and what stands before and behind it (loop/matmul.h) in one launch. Each worker computes what comes before
// for itself, for its rows; the panels of the product are by hand, as the matmul alone has them (matmul.h); what stands
// behind is computed while the results are in the worker's caches. Programs run as generated code where that is there,
// by interpretation where not. The bits of all of it are those of the parts one by one.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "core/isa.h"
#include "core/launch.h"
#include "kernels/cpu/loop.h"
#include "loop/matmul.h"

namespace reprise::kernels::cpu {

struct MatmulCall;

// A matmul of this kind and what runs it. Lives as long as the recordings that name it.
struct MatmulCode {
  MatmulCode(loop::Matmul of, Isa isa);

  struct Place {          // of an operand
    int buffer = -1;      // -1 - i: the worker's memory
    int64_t row = 0;      // bytes from row to row; 0: the same for every row
    int64_t element = 4;  // bytes
    bool written = false;
  };
  struct Part {
    LoopCode code;              // without code of its own
    std::vector<Place> places;  // by operand
    int64_t items_of_row = 1;   // of a row of the launch
  };

  loop::Matmul matmul;
  int64_t items = 0;          // work items of a block of rows
  int64_t panel_bytes = 0;    // of packed weights
  int64_t most_rows = 0;      // that a worker takes through all parts at once
  Part before, after;         // where the matmul has them
  bool has_products = false;  // loop::has_products() of the level
  void (*by_hand)(const MatmulCall& call, int64_t begin, int64_t end) = nullptr;
  KernelFunction interpreter = nullptr;
  std::atomic<KernelFunction> generated{nullptr};  // finds a loop::MatmulTask
};

// Buffers: those of the matmul. Items as loop/matmul.h says, for each block of rows.
struct CodedMatmulScalars {
  const MatmulCode* code = nullptr;
  Dim rows;
  int64_t rows_per_block = 0;  // at most; 0: one block of all rows
};

void coded_matmul(const KernelContext& context, int64_t begin, int64_t end);

// Cuts the launch for a team of `workers`: sets rows_per_block and returns the dims.
LaunchDims cut_coded_matmul(CodedMatmulScalars& scalars, Isa isa, int workers);

}  // namespace reprise::kernels::cpu
