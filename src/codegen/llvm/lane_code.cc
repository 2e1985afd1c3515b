#include "codegen/llvm/lane_code.h"

#include <llvm/IR/IntrinsicsX86.h>

#include <bit>

namespace reprise::codegen {

LaneCode::LaneCode(std::string_view name, Isa level, llvm::LLVMContext& context)
    : level_(level),
      ir_(context),
      module_(std::make_unique<llvm::Module>(llvm::StringRef(name.data(), name.size()), context)),
      f32_(ir_.getFloatTy()),
      lanes_(llvm::FixedVectorType::get(f32_, kLanes)) {
  auto* const type =
      llvm::FunctionType::get(ir_.getVoidTy(), {ir_.getPtrTy(), ir_.getInt64Ty(), ir_.getInt64Ty()}, false);
  function_ = llvm::Function::Create(type, llvm::Function::ExternalLinkage, "kernel", *module_);
  // All numbers stand in one table, out of the sight of whoever would fold them. It is known when the code is
  // written; until then another variable stands in its place.
  table_ = add_table(nullptr, f32_);
  ir_.SetInsertPoint(block("entry"));
}

int LaneCode::lanes_in(const llvm::Value* value) {
  return static_cast<int>(llvm::cast<llvm::FixedVectorType>(value->getType())->getNumElements());
}

llvm::Value* LaneCode::constant(uint32_t bits, llvm::Value* like) {
  llvm::Value* const place = ir_.CreateConstInBoundsGEP1_64(f32_, table_, index_of(bits));
  llvm::LoadInst* const number = ir_.CreateAlignedLoad(f32_, place, llvm::Align(4));
  number->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(ir_.getContext(), {}));
  if (like == nullptr || !is_vector(like)) return number;
  return ir_.CreateVectorSplat(static_cast<unsigned>(lanes_in(like)), number);
}

llvm::Type* LaneCode::integers(llvm::Value* like) {
  llvm::Type* const word = ir_.getInt32Ty();
  return is_vector(like) ? llvm::FixedVectorType::get(word, static_cast<unsigned>(lanes_in(like))) : word;
}

llvm::Value* LaneCode::floats(llvm::Value* value) {
  return ir_.CreateBitCast(value,
                           is_vector(value) ? static_cast<llvm::Type*>(lanes_of_f32(lanes_in(value))) : f32_);
}

llvm::Value* LaneCode::rounded_bits(llvm::Value* value, bool computed) {
  if (level_ == Isa::avx512_bf16 && !is_vector(value) && !computed)
    return ir_.CreateExtractElement(rounded_bits(ir_.CreateVectorSplat(kLanes, value), computed),
                                    uint64_t{0});
  llvm::Value* const raw = bits(value);
  if (level_ == Isa::avx512_bf16 && !computed) {
    // As the level's own kernels do it: the instruction makes denormals 0. For others it is slower.
    auto* const words = llvm::FixedVectorType::get(ir_.getInt16Ty(), kLanes);
    llvm::Value* const halves =
        ir_.CreateIntrinsic(llvm::FixedVectorType::get(ir_.getBFloatTy(), kLanes),
                            llvm::Intrinsic::x86_avx512bf16_cvtneps2bf16_512, {value});
    return ir_.CreateShl(ir_.CreateZExt(ir_.CreateBitCast(halves, words), raw->getType()),
                         llvm::ConstantInt::get(raw->getType(), 16));
  }
  const auto number = [&](uint32_t n) { return llvm::ConstantInt::get(raw->getType(), n); };
  llvm::Value* const odd = ir_.CreateAnd(ir_.CreateLShr(raw, number(16)), number(1));
  return ir_.CreateAdd(ir_.CreateAdd(raw, number(0x7fff)), odd);
}

llvm::Value* LaneCode::least_or_largest(bool largest, llvm::Value* a, llvm::Value* b) {
  namespace id = llvm::Intrinsic;
  auto* const four = llvm::FixedVectorType::get(f32_, 4);
  if (!is_vector(a)) {
    const auto wide = [&](llvm::Value* value) {
      return ir_.CreateInsertElement(llvm::PoisonValue::get(four), value, uint64_t{0});
    };
    llvm::Value* const found =
        ir_.CreateIntrinsic(four, largest ? id::x86_sse_max_ss : id::x86_sse_min_ss, {wide(a), wide(b)});
    return ir_.CreateExtractElement(found, uint64_t{0});
  }
  const auto lanes = static_cast<int>(llvm::cast<llvm::FixedVectorType>(a->getType())->getNumElements());
  if (lanes == kLanes && level_ != Isa::avx2)
    return ir_.CreateIntrinsic(a->getType(), largest ? id::x86_avx512_max_ps_512 : id::x86_avx512_min_ps_512,
                               {a, b, ir_.getInt32(4)});  // rounding: of no meaning here
  if (lanes == kLanes) {
    const auto half = [&](bool of_high) {
      return least_or_largest(largest, lanes_of(a, of_high ? 8 : 0, 8), lanes_of(b, of_high ? 8 : 0, 8));
    };
    llvm::Value* const low = half(false);
    return ir_.CreateShuffleVector(low, half(true), consecutive(0, kLanes, kLanes));
  }
  if (lanes < 4) return lanes_of(least_or_largest(largest, lanes_of(a, 0, 4), lanes_of(b, 0, 4)), 0, lanes);
  if (lanes == 4) return ir_.CreateIntrinsic(four, largest ? id::x86_sse_max_ps : id::x86_sse_min_ps, {a, b});
  return ir_.CreateIntrinsic(a->getType(), largest ? id::x86_avx_max_ps_256 : id::x86_avx_min_ps_256, {a, b});
}

llvm::Value* LaneCode::with_plain_nan(llvm::Value* value) {
  llvm::Value* const nan = mask(0x7fc00000u, value);
  return floats(ir_.CreateSelect(ir_.CreateFCmpUNO(value, value), nan, bits(value)));
}

llvm::Value* LaneCode::rounded(llvm::Value* value, bool computed) {
  llvm::Value* const raw = rounded_bits(value, computed);
  return floats(ir_.CreateAnd(raw, llvm::ConstantInt::get(raw->getType(), 0xffff0000u)));
}

llvm::Value* LaneCode::lanes_of(llvm::Value* value, int first, int count) {
  const auto lanes = static_cast<int>(llvm::cast<llvm::FixedVectorType>(value->getType())->getNumElements());
  return ir_.CreateShuffleVector(value, consecutive(first, count, lanes));
}

std::vector<int> LaneCode::consecutive(int first, int count, int end) {
  std::vector<int> lanes;
  for (int lane = first; lane < first + count; ++lane) lanes.push_back(lane < end ? lane : -1);
  return lanes;
}

llvm::GlobalVariable* LaneCode::add_table(llvm::Constant* numbers, llvm::Type* type) {
  auto* const table =
      new llvm::GlobalVariable(*module_, type, true, llvm::GlobalValue::PrivateLinkage, numbers, "numbers");
  table->setAlignment(llvm::Align(64));
  return table;
}

std::unique_ptr<llvm::Module> LaneCode::finish() {
  std::vector<llvm::Constant*> numbers = {llvm::ConstantFP::get(f32_, 0.0)};  // never empty
  for (const uint32_t one : numbers_)
    numbers.push_back(
        llvm::ConstantFP::get(f32_, llvm::APFloat(llvm::APFloat::IEEEsingle(), llvm::APInt(32, one))));
  auto* const type = llvm::ArrayType::get(f32_, numbers.size());
  llvm::GlobalVariable* const table = add_table(llvm::ConstantArray::get(type, numbers), type);
  table_->replaceAllUsesWith(table);
  table_->eraseFromParent();
  return std::move(module_);
}

size_t LaneCode::index_of(uint32_t bits_of_it) {
  for (size_t i = 0; i < numbers_.size(); ++i)
    if (numbers_[i] == bits_of_it) return i + 1;
  numbers_.push_back(bits_of_it);
  return numbers_.size();
}

llvm::Value* LaneCode::field(size_t offset) {
  llvm::Value* const place = ir_.CreateConstInBoundsGEP1_64(ir_.getInt8Ty(), function_->getArg(0), offset);
  return ir_.CreateAlignedLoad(ir_.getPtrTy(), place, llvm::Align(8));
}

llvm::Value* LaneCode::buffer(llvm::Value* buffers, size_t i) {
  llvm::Value* const place = ir_.CreateConstInBoundsGEP1_64(ir_.getPtrTy(), buffers, i);
  return ir_.CreateAlignedLoad(ir_.getPtrTy(), place, llvm::Align(8));
}

llvm::Value* LaneCode::widened(llvm::Value* words) {
  auto* const wide = llvm::FixedVectorType::get(ir_.getInt32Ty(), static_cast<unsigned>(lanes_in(words)));
  return floats(ir_.CreateShl(ir_.CreateZExt(words, wide), llvm::ConstantInt::get(wide, 16)));
}

llvm::Value* LaneCode::upper_halves(llvm::Value* bits_of_them) {
  auto* const halves =
      llvm::FixedVectorType::get(ir_.getInt16Ty(), static_cast<unsigned>(lanes_in(bits_of_them)));
  return ir_.CreateTrunc(ir_.CreateLShr(bits_of_them, llvm::ConstantInt::get(bits_of_them->getType(), 16)),
                         halves);
}

llvm::Value* LaneCode::load_first(llvm::Type* element, llvm::Value* from, int count, int lanes) {
  auto* const type = llvm::FixedVectorType::get(element, static_cast<unsigned>(lanes));
  const llvm::Align align(element->getScalarSizeInBits() / 8);
  if (count == lanes) return ir_.CreateAlignedLoad(type, from, align);
  return ir_.CreateMaskedLoad(type, from, align, first_lanes(count, lanes),
                              llvm::Constant::getNullValue(type));
}

void LaneCode::store_first(llvm::Value* value, llvm::Value* to, int count) {
  const llvm::Align align(value->getType()->getScalarSizeInBits() / 8);
  if (count == lanes_in(value))
    ir_.CreateAlignedStore(value, to, align);
  else
    ir_.CreateMaskedStore(value, to, align, first_lanes(count, lanes_in(value)));
}

llvm::Value* LaneCode::index_at(llvm::Value* list, llvm::Value* i) {
  llvm::Value* const place = ir_.CreateInBoundsGEP(ir_.getInt32Ty(), list, i);
  return ir_.CreateSExt(ir_.CreateAlignedLoad(ir_.getInt32Ty(), place, llvm::Align(4)), ir_.getInt64Ty());
}

void LaneCode::fetch(llvm::Value* place, bool to_write, uint32_t level) {
  ir_.CreateIntrinsic(ir_.getVoidTy(), llvm::Intrinsic::prefetch,
                      {place, ir_.getInt32(to_write ? 1 : 0), ir_.getInt32(level), ir_.getInt32(1)});
}

llvm::Value* LaneCode::first_lanes(int count, int lanes) {
  std::vector<llvm::Constant*> all;
  for (int lane = 0; lane < lanes; ++lane) all.push_back(ir_.getInt1(lane < count));
  return llvm::ConstantVector::get(all);
}

Lanes operator+(Lanes a, Lanes b) {
  return a.code->of(a.code->ir().CreateFAdd(a.value, b.value));
}
Lanes operator-(Lanes a, Lanes b) {
  return a.code->of(a.code->ir().CreateFSub(a.value, b.value));
}
Lanes operator*(Lanes a, Lanes b) {
  return a.code->of(a.code->ir().CreateFMul(a.value, b.value));
}
Lanes operator/(Lanes a, Lanes b) {
  return a.code->of(a.code->ir().CreateFDiv(a.value, b.value));
}
Lanes fma(Lanes a, Lanes b, Lanes c) {
  return a.code->of(a.code->intrinsic(llvm::Intrinsic::fma, {a.value, b.value, c.value}));
}
Lanes min(Lanes a, Lanes b) {
  return a.code->of(a.code->least_or_largest(false, a.value, b.value));
}
Lanes max(Lanes a, Lanes b) {
  return a.code->of(a.code->least_or_largest(true, a.value, b.value));
}
Lanes sqrt(Lanes a) {
  return a.code->of(a.code->intrinsic(llvm::Intrinsic::sqrt, {a.value}));
}
Lanes negate(Lanes a) {
  LaneCode& e = *a.code;
  return e.of(e.floats(e.ir().CreateXor(e.bits(a.value), e.mask(0x80000000u, a.value))));
}
Lanes abs(Lanes a) {
  LaneCode& e = *a.code;
  return e.of(e.floats(e.ir().CreateAnd(e.bits(a.value), e.mask(0x7fffffffu, a.value))));
}
Lanes copysign(Lanes size, Lanes sign) {
  LaneCode& e = *size.code;
  llvm::Value* const magnitude = e.ir().CreateAnd(e.bits(size.value), e.mask(0x7fffffffu, size.value));
  llvm::Value* const bit = e.ir().CreateAnd(e.bits(sign.value), e.mask(0x80000000u, size.value));
  return e.of(e.floats(e.ir().CreateOr(magnitude, bit)));
}
Lanes select_less(Lanes a, Lanes b, Lanes c, Lanes d) {
  LaneCode& e = *a.code;
  // Between integers: as floats it might become a minps.
  return e.of(e.floats(
      e.ir().CreateSelect(e.ir().CreateFCmpOLT(a.value, b.value), e.bits(c.value), e.bits(d.value))));
}
// 2^n from the bits of t = n + 1.5 * 2^23.
Lanes pow2_of_shifted(Lanes t) {
  LaneCode& e = *t.code;
  llvm::Value* const raw = e.bits(t.value);
  llvm::Value* const biased = e.ir().CreateAdd(raw, llvm::ConstantInt::get(raw->getType(), 127));
  return e.of(e.floats(e.ir().CreateShl(biased, llvm::ConstantInt::get(raw->getType(), 23))));
}
Lanes like(Lanes of, float number) {
  return of.code->of(of.code->constant(std::bit_cast<uint32_t>(number), of.value));
}

}  // namespace reprise::codegen
