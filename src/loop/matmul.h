// A matmul with what is computed of its rows before it and of its results behind it, as a program of a kind of its own.
// What the product computes is said in kernels/cpu/matmul.h, bit by bit; before and behind it stand loop programs.
//
//   matmul rms_norm.matmul_group.silu_mul float32 to float32 k 64 buffers 5
//   segment 172 weight 2 bias -1 out -1
//   segment 172 weight 3 bias -1 out -1
//   before: 0 1 -1            the buffers of the program's operands; -1: the rows that are multiplied
//   loop rms_norm columns 64
//   ...
//   after: -1 -2 4            -1, -2: the results of the first and the second segment
//   loop silu_mul columns 172
//   ...
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/isa.h"
#include "loop/program.h"

namespace reprise::loop {

// Work items: where there is a program behind it, its columns by panels of kPanel, each with the same panel of every
// segment; otherwise the panels of all segments, one segment after the other.
struct Matmul {
  static constexpr int kMostSegments = 4;
  static constexpr int kMostWritten = 4;     // outputs of `before`, the rows that are multiplied among them
  static constexpr int64_t kPanel = 32;      // columns of a result that are computed together
  static constexpr int64_t kMostK = 48'000;  // so that a worker has memory for what `before` writes of a row

  // Buffers are those of the launch, by their numbers.
  struct Segment {
    int64_t n = 0;  // columns of its result
    int weight = 0;
    int bias = -1;  // -1: none
    int out = -1;   // of the result; -1: `after` reads it
    bool operator==(const Segment&) const = default;
  };
  struct Part {
    Program program;
    // By operand, without locals: a buffer, or -1 - i for memory of the worker: of `before` the rows that are
    // multiplied, of `after` the result of segment i.
    std::vector<int> buffers;
  };

  std::string name = {};
  DType dtype = DType::f32;  // of the rows and the weights: f32 or bf16
  DType out = DType::f32;    // of the results: f32 or bf16
  int64_t k = 0;
  int buffer_count = 0;
  int x = -1;  // the rows that are multiplied, where nothing comes before
  std::vector<Segment> segments = {};
  std::optional<Part> before = {};  // k columns, or a part of them that k is a multiple of
  std::optional<Part> after = {};   // as many columns as each segment, none of which needs another
};

// What the code finds in KernelContext::scalars; its buffers are those of the part.
struct MatmulTask {
  enum Part : int64_t { kBefore, kAfter, kProduct };
  int64_t part = kBefore;  // of kBefore the items are those of the program
  // kAfter: the items are rows, of which so many columns are computed; rows of results lie so far apart, others as far
  // as the program has columns. A multiple of 16, but at the end of a row.
  // kProduct: the items are panels of one segment, or of a part of its columns, which is so many columns wide; so far
  // apart lie the rows of the result. Buffers: the rows that are multiplied, weights, bias (null: none), result.
  int64_t columns = 0;
  int64_t rows = 0;  // of kProduct
  int64_t done = 0;  // kProduct: not 0 afterwards where there is code for so many rows; else nothing was done
};

std::string print(const Matmul& matmul);
// Whether a text is meant to be one, rather than another kind of program.
bool is_matmul(std::string_view text);
// Verified. Throws Error on what print() does not write.
Matmul parse_matmul(std::string_view text);
// Whether there is code for products: of f32, and of bf16 by pairs (vdpbf16ps), where k is small.
bool has_products(const Matmul& matmul, Isa level);
// Throws Error on what breaks the rules above: 1 to 4 segments of 1 to 2^24 columns, k of 1 to kMostK, at most
// 15 buffers, each written once or read. Verifies the programs.
void verify(Matmul& matmul);

}  // namespace reprise::loop
