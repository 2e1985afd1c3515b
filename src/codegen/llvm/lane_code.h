// What all emitters write code with: vectors of lanes, numbers, loops, and the operations that loop/functions.h is
// written in. Forms of LLVM's instructions are chosen so that code generation keeps every bit; which ones don't is said
// in machine_code.h.
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/isa.h"

namespace reprise::codegen {

inline constexpr int kLanes = 16;

using Ir = llvm::IRBuilder<>;

class LaneCode;

// f32 lanes or one f32.
struct Lanes {
  LaneCode* code = nullptr;
  llvm::Value* value = nullptr;
};

// A module with one function, "kernel", a KernelFunction.
class LaneCode {
 public:
  LaneCode(std::string_view name, Isa level, llvm::LLVMContext& context);

  Ir& ir() { return ir_; }
  Lanes of(llvm::Value* value) { return {this, value}; }
  static bool is_vector(const llvm::Value* value) { return value->getType()->isVectorTy(); }
  static int lanes_in(const llvm::Value* value);
  // A number of the constants' table, of the type of `like` (null: one number).
  llvm::Value* constant(uint32_t bits, llvm::Value* like);
  llvm::Value* bits(llvm::Value* value) { return ir_.CreateBitCast(value, integers(value)); }
  llvm::Value* mask(uint32_t bits_of_it, llvm::Value* like) { return bits(constant(bits_of_it, like)); }
  llvm::Value* floats(llvm::Value* value);
  llvm::Value* intrinsic(llvm::Intrinsic::ID id, std::initializer_list<llvm::Value*> args) {
    return ir_.CreateIntrinsic((*args.begin())->getType(), id, args);
  }
  // minps and maxps, by name: a compare and a select become a itself where code generation sees that a and b are
  // equal, and then a denormal does not become 0.
  llvm::Value* least_or_largest(bool largest, llvm::Value* a, llvm::Value* b);

 protected:
  llvm::Value* number(int64_t value) { return ir_.getInt64(static_cast<uint64_t>(value)); }
  // Of two i64.
  llvm::Value* smaller(llvm::Value* a, llvm::Value* b) {
    return ir_.CreateSelect(ir_.CreateICmpSLT(a, b), a, b);
  }
  llvm::Value* larger(llvm::Value* a, llvm::Value* b) {
    return ir_.CreateSelect(ir_.CreateICmpSGT(a, b), a, b);
  }
  llvm::Type* integers(llvm::Value* like);
  llvm::FixedVectorType* lanes_of_f32(int lanes) const { return llvm::FixedVectorType::get(f32_, lanes); }

  // Bits of a bf16 in the upper half, anything in the lower: to nearest even. NaN stays NaN without being looked
  // for, because the lower half of each NaN is 0 here: that of a widened bf16 is, so is that of a NaN which the
  // processor makes, arithmetic hands on what it got, and what is read as f32 is made such a one (with_plain_nan).
  // `computed`: by arithmetic, so that it is no denormal.
  llvm::Value* rounded_bits(llvm::Value* value, bool computed);
  llvm::Value* rounded(llvm::Value* value, bool computed);
  llvm::Value* with_plain_nan(llvm::Value* value);
  // Words of 16 bits as the upper halves of f32, and the other way.
  llvm::Value* widened(llvm::Value* words);
  llvm::Value* upper_halves(llvm::Value* bits_of_them);

  // Lanes `first` to `first` + `count` - 1, those beyond the vector undefined.
  llvm::Value* lanes_of(llvm::Value* value, int first, int count);
  static std::vector<int> consecutive(int first, int count, int end);
  // The first `count` of `lanes`, for masked loads and stores.
  llvm::Value* first_lanes(int count, int lanes = kLanes);

  // ---- memory. `element`: f32, or the 16 bits of a bf16.
  llvm::Type* element_of(DType dtype) { return dtype == DType::f32 ? f32_ : ir_.getInt16Ty(); }
  // Of a vector of 4, 8 or 16 lanes the first `count`, whose other lanes are 0 when they are read and are not written.
  // As many lanes as hold them, where they aren't said.
  static int lanes_for(int64_t count) { return count <= 4 ? 4 : count <= 8 ? 8 : kLanes; }
  llvm::Value* load_first(llvm::Type* element, llvm::Value* from, int count, int lanes);
  void store_first(llvm::Value* value, llvm::Value* to, int count);
  llvm::Value* at(llvm::Value* floats, llvm::Value* index) {
    return ir_.CreateInBoundsGEP(f32_, floats, index);
  }
  llvm::Value* at(llvm::Value* floats, int64_t index) { return at(floats, number(index)); }
  // An i32 of a list, as i64.
  llvm::Value* index_at(llvm::Value* list, llvm::Value* i);
  llvm::Value* splat(llvm::Value* value, int lanes = kLanes) {
    return ir_.CreateVectorSplat(static_cast<unsigned>(lanes), value);
  }
  llvm::Value* zeros(int lanes = kLanes) { return splat(constant(0, nullptr), lanes); }
  // Draws the cache line at `place` nearer; `level`: 3 into all caches, 2 into all but the first.
  void fetch(llvm::Value* place, bool to_write, uint32_t level);

  // Pointers of the KernelContext.
  llvm::Value* field(size_t offset);
  llvm::Value* buffer(llvm::Value* buffers, size_t i);

  // Calls body(i) for i from `begin` in steps of `step` while i < end; `carried` go from turn to turn.
  template <typename Body>
  std::vector<llvm::Value*> loop(llvm::Value* begin, llvm::Value* end, int64_t step,
                                 const std::vector<llvm::Value*>& carried, Body body) {
    llvm::BasicBlock* const before = ir_.GetInsertBlock();
    llvm::BasicBlock* const head = block("head");
    llvm::BasicBlock* const inside = block("body");
    llvm::BasicBlock* const after = block("after");
    ir_.CreateBr(head);
    ir_.SetInsertPoint(head);
    llvm::PHINode* const i = ir_.CreatePHI(ir_.getInt64Ty(), 2);
    std::vector<llvm::PHINode*> phis;
    for (llvm::Value* value : carried) phis.push_back(ir_.CreatePHI(value->getType(), 2));
    ir_.CreateCondBr(ir_.CreateICmpSLT(i, end), inside, after);
    ir_.SetInsertPoint(inside);
    const std::vector<llvm::Value*> next = body(i, std::vector<llvm::Value*>(phis.begin(), phis.end()));
    llvm::Value* const following = ir_.CreateNSWAdd(i, number(step));
    llvm::BasicBlock* const last = ir_.GetInsertBlock();
    ir_.CreateBr(head);
    i->addIncoming(begin, before);
    i->addIncoming(following, last);
    for (size_t p = 0; p < phis.size(); ++p) {
      phis[p]->addIncoming(carried[p], before);
      phis[p]->addIncoming(next[p], last);
    }
    ir_.SetInsertPoint(after);
    return {phis.begin(), phis.end()};
  }
  // Calls body() where the condition holds; otherwise the results are `otherwise`.
  template <typename Body>
  std::vector<llvm::Value*> when(llvm::Value* condition, const std::vector<llvm::Value*>& otherwise,
                                 Body body) {
    llvm::BasicBlock* const before = ir_.GetInsertBlock();
    llvm::BasicBlock* const inside = block("then");
    llvm::BasicBlock* const after = block("after");
    ir_.CreateCondBr(condition, inside, after);
    ir_.SetInsertPoint(inside);
    const std::vector<llvm::Value*> results = body();
    llvm::BasicBlock* const last = ir_.GetInsertBlock();
    ir_.CreateBr(after);
    ir_.SetInsertPoint(after);
    std::vector<llvm::Value*> all;
    for (size_t i = 0; i < otherwise.size(); ++i) {
      llvm::PHINode* const phi = ir_.CreatePHI(otherwise[i]->getType(), 2);
      phi->addIncoming(otherwise[i], before);
      phi->addIncoming(results[i], last);
      all.push_back(phi);
    }
    return all;
  }
  // With its table of numbers; nothing can be added afterwards.
  std::unique_ptr<llvm::Module> finish();

  Isa level_;
  Ir ir_;
  std::unique_ptr<llvm::Module> module_;
  llvm::Type* f32_;
  llvm::FixedVectorType* lanes_;
  llvm::Function* function_ = nullptr;

 private:
  llvm::BasicBlock* block(const char* name) {
    return llvm::BasicBlock::Create(ir_.getContext(), name, function_);
  }
  llvm::GlobalVariable* add_table(llvm::Constant* numbers, llvm::Type* type);
  size_t index_of(uint32_t bits_of_it);

  llvm::GlobalVariable* table_ = nullptr;
  std::vector<uint32_t> numbers_;
};

Lanes operator+(Lanes a, Lanes b);
Lanes operator-(Lanes a, Lanes b);
Lanes operator*(Lanes a, Lanes b);
Lanes operator/(Lanes a, Lanes b);
Lanes fma(Lanes a, Lanes b, Lanes c);
Lanes min(Lanes a, Lanes b);
Lanes max(Lanes a, Lanes b);
Lanes sqrt(Lanes a);
Lanes negate(Lanes a);
Lanes abs(Lanes a);
Lanes copysign(Lanes size, Lanes sign);
Lanes select_less(Lanes a, Lanes b, Lanes c, Lanes d);
// 2^n from the bits of t = n + 1.5 * 2^23.
Lanes pow2_of_shifted(Lanes t);
Lanes like(Lanes of, float number);

}  // namespace reprise::codegen
