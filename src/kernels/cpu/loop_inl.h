// The interpreter of loop programs. Compiled once for each level of the ISA. It takes a block of columns at a
// time through all instructions of a section, with the values of the block in the worker's scratch memory,
// where they stay in its L1: so a decoded instruction serves 16 vectors.
#pragma once

#include <limits>

#include "kernels/cpu/loop.h"
#include "kernels/cpu/math_inl.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

class LoopInterpreter {
 public:
  LoopInterpreter(const LoopScalars& scalars, const KernelContext& context)
      : program_(scalars.code->program),
        scalars_(scalars),
        context_(context),
        slots_(reinterpret_cast<float*>(context.scratch)),
        locals_(slots_ + int64_t{loop::kMaxSlots} * kBlock) {}

  void run_item(int64_t item) {
    if (scalars_.columns > 0) return run_columns(item, 0, scalars_.columns);
    const int64_t items = program_.items_of_row();
    const int64_t first = item % items * loop::Program::kItemColumns;
    run_columns(item / items, first,
                items == 1 || first + loop::Program::kItemColumns > program_.columns
                    ? program_.columns
                    : first + loop::Program::kItemColumns);
  }

 private:
  static constexpr int64_t kBlock = 256;  // columns; a multiple of kLanes

  void run_columns(int64_t row, int64_t first, int64_t last) {
    row_ = row;
    for (const loop::Section& section : program_.sections) {
      if (!section.lanes) {
        for (int32_t i = section.begin; i < section.end; ++i) run(i, kLanes);
        continue;
      }
      begin_sums(section);
      for (column_ = first; column_ < last; column_ += kBlock) {
        const int64_t left = last - column_;
        for (int32_t i = section.begin; i < section.end; ++i) run(i, left < kBlock ? left : kBlock);
      }
      end_sums(section);
    }
  }

  // Values of 16 lanes one behind the other; a number stands in the first 16 alone.
  struct From {
    const float* lanes;
    int64_t step;
    Vec at(int64_t i) const { return load(lanes + i * step); }
  };
  const loop::Instruction& of(int32_t id) const { return program_.instructions[static_cast<size_t>(id)]; }
  float* slot(int32_t id) const { return slots_ + program_.slots[static_cast<size_t>(id)] * kBlock; }
  From arg(const loop::Instruction& instruction, size_t i) const {
    const int32_t id = instruction.args[i];
    return {slot(id), program_.is_lanes[static_cast<size_t>(id)] ? 1 : 0};
  }

  void begin_sums(const loop::Section& section) {
    for (int32_t i = section.begin; i < section.end; ++i)
      if (loop::info_of(of(i).code).reduces)
        store(slot(i),
              of(i).code == loop::Code::largest ? set1(-std::numeric_limits<float>::infinity()) : zero());
  }
  void end_sums(const loop::Section& section) {
    for (int32_t i = section.begin; i < section.end; ++i)
      if (loop::info_of(of(i).code).reduces) {
        const Vec lanes = load(slot(i));
        store(slot(i), set1(of(i).code == loop::Code::largest ? reduce_max(lanes) : reduce_add(lanes)));
      }
  }

  template <typename Body>
  static void each(float* to, int64_t n, Body body) {
    for (int64_t i = 0; i < n; i += kLanes) store(to + i, body(i));
  }
  template <typename Body>
  void unary(int32_t id, int64_t n, Body body) {
    const From a = arg(of(id), 0);
    each(slot(id), n, [&](int64_t i) { return body(a.at(i)); });
  }
  template <typename Body>
  void binary(int32_t id, int64_t n, Body body) {
    const From a = arg(of(id), 0), b = arg(of(id), 1);
    each(slot(id), n, [&](int64_t i) { return body(a.at(i), b.at(i)); });
  }
  // Lanes beyond the row's columns are left out, by giving them a value that changes nothing.
  template <typename Body>
  void reduce(int32_t id, int64_t n, float nothing, Body body) {
    const From a = arg(of(id), 0), b = of(id).args[1] < 0 ? a : arg(of(id), 1);
    Vec sum = load(slot(id));
    for (int64_t i = 0; i < n; i += kLanes) {
      const Mask inside = lanes_between(0, n - i < kLanes ? n - i : kLanes);
      sum = body(sum, select(inside, a.at(i), set1(nothing)), select(inside, b.at(i), set1(nothing)));
    }
    store(slot(id), sum);
  }

  template <typename E>
  E* memory(const loop::Instruction& instruction) const {
    const auto index = static_cast<size_t>(instruction.operand);
    const loop::Place place = program_.operands[index].place;
    if (place == loop::Place::local)
      return reinterpret_cast<E*>(locals_ + (instruction.operand - program_.buffers()) * program_.columns) +
             column_;
    E* const base = context_.buffer<E>(instruction.operand) + column_;
    if (place != loop::Place::row) return base;
    return base + row_ * (instruction.operand < scalars_.tiles ? scalars_.columns : program_.columns);
  }
  template <typename E>
  void load_block(int32_t id, int64_t n) {
    const E* const from = memory<E>(of(id));
    each(slot(id), n, [&](int64_t i) { return load_upto(from + i, n - i); });
  }
  template <typename E>
  void store_block(int32_t id, int64_t n) {
    const From a = arg(of(id), 0);
    E* const to = memory<E>(of(id));
    for (int64_t i = 0; i < n; i += kLanes) store_upto(to + i, a.at(i), n - i);
  }
  bool is_bf16(int32_t id) const {
    return program_.operands[static_cast<size_t>(of(id).operand)].dtype == DType::bf16;
  }

  void run(int32_t id, int64_t n) {
    using loop::Code;
    switch (of(id).code) {
      case Code::constant:
        store(slot(id), set1(of(id).number));
        return;
      case Code::load:
        return is_bf16(id) ? load_block<Bf16>(id, n) : load_block<float>(id, n);
      case Code::store:
        return is_bf16(id) ? store_block<Bf16>(id, n) : store_block<float>(id, n);
      case Code::add:
        return binary(id, n, [](Vec a, Vec b) { return a + b; });
      case Code::subtract:
        return binary(id, n, [](Vec a, Vec b) { return a - b; });
      case Code::multiply:
        return binary(id, n, [](Vec a, Vec b) { return a * b; });
      case Code::divide:
        return binary(id, n, [](Vec a, Vec b) { return a / b; });
      case Code::fma: {
        const From a = arg(of(id), 0), b = arg(of(id), 1), c = arg(of(id), 2);
        return each(slot(id), n, [&](int64_t i) { return fma(a.at(i), b.at(i), c.at(i)); });
      }
      case Code::minimum:
        return binary(id, n, [](Vec a, Vec b) { return min(a, b); });
      case Code::maximum:
        return binary(id, n, [](Vec a, Vec b) { return max(a, b); });
      case Code::sqrt:
        return unary(id, n, [](Vec a) { return sqrt(a); });
      case Code::negate:
        return unary(id, n, [](Vec a) { return negate(a); });
      case Code::abs:
        return unary(id, n, [](Vec a) { return abs(a); });
      case Code::copysign:
        return binary(id, n, [](Vec a, Vec b) { return copysign(a, b); });
      case Code::select_less: {
        const From a = arg(of(id), 0), b = arg(of(id), 1), c = arg(of(id), 2), d = arg(of(id), 3);
        return each(slot(id), n, [&](int64_t i) { return select_less(a.at(i), b.at(i), c.at(i), d.at(i)); });
      }
      case Code::exp:
        return unary(id, n, [](Vec a) { return exp(a); });
      case Code::erf:
        return unary(id, n, [](Vec a) { return erf(a); });
      case Code::tanh:
        return unary(id, n, [](Vec a) { return tanh(a); });
      case Code::round:
        return unary(id, n, [](Vec a) { return round_bf16(a); });
      case Code::sum:
        return reduce(id, n, 0.0f, [](Vec sum, Vec a, Vec) { return sum + a; });
      case Code::sum_of_products:
        return reduce(id, n, 0.0f, [](Vec sum, Vec a, Vec b) { return fma(a, b, sum); });
      case Code::largest:
        return reduce(id, n, -std::numeric_limits<float>::infinity(),
                      [](Vec sum, Vec a, Vec) { return max(sum, a); });
    }
  }

  const loop::Program& program_;
  const LoopScalars& scalars_;
  const KernelContext& context_;
  float* slots_;
  float* locals_;
  int64_t row_ = 0, column_ = 0;
};

static void loop_program(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& scalars = context.get_scalars<LoopScalars>();
  if (const KernelFunction generated = scalars.code->generated.load(std::memory_order_acquire)) {
    generated(context, begin, end);
    return;
  }
  LoopInterpreter interpreter(scalars, context);
  for (int64_t item = begin; item < end; ++item) interpreter.run_item(item);
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE
