#include <algorithm>

#include "core/error.h"
#include "loop/program.h"

namespace reprise::loop {
namespace {

constexpr CodeInfo kCodes[] = {{"constant", 0, false}, {"load", 0, false},     {"store", 1, false},
                               {"add", 2, false},      {"subtract", 2, false}, {"multiply", 2, false},
                               {"divide", 2, false},   {"fma", 3, false},      {"minimum", 2, false},
                               {"maximum", 2, false},  {"sqrt", 1, false},     {"negate", 1, false},
                               {"abs", 1, false},      {"copysign", 2, false}, {"select_less", 4, false},
                               {"exp", 1, false},      {"erf", 1, false},      {"tanh", 1, false},
                               {"round", 1, false},    {"sum", 1, true},       {"sum_of_products", 2, true},
                               {"largest", 1, true}};

class Verifier {
 public:
  explicit Verifier(Program& program) : program_(program) {}

  void run() {
    check_sizes();
    program_.is_lanes.assign(program_.instructions.size(), false);
    stored_.assign(program_.operands.size(), false);
    int32_t next = 0;
    for (const Section& section : program_.sections) {
      if (section.begin != next || section.end <= section.begin ||
          section.end > static_cast<int32_t>(program_.instructions.size()))
        throw Error("[loop {}] sections don't cover the instructions in order", program_.name);
      next = section.end;
      section_ = &section;
      for (at_ = section.begin; at_ < section.end; ++at_) check_instruction();
    }
    if (next != static_cast<int32_t>(program_.instructions.size()))
      throw Error("[loop {}] instruction {} stands in no section", program_.name, next);
    for (size_t i = 0; i < stored_.size(); ++i)
      if (program_.operands[i].written && !stored_[i])
        throw Error("[loop {}] operand '{}' is never stored", program_.name, program_.operands[i].name);
    assign_slots();
  }

 private:
  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> what, Args&&... args) const {
    throw Error("[loop {}] instruction {}: {}", program_.name, at_,
                fmt::format(what, std::forward<Args>(args)...));
  }

  static void check_name(std::string_view name) {
    if (name.empty() || name.size() > 64 || !std::all_of(name.begin(), name.end(), [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                 c == '.';
        }))
      throw Error("[loop] '{}' is no name", name);
  }

  void check_sizes() const {
    const Program& p = program_;
    if (p.columns < 1 || p.columns > kMaxColumns)
      throw Error("[loop {}] {} columns, expected 1 to {}", p.name, p.columns, kMaxColumns);
    if (p.instructions.size() > static_cast<size_t>(kMaxInstructions))
      throw Error("[loop {}] {} instructions, expected at most {}", p.name, p.instructions.size(),
                  kMaxInstructions);
    check_name(p.name);
    bool local = false, written = false;
    for (const Operand& operand : p.operands) {
      check_name(operand.name);
      if (std::count_if(p.operands.begin(), p.operands.end(),
                        [&](const Operand& other) { return other.name == operand.name; }) > 1)
        throw Error("[loop {}] two operands '{}'", p.name, operand.name);
      if (operand.dtype != DType::f32 && (operand.dtype != DType::bf16 || operand.place == Place::local))
        throw Error("[loop {}] operand '{}' is {}", p.name, operand.name, name_of(operand.dtype));
      if (operand.place == Place::column && operand.written)
        throw Error("[loop {}] operand '{}' is the same for every row, so it can't be written", p.name,
                    operand.name);
      if (local && operand.place != Place::local)
        throw Error("[loop {}] operand '{}' stands behind a local", p.name, operand.name);
      if (operand.place == Place::local) {
        if (!operand.written) throw Error("[loop {}] local '{}' is never written", p.name, operand.name);
        local = true;
      } else {
        written = written || operand.written;
      }
    }
    if (const auto locals = static_cast<int64_t>(p.operands.size()) - p.buffers();
        locals > kMaxLocalElements / p.columns)
      throw Error("[loop {}] {} locals of {} columns, expected at most {} elements", p.name, locals,
                  p.columns, kMaxLocalElements);
    if (p.buffers() > kMaxBuffers || !written)
      throw Error("[loop {}] {} buffers, of which {} is written; expected 1 to {}", p.name, p.buffers(),
                  written ? "one" : "none", kMaxBuffers);
  }

  void check_instruction() {
    const Instruction& instruction = program_.instructions[static_cast<size_t>(at_)];
    const CodeInfo& info = info_of(instruction.code);
    const bool memory = instruction.code == Code::load || instruction.code == Code::store;
    bool lanes = instruction.code == Code::load;
    for (int i = 0; i < 4; ++i) {
      const int32_t arg = instruction.args[static_cast<size_t>(i)];
      if (i >= info.args) {
        if (arg != -1) fail("{} takes {} values", info.name, info.args);
        continue;
      }
      if (arg < 0 || arg >= at_) fail("value {} is not before it", arg);
      const Code code = program_.instructions[static_cast<size_t>(arg)].code;
      if (code == Code::store) fail("{} is a store, which has no value", arg);
      const bool arg_lanes = program_.is_lanes[static_cast<size_t>(arg)];
      if (arg_lanes && arg < section_->begin) fail("{} is of lanes of a section before", arg);
      if (info_of(code).reduces && arg >= section_->begin)
        fail("{} is complete after this section only", arg);
      lanes = lanes || arg_lanes;
    }
    if ((lanes || memory || info.reduces) && !section_->lanes) fail("lanes in a section of numbers");
    if (info.reduces && !lanes) fail("{} of a number", info.name);
    if (section_->lanes && !lanes && instruction.code != Code::constant && instruction.code != Code::store)
      fail("a number in a section of lanes");
    if (instruction.code == Code::round ? instruction.dtype != DType::bf16 : instruction.dtype != DType::f32)
      fail("{} to {}", info.name, name_of(instruction.dtype));
    if (memory)
      check_operand(instruction);
    else if (instruction.operand != -1)
      fail("{} has no operand", info.name);
    program_.is_lanes[static_cast<size_t>(at_)] = lanes && !info.reduces && instruction.code != Code::store;
  }

  void check_operand(const Instruction& instruction) {
    if (instruction.operand < 0 || instruction.operand >= static_cast<int32_t>(program_.operands.size()))
      fail("there is no operand {}", instruction.operand);
    const auto index = static_cast<size_t>(instruction.operand);
    const Operand& operand = program_.operands[index];
    if (instruction.code == Code::store) {
      if (!operand.written || stored_[index]) fail("'{}' is read only, or stored before", operand.name);
      stored_[index] = true;
      stored_in_.push_back({instruction.operand, section_->begin});
    } else if (operand.written) {
      const bool earlier = std::any_of(stored_in_.begin(), stored_in_.end(), [&](const auto& stored) {
        return stored.first == instruction.operand && stored.second < section_->begin;
      });
      if (!earlier) fail("'{}' is not stored in a section before", operand.name);
    }
  }

  // Slots of the interpreter: a value keeps its own until its last use. Numbers keep theirs to the end, since a
  // row's sections all read them.
  void assign_slots() {
    const size_t count = program_.instructions.size();
    std::vector<int32_t> last(count, -1);
    for (size_t i = 0; i < count; ++i)
      for (const int32_t arg : program_.instructions[i].args)
        if (arg >= 0) last[static_cast<size_t>(arg)] = static_cast<int32_t>(i);
    std::vector<int32_t> free;
    program_.slots.assign(count, -1);
    program_.slot_count = 0;
    for (size_t i = 0; i < count; ++i) {
      // An argument's slot is free for the result of its last use: the interpreter reads a lane before it
      // writes there.
      for (const int32_t arg : program_.instructions[i].args) {
        if (arg < 0 || !program_.is_lanes[static_cast<size_t>(arg)]) continue;
        int32_t& until = last[static_cast<size_t>(arg)];
        if (until == static_cast<int32_t>(i)) {
          free.push_back(program_.slots[static_cast<size_t>(arg)]);
          until = -1;  // an argument may stand twice
        }
      }
      if (program_.instructions[i].code == Code::store) continue;
      if (program_.is_lanes[i] && !free.empty()) {
        program_.slots[i] = free.back();
        free.pop_back();
      } else {
        program_.slots[i] = program_.slot_count++;
      }
      if (program_.is_lanes[i] && last[i] < 0) free.push_back(program_.slots[i]);
    }
    if (program_.slot_count > kMaxSlots)
      throw Error("[loop {}] {} values at once, expected at most {}", program_.name, program_.slot_count,
                  kMaxSlots);
  }

  Program& program_;
  const Section* section_ = nullptr;
  int32_t at_ = 0;
  std::vector<bool> stored_;
  std::vector<std::pair<int32_t, int32_t>> stored_in_;  // operands, and the begin of the section
};

}  // namespace

const CodeInfo& info_of(Code code) {
  return kCodes[static_cast<size_t>(code)];
}

int Program::buffers() const {
  return static_cast<int>(std::count_if(operands.begin(), operands.end(), [](const Operand& operand) {
    return operand.place != Place::local;
  }));
}

int64_t Program::items_of_row() const {
  const bool columns_are_alone =
      std::none_of(instructions.begin(), instructions.end(),
                   [](const Instruction& instruction) { return info_of(instruction.code).reduces; });
  return columns_are_alone ? (columns + kItemColumns - 1) / kItemColumns : 1;
}

bool Program::may_share(int out, int in) const {
  if (operands[static_cast<size_t>(out)].dtype != operands[static_cast<size_t>(in)].dtype ||
      operands[static_cast<size_t>(in)].place != Place::row)
    return false;
  size_t stored = 0, read = 0;  // the store, the last load
  for (size_t i = 0; i < instructions.size(); ++i) {
    if (instructions[i].operand == out && instructions[i].code == Code::store) stored = i;
    if (instructions[i].operand == in) read = i;
  }
  return read < stored;
}

void verify(Program& program) {
  Verifier(program).run();
}

}  // namespace reprise::loop
