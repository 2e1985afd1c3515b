// From the text of a rotation with the write of the cache (loop/rotary.h) to LLVM IR.
#pragma once

#include "codegen/llvm/emit.h"

namespace reprise::codegen {

// Throws Error.
std::unique_ptr<llvm::Module> emit_rotary(std::string_view program, const EmitOptions& options,
                                          llvm::LLVMContext& context);

}  // namespace reprise::codegen
