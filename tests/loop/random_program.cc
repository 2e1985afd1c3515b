#include "tests/loop/random_program.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "core/error.h"
#include "tests/loop/same_bits.h"

namespace reprise::loop {
namespace {

constexpr int64_t kColumns[] = {1, 16, 17, 33, 15, 48, 64, 100, 255, 257, 1023, 1024, 1025, 2049, 3080};

// Codes by how often they come: plain arithmetic first. Functions of many instructions are rare, since LLVM
// takes long for them.
constexpr Code kArithmetic[] = {Code::add,      Code::subtract, Code::multiply,    Code::divide,
                                Code::fma,      Code::minimum,  Code::maximum,     Code::sqrt,
                                Code::negate,   Code::abs,      Code::select_less, Code::copysign,
                                Code::round,    Code::add,      Code::multiply,    Code::fma,
                                Code::subtract, Code::round,    Code::multiply,    Code::add};
constexpr Code kFunctions[] = {Code::exp, Code::erf, Code::tanh};
constexpr Code kReductions[] = {Code::sum, Code::sum_of_products, Code::largest};

class ProgramWriter {
 public:
  explicit ProgramWriter(Choices& choices) : choices_(choices) {}

  Program run() {
    program_.name = "random";
    program_.columns = choices_.one_of(kColumns);
    add_operands();
    const uint32_t sections = 1 + choices_.below(5);
    for (uint32_t s = 0; s + 1 < sections; ++s)
      choices_.one_in(3) ? write_numbers() : write_lanes(/*last=*/false);
    write_lanes(/*last=*/true);
    verify(program_);
    return std::move(program_);
  }

 private:
  int32_t next() const { return static_cast<int32_t>(program_.instructions.size()); }

  void add_operands() {
    const uint32_t most = choices_.one_in(8) ? kMaxBuffers : 5;
    const uint32_t buffers = 1 + choices_.below(most);
    const uint32_t outputs = 1 + choices_.below(buffers > 3 ? 3 : buffers);
    for (uint32_t b = 0; b < buffers; ++b) {
      Operand operand{.name = "b" + std::to_string(b)};
      operand.dtype = choices_.one_in(2) ? DType::bf16 : DType::f32;
      operand.written = b >= buffers - outputs;
      if (!operand.written && choices_.one_in(3)) operand.place = Place::column;
      program_.operands.push_back(std::move(operand));
    }
    const auto locals =
        static_cast<uint32_t>(std::min<int64_t>(choices_.below(3), kMaxLocalElements / program_.columns));
    for (uint32_t l = 0; l < locals; ++l)
      program_.operands.push_back({.name = "l" + std::to_string(l), .place = Place::local, .written = true});
    loadable_.assign(program_.operands.size(), false);
    stored_.assign(program_.operands.size(), false);
    holds_numbers_.assign(program_.operands.size(), false);
    for (size_t i = 0; i < program_.operands.size(); ++i)
      if (!program_.operands[i].written) loadable_[i] = true;
  }

  bool is_used(int32_t id) const { return used_[static_cast<size_t>(id)]; }

  int32_t emit(const Instruction& instruction, bool is_number = false) {
    for (const int32_t arg : instruction.args)
      if (arg >= 0) used_[static_cast<size_t>(arg)] = true;
    used_.push_back(false);
    program_.instructions.push_back(instruction);
    is_number_.push_back(is_number);
    return next() - 1;
  }
  void open(bool lanes) { program_.sections.push_back({lanes, next(), next()}); }
  void close() {
    program_.sections.back().end = next();
    if (program_.sections.back().end == program_.sections.back().begin) program_.sections.pop_back();
  }

  int32_t write_constant() {
    const float number = random_number(choices_, choices_.one_in(4));
    return emit({.code = Code::constant, .number = number}, !std::isnan(number));
  }

  // What nobody uses yet, so that results tell of all there is; else the latest ones rather than early ones, so
  // that chains come about.
  int32_t one_of(const std::vector<int32_t>& values) {
    const auto count = static_cast<uint32_t>(values.size());
    if (!choices_.one_in(3))
      for (size_t i = values.size(); i-- > 0;)
        if (!is_used(values[i])) return values[i];
    const uint32_t back = choices_.one_in(3) ? choices_.below(count) : choices_.below(std::min(count, 3u));
    return values[count - 1 - back];
  }

  Code random_code(bool may_be_function) {
    if (may_be_function && functions_ < 3 && choices_.one_in(8)) {
      ++functions_;
      return choices_.one_of(kFunctions);
    }
    return choices_.one_of(kArithmetic);
  }

  // Values of `first` for the first argument; of `first` and `others` for the rest.
  int32_t write_operation(Code code, const std::vector<int32_t>& first, const std::vector<int32_t>& others) {
    Instruction instruction{.code = code};
    if (code == Code::round) instruction.dtype = DType::bf16;
    const auto args = static_cast<uint32_t>(info_of(code).args);
    // Where the value of lanes stands that makes this one of lanes.
    const uint32_t lead = choices_.below(args);
    for (uint32_t a = 0; a < args; ++a) {
      const bool other = a != lead && !others.empty() && choices_.one_in(3);
      int32_t& arg = instruction.args[a];
      arg = one_of(other ? others : first);
      // The same twice, which a compiler likes to see.
      if (a > 0 && choices_.one_in(6)) arg = instruction.args[a - 1];
    }
    instruction.args[lead] = std::find(first.begin(), first.end(), instruction.args[lead]) != first.end()
                                 ? instruction.args[lead]
                                 : one_of(first);
    return emit_with_plain_sign(instruction, first);
  }

  bool is_number(int32_t id) const { return is_number_[static_cast<size_t>(id)]; }

  int32_t emit_with_plain_sign(Instruction instruction, const std::vector<int32_t>& first) {
    const auto& args = instruction.args;
    // A product goes into a sum or difference, where a compiler would contract them.
    if ((instruction.code == Code::add || instruction.code == Code::subtract) && choices_.one_in(2))
      instruction.args[0] = emit({.code = Code::multiply, .args = {args[0], args[1], -1, -1}});
    switch (instruction.code) {
      case Code::copysign:
        if (!is_number(args[1])) {
          // With a number behind it, a minimum is no NaN.
          const int32_t number =
              emit({.code = Code::constant, .number = random_number(choices_, false)}, true);
          const bool may_stand = std::find(first.begin(), first.end(), args[1]) != first.end();
          instruction.args[1] =
              may_stand ? emit({.code = Code::minimum, .args = {args[1], number, -1, -1}}, true) : number;
        }
        return emit(instruction, is_number(args[0]));
      case Code::negate:
      case Code::abs:
      case Code::round:
        return emit(instruction, is_number(args[0]));
      case Code::minimum:
      case Code::maximum:
        return emit(instruction, is_number(args[1]));
      case Code::select_less:
        return emit(instruction, is_number(args[2]) && is_number(args[3]));
      default:
        return emit(instruction, false);
    }
  }

  void write_numbers() {
    open(false);
    std::vector<int32_t> values = numbers_;
    const uint32_t count = 1 + choices_.below(5);
    for (uint32_t i = 0; i < count; ++i) {
      if (values.empty() || choices_.one_in(4))
        values.push_back(write_constant());
      else
        values.push_back(write_operation(random_code(true), values, {}));
    }
    numbers_ = values;
    close();
  }

  void write_lanes(bool last) {
    open(true);
    std::vector<int32_t> lanes, numbers = numbers_, reductions;
    std::vector<bool> stored_here(program_.operands.size());
    const uint32_t count = 1 + choices_.below(choices_.one_in(4) ? 24 : 9);
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t what = choices_.below(16);
      if (what >= 14 && !lanes.empty() && !last) {
        const int32_t id = write_operation(choices_.one_of(kReductions), lanes, numbers);
        reductions.push_back(id);
      } else if (what == 13) {
        store_one(lanes, numbers, stored_here);
      } else if (what == 12) {
        numbers.push_back(write_constant());
      } else if (what >= 10 || lanes.empty()) {
        if (const int32_t id = load_one(); id >= 0) lanes.push_back(id);
      } else {
        lanes.push_back(write_operation(random_code(true), lanes, numbers));
      }
    }
    if (last) {
      // All that nobody used yet ends in an output.
      std::vector<int32_t> ends;
      for (const std::vector<int32_t>* values : {&lanes, &numbers})
        for (const int32_t id : *values)
          if (!is_used(id)) ends.push_back(id);
      for (size_t i = 0; i < ends.size() && !lanes.empty(); ++i)
        lanes.push_back(emit({.code = choices_.one_in(3) ? Code::subtract : Code::add,
                              .args = {lanes.back(), ends[i], -1, -1}}));
      for (size_t i = 0; i < program_.operands.size(); ++i)
        if (program_.operands[i].written && !stored_[i]) store(i, lanes, numbers, stored_here);
    }
    close();
    numbers.insert(numbers.end(), reductions.begin(), reductions.end());
    numbers_ = numbers;
    for (size_t i = 0; i < stored_here.size(); ++i)
      if (stored_here[i]) loadable_[i] = true;
  }

  int32_t load_one() {
    std::vector<int32_t> from;
    for (size_t i = 0; i < loadable_.size(); ++i)
      if (loadable_[i]) from.push_back(static_cast<int32_t>(i));
    if (from.empty()) return -1;
    const int32_t operand = from[choices_.below(static_cast<uint32_t>(from.size()))];
    return emit({.code = Code::load, .operand = operand}, holds_numbers_[static_cast<size_t>(operand)]);
  }

  void store_one(const std::vector<int32_t>& lanes, std::vector<int32_t>& numbers,
                 std::vector<bool>& stored_here) {
    std::vector<size_t> to;
    for (size_t i = 0; i < stored_.size(); ++i)
      if (program_.operands[i].written && !stored_[i]) to.push_back(i);
    if (!to.empty()) store(to[choices_.below(static_cast<uint32_t>(to.size()))], lanes, numbers, stored_here);
  }
  void store(size_t operand, const std::vector<int32_t>& lanes, std::vector<int32_t>& numbers,
             std::vector<bool>& stored_here) {
    if (lanes.empty() && numbers.empty()) numbers.push_back(write_constant());
    const bool number = lanes.empty() || (!numbers.empty() && choices_.one_in(10));
    const int32_t value = one_of(number ? numbers : lanes);
    emit({.code = Code::store, .operand = static_cast<int32_t>(operand), .args = {value, -1, -1, -1}});
    stored_[operand] = stored_here[operand] = true;
    holds_numbers_[operand] = is_number(value);
  }

  Choices& choices_;
  Program program_;
  std::vector<bool> used_;           // by instruction
  std::vector<bool> is_number_;      // by instruction: never NaN
  std::vector<bool> holds_numbers_;  // the same of what lies in an operand
  std::vector<bool> loadable_, stored_;
  std::vector<int32_t> numbers_;  // of the sections so far
  uint32_t functions_ = 0;
};

size_t size_of(const Operand& operand) {
  return operand.dtype == DType::bf16 ? 2 : 4;
}

constexpr std::byte kUntouched{0xa5};

}  // namespace

uint32_t Choices::below(uint32_t count) {
  if (seeded_) return static_cast<uint32_t>(random_() % count);
  uint32_t value = 0;
  for (uint32_t range = 1; range < count; range *= 256) {
    if (bytes_.empty()) break;
    value = value * 256 + bytes_[0];
    bytes_ = bytes_.subspan(1);
  }
  return value % count;
}

Program random_program(Choices& choices) {
  return ProgramWriter(choices).run();
}

float random_number(Choices& choices, bool special) {
  const float moderate = (static_cast<float>(choices.below(65536)) - 32768.0f) / 8192.0f;
  if (!special) return moderate;
  constexpr uint32_t kSpecial[] = {0x7fc00000, 0x7f800000, 0xff800000, 0x80000000, 0x00000000, 0x00000001,
                                   0x80000001, 0x007fffff, 0x80400000, 0x00800000, 0x80800000, 0x7f7fffff,
                                   0xff7fffff, 0xffc12345, 0x7f800001, 0x7f7fff00, 0x3f800000, 0xbf800000,
                                   0x3f808000, 0x3f818000, 0x00008000, 0x42b17218, 0xc2aeac50, 0x3f20d97c};
  switch (choices.below(4)) {
    case 0:
      return std::bit_cast<float>((choices.below(65536) << 16) | choices.below(65536));
    case 1:
      return moderate * (choices.one_in(2) ? 1e30f : 1e-36f);
    default:
      return std::bit_cast<float>(choices.one_of(kSpecial));
  }
}

Buffers::Buffers(const Program& program, int64_t rows, Choices& choices, bool special) {
  for (int b = 0; b < program.buffers(); ++b) {
    const Operand& operand = program.operands[static_cast<size_t>(b)];
    const auto elements =
        static_cast<size_t>(operand.place == Place::row ? rows * program.columns : program.columns);
    bytes_.emplace_back(elements * size_of(operand) + 2 * kGuard, kUntouched);
    if (operand.written) continue;
    for (size_t i = 0; i < elements; ++i) {
      const float number = random_number(choices, special && choices.one_in(16));
      const auto half = static_cast<uint16_t>(std::bit_cast<uint32_t>(number) >> 16);
      std::byte* const to = begin_of(static_cast<size_t>(b)) + i * size_of(operand);
      if (operand.dtype == DType::bf16)
        std::memcpy(to, &half, sizeof(half));
      else
        std::memcpy(to, &number, sizeof(number));
    }
  }
  for (size_t b = 0; b < bytes_.size(); ++b) pointers_.push_back(begin_of(b));
}

Buffers::Buffers(const Buffers& other) : bytes_(other.bytes_) {
  for (const std::byte* pointer : other.pointers_)
    for (size_t b = 0; b < bytes_.size(); ++b)
      if (pointer == other.bytes_[b].data() + kGuard) pointers_.push_back(begin_of(b));
}

std::string Buffers::difference(const Program& program, const Buffers& other, int64_t rows) const {
  std::vector<bool> is_shared(bytes_.size());
  for (size_t b = 0; b < bytes_.size(); ++b) {
    const Operand& operand = program.operands[b];
    if (!operand.written) continue;
    for (size_t in = 0; in < bytes_.size(); ++in)
      if (in != b && pointers_[in] == pointers_[b]) is_shared[in] = true;
    for (int64_t i = 0; i < rows * program.columns; ++i) {
      const std::byte* const here = pointers_[b] + static_cast<size_t>(i) * size_of(operand);
      const std::byte* const there = other.pointers_[b] + static_cast<size_t>(i) * size_of(operand);
      const auto differ = [&](auto a, auto c) {
        std::memcpy(&a, here, sizeof(a));
        std::memcpy(&c, there, sizeof(c));
        return same_bits(a, c)
                   ? std::string()
                   : fmt::format("'{}' row {} column {}: {:x}, expected {:x}", operand.name,
                                 i / program.columns, i % program.columns,
                                 std::bit_cast<std::conditional_t<sizeof(a) == 2, uint16_t, uint32_t>>(a),
                                 std::bit_cast<std::conditional_t<sizeof(a) == 2, uint16_t, uint32_t>>(c));
      };
      const std::string difference =
          operand.dtype == DType::bf16 ? differ(uint16_t{}, uint16_t{}) : differ(0.0f, 0.0f);
      if (!difference.empty()) return difference;
    }
  }
  for (size_t b = 0; b < bytes_.size(); ++b) {
    const std::vector<std::byte>& bytes = bytes_[b];
    const auto touched = [](std::byte byte) { return byte != kUntouched; };
    if (std::any_of(bytes.begin(), bytes.begin() + kGuard, touched) ||
        std::any_of(bytes.end() - kGuard, bytes.end(), touched))
      return "written outside of '" + program.operands[b].name + "'";
    if (!program.operands[b].written && !is_shared[b] && bytes != other.bytes_[b])
      return "written to the input '" + program.operands[b].name + "'";
  }
  return "";
}

}  // namespace reprise::loop
