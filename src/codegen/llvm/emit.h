// From the text of a kernel's program to LLVM IR.
#pragma once

#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Module.h>

#include <memory>
#include <string_view>

#include "core/isa.h"

namespace reprise::codegen {

struct EmitOptions {
  Isa level = Isa::avx2;
  std::string_view text;  // CompileRequest::options
};

// Of a program of any kind of loop/. Throws Error.
std::unique_ptr<llvm::Module> emit(std::string_view program, const EmitOptions& options,
                                   llvm::LLVMContext& context);

}  // namespace reprise::codegen
