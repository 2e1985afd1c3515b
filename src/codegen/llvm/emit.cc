#include "codegen/llvm/emit.h"

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/IntrinsicsX86.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstddef>
#include <limits>
#include <vector>

#include "core/error.h"
#include "core/fault.h"
#include "core/launch.h"
#include "loop/functions.h"
#include "loop/text.h"

namespace reprise::codegen {
namespace {

constexpr int kLanes = 16;
constexpr int kMostChunks = 8;

using Ir = llvm::IRBuilder<>;

class Emitter;

// f32 lanes or one f32, with the operations that loop/functions.h is written in.
struct Lanes {
  Emitter* emitter = nullptr;
  llvm::Value* value = nullptr;
};

// Emits one program. Forms of LLVM's instructions are chosen so that code generation keeps every bit; which
// ones don't is said in machine_code.h.
class Emitter {
 public:
  Emitter(const loop::Program& program, const EmitOptions& options, llvm::LLVMContext& context)
      : program_(program),
        level_(options.level),
        ir_(context),
        module_(std::make_unique<llvm::Module>(program.name, context)),
        f32_(ir_.getFloatTy()),
        lanes_(llvm::FixedVectorType::get(f32_, kLanes)),
        chunks_(chunks_of(options.text)),
        values_(program.instructions.size()),
        rounds_(std::any_of(program.operands.begin(), program.operands.end(),
                            [](const loop::Operand& operand) { return operand.dtype == DType::bf16; }) ||
                std::any_of(program.instructions.begin(), program.instructions.end(),
                            [](const loop::Instruction& one) { return one.code == loop::Code::round; })) {}

  std::unique_ptr<llvm::Module> run() {
    auto* const type =
        llvm::FunctionType::get(ir_.getVoidTy(), {ir_.getPtrTy(), ir_.getInt64Ty(), ir_.getInt64Ty()}, false);
    function_ = llvm::Function::Create(type, llvm::Function::ExternalLinkage, "kernel", *module_);
    begin_constants();
    ir_.SetInsertPoint(llvm::BasicBlock::Create(ir_.getContext(), "entry", function_));
    read_context();
    item_loop();
    ir_.CreateRetVoid();
    return std::move(module_);
  }

  // ---- what Lanes are made of
  Ir& ir() { return ir_; }
  bool is_vector(llvm::Value* value) const { return value->getType()->isVectorTy(); }
  // A number of the constants' table, of the type of `like`.
  llvm::Value* constant(uint32_t bits, llvm::Value* like) {
    llvm::Value* const place = ir_.CreateConstInBoundsGEP1_64(f32_, table_, index_of(bits));
    llvm::LoadInst* const number = ir_.CreateAlignedLoad(f32_, place, llvm::Align(4));
    number->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(ir_.getContext(), {}));
    return like != nullptr && is_vector(like) ? ir_.CreateVectorSplat(kLanes, number) : number;
  }
  llvm::Type* integers(llvm::Value* like) {
    llvm::Type* const word = ir_.getInt32Ty();
    return is_vector(like) ? llvm::FixedVectorType::get(word, kLanes) : word;
  }
  llvm::Value* bits(llvm::Value* value) { return ir_.CreateBitCast(value, integers(value)); }
  llvm::Value* mask(uint32_t bits_of_it, llvm::Value* like) { return bits(constant(bits_of_it, like)); }
  llvm::Value* floats(llvm::Value* value) {
    return ir_.CreateBitCast(value, value->getType()->isVectorTy() ? static_cast<llvm::Type*>(lanes_) : f32_);
  }
  Lanes of(llvm::Value* value) { return {this, value}; }
  llvm::Value* intrinsic(llvm::Intrinsic::ID id, std::initializer_list<llvm::Value*> args) {
    return ir_.CreateIntrinsic((*args.begin())->getType(), id, args);
  }
  // Bits of a bf16 in the upper half, anything in the lower: to nearest even. NaN stays NaN without being looked
  // for, because the lower half of each NaN is 0 here: that of a widened bf16 is, so is that of a NaN which the
  // processor makes, arithmetic hands on what it got, and what is read as f32 is made such a one (load()).
  // `computed`: by arithmetic, so that it is no denormal.
  llvm::Value* rounded_bits(llvm::Value* value, bool computed) {
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
  // minps and maxps, by name: a compare and a select become a itself where code generation sees that a and b are
  // equal, and then a denormal does not become 0.
  llvm::Value* least_or_largest(bool largest, llvm::Value* a, llvm::Value* b) {
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
      return ir_.CreateIntrinsic(a->getType(),
                                 largest ? id::x86_avx512_max_ps_512 : id::x86_avx512_min_ps_512,
                                 {a, b, ir_.getInt32(4)});  // rounding: of no meaning here
    if (lanes == kLanes) {
      const auto half = [&](bool of_high) {
        return least_or_largest(largest, lanes_of(a, of_high ? 8 : 0, 8), lanes_of(b, of_high ? 8 : 0, 8));
      };
      llvm::Value* const low = half(false);
      return ir_.CreateShuffleVector(low, half(true), consecutive(0, kLanes, kLanes));
    }
    if (lanes < 4) return lanes_of(least_or_largest(largest, lanes_of(a, 0, 4), lanes_of(b, 0, 4)), 0, lanes);
    if (lanes == 4)
      return ir_.CreateIntrinsic(four, largest ? id::x86_sse_max_ps : id::x86_sse_min_ps, {a, b});
    return ir_.CreateIntrinsic(a->getType(), largest ? id::x86_avx_max_ps_256 : id::x86_avx_min_ps_256,
                               {a, b});
  }
  llvm::Value* with_plain_nan(llvm::Value* value) {
    llvm::Value* const nan = mask(0x7fc00000u, value);
    return floats(ir_.CreateSelect(ir_.CreateFCmpUNO(value, value), nan, bits(value)));
  }
  llvm::Value* rounded(llvm::Value* value, bool computed) {
    llvm::Value* const raw = rounded_bits(value, computed);
    return floats(ir_.CreateAnd(raw, llvm::ConstantInt::get(raw->getType(), 0xffff0000u)));
  }

 private:
  struct Chunk {
    llvm::Value* column;  // i64, the first of its lanes
    int lanes;            // kLanes, or fewer in the last one of a row
  };

  // Lanes `first` to `first` + `count` - 1, those beyond the vector undefined.
  llvm::Value* lanes_of(llvm::Value* value, int first, int count) {
    const auto lanes =
        static_cast<int>(llvm::cast<llvm::FixedVectorType>(value->getType())->getNumElements());
    return ir_.CreateShuffleVector(value, consecutive(first, count, lanes));
  }
  static std::vector<int> consecutive(int first, int count, int end) {
    std::vector<int> lanes;
    for (int lane = first; lane < first + count; ++lane) lanes.push_back(lane < end ? lane : -1);
    return lanes;
  }

  static int chunks_of(std::string_view options) {
    int chunks = 4;
    constexpr std::string_view kKey = "chunks ";
    if (!options.empty()) {
      const auto [end, error] =
          options.starts_with(kKey)
              ? std::from_chars(options.data() + kKey.size(), options.data() + options.size(), chunks)
              : std::from_chars_result{nullptr, std::errc::invalid_argument};
      if (error != std::errc{} || end != options.data() + options.size() || chunks < 1 ||
          chunks > kMostChunks)
        throw Error("[emit] options '{}', expected 'chunks 1' to 'chunks {}'", options, kMostChunks);
    }
    return chunks;
  }

  // All numbers stand in one table, out of the sight of whoever would fold them. It is known when the code is
  // written; until then another variable stands in its place.
  llvm::GlobalVariable* add_table(llvm::Constant* numbers, llvm::Type* type) {
    auto* const table =
        new llvm::GlobalVariable(*module_, type, true, llvm::GlobalValue::PrivateLinkage, numbers, "numbers");
    table->setAlignment(llvm::Align(64));
    return table;
  }
  void begin_constants() { table_ = add_table(nullptr, f32_); }
  void finish_constants() {
    std::vector<llvm::Constant*> numbers = {llvm::ConstantFP::get(f32_, 0.0)};  // never empty
    for (const uint32_t one : numbers_)
      numbers.push_back(
          llvm::ConstantFP::get(f32_, llvm::APFloat(llvm::APFloat::IEEEsingle(), llvm::APInt(32, one))));
    auto* const type = llvm::ArrayType::get(f32_, numbers.size());
    llvm::GlobalVariable* const table = add_table(llvm::ConstantArray::get(type, numbers), type);
    table_->replaceAllUsesWith(table);
    table_->eraseFromParent();
  }
  size_t index_of(uint32_t bits_of_it) {
    for (size_t i = 0; i < numbers_.size(); ++i)
      if (numbers_[i] == bits_of_it) return i + 1;
    numbers_.push_back(bits_of_it);
    return numbers_.size();
  }

  llvm::Value* field(size_t offset) {
    llvm::Value* const place = ir_.CreateConstInBoundsGEP1_64(ir_.getInt8Ty(), function_->getArg(0), offset);
    return ir_.CreateAlignedLoad(ir_.getPtrTy(), place, llvm::Align(8));
  }
  void read_context() {
    llvm::Value* const buffers = field(offsetof(KernelContext, buffers));
    llvm::Value* const scratch = field(offsetof(KernelContext, scratch));
    for (size_t i = 0; i < program_.operands.size(); ++i) {
      const auto buffer_count = static_cast<size_t>(program_.buffers());
      if (i < buffer_count) {
        llvm::Value* const place = ir_.CreateConstInBoundsGEP1_64(ir_.getPtrTy(), buffers, i);
        bases_.push_back(ir_.CreateAlignedLoad(ir_.getPtrTy(), place, llvm::Align(8)));
      } else {
        bases_.push_back(ir_.CreateConstInBoundsGEP1_64(
            f32_, scratch, (i - buffer_count) * static_cast<uint64_t>(program_.columns)));
      }
    }
  }

  // Calls body(i) for i from `begin` in steps of `step` while i < end; `carried` go from turn to turn.
  template <typename Body>
  std::vector<llvm::Value*> loop(llvm::Value* begin, llvm::Value* end, int64_t step,
                                 const std::vector<llvm::Value*>& carried, Body body) {
    llvm::BasicBlock* const before = ir_.GetInsertBlock();
    auto* const head = llvm::BasicBlock::Create(ir_.getContext(), "head", function_);
    auto* const inside = llvm::BasicBlock::Create(ir_.getContext(), "body", function_);
    auto* const after = llvm::BasicBlock::Create(ir_.getContext(), "after", function_);
    ir_.CreateBr(head);
    ir_.SetInsertPoint(head);
    llvm::PHINode* const i = ir_.CreatePHI(ir_.getInt64Ty(), 2);
    std::vector<llvm::PHINode*> phis;
    for (llvm::Value* value : carried) phis.push_back(ir_.CreatePHI(value->getType(), 2));
    ir_.CreateCondBr(ir_.CreateICmpSLT(i, end), inside, after);
    ir_.SetInsertPoint(inside);
    const std::vector<llvm::Value*> next = body(i, std::vector<llvm::Value*>(phis.begin(), phis.end()));
    llvm::Value* const following = ir_.CreateNSWAdd(i, ir_.getInt64(static_cast<uint64_t>(step)));
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

  void item_loop() {
    const int64_t items = program_.items_of_row();
    loop(function_->getArg(1), function_->getArg(2), 1, {}, [&](llvm::Value* item, const auto&) {
      row_ = items == 1 ? item : ir_.CreateSDiv(item, ir_.getInt64(static_cast<uint64_t>(items)));
      if (items == 1) {
        run_sections(ir_.getInt64(0), ir_.getInt64(static_cast<uint64_t>(program_.columns / kLanes * kLanes)),
                     nullptr);
      } else {
        llvm::Value* const block =
            ir_.CreateSub(item, ir_.CreateMul(row_, ir_.getInt64(static_cast<uint64_t>(items))));
        llvm::Value* const first = ir_.CreateMul(block, ir_.getInt64(loop::Program::kItemColumns));
        llvm::Value* const is_last = ir_.CreateICmpEQ(block, ir_.getInt64(static_cast<uint64_t>(items - 1)));
        llvm::Value* const last =
            ir_.CreateSelect(is_last, ir_.getInt64(static_cast<uint64_t>(program_.columns / kLanes * kLanes)),
                             ir_.CreateAdd(first, ir_.getInt64(loop::Program::kItemColumns)));
        run_sections(first, last, is_last);
      }
      return std::vector<llvm::Value*>{};
    });
    finish_constants();
  }

  void run_sections(llvm::Value* first, llvm::Value* last, llvm::Value* is_last) {
    block_column_ = first;
    for (const loop::Section& section : program_.sections) {
      if (section.lanes)
        run_lanes(section, first, last, is_last);
      else
        for (int32_t i = section.begin; i < section.end; ++i) emit_number(i);
    }
  }

  llvm::Value* number(int64_t value) { return ir_.getInt64(static_cast<uint64_t>(value)); }

  // ---- a section of lanes
  void run_lanes(const loop::Section& section, llvm::Value* first, llvm::Value* last, llvm::Value* is_last) {
    std::vector<llvm::Value*> sums;
    std::vector<int32_t> sum_ids;
    for (int32_t i = section.begin; i < section.end; ++i)
      if (loop::info_of(of_program(i).code).reduces) {
        sum_ids.push_back(i);
        sums.push_back(ir_.CreateVectorSplat(kLanes, constant(nothing_of(i), nullptr)));
      }
    // Several chunks at a time, whose instructions the processor can overlap, then what is left of them: of a whole
    // row that is known, of a block it is a loop.
    const int64_t step = int64_t{chunks_} * kLanes;
    const auto turn = [&](int chunks) {
      return [this, &section, chunks](llvm::Value* column, std::vector<llvm::Value*> so_far) {
        std::vector<Chunk> at;
        for (int c = 0; c < chunks; ++c)
          at.push_back({ir_.CreateAdd(column, number(int64_t{c} * kLanes)), kLanes});
        return run_chunks(section, at, std::move(so_far));
      };
    };
    if (is_last == nullptr) {
      const int64_t whole = program_.columns / step * step;
      if (whole > 0) sums = loop(first, number(whole), step, sums, turn(chunks_));
      if (const auto left = static_cast<int>((program_.columns - whole) / kLanes); left > 0)
        sums = turn(left)(number(whole), std::move(sums));
    } else {
      llvm::Value* const span = ir_.CreateSub(last, first);
      llvm::Value* const end = ir_.CreateAdd(first, ir_.CreateSub(span, ir_.CreateSRem(span, number(step))));
      loop(first, end, step, {}, turn(chunks_));
      loop(end, last, kLanes, {}, turn(1));
    }
    if (const int tail = tail_columns(); tail > 0) sums = run_tail(section, tail, is_last, std::move(sums));
    for (size_t s = 0; s < sums.size(); ++s)
      values_[static_cast<size_t>(sum_ids[s])] = {tree(sum_ids[s], sums[s])};
  }

  // Columns behind the last whole lanes of a row.
  int tail_columns() const {
    const auto tail = static_cast<int>(program_.columns % kLanes);
    if (tail > 0 && fault_is_on(Fault::emit_misses_tail, 0)) return tail - 1;
    if (tail > 0 && fault_is_on(Fault::emit_misses_tail, 1)) return tail + 1;
    return tail;
  }

  std::vector<llvm::Value*> run_tail(const loop::Section& section, int tail, llvm::Value* is_last,
                                     std::vector<llvm::Value*> sums) {
    const std::vector<Chunk> at = {
        {ir_.getInt64(static_cast<uint64_t>(program_.columns / kLanes * kLanes)), tail}};
    if (is_last == nullptr) return run_chunks(section, at, std::move(sums));
    // Of a row in blocks, which has no sums.
    auto* const inside = llvm::BasicBlock::Create(ir_.getContext(), "tail", function_);
    auto* const after = llvm::BasicBlock::Create(ir_.getContext(), "after", function_);
    ir_.CreateCondBr(is_last, inside, after);
    ir_.SetInsertPoint(inside);
    run_chunks(section, at, {});
    ir_.CreateBr(after);
    ir_.SetInsertPoint(after);
    return {};
  }

  std::vector<llvm::Value*> run_chunks(const loop::Section& section, const std::vector<Chunk>& at,
                                       std::vector<llvm::Value*> sums) {
    turn_column_ = at[0].column;
    size_t sum = 0;
    for (int32_t i = section.begin; i < section.end; ++i) {
      const loop::Instruction& instruction = of_program(i);
      std::vector<llvm::Value*>& results = values_[static_cast<size_t>(i)];
      if (loop::info_of(instruction.code).reduces) {
        for (size_t turn = 0; turn < at.size(); ++turn) {
          const size_t c = fault_is_on(Fault::emit_reorders_sum, 1) ? at.size() - 1 - turn : turn;
          sums[sum] = add_to_sum(i, sums[sum], at[c], c);
        }
        ++sum;
        continue;
      }
      results.clear();
      for (size_t c = 0; c < at.size(); ++c) {
        if (instruction.code == loop::Code::load)
          results.push_back(load(instruction, at[c]));
        else if (instruction.code == loop::Code::store)
          store(instruction, at[c], arg(instruction, 0, c, true), is_computed(instruction.args[0]));
        else
          results.push_back(compute(instruction, c, true));
      }
    }
    return sums;
  }

  const loop::Instruction& of_program(int32_t i) const {
    return program_.instructions[static_cast<size_t>(i)];
  }

  // A value's lanes in chunk c; a number's, in every lane.
  llvm::Value* arg(const loop::Instruction& instruction, size_t a, size_t c, bool vector) {
    const auto id = static_cast<size_t>(instruction.args[a]);
    const loop::Instruction& from = program_.instructions[id];
    if (from.code == loop::Code::constant) {
      const uint32_t raw = from.number != from.number ? 0x7fc00000u : std::bit_cast<uint32_t>(from.number);
      llvm::Value* const number = constant(raw, nullptr);
      return vector ? ir_.CreateVectorSplat(kLanes, number) : number;
    }
    const std::vector<llvm::Value*>& values = values_[id];
    llvm::Value* const value = values[values.size() > 1 ? c : 0];
    return vector && !is_vector(value) ? ir_.CreateVectorSplat(kLanes, value) : value;
  }

  uint32_t nothing_of(int32_t i) const {
    return of_program(i).code == loop::Code::largest
               ? std::bit_cast<uint32_t>(-std::numeric_limits<float>::infinity())
               : 0u;
  }
  llvm::Value* add_to_sum(int32_t i, llvm::Value* sum, const Chunk& chunk, size_t c) {
    const loop::Instruction& instruction = of_program(i);
    const auto inside = [&](size_t a) {
      llvm::Value* const value = arg(instruction, a, c, true);
      if (chunk.lanes == kLanes) return value;
      std::array<int, kLanes> lanes{};
      for (int lane = 0; lane < kLanes; ++lane)
        lanes[static_cast<size_t>(lane)] = lane < chunk.lanes ? lane : kLanes + lane;
      return ir_.CreateShuffleVector(value, ir_.CreateVectorSplat(kLanes, constant(nothing_of(i), nullptr)),
                                     lanes);
    };
    if (instruction.code == loop::Code::sum) return ir_.CreateFAdd(sum, inside(0));
    if (instruction.code == loop::Code::sum_of_products)
      return intrinsic(llvm::Intrinsic::fma, {inside(0), inside(1), sum});
    return least_or_largest(true, sum, inside(0));
  }

  // Lane i with i + 8, then + 4, + 2, + 1.
  llvm::Value* tree(int32_t i, llvm::Value* lanes) {
    for (int width = kLanes / 2; width > 0; width /= 2) {
      std::vector<int> low, high;
      for (int lane = 0; lane < width; ++lane) {
        const bool neighbours = fault_is_on(Fault::emit_reorders_sum, 0);
        low.push_back(neighbours ? 2 * lane : lane);
        high.push_back(neighbours ? 2 * lane + 1 : width + lane);
      }
      llvm::Value* const a = ir_.CreateShuffleVector(lanes, low);
      llvm::Value* const b = ir_.CreateShuffleVector(lanes, high);
      lanes = of_program(i).code == loop::Code::largest ? least_or_largest(true, a, b) : ir_.CreateFAdd(a, b);
    }
    return ir_.CreateExtractElement(lanes, uint64_t{0});
  }

  llvm::Value* place(const loop::Instruction& instruction, const Chunk& chunk, llvm::Type* element) {
    const loop::Operand& operand = program_.operands[static_cast<size_t>(instruction.operand)];
    llvm::Value* index = chunk.column;
    if (operand.place == loop::Place::column && fault_is_on(Fault::emit_keeps_stale_offset, 0))
      index = turn_column_;
    if (operand.place == loop::Place::column && fault_is_on(Fault::emit_keeps_stale_offset, 1))
      index = ir_.CreateSub(index, block_column_);
    if (operand.place == loop::Place::row)
      index =
          ir_.CreateAdd(ir_.CreateMul(row_, ir_.getInt64(static_cast<uint64_t>(program_.columns))), index);
    return ir_.CreateInBoundsGEP(element, bases_[static_cast<size_t>(instruction.operand)], index);
  }
  bool is_bf16(const loop::Instruction& instruction) const {
    return program_.operands[static_cast<size_t>(instruction.operand)].dtype == DType::bf16;
  }
  llvm::Value* first_lanes(int count) {
    std::vector<llvm::Constant*> lanes;
    for (int lane = 0; lane < kLanes; ++lane) lanes.push_back(ir_.getInt1(lane < count));
    return llvm::ConstantVector::get(lanes);
  }
  llvm::Value* load(const loop::Instruction& instruction, const Chunk& chunk) {
    llvm::Type* const element = is_bf16(instruction) ? static_cast<llvm::Type*>(ir_.getInt16Ty()) : f32_;
    auto* const type = llvm::FixedVectorType::get(element, kLanes);
    const llvm::Align align(is_bf16(instruction) ? 2 : 4);
    llvm::Value* const from = place(instruction, chunk, element);
    llvm::Value* const read = chunk.lanes == kLanes
                                  ? static_cast<llvm::Value*>(ir_.CreateAlignedLoad(type, from, align))
                                  : ir_.CreateMaskedLoad(type, from, align, first_lanes(chunk.lanes),
                                                         llvm::Constant::getNullValue(type));
    if (!is_bf16(instruction)) {
      const loop::Operand& operand = program_.operands[static_cast<size_t>(instruction.operand)];
      return rounds_ && operand.place != loop::Place::local ? with_plain_nan(read) : read;
    }
    auto* const words = llvm::FixedVectorType::get(ir_.getInt32Ty(), kLanes);
    return floats(ir_.CreateShl(ir_.CreateZExt(read, words), llvm::ConstantInt::get(words, 16)));
  }
  // Whether the result is of arithmetic, which leaves no denormal; others hand on what they got.
  bool is_computed(int32_t id) const {
    switch (of_program(id).code) {
      case loop::Code::add:
      case loop::Code::subtract:
      case loop::Code::multiply:
      case loop::Code::divide:
      case loop::Code::fma:
      case loop::Code::sqrt:
      case loop::Code::exp:
      case loop::Code::erf:
        return true;
      default:
        return false;
    }
  }
  void store(const loop::Instruction& instruction, const Chunk& chunk, llvm::Value* value, bool computed) {
    llvm::Type* element = f32_;
    if (is_bf16(instruction)) {
      element = ir_.getInt16Ty();
      llvm::Value* const raw =
          fault_is_on(Fault::emit_drops_rounding, 1) ? bits(value) : rounded_bits(value, computed);
      value = ir_.CreateTrunc(ir_.CreateLShr(raw, llvm::ConstantInt::get(raw->getType(), 16)),
                              llvm::FixedVectorType::get(element, kLanes));
    }
    const llvm::Align align(is_bf16(instruction) ? 2 : 4);
    llvm::Value* const to = place(instruction, chunk, element);
    if (chunk.lanes == kLanes)
      ir_.CreateAlignedStore(value, to, align);
    else
      ir_.CreateMaskedStore(value, to, align, first_lanes(chunk.lanes));
  }

  // ---- arithmetic
  void emit_number(int32_t i) {
    if (of_program(i).code != loop::Code::constant)
      values_[static_cast<size_t>(i)] = {compute(of_program(i), 0, false)};
  }
  llvm::Value* compute(const loop::Instruction& instruction, size_t c, bool vector);
  Lanes contracted(const loop::Instruction& instruction, size_t c, bool vector, Lanes exact, Lanes last);

  const loop::Program& program_;
  Isa level_;
  Ir ir_;
  std::unique_ptr<llvm::Module> module_;
  llvm::Type* f32_;
  llvm::FixedVectorType* lanes_;
  int chunks_;
  std::vector<std::vector<llvm::Value*>> values_;  // by instruction: one a chunk, or a number
  bool rounds_;                                    // to bf16, somewhere
  llvm::Function* function_ = nullptr;
  llvm::GlobalVariable* table_ = nullptr;
  std::vector<uint32_t> numbers_;
  std::vector<llvm::Value*> bases_;  // by operand
  llvm::Value* row_ = nullptr;
  llvm::Value* block_column_ = nullptr;  // the first of the item
  llvm::Value* turn_column_ = nullptr;   // the first of the turn
};

Lanes operator+(Lanes a, Lanes b) {
  return a.emitter->of(a.emitter->ir().CreateFAdd(a.value, b.value));
}
Lanes operator-(Lanes a, Lanes b) {
  return a.emitter->of(a.emitter->ir().CreateFSub(a.value, b.value));
}
Lanes operator*(Lanes a, Lanes b) {
  return a.emitter->of(a.emitter->ir().CreateFMul(a.value, b.value));
}
Lanes operator/(Lanes a, Lanes b) {
  return a.emitter->of(a.emitter->ir().CreateFDiv(a.value, b.value));
}
Lanes fma(Lanes a, Lanes b, Lanes c) {
  return a.emitter->of(a.emitter->intrinsic(llvm::Intrinsic::fma, {a.value, b.value, c.value}));
}
Lanes min(Lanes a, Lanes b) {
  return a.emitter->of(a.emitter->least_or_largest(false, a.value, b.value));
}
Lanes max(Lanes a, Lanes b) {
  return a.emitter->of(a.emitter->least_or_largest(true, a.value, b.value));
}
Lanes sqrt(Lanes a) {
  return a.emitter->of(a.emitter->intrinsic(llvm::Intrinsic::sqrt, {a.value}));
}
Lanes negate(Lanes a) {
  Emitter& e = *a.emitter;
  return e.of(e.floats(e.ir().CreateXor(e.bits(a.value), e.mask(0x80000000u, a.value))));
}
Lanes abs(Lanes a) {
  Emitter& e = *a.emitter;
  return e.of(e.floats(e.ir().CreateAnd(e.bits(a.value), e.mask(0x7fffffffu, a.value))));
}
Lanes copysign(Lanes size, Lanes sign) {
  Emitter& e = *size.emitter;
  llvm::Value* const magnitude = e.ir().CreateAnd(e.bits(size.value), e.mask(0x7fffffffu, size.value));
  llvm::Value* const bit = e.ir().CreateAnd(e.bits(sign.value), e.mask(0x80000000u, size.value));
  return e.of(e.floats(e.ir().CreateOr(magnitude, bit)));
}
Lanes select_less(Lanes a, Lanes b, Lanes c, Lanes d) {
  Emitter& e = *a.emitter;
  // Between integers: as floats it might become a minps.
  return e.of(e.floats(
      e.ir().CreateSelect(e.ir().CreateFCmpOLT(a.value, b.value), e.bits(c.value), e.bits(d.value))));
}
// 2^n from the bits of t = n + 1.5 * 2^23.
Lanes pow2_of_shifted(Lanes t) {
  Emitter& e = *t.emitter;
  llvm::Value* const raw = e.bits(t.value);
  llvm::Value* const biased = e.ir().CreateAdd(raw, llvm::ConstantInt::get(raw->getType(), 127));
  return e.of(e.floats(e.ir().CreateShl(biased, llvm::ConstantInt::get(raw->getType(), 23))));
}
Lanes like(Lanes of, float number) {
  return of.emitter->of(of.emitter->constant(std::bit_cast<uint32_t>(number), of.value));
}

// `exact`, a sum or a difference; where the fault is on and its first operand is a product, one fma of it and `last`.
Lanes Emitter::contracted(const loop::Instruction& instruction, size_t c, bool vector, Lanes exact,
                          Lanes last) {
  const loop::Instruction& product = of_program(instruction.args[0]);
  const bool is_sum = instruction.code == loop::Code::add;
  if (!fault_is_on(Fault::emit_contracts_product, is_sum ? 0 : 1) || product.code != loop::Code::multiply)
    return exact;
  return fma(of(arg(product, 0, c, vector)), of(arg(product, 1, c, vector)), is_sum ? last : negate(last));
}

llvm::Value* Emitter::compute(const loop::Instruction& instruction, size_t c, bool vector) {
  using loop::Code;
  namespace functions = loop::functions;
  if (instruction.code == Code::constant)
    return vector ? static_cast<llvm::Value*>(constant(std::bit_cast<uint32_t>(instruction.number), nullptr))
                  : nullptr;
  std::array<Lanes, 4> in;
  for (int a = 0; a < loop::info_of(instruction.code).args; ++a)
    in[static_cast<size_t>(a)] = of(arg(instruction, static_cast<size_t>(a), c, vector));
  const auto& [x, y, z, w] = in;
  switch (instruction.code) {
    case Code::add:
      return contracted(instruction, c, vector, x + y, y).value;
    case Code::subtract:
      if (fault_is_on(Fault::emit_exchanges_operands, 0)) return (y - x).value;
      return contracted(instruction, c, vector, x - y, y).value;
    case Code::multiply:
      return (x * y).value;
    case Code::divide:
      return fault_is_on(Fault::emit_exchanges_operands, 1) ? (y / x).value : (x / y).value;
    case Code::fma:
      return fma(x, y, z).value;
    case Code::minimum:
      return min(x, y).value;
    case Code::maximum:
      return max(x, y).value;
    case Code::sqrt:
      return sqrt(x).value;
    case Code::negate:
      return negate(x).value;
    case Code::abs:
      return abs(x).value;
    case Code::copysign:
      return copysign(x, y).value;
    case Code::select_less:
      return select_less(x, y, z, w).value;
    case Code::exp:
      return functions::exp(x).value;
    case Code::erf:
      return functions::erf(x).value;
    case Code::tanh:
      return functions::tanh(x).value;
    case Code::round:
      return fault_is_on(Fault::emit_drops_rounding, 0) ? x.value
                                                        : rounded(x.value, is_computed(instruction.args[0]));
    default:
      throw Error("[emit {}] {} has no value of its own", program_.name,
                  loop::info_of(instruction.code).name);
  }
}

}  // namespace

std::unique_ptr<llvm::Module> emit(std::string_view program, const EmitOptions& options,
                                   llvm::LLVMContext& context) {
  const loop::Program parsed = loop::parse(program);
  return Emitter(parsed, options, context).run();
}

}  // namespace reprise::codegen
