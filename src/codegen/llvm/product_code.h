// Writes products by packed weights: the chains of kernels/cpu/matmul.h, link by link, with k a constant, all sums in
// registers from the first link to the last, and no lanes for columns that there are not. For one row, or two, several
// panels are taken at a time. Where a panel is too large for the L1 cache, many rows are left to the kernel by hand.
// Weights from beyond the L2 cache are fetched a panel ahead; one row or two are left to the kernel by hand there, since
// the CPU's own prefetcher does best when they are read in order.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/llvm/program_code.h"
#include "loop/matmul.h"

namespace reprise::codegen {

class ProductCode : public ProgramCode {
 protected:
  using ProgramCode::ProgramCode;

  // What loop::MatmulTask::kProduct asks for, of a matmul that has_products() is true of. `far`: for weights from beyond
  // the L2 cache.
  void write_products(const loop::Matmul& matmul, bool far, llvm::Value* task, llvm::Value* first,
                      llvm::Value* last);

 private:
  using Values = std::vector<llvm::Value*>;

  // Links of a chain, and where the words lie that a link multiplies by: 16 of each half of a panel's columns. A word is
  // an element, or a pair of bf16.
  struct Layout {
    int64_t links;
    int64_t block_links;  // a panel is made of blocks of so many links
    int64_t block_words;
    int64_t link_words;
    int64_t half_words;
    int64_t panel_words;
  };
  static Layout layout_of(const loop::Matmul& matmul);

  // What is computed in registers: sums of some rows by some panels, of each the first vectors of 16 columns; masked:
  // of a panel that is not whole. In the order panel, half, row.
  struct Block {
    int rows, panels, halves;
    bool masked;
  };

  int last_halves() const;
  Values panels(int rows, llvm::Value* first, llvm::Value* last);
  Values groups(llvm::Value* panel, int halves, bool masked);
  void products(const Block& of, llvm::Value* panel, llvm::Value* row);
  Values block(const Block& of, llvm::Value* x, llvm::Value* weights, int64_t of_block, Values sums);
  Values links(const Block& of, llvm::Value* x, llvm::Value* weights, llvm::Value* first, int64_t count,
               Values sums);
  llvm::Value* link(llvm::Value* x, llvm::Value* weight, llvm::Value* sum);
  void store_panel(const Block& of, llvm::Value* column, llvm::Value* row, Values sums);
  void store(llvm::Value* sum, llvm::Value* index, llvm::Value* mask);
  llvm::Value* words(llvm::Value* from, llvm::Value* index) {
    return ir_.CreateInBoundsGEP(f32_, from, index);
  }

  const loop::Matmul* matmul_ = nullptr;
  bool far_ = false;
  Layout layout_ = {};
  llvm::Value *x_ = nullptr, *weights_ = nullptr, *bias_ = nullptr, *out_ = nullptr;
  llvm::Value *rows_ = nullptr, *columns_ = nullptr;
};

}  // namespace reprise::codegen
