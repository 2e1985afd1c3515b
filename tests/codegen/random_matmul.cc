#include "tests/codegen/random_matmul.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "codegen/matmul_program.h"
#include "core/thread_team.h"
#include "graph/text.h"
#include "kernels/cpu/coded_matmul.h"
#include "kernels/cpu/pack.h"
#include "tests/loop/same_bits.h"

namespace reprise::codegen {
namespace {

constexpr size_t kGuard = 64;
constexpr std::byte kUntouched{0x5a};

StepSizes sizes_of(const RandomGroup& of) {
  return {.tokens = of.tokens, .seqs = 1, .rows = of.tokens};
}

const graph::Value& value_of(const RandomGroup& of, size_t buffer) {
  const size_t inputs = of.group.inputs.size();
  return of.graph.value(buffer < inputs ? of.group.inputs[buffer] : of.group.outputs[buffer - inputs]);
}

void fill(const graph::Value& value, int64_t elements, loop::Choices& choices, bool special, std::byte* to) {
  std::vector<float> numbers(static_cast<size_t>(elements));
  for (float& number : numbers) number = loop::random_number(choices, special && choices.one_in(500));
  if (value.packing.is_packed()) {
    const int64_t n = value.shape[0].constant, k = value.shape[1].constant;
    kernels::cpu::pack_rows(value.dtype, numbers.data(), 0, n, n, k, to);
    return;
  }
  for (const float number : numbers) {
    const auto half = static_cast<uint16_t>(std::bit_cast<uint32_t>(number) >> 16);
    if (value.dtype == DType::bf16)
      std::memcpy(to, &half, sizeof(half));
    else
      std::memcpy(to, &number, sizeof(number));
    to += size_of(value.dtype);
  }
}

}  // namespace

GroupBuffers::GroupBuffers(const RandomGroup& of, loop::Choices& choices, bool special) : of_(of) {
  const size_t inputs = of.group.inputs.size();
  for (size_t b = 0; b < inputs + of.group.outputs.size(); ++b) {
    const graph::Value& value = value_of(of, b);
    bytes_.emplace_back(bytes_of(value, sizes_of(of)) + 2 * kGuard, kUntouched);
    if (b < inputs)
      fill(value, value.shape.elements().eval(sizes_of(of)), choices, special, bytes_[b].data() + kGuard);
  }
  point();
}

GroupBuffers::GroupBuffers(const GroupBuffers& other) : of_(other.of_), bytes_(other.bytes_) {
  point();
}

void GroupBuffers::point() {
  for (std::vector<std::byte>& bytes : bytes_) pointers_.push_back(bytes.data() + kGuard);
}

std::string GroupBuffers::difference(const GroupBuffers& expected) const {
  for (size_t b = 0; b < bytes_.size(); ++b) {
    const graph::Value& value = value_of(of_, b);
    if (b < of_.group.inputs.size()) {
      if (bytes_[b] != expected.bytes_[b]) return fmt::format("input {} was written to", b);
      continue;
    }
    const auto untouched = [](std::byte byte) { return byte == kUntouched; };
    if (!std::all_of(bytes_[b].begin(), bytes_[b].begin() + kGuard, untouched) ||
        !std::all_of(bytes_[b].end() - kGuard, bytes_[b].end(), untouched))
      return fmt::format("written outside of buffer {}", b);
    const auto compare = [&](auto a, auto c) {
      for (size_t at = kGuard; at + kGuard < bytes_[b].size(); at += sizeof(a)) {
        std::memcpy(&a, &bytes_[b][at], sizeof(a));
        std::memcpy(&c, &expected.bytes_[b][at], sizeof(c));
        if (!loop::same_bits(a, c))
          return fmt::format("buffer {} element {}: {}, expected {}", b, (at - kGuard) / sizeof(a), a, c);
      }
      return std::string();
    };
    std::string found = value.dtype == DType::bf16 ? compare(uint16_t{}, uint16_t{}) : compare(0.0f, 0.0f);
    if (!found.empty()) return found;
  }
  return "";
}

std::string difference_of_matmul(const RandomGroup& group, KernelFunction generated, Isa level,
                                 loop::Choices& choices, loop::Scratch& scratch, bool special) {
  using namespace kernels::cpu;
  MatmulCode code(matmul_of(group.graph, group.group), level);
  const GroupBuffers given(group, choices, special);
  GroupBuffers expected(given), result(given);
  run_one_by_one(group, expected.pointers(), level);
  constexpr int kWorkers[] = {2, 1, 3, 16};
  CodedMatmulScalars scalars{.code = &code, .rows = kTokens};
  const LaunchDims dims = cut_coded_matmul(scalars, level, choices.one_of(kWorkers));
  const KernelContext context{.sizes = sizes_of(group),
                              .buffers = result.pointers().data(),
                              .scalars = &scalars,
                              .scratch = scratch.begin(),
                              .worker = 0};
  const int64_t items = dims.work_items(context.sizes);
  std::vector<int64_t> ends = {0, items};
  for (int i = 0; i < 3; ++i) ends.push_back(choices.below(static_cast<uint32_t>(items) + 1));
  std::ranges::sort(ends);
  const FlushDenormals flush;
  const bool backwards = choices.one_in(2);
  for (size_t i = 0; i + 1 < ends.size(); ++i) {
    const size_t part = backwards ? ends.size() - 2 - i : i;
    code.generated.store(choices.one_in(4) ? nullptr : generated);
    coded_matmul(context, ends[part], ends[part + 1]);
  }
  const std::string found = result.difference(expected);
  if (found.empty()) return found;
  return fmt::format("{}, {}, {} tokens, parts end at {} {} {}\n{}{}", found, name_of(level), group.tokens,
                     ends[1], ends[2], ends[3], graph::print(group.graph), loop::print(code.matmul));
}

}  // namespace reprise::codegen
