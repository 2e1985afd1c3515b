// A kernel over rows as data, the loop IR: what generated kernels are made from and what the interpreter
// (kernels/cpu/loop.h) runs. It knows no device.
//
// A program computes each row by itself. Its sections run one after the other for each row: a section of lanes
// is a loop over the row's columns, a section of numbers runs once a row. Values are f32, in single
// assignment: a number of the row, or one element a column ("lanes"). A lane's value can be used in its own
// section only; what a later one needs of it goes through memory. A reduction stands in a section of lanes and
// gives a number to the sections after it. Arithmetic is that of kernels/cpu/vec.h: each operation is exact or
// rounded once, denormals are zero, reductions run over 16 lanes (column c in lane c % 16, in order; behind the
// last column the other lanes take a 0, or of `largest` minus infinity, which tells where a lane is NaN) and one
// tree, so a program has one result whoever runs it. Left open is which NaN a NaN is (sign, payload; so too the
// sign that copysign takes of one), and whether rounding to bf16 gives 0 for a denormal that no arithmetic made:
// that depends on the level.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"

namespace reprise::loop {

enum class Code : uint8_t {
  constant,  // number
  load,      // operand; widened to f32
  store,     // operand, a; rounded to the operand's dtype
  add,
  subtract,
  multiply,
  divide,
  fma,      // a * b + c, rounded once
  minimum,  // b where a and b are equal or one is NaN, as the instructions of x86 have it
  maximum,
  sqrt,
  negate,
  abs,
  copysign,     // size of a, sign of b
  select_less,  // a < b ? c : d
  exp,
  erf,
  tanh,
  round,            // to dtype, and f32 again
  sum,              // of a over the columns
  sum_of_products,  // of a * b, each product and sum one fma
  largest,          // of a, as maximum has it
};

struct CodeInfo {
  std::string_view name;  // "select_less"
  int args;               // values that it takes, of Instruction::args
  bool reduces;
};
const CodeInfo& info_of(Code code);

// Where the elements of an operand lie.
enum class Place : uint8_t {
  row,     // [rows, columns]
  column,  // [columns], the same for every row
  local,   // [columns] f32 that a worker keeps while it is at a row; no buffer of the launch
};

struct Operand {
  std::string name;
  DType dtype = DType::f32;  // f32 or bf16; local: f32
  Place place = Place::row;
  bool written = false;
  bool operator==(const Operand&) const = default;
};

// Its result is named by its index in Program::instructions.
struct Instruction {
  Code code = Code::constant;
  DType dtype = DType::f32;                        // of round
  int32_t operand = -1;                            // of load and store
  std::array<int32_t, 4> args = {-1, -1, -1, -1};  // instructions before this one
  float number = 0;                                // of constant
};

struct Section {
  bool lanes = false;
  int32_t begin = 0, end = 0;  // instructions
  bool operator==(const Section&) const = default;
};

struct Program {
  std::string name;
  int64_t columns = 0;
  std::vector<Operand> operands;  // buffers of a launch in this order, locals (at the end) left out
  std::vector<Instruction> instructions;
  std::vector<Section> sections;  // cover the instructions in order

  // Filled by verify(): whether an instruction's value is one of lanes, and where the interpreter keeps it.
  std::vector<bool> is_lanes;
  std::vector<int32_t> slots;  // -1: it has no value
  int32_t slot_count = 0;

  int buffers() const;
  // Work items of a row: blocks of kItemColumns columns where no value crosses columns, else 1.
  int64_t items_of_row() const;
  // Row loops read and write elements in order: whether output `out` may lie where input `in` does, which
  // nobody reads after `out` is stored.
  bool may_share(int out, int in) const;

  static constexpr int64_t kItemColumns = 1024;
  static constexpr int64_t kGrainElements = 1024;
};

// Throws Error, with the instruction, on a program that breaks the rules above or these: columns 1 to 2^24, at
// most 15 buffers, 4,096 instructions, 1,024 slots, 2 MiB of locals; names are letters, digits, '_' and '.', and
// those of operands differ; each written operand is stored once and in lanes, column operands are read only, a
// local is stored before it is loaded. Fills is_lanes and slots.
void verify(Program& program);

inline constexpr int kMaxBuffers = 15;
inline constexpr int kMaxInstructions = 4096;
inline constexpr int kMaxSlots = 1024;
inline constexpr int64_t kMaxColumns = int64_t{1} << 24;
inline constexpr int64_t kMaxLocalElements = int64_t{1} << 19;  // of all locals

}  // namespace reprise::loop
