#include "tests/loop/plain_evaluation.h"

#include <xmmintrin.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "core/error.h"
#include "core/thread_team.h"
#include "loop/functions.h"
#include "tests/loop/same_bits.h"

namespace reprise::loop {
namespace {

// One f32. Operations are single instructions, so that what they do with denormals and NaN is no compiler's
// choice.
struct One {
  float value = 0;
};

__m128 sse(One a) {
  return _mm_set_ss(a.value);
}
One one(__m128 a) {
  return {_mm_cvtss_f32(a)};
}
uint32_t bits(One a) {
  return std::bit_cast<uint32_t>(a.value);
}
One of_bits(uint32_t a) {
  return {std::bit_cast<float>(a)};
}

One operator+(One a, One b) {
  return one(_mm_add_ss(sse(a), sse(b)));
}
One operator-(One a, One b) {
  return one(_mm_sub_ss(sse(a), sse(b)));
}
One operator*(One a, One b) {
  return one(_mm_mul_ss(sse(a), sse(b)));
}
One operator/(One a, One b) {
  return one(_mm_div_ss(sse(a), sse(b)));
}
One fma(One a, One b, One c) {
  return {std::fma(a.value, b.value, c.value)};
}
One min(One a, One b) {
  return one(_mm_min_ss(sse(a), sse(b)));
}
One max(One a, One b) {
  return one(_mm_max_ss(sse(a), sse(b)));
}
One sqrt(One a) {
  return one(_mm_sqrt_ss(sse(a)));
}
One negate(One a) {
  return of_bits(bits(a) ^ 0x80000000u);
}
One abs(One a) {
  return of_bits(bits(a) & 0x7fffffffu);
}
One copysign(One size, One sign) {
  return of_bits((bits(size) & 0x7fffffffu) | (bits(sign) & 0x80000000u));
}
One select_less(One a, One b, One c, One d) {
  return a.value < b.value ? c : d;
}
One pow2_of_shifted(One t) {
  return of_bits((bits(t) + 127u) << 23);
}
One like(One, float number) {
  return {number};
}

class Evaluation {
 public:
  Evaluation(const Program& program, std::span<std::byte* const> buffers, Isa level)
      : program_(program),
        buffers_(buffers),
        level_(level),
        numbers_(program.instructions.size()),
        sums_(program.instructions.size()),
        locals_(program.operands.size() - buffers.size()) {
    for (std::vector<float>& local : locals_) local.resize(static_cast<size_t>(program.columns));
  }

  void run_row(int64_t row) {
    row_ = row;
    for (const Section& section : program_.sections) {
      if (!section.lanes) {
        run_column(section, 0);
        continue;
      }
      for (int32_t i = section.begin; i < section.end; ++i) sums_[index(i)].fill(nothing_of(i));
      for (int64_t column = 0; column < program_.columns; ++column) run_column(section, column);
      for (int32_t i = section.begin; i < section.end; ++i)
        if (info_of(of(i).code).reduces) numbers_[index(i)] = reduced(i);
    }
  }

 private:
  static constexpr size_t kLanes = 16;

  static size_t index(int32_t id) { return static_cast<size_t>(id); }
  const Instruction& of(int32_t id) const { return program_.instructions[index(id)]; }

  void run_column(const Section& section, int64_t column) {
    for (int32_t i = section.begin; i < section.end; ++i) {
      if (info_of(of(i).code).reduces)
        take(i, sums_[index(i)][static_cast<size_t>(column) % kLanes], arg(i, 0), arg(i, 1));
      else
        numbers_[index(i)] = value_of(i, column);
    }
  }
  One arg(int32_t id, size_t a) const {
    const int32_t from = of(id).args[a];
    return from < 0 ? One{} : numbers_[index(from)];
  }

  One nothing_of(int32_t id) const {
    return {of(id).code == Code::largest ? -std::numeric_limits<float>::infinity() : 0.0f};
  }
  void take(int32_t id, One& sum, One a, One b) const {
    sum = of(id).code == Code::sum ? sum + a : of(id).code == Code::largest ? max(sum, a) : fma(a, b, sum);
  }
  One reduced(int32_t id) {
    std::array<One, kLanes>& lanes = sums_[index(id)];
    const One nothing = nothing_of(id);
    if (const size_t last = static_cast<size_t>(program_.columns) % kLanes; last > 0)
      for (size_t lane = last; lane < kLanes; ++lane) take(id, lanes[lane], nothing, nothing);
    for (size_t step = kLanes / 2; step > 0; step /= 2)
      for (size_t lane = 0; lane < step; ++lane)
        lanes[lane] = of(id).code == Code::largest ? max(lanes[lane], lanes[lane + step])
                                                   : lanes[lane] + lanes[lane + step];
    return lanes[0];
  }

  One rounded(One a) const {
    const uint32_t raw = bits(a);
    if (std::isnan(a.value)) return of_bits((raw | 0x400000u) & 0xffff0000u);
    if (level_ == Isa::avx512_bf16 && (raw & 0x7f800000u) == 0) return of_bits(raw & 0x80000000u);
    return of_bits((raw + 0x7fffu + ((raw >> 16) & 1u)) & 0xffff0000u);
  }

  One load(const Instruction& instruction, int64_t column) const {
    const Operand& operand = program_.operands[index(instruction.operand)];
    if (operand.place == Place::local)
      return {locals_[index(instruction.operand) - buffers_.size()][static_cast<size_t>(column)]};
    const int64_t at = operand.place == Place::row ? row_ * program_.columns + column : column;
    const std::byte* const from = buffers_[index(instruction.operand)];
    if (operand.dtype == DType::bf16) return {widened(reinterpret_cast<const uint16_t*>(from)[at])};
    return {reinterpret_cast<const float*>(from)[at]};
  }
  void store(const Instruction& instruction, int64_t column, One a) {
    const Operand& operand = program_.operands[index(instruction.operand)];
    if (operand.place == Place::local) {
      locals_[index(instruction.operand) - buffers_.size()][static_cast<size_t>(column)] = a.value;
      return;
    }
    const int64_t at = row_ * program_.columns + column;
    std::byte* const to = buffers_[index(instruction.operand)];
    if (operand.dtype == DType::bf16)
      reinterpret_cast<uint16_t*>(to)[at] = static_cast<uint16_t>(bits(rounded(a)) >> 16);
    else
      reinterpret_cast<float*>(to)[at] = a.value;
  }

  One value_of(int32_t id, int64_t column) {
    const Instruction& instruction = of(id);
    const auto x = [&](size_t a) { return arg(id, a); };
    switch (instruction.code) {
      case Code::constant:
        return {instruction.number};
      case Code::load:
        return load(instruction, column);
      case Code::store:
        store(instruction, column, x(0));
        return {};
      case Code::add:
        return x(0) + x(1);
      case Code::subtract:
        return x(0) - x(1);
      case Code::multiply:
        return x(0) * x(1);
      case Code::divide:
        return x(0) / x(1);
      case Code::fma:
        return fma(x(0), x(1), x(2));
      case Code::minimum:
        return min(x(0), x(1));
      case Code::maximum:
        return max(x(0), x(1));
      case Code::sqrt:
        return sqrt(x(0));
      case Code::negate:
        return negate(x(0));
      case Code::abs:
        return abs(x(0));
      case Code::copysign:
        return copysign(x(0), x(1));
      case Code::select_less:
        return select_less(x(0), x(1), x(2), x(3));
      case Code::exp:
        return functions::exp(x(0));
      case Code::erf:
        return functions::erf(x(0));
      case Code::tanh:
        return functions::tanh(x(0));
      case Code::round:
        return rounded(x(0));
      case Code::sum:
      case Code::sum_of_products:
      case Code::largest:
        break;
    }
    throw Error("no value");
  }

  const Program& program_;
  std::span<std::byte* const> buffers_;
  Isa level_;
  int64_t row_ = 0;
  std::vector<One> numbers_;  // by instruction: of lanes, that of the column it is at
  std::vector<std::array<One, kLanes>> sums_;
  std::vector<std::vector<float>> locals_;
};

}  // namespace

void evaluate_plainly(const Program& program, std::span<std::byte* const> buffers, int64_t rows, Isa level) {
  const FlushDenormals flush;
  Evaluation evaluation(program, buffers, level);
  for (int64_t row = 0; row < rows; ++row) evaluation.run_row(row);
}

}  // namespace reprise::loop
