// From the text of a matmul (loop/matmul.h) to LLVM IR: see emit().
#pragma once

#include "codegen/llvm/emit.h"

namespace reprise::codegen {

std::unique_ptr<llvm::Module> emit_matmul(std::string_view program, const EmitOptions& options,
                                          llvm::LLVMContext& context);

}  // namespace reprise::codegen
