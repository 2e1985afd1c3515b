#include "codegen/llvm/program_code.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstddef>
#include <limits>

#include "core/error.h"
#include "core/fault.h"
#include "core/launch.h"
#include "loop/functions.h"

namespace reprise::codegen {
namespace {

constexpr int kMostChunks = 8;

int chunks_of(std::string_view options) {
  int chunks = 4;
  constexpr std::string_view kKey = "chunks ";
  if (!options.empty()) {
    const auto [end, error] =
        options.starts_with(kKey)
            ? std::from_chars(options.data() + kKey.size(), options.data() + options.size(), chunks)
            : std::from_chars_result{nullptr, std::errc::invalid_argument};
    if (error != std::errc{} || end != options.data() + options.size() || chunks < 1 || chunks > kMostChunks)
      throw Error("[emit] options '{}', expected 'chunks 1' to 'chunks {}'", options, kMostChunks);
  }
  return chunks;
}

}  // namespace

ProgramCode::ProgramCode(std::string_view name, const EmitOptions& options, llvm::LLVMContext& context)
    : LaneCode(name, options.level, context), chunks_(chunks_of(options.text)) {}

void ProgramCode::begin(const loop::Program& program) {
  program_ = &program;
  values_.assign(program.instructions.size(), {});
  rounds_ = std::any_of(program.operands.begin(), program.operands.end(),
                        [](const loop::Operand& operand) { return operand.dtype == DType::bf16; }) ||
            std::any_of(program.instructions.begin(), program.instructions.end(),
                        [](const loop::Instruction& one) { return one.code == loop::Code::round; });
  tiles_ = 0;
  tail_column_ = number(program.columns / kLanes * kLanes);
  bases_.clear();
  llvm::Value* const buffers = field(offsetof(KernelContext, buffers));
  llvm::Value* const scratch = field(offsetof(KernelContext, scratch));
  const auto buffer_count = static_cast<size_t>(program.buffers());
  for (size_t i = 0; i < program.operands.size(); ++i)
    bases_.push_back(i < buffer_count
                         ? buffer(buffers, i)
                         : ir_.CreateConstInBoundsGEP1_64(
                               f32_, scratch, (i - buffer_count) * static_cast<uint64_t>(program.columns)));
}

void ProgramCode::run_items(llvm::Value* begin, llvm::Value* end) {
  const int64_t items = program_->items_of_row();
  loop(begin, end, 1, {}, [&](llvm::Value* item, const auto&) {
    row_ = items == 1 ? item : ir_.CreateSDiv(item, ir_.getInt64(static_cast<uint64_t>(items)));
    if (items == 1) {
      run_sections(ir_.getInt64(0), ir_.getInt64(static_cast<uint64_t>(program_->columns / kLanes * kLanes)),
                   nullptr);
    } else {
      llvm::Value* const block =
          ir_.CreateSub(item, ir_.CreateMul(row_, ir_.getInt64(static_cast<uint64_t>(items))));
      llvm::Value* const first = ir_.CreateMul(block, ir_.getInt64(loop::Program::kItemColumns));
      llvm::Value* const is_last = ir_.CreateICmpEQ(block, ir_.getInt64(static_cast<uint64_t>(items - 1)));
      llvm::Value* const last =
          ir_.CreateSelect(is_last, ir_.getInt64(static_cast<uint64_t>(program_->columns / kLanes * kLanes)),
                           ir_.CreateAdd(first, ir_.getInt64(loop::Program::kItemColumns)));
      run_sections(first, last, is_last);
    }
    return std::vector<llvm::Value*>{};
  });
}

void ProgramCode::run_rows(llvm::Value* begin, llvm::Value* end, llvm::Value* columns, size_t tiles) {
  tiles_ = tiles;
  tile_columns_ = columns;
  tail_column_ = ir_.CreateAnd(columns, number(-kLanes));
  llvm::Value* const is_last = ir_.CreateICmpNE(columns, tail_column_);
  loop(begin, end, 1, {}, [&](llvm::Value* row, const auto&) {
    row_ = row;
    run_sections(number(0), tail_column_, is_last);
    return std::vector<llvm::Value*>{};
  });
}

void ProgramCode::run_sections(llvm::Value* first, llvm::Value* last, llvm::Value* is_last) {
  block_column_ = first;
  for (const loop::Section& section : program_->sections) {
    if (section.lanes)
      run_lanes(section, first, last, is_last);
    else
      for (int32_t i = section.begin; i < section.end; ++i) emit_number(i);
  }
}

void ProgramCode::run_lanes(const loop::Section& section, llvm::Value* first, llvm::Value* last,
                            llvm::Value* is_last) {
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
    const int64_t whole = program_->columns / step * step;
    if (whole > 0) sums = loop(first, number(whole), step, sums, turn(chunks_));
    if (const auto left = static_cast<int>((program_->columns - whole) / kLanes); left > 0)
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

int ProgramCode::tail_columns() const {
  const auto tail = static_cast<int>(program_->columns % kLanes);
  if (tail > 0 && fault_is_on(Fault::emit_misses_tail, 0)) return tail - 1;
  if (tail > 0 && fault_is_on(Fault::emit_misses_tail, 1)) return tail + 1;
  return tail;
}

std::vector<llvm::Value*> ProgramCode::run_tail(const loop::Section& section, int tail, llvm::Value* is_last,
                                                std::vector<llvm::Value*> sums) {
  const std::vector<Chunk> at = {{tail_column_, tail}};
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

std::vector<llvm::Value*> ProgramCode::run_chunks(const loop::Section& section, const std::vector<Chunk>& at,
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

const loop::Instruction& ProgramCode::of_program(int32_t i) const {
  return program_->instructions[static_cast<size_t>(i)];
}

llvm::Value* ProgramCode::arg(const loop::Instruction& instruction, size_t a, size_t c, bool vector) {
  const auto id = static_cast<size_t>(instruction.args[a]);
  const loop::Instruction& from = program_->instructions[id];
  if (from.code == loop::Code::constant) {
    const uint32_t raw = from.number != from.number ? 0x7fc00000u : std::bit_cast<uint32_t>(from.number);
    llvm::Value* const number = constant(raw, nullptr);
    return vector ? ir_.CreateVectorSplat(kLanes, number) : number;
  }
  const std::vector<llvm::Value*>& values = values_[id];
  llvm::Value* const value = values[values.size() > 1 ? c : 0];
  return vector && !is_vector(value) ? ir_.CreateVectorSplat(kLanes, value) : value;
}

uint32_t ProgramCode::nothing_of(int32_t i) const {
  return of_program(i).code == loop::Code::largest
             ? std::bit_cast<uint32_t>(-std::numeric_limits<float>::infinity())
             : 0u;
}

llvm::Value* ProgramCode::add_to_sum(int32_t i, llvm::Value* sum, const Chunk& chunk, size_t c) {
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

llvm::Value* ProgramCode::tree(int32_t i, llvm::Value* lanes) {
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

llvm::Value* ProgramCode::place(const loop::Instruction& instruction, const Chunk& chunk,
                                llvm::Type* element) {
  const loop::Operand& operand = program_->operands[static_cast<size_t>(instruction.operand)];
  llvm::Value* index = chunk.column;
  if (operand.place == loop::Place::column && fault_is_on(Fault::emit_keeps_stale_offset, 0))
    index = turn_column_;
  if (operand.place == loop::Place::column && fault_is_on(Fault::emit_keeps_stale_offset, 1))
    index = ir_.CreateSub(index, block_column_);
  const bool is_tile = static_cast<size_t>(instruction.operand) < tiles_;
  if (operand.place == loop::Place::row)
    index = ir_.CreateAdd(ir_.CreateMul(row_, is_tile ? tile_columns_ : number(program_->columns)), index);
  return ir_.CreateInBoundsGEP(element, bases_[static_cast<size_t>(instruction.operand)], index);
}

bool ProgramCode::is_bf16(const loop::Instruction& instruction) const {
  return program_->operands[static_cast<size_t>(instruction.operand)].dtype == DType::bf16;
}

llvm::Value* ProgramCode::load(const loop::Instruction& instruction, const Chunk& chunk) {
  llvm::Type* const element = element_of(is_bf16(instruction) ? DType::bf16 : DType::f32);
  llvm::Value* const read = load_first(element, place(instruction, chunk, element), chunk.lanes, kLanes);
  if (!is_bf16(instruction)) {
    const loop::Operand& operand = program_->operands[static_cast<size_t>(instruction.operand)];
    return rounds_ && operand.place != loop::Place::local ? with_plain_nan(read) : read;
  }
  return widened(read);
}

bool ProgramCode::is_computed(int32_t id) const {
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

void ProgramCode::store(const loop::Instruction& instruction, const Chunk& chunk, llvm::Value* value,
                        bool computed) {
  llvm::Type* element = f32_;
  if (is_bf16(instruction)) {
    element = ir_.getInt16Ty();
    llvm::Value* const raw =
        fault_is_on(Fault::emit_drops_rounding, 1) ? bits(value) : rounded_bits(value, computed);
    value = upper_halves(raw);
  }
  store_first(value, place(instruction, chunk, element), chunk.lanes);
}

void ProgramCode::emit_number(int32_t i) {
  if (of_program(i).code != loop::Code::constant)
    values_[static_cast<size_t>(i)] = {compute(of_program(i), 0, false)};
}

// `exact`, a sum or a difference; where the fault is on and its first operand is a product, one fma of it and `last`.
Lanes ProgramCode::contracted(const loop::Instruction& instruction, size_t c, bool vector, Lanes exact,
                              Lanes last) {
  const loop::Instruction& product = of_program(instruction.args[0]);
  const bool is_sum = instruction.code == loop::Code::add;
  if (!fault_is_on(Fault::emit_contracts_product, is_sum ? 0 : 1) || product.code != loop::Code::multiply)
    return exact;
  return fma(of(arg(product, 0, c, vector)), of(arg(product, 1, c, vector)), is_sum ? last : negate(last));
}

llvm::Value* ProgramCode::compute(const loop::Instruction& instruction, size_t c, bool vector) {
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
      throw Error("[emit {}] {} has no value of its own", program_->name,
                  loop::info_of(instruction.code).name);
  }
}

}  // namespace reprise::codegen
