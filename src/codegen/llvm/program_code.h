// Writes the code of loop programs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "codegen/llvm/emit.h"
#include "codegen/llvm/lane_code.h"
#include "loop/program.h"

namespace reprise::codegen {

// The function of a kernel, in which programs are written one after the other.
class ProgramCode : public LaneCode {
 protected:
  // Throws Error on options that are none.
  ProgramCode(std::string_view name, const EmitOptions& options, llvm::LLVMContext& context);

  // What is written next is of this program, whose buffers are those of the KernelContext. It must live until then.
  void begin(const loop::Program& program);
  // Its work items.
  void run_items(llvm::Value* begin, llvm::Value* end);
  // Of rows so many columns, which do not need one another: a multiple of the lanes, but at the end of a row. Rows of the
  // first `tiles` operands have these columns alone; others begin there.
  void run_rows(llvm::Value* begin, llvm::Value* end, llvm::Value* columns, size_t tiles);

 private:
  struct Chunk {
    llvm::Value* column;  // i64, the first of its lanes
    int lanes;            // kLanes, or fewer in the last one of a row
  };

  void run_sections(llvm::Value* first, llvm::Value* last, llvm::Value* is_last);
  // ---- a section of lanes
  void run_lanes(const loop::Section& section, llvm::Value* first, llvm::Value* last, llvm::Value* is_last);
  // Columns behind the last whole lanes of a row.
  int tail_columns() const;
  std::vector<llvm::Value*> run_tail(const loop::Section& section, int tail, llvm::Value* is_last,
                                     std::vector<llvm::Value*> sums);
  std::vector<llvm::Value*> run_chunks(const loop::Section& section, const std::vector<Chunk>& at,
                                       std::vector<llvm::Value*> sums);
  const loop::Instruction& of_program(int32_t i) const;
  // A value's lanes in chunk c; a number's, in every lane.
  llvm::Value* arg(const loop::Instruction& instruction, size_t a, size_t c, bool vector);
  uint32_t nothing_of(int32_t i) const;
  llvm::Value* add_to_sum(int32_t i, llvm::Value* sum, const Chunk& chunk, size_t c);
  // Lane i with i + 8, then + 4, + 2, + 1.
  llvm::Value* tree(int32_t i, llvm::Value* lanes);
  llvm::Value* place(const loop::Instruction& instruction, const Chunk& chunk, llvm::Type* element);
  bool is_bf16(const loop::Instruction& instruction) const;
  llvm::Value* load(const loop::Instruction& instruction, const Chunk& chunk);
  // Whether the result is of arithmetic, which leaves no denormal; others hand on what they got.
  bool is_computed(int32_t id) const;
  void store(const loop::Instruction& instruction, const Chunk& chunk, llvm::Value* value, bool computed);
  // ---- arithmetic
  void emit_number(int32_t i);
  llvm::Value* compute(const loop::Instruction& instruction, size_t c, bool vector);
  Lanes contracted(const loop::Instruction& instruction, size_t c, bool vector, Lanes exact, Lanes last);

  const int chunks_;
  const loop::Program* program_ = nullptr;
  std::vector<std::vector<llvm::Value*>> values_;  // by instruction: one a chunk, or a number
  bool rounds_ = false;                            // to bf16, somewhere
  std::vector<llvm::Value*> bases_;                // by operand
  size_t tiles_ = 0;
  llvm::Value* tile_columns_ = nullptr;
  llvm::Value* row_ = nullptr;
  llvm::Value* block_column_ = nullptr;  // the first of the item
  llvm::Value* turn_column_ = nullptr;   // the first of the turn
  llvm::Value* tail_column_ = nullptr;   // the first behind the last whole lanes of a row
};

}  // namespace reprise::codegen
