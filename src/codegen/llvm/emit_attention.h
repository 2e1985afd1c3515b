// From the text of an attention (loop/attention.h) to LLVM IR.
#pragma once

#include "codegen/llvm/emit.h"

namespace reprise::codegen {

// Throws Error.
std::unique_ptr<llvm::Module> emit_attention(std::string_view program, const EmitOptions& options,
                                             llvm::LLVMContext& context);

}  // namespace reprise::codegen
