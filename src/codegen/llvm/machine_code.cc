#include "codegen/llvm/machine_code.h"

#include <llvm-c/Core.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/DiagnosticInfo.h>
#include <llvm/IR/DiagnosticPrinter.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/IR/Instructions.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/IR/IntrinsicsX86.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Operator.h>
#include <llvm/IR/Verifier.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Pass.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/Target/TargetOptions.h>
#include <llvm/Transforms/Utils.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <span>

#include "codegen/object_code.h"
#include "core/error.h"

namespace reprise::codegen {
namespace {

constexpr const char* kTriple = "x86_64-unknown-linux-gnu";

// The flags that gcc gets for the kernels of a level (src/kernels/cpu/CMakeLists.txt), in LLVM's words. Tiles
// are used by hand-written kernels alone.
std::string features_of(Isa level) {
  std::string avx2 = "+avx2,+fma,+f16c";
  std::string avx512 = avx2 + ",+avx512f,+avx512bw,+avx512vl,+avx512dq";
  switch (level) {
    case Isa::scalar:
      break;
    case Isa::avx2:
      return avx2;
    case Isa::avx512:
      return avx512;
    case Isa::avx512_bf16:
    case Isa::amx:
      return avx512 + ",+avx512bf16";
  }
  throw Error("no machine code is made for the level {}", name_of(level));
}

std::string printed(const llvm::Module& module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream, nullptr);
  return text;
}

// The beginning of an instruction, for messages.
std::string printed(const llvm::Instruction& instruction) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  instruction.print(stream);
  constexpr size_t kMost = 160;
  return text.substr(std::min(text.find_first_not_of(' '), text.size()), kMost);
}

[[noreturn]] void refuse(const llvm::Instruction& instruction, std::string_view reason) {
  throw Error("function {}: {}: {}", instruction.getFunction()->getName().str(), reason,
              printed(instruction));
}

// --- The module
// -------------------------------------------------------------------------------------------------

bool is_arithmetic(const llvm::Instruction& instruction) {
  switch (instruction.getOpcode()) {
    case llvm::Instruction::FAdd:
    case llvm::Instruction::FSub:
    case llvm::Instruction::FMul:
    case llvm::Instruction::FDiv:
      return true;
    default:
      break;
  }
  const auto* call = llvm::dyn_cast<llvm::IntrinsicInst>(&instruction);
  return call &&
         (call->getIntrinsicID() == llvm::Intrinsic::fma || call->getIntrinsicID() == llvm::Intrinsic::sqrt ||
          call->getIntrinsicID() == llvm::Intrinsic::x86_avx512bf16_dpbf16ps_512);
}

// The value whose bits this one has, behind bitcasts.
const llvm::Value* bits_of(const llvm::Value* value) {
  while (const auto* cast = llvm::dyn_cast<llvm::BitCastInst>(value)) value = cast->getOperand(0);
  return value;
}

bool is_negation(const llvm::Value* value) {
  const auto* instruction = llvm::dyn_cast<llvm::Instruction>(bits_of(value));
  if (!instruction) return false;
  if (instruction->getOpcode() == llvm::Instruction::FNeg) return true;
  return instruction->getOpcode() == llvm::Instruction::Xor &&
         (llvm::isa<llvm::Constant>(instruction->getOperand(0)) ||
          llvm::isa<llvm::Constant>(instruction->getOperand(1)));
}

void check_arithmetic(const llvm::Instruction& instruction) {
  const auto* call = llvm::dyn_cast<llvm::CallBase>(&instruction);
  for (const llvm::Use& operand : call ? call->args() : instruction.operands()) {
    if (llvm::isa<llvm::Constant>(bits_of(operand)))
      refuse(instruction, "a literal operand, which code generation may fold; load it");
    if (is_negation(operand)) refuse(instruction, "a negated operand, whose sign code generation moves");
  }
}

void check_select(const llvm::SelectInst& select) {
  if (select.getType()->isFPOrFPVectorTy() && llvm::isa<llvm::FCmpInst>(select.getCondition()))
    refuse(select, "a choice between floats by comparing floats; choose between integers");
}

// The level's own rounding to bf16, which leaves 16 bits each and is turned into integers at once.
bool is_rounding(const llvm::Value* value) {
  const auto* call = llvm::dyn_cast<llvm::IntrinsicInst>(value);
  return call && call->getIntrinsicID() == llvm::Intrinsic::x86_avx512bf16_cvtneps2bf16_512;
}

// The level's own product of pairs of bf16, and the pairs themselves, made of words for it alone.
bool is_product_of_pairs(const llvm::Value* value) {
  const auto* call = llvm::dyn_cast<llvm::IntrinsicInst>(value);
  return call && call->getIntrinsicID() == llvm::Intrinsic::x86_avx512bf16_dpbf16ps_512;
}
bool are_pairs(const llvm::Instruction& instruction) {
  const auto* cast = llvm::dyn_cast<llvm::BitCastInst>(&instruction);
  return cast && cast->getOperand(0)->getType()->getScalarType()->isFloatTy() &&
         std::ranges::all_of(cast->users(), is_product_of_pairs);
}

void check_type(const llvm::Instruction& instruction, const llvm::Type* type) {
  if (is_rounding(&instruction) || is_product_of_pairs(&instruction) || are_pairs(instruction)) return;
  if (const auto* cast = llvm::dyn_cast<llvm::BitCastInst>(&instruction);
      cast && cast->getType()->isIntOrIntVectorTy() && is_rounding(cast->getOperand(0)))
    return;
  const llvm::Type* element = type->getScalarType();
  if (element->isFloatingPointTy() && !element->isFloatTy() && !element->isDoubleTy())
    refuse(instruction, "a type that is computed with by other means than its own");
  if (llvm::isa<llvm::ScalableVectorType>(type)) refuse(instruction, "a vector of no fixed size");
  if (const auto* integer = llvm::dyn_cast<llvm::IntegerType>(element);
      integer && integer->getBitWidth() > 512)
    refuse(instruction, "an integer of more than 512 bits");
}

void check_call(const llvm::CallBase& call) {
  if (call.isInlineAsm()) refuse(call, "inline assembly");
  const llvm::Function* callee = call.getCalledFunction();
  if (!callee) refuse(call, "a call through a pointer");
  if (!callee->isIntrinsic()) {
    if (callee->isDeclaration()) refuse(call, "a call out of the module");
    return;
  }
  namespace id = llvm::Intrinsic;
  constexpr id::ID kAllowed[] = {id::fma,
                                 id::sqrt,
                                 id::fabs,
                                 id::copysign,
                                 id::masked_load,
                                 id::masked_store,
                                 id::prefetch,
                                 id::x86_sse_min_ss,
                                 id::x86_sse_max_ss,
                                 id::x86_sse_min_ps,
                                 id::x86_sse_max_ps,
                                 id::x86_avx_min_ps_256,
                                 id::x86_avx_max_ps_256,
                                 id::x86_avx512_min_ps_512,
                                 id::x86_avx512_max_ps_512,
                                 id::x86_avx512bf16_cvtneps2bf16_512,
                                 id::x86_avx512bf16_dpbf16ps_512};
  if (std::find(std::begin(kAllowed), std::end(kAllowed), callee->getIntrinsicID()) == std::end(kAllowed))
    refuse(call, "an intrinsic that is not allowed");
}

void check_access(const llvm::Instruction& instruction) {
  const auto* load = llvm::dyn_cast<llvm::LoadInst>(&instruction);
  const auto* store = llvm::dyn_cast<llvm::StoreInst>(&instruction);
  if ((load && !load->isSimple()) || (store && !store->isSimple()))
    refuse(instruction, "a volatile or atomic access");
}

void check_instruction(const llvm::Instruction& instruction) {
  // Also `contract` alone.
  if (llvm::isa<llvm::FPMathOperator>(instruction) && instruction.getFastMathFlags().any())
    refuse(instruction, "a fast-math flag");
  check_type(instruction, instruction.getType());
  for (const llvm::Use& operand : instruction.operands()) check_type(instruction, operand->getType());
  if (is_arithmetic(instruction)) check_arithmetic(instruction);
  using Op = llvm::Instruction;
  switch (instruction.getOpcode()) {
    case Op::Ret:
    case Op::Br:
    case Op::Switch:
    case Op::Unreachable:
    case Op::FNeg:
    case Op::FAdd:
    case Op::FSub:
    case Op::FMul:
    case Op::FDiv:
    case Op::Add:
    case Op::Sub:
    case Op::Mul:
    case Op::UDiv:
    case Op::SDiv:
    case Op::URem:
    case Op::SRem:
    case Op::Shl:
    case Op::LShr:
    case Op::AShr:
    case Op::And:
    case Op::Or:
    case Op::Xor:
    case Op::GetElementPtr:
    case Op::Trunc:
    case Op::ZExt:
    case Op::SExt:
    case Op::BitCast:
    case Op::PtrToInt:
    case Op::IntToPtr:
    case Op::FPToSI:
    case Op::FPToUI:
    case Op::SIToFP:
    case Op::UIToFP:
    case Op::ICmp:
    case Op::FCmp:
    case Op::PHI:
    case Op::ExtractElement:
    case Op::InsertElement:
    case Op::ShuffleVector:
    case Op::ExtractValue:
    case Op::InsertValue:
    case Op::Freeze:
      return;
    case Op::Load:
    case Op::Store:
      return check_access(instruction);
    case Op::Select:
      return check_select(llvm::cast<llvm::SelectInst>(instruction));
    case Op::Call:
      return check_call(llvm::cast<llvm::CallBase>(instruction));
    case Op::Alloca:
      if (!llvm::cast<llvm::AllocaInst>(instruction).isStaticAlloca())
        refuse(instruction, "memory of a size that varies");
      return;
    default:
      refuse(instruction, "an instruction that is not allowed");
  }
}

void check_function(const llvm::Function& function) {
  if (function.isDeclaration()) {
    if (function.isIntrinsic()) return;  // its calls are looked at
    throw Error("function {} is not in the module", function.getName().str());
  }
  for (const char* relaxed : {"unsafe-fp-math", "no-nans-fp-math", "no-infs-fp-math",
                              "no-signed-zeros-fp-math", "approx-func-fp-math", "reciprocal-estimates"})
    if (function.hasFnAttribute(relaxed))
      throw Error("function {}: a fast-math attribute: {}", function.getName().str(), relaxed);
  for (const llvm::Instruction& instruction : llvm::instructions(function)) check_instruction(instruction);
}

// --- Code generation
// --------------------------------------------------------------------------------------------

std::unique_ptr<llvm::TargetMachine> target_machine(Isa level) {
  static const bool once = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    return true;
  }();
  static_cast<void>(once);
  std::string problem;
  const llvm::Target* target = llvm::TargetRegistry::lookupTarget(kTriple, problem);
  if (!target) throw Error("LLVM has no code generation for {}: {}", kTriple, problem);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  options.TrapUnreachable = true;
  return std::unique_ptr<llvm::TargetMachine>(
      target->createTargetMachine(kTriple, "x86-64", features_of(level), options, llvm::Reloc::PIC_,
                                  llvm::CodeModel::Small, llvm::CodeGenOptLevel::Aggressive));
}

void set_attributes(llvm::Module& module, const llvm::TargetMachine& machine, Isa level) {
  module.setTargetTriple(kTriple);
  module.setDataLayout(machine.createDataLayout());
  for (llvm::Function& function : module) {
    if (function.isDeclaration()) continue;
    function.removeFnAttr("target-cpu");
    function.removeFnAttr("target-features");
    function.removeFnAttr("tune-cpu");
    // How kernels run: it keeps LLVM from folds that are right only where denormals count.
    function.addFnAttr("denormal-fp-math", "preserve-sign,preserve-sign");
    function.addFnAttr(llvm::Attribute::NoUnwind);  // no unwind tables
    function.removeFnAttr(llvm::Attribute::UWTable);
    if (level != Isa::avx2) function.addFnAttr("prefer-vector-width", "512");
  }
}

// Errors of code generation that LLVM reports through the context, for as long as this lives.
class Diagnostics {
 public:
  explicit Diagnostics(llvm::LLVMContext& context) : context_(context) {
    context.setDiagnosticHandlerCallBack(note, this);
  }
  ~Diagnostics() { context_.setDiagnosticHandlerCallBack(nullptr, nullptr); }
  Diagnostics(const Diagnostics&) = delete;
  Diagnostics& operator=(const Diagnostics&) = delete;
  const std::string& error() const { return error_; }

 private:
  static void note(const llvm::DiagnosticInfo* info, void* self) {
    if (info->getSeverity() != llvm::DS_Error) return;
    llvm::raw_string_ostream stream(static_cast<Diagnostics*>(self)->error_);
    llvm::DiagnosticPrinterRawOStream printer(stream);
    info->print(printer);
  }

  llvm::LLVMContext& context_;
  std::string error_;
};

}  // namespace

void check_module(const llvm::Module& module) {
  std::string broken;
  llvm::raw_string_ostream stream(broken);
  if (llvm::verifyModule(module, &stream)) throw Error("not valid LLVM IR: {}", broken);
  if (!module.getModuleInlineAsm().empty()) throw Error("the module has inline assembly");
  for (const llvm::GlobalVariable& variable : module.globals())
    if (!variable.hasInitializer() || !variable.hasLocalLinkage() || !variable.isConstant() ||
        variable.isThreadLocal())
      throw Error("variable {}: only constants of the module's own are allowed", variable.getName().str());
  if (!module.alias_empty() || !module.ifunc_empty()) throw Error("the module has aliases");
  for (const llvm::Function& function : module) check_function(function);
}

std::string machine_code(llvm::Module& module, Isa level, Output output) {
  const std::unique_ptr<llvm::TargetMachine> machine = target_machine(level);
  if (!machine) throw Error("LLVM makes no machine code for {}", name_of(level));
  const Diagnostics diagnostics(module.getContext());
  check_module(module);
  set_attributes(module, *machine, level);
  if (output == Output::llvm_text) return printed(module);

  llvm::SmallString<0> code;
  llvm::raw_svector_ostream stream(code);
  llvm::legacy::PassManager passes;
  passes.add(llvm::createPromoteMemoryToRegisterPass());
  if (machine->addPassesToEmitFile(passes, stream, nullptr,
                                   output == Output::assembly ? llvm::CodeGenFileType::AssemblyFile
                                                              : llvm::CodeGenFileType::ObjectFile))
    throw Error("LLVM writes no such output");
  passes.run(module);
  if (!diagnostics.error().empty()) throw Error("LLVM: {}", diagnostics.error());
  // What became a call to a library (memcpy, fmod, a wide division) shows as a symbol from outside.
  if (output == Output::object) check_object(std::as_bytes(std::span(code.data(), code.size())));
  return std::string(code.data(), code.size());
}

std::string llvm_name() {
  unsigned major = 0, minor = 0, patch = 0;
  LLVMGetVersion(&major, &minor, &patch);
  return fmt::format("llvm {}.{}.{}", major, minor, patch);
}

}  // namespace reprise::codegen
