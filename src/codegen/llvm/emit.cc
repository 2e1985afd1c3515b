#include "codegen/llvm/emit.h"

#include <llvm/AsmParser/Parser.h>
#include <llvm/Support/SourceMgr.h>

#include <string>

#include "core/error.h"

namespace reprise::codegen {

// Until there is a loop IR: the program is LLVM IR as text.
std::unique_ptr<llvm::Module> emit(std::string_view program, const EmitOptions&, llvm::LLVMContext& context) {
  llvm::SMDiagnostic problem;
  std::unique_ptr<llvm::Module> module = llvm::parseAssemblyString(program, problem, context);
  if (!module) throw Error("line {} of the program: {}", problem.getLineNo(), problem.getMessage().str());
  return module;
}

}  // namespace reprise::codegen
