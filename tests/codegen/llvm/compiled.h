// Code of a program, compiled in this process, and what tests of code that stands beside a kernel by hand share.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/llvm/emit.h"
#include "codegen/llvm/machine_code.h"
#include "codegen/object_code.h"
#include "core/fault.h"
#include "core/launch.h"
#include "device/cpu/isa_select.h"
#include "tests/loop/random_program.h"
#include "tests/loop/run_program.h"
#include "tests/loop/seeds.h"

namespace reprise::codegen {

// Of this CPU, those that code is made for.
inline std::vector<Isa> levels() {
  std::vector<Isa> all = cpu::available_isas();
  all.erase(all.begin());  // scalar
  return all;
}

inline ObjectCode compiled(std::string_view program, std::string_view options, Isa level) {
  llvm::LLVMContext context;
  const std::unique_ptr<llvm::Module> module = emit(program, {.level = level, .text = options}, context);
  const std::string object = machine_code(*module, level, Output::object);
  return ObjectCode::load(std::as_bytes(std::span(object)));
}

// Runs `coded`, which takes `code` where there is code, on all items: whole, or cut at random places. The code is
// `function` from part `appears` on.
template <typename Code>
void run_coded(KernelFunction coded, Code& code, KernelFunction function, const KernelContext& context,
               int64_t items, loop::Choices* cuts, size_t appears) {
  std::vector<int64_t> ends = {0, items};
  for (int i = 0; cuts != nullptr && i < 3; ++i)
    ends.push_back(cuts->below(static_cast<uint32_t>(items) + 1));
  std::ranges::sort(ends);
  for (size_t part = 0; part + 1 < ends.size(); ++part) {
    code.generated.store(part >= appears ? function : nullptr);
    coded(context, ends[part], ends[part + 1]);
  }
}

// `difference_of_seed(seed, scratch)` is "" for each seed of a part.
template <typename Difference>
void expect_no_difference(int part, int parts, uint64_t usual, Difference difference_of_seed) {
  if (levels().empty()) GTEST_SKIP() << "no level that code is made for";
  loop::Scratch scratch;
  const uint64_t count = loop::seeds_of_a_part(usual, parts);
  for (uint64_t seed = static_cast<uint64_t>(part) * count, end = seed + count; seed < end; ++seed)
    ASSERT_EQ(difference_of_seed(seed, scratch), "");
}

// Seeded faults of the emitter (core/fault.h), each in both forms, show within the first seeds.
template <typename Difference>
void expect_faults_found(std::initializer_list<Fault> faults, uint64_t seeds, Difference difference_of_seed) {
  if (levels().empty()) GTEST_SKIP() << "no level that code is made for";
  loop::Scratch scratch;
  for (const Fault fault : faults)
    for (const int site : {0, 1}) {
      const FaultScope scope(fault, site);
      uint64_t seed = 0;
      while (seed < seeds && difference_of_seed(seed, scratch).empty()) ++seed;
      EXPECT_LT(seed, seeds) << static_cast<int>(fault) << ", site " << site;
    }
}

}  // namespace reprise::codegen
