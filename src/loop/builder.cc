#include "loop/builder.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/error.h"

namespace reprise::loop {
namespace {

bool equal(const Instruction& a, const Instruction& b) {
  return a.code == b.code && a.dtype == b.dtype && a.operand == b.operand && a.args == b.args &&
         std::bit_cast<uint32_t>(a.number) == std::bit_cast<uint32_t>(b.number);
}

Value value(Code code, std::initializer_list<Value> args, DType dtype = DType::f32) {
  Builder* const builder = args.begin()->builder;
  Instruction instruction{.code = code, .dtype = dtype};
  size_t i = 0;
  for (const Value& arg : args) {
    REPRISE_CHECK(arg.builder == builder && arg.id >= 0, "a value of another program, or none");
    instruction.args[i++] = arg.id;
  }
  return builder->add(instruction);
}

// Orders instructions into sections. A section has a rank: numbers before the first loop have rank 0, the first
// loop 1, numbers that need its reductions 2, and so on.
class Scheduler {
 public:
  explicit Scheduler(Program program) : from_(std::move(program)), lanes_(count()), rank_(count()) {
    to_.name = from_.name;
    to_.columns = from_.columns;
    to_.operands = from_.operands;
  }

  Program run() {
    rank_values();
    int last = 0;
    for (size_t i = 0; i < count(); ++i)
      if (!floats(i)) last = std::max(last, rank_[i]);
    for (int rank = 0; rank <= last; ++rank) write_section(rank);
    verify(to_);
    return std::move(to_);
  }

 private:
  struct Written {
    int rank;    // of the section in which the value stands
    int32_t at;  // where
  };

  size_t count() const { return from_.instructions.size(); }
  const Instruction& of(size_t i) const { return from_.instructions[i]; }
  // Constants and reads have no rank: they are written where they are used.
  bool floats(size_t i) const { return of(i).code == Code::constant || of(i).code == Code::load; }

  void rank_values() {
    for (size_t i = 0; i < count(); ++i) {
      const Instruction& instruction = of(i);
      const CodeInfo& info = info_of(instruction.code);
      bool lanes = instruction.code == Code::load || instruction.code == Code::store;
      int rank = 0;
      for (int a = 0; a < info.args; ++a) {
        const auto arg = static_cast<size_t>(instruction.args[static_cast<size_t>(a)]);
        lanes = lanes || lanes_[arg];
        rank = std::max(rank, rank_[arg]);
      }
      // Loops have odd ranks.
      const bool in_loop = lanes || info.reduces;
      if (in_loop != (rank % 2 == 1)) ++rank;
      if (floats(i)) rank = 0;
      lanes_[i] = lanes && !info.reduces;
      rank_[i] = info.reduces ? rank + 1 : rank;
      if (info.reduces) rank_of_loop_.push_back({i, rank});
    }
  }

  int section_of(size_t i) const {
    for (const auto& [reduction, rank] : rank_of_loop_)
      if (reduction == i) return rank;
    return rank_[i];
  }

  void write_section(int rank) {
    const auto begin = static_cast<int32_t>(to_.instructions.size());
    const bool lanes = rank % 2 == 1;
    // Stores come last, so that an element is read before anything is written in its place.
    for (const bool stores : {false, true})
      for (size_t i = 0; i < count(); ++i)
        if (!floats(i) && section_of(i) == rank && (of(i).code == Code::store) == stores) write(i, rank);
    if (lanes)
      for (size_t i = 0; i < count(); ++i)
        if (lanes_[i] && !floats(i) && of(i).code != Code::store && rank_[i] == rank && used_after(i, rank))
          keep(i, rank);
    const auto end = static_cast<int32_t>(to_.instructions.size());
    if (end > begin) to_.sections.push_back({lanes, begin, end});
  }

  bool used_after(size_t i, int rank) const {
    for (size_t user = i + 1; user < count(); ++user) {
      if (section_of(user) <= rank) continue;
      const auto& args = of(user).args;
      if (std::find(args.begin(), args.end(), static_cast<int32_t>(i)) != args.end()) return true;
    }
    return false;
  }

  // A value of lanes that later loops need lies in an output that holds exactly it, or in memory of the worker.
  void keep(size_t i, int rank) {
    for (const Instruction& store : from_.instructions) {
      if (store.code != Code::store || store.args[0] != static_cast<int32_t>(i)) continue;
      const DType dtype = from_.operands[static_cast<size_t>(store.operand)].dtype;
      if (dtype != DType::f32 && of(i).code != Code::round) continue;
      local_of_.emplace_back(i, store.operand);
      return;
    }
    local_of_.emplace_back(i, static_cast<int32_t>(to_.operands.size()));
    to_.operands.push_back(
        {.name = "local" + std::to_string(to_.operands.size()), .place = Place::local, .written = true});
    emit({.code = Code::store, .operand = local_of_.back().second, .args = {at(i, rank), -1, -1, -1}});
  }

  void write(size_t i, int rank) {
    Instruction instruction = of(i);
    for (int a = 0; a < info_of(instruction.code).args; ++a) {
      int32_t& arg = instruction.args[static_cast<size_t>(a)];
      arg = at(static_cast<size_t>(arg), rank);
    }
    note(i, rank, emit(instruction));
  }

  // Where value `i` stands for a section.
  int32_t at(size_t i, int rank) {
    const bool per_section = lanes_[i] || of(i).code == Code::constant;
    for (const auto& [value, written] : written_)
      if (value == i && (!per_section || written.rank == rank)) return written.at;
    if (floats(i)) return note(i, rank, emit(of(i)));
    const auto local =
        std::find_if(local_of_.begin(), local_of_.end(), [&](const auto& entry) { return entry.first == i; });
    REPRISE_CHECK(local != local_of_.end(), "value {} of {} is used before it is there", i, from_.name);
    return note(i, rank, emit({.code = Code::load, .operand = local->second}));
  }

  int32_t note(size_t i, int rank, int32_t where) {
    written_.push_back({i, {rank, where}});
    return where;
  }
  int32_t emit(const Instruction& instruction) {
    to_.instructions.push_back(instruction);
    return static_cast<int32_t>(to_.instructions.size()) - 1;
  }

  Program from_, to_;
  std::vector<bool> lanes_;
  std::vector<int> rank_;
  std::vector<std::pair<size_t, int>> rank_of_loop_;  // reductions, and the loop each stands in
  std::vector<std::pair<size_t, Written>> written_;
  std::vector<std::pair<size_t, int32_t>> local_of_;  // kept values, and the operand where
};

}  // namespace

Value operator+(Value a, Value b) {
  return value(Code::add, {a, b});
}
Value operator-(Value a, Value b) {
  return value(Code::subtract, {a, b});
}
Value operator*(Value a, Value b) {
  return value(Code::multiply, {a, b});
}
Value operator/(Value a, Value b) {
  return value(Code::divide, {a, b});
}
Value fma(Value a, Value b, Value c) {
  return value(Code::fma, {a, b, c});
}
Value min(Value a, Value b) {
  return value(Code::minimum, {a, b});
}
Value max(Value a, Value b) {
  return value(Code::maximum, {a, b});
}
Value sqrt(Value a) {
  return value(Code::sqrt, {a});
}
Value negate(Value a) {
  return value(Code::negate, {a});
}
Value abs(Value a) {
  return value(Code::abs, {a});
}
Value copysign(Value size, Value sign) {
  return value(Code::copysign, {size, sign});
}
Value select_less(Value a, Value b, Value c, Value d) {
  return value(Code::select_less, {a, b, c, d});
}
Value exp(Value a) {
  return value(Code::exp, {a});
}
Value erf(Value a) {
  return value(Code::erf, {a});
}
Value tanh(Value a) {
  return value(Code::tanh, {a});
}
Value round(Value a, DType dtype) {
  return dtype == DType::f32 ? a : value(Code::round, {a}, dtype);
}
Value sum(Value a) {
  return value(Code::sum, {a});
}
Value sum_of_products(Value a, Value b) {
  return value(Code::sum_of_products, {a, b});
}
Value largest(Value a) {
  return value(Code::largest, {a});
}
Value like(Value of, float number) {
  return of.builder->constant(number);
}

Builder::Builder(std::string name, int64_t columns) {
  program_.name = std::move(name);
  program_.columns = columns;
}

Value Builder::read(std::string name, DType dtype, Place place) {
  program_.operands.push_back({.name = std::move(name), .dtype = dtype, .place = place});
  return add({.code = Code::load, .operand = static_cast<int32_t>(program_.operands.size()) - 1});
}

void Builder::write(std::string name, DType dtype, Value value) {
  REPRISE_CHECK(value.builder == this, "a value of another program");
  program_.operands.push_back(
      {.name = std::move(name), .dtype = dtype, .place = Place::row, .written = true});
  add({.code = Code::store,
       .operand = static_cast<int32_t>(program_.operands.size()) - 1,
       .args = {value.id, -1, -1, -1}});
}

Value Builder::constant(float number) {
  return add({.code = Code::constant, .number = number});
}

Value Builder::add(Instruction instruction) {
  std::vector<Instruction>& all = program_.instructions;
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Instruction& one) { return equal(one, instruction); });
  if (found != all.end()) return {this, static_cast<int32_t>(found - all.begin())};
  if (all.size() == static_cast<size_t>(kMaxInstructions))
    throw Error("[{}] more than {} operations; split the expression", program_.name, kMaxInstructions);
  all.push_back(instruction);
  return {this, static_cast<int32_t>(all.size()) - 1};
}

Program Builder::finish() {
  return Scheduler(std::exchange(program_, {})).run();
}

}  // namespace reprise::loop
