#include "codegen/llvm/emit.h"

#include "codegen/llvm/emit_attention.h"
#include "codegen/llvm/emit_matmul.h"
#include "codegen/llvm/emit_rotary.h"
#include "codegen/llvm/program_code.h"
#include "loop/attention.h"
#include "loop/matmul.h"
#include "loop/rotary.h"
#include "loop/text.h"

namespace reprise::codegen {
namespace {

class LoopEmitter : public ProgramCode {
 public:
  LoopEmitter(const loop::Program& program, const EmitOptions& options, llvm::LLVMContext& context)
      : ProgramCode(program.name, options, context) {
    begin(program);
    run_items(function_->getArg(1), function_->getArg(2));
    ir_.CreateRetVoid();
  }
  using ProgramCode::finish;
};

}  // namespace

std::unique_ptr<llvm::Module> emit(std::string_view program, const EmitOptions& options,
                                   llvm::LLVMContext& context) {
  if (loop::is_attention(program)) return emit_attention(program, options, context);
  if (loop::is_rotary_kv_write(program)) return emit_rotary(program, options, context);
  if (loop::is_matmul(program)) return emit_matmul(program, options, context);
  return LoopEmitter(loop::parse(program), options, context).finish();
}

}  // namespace reprise::codegen
