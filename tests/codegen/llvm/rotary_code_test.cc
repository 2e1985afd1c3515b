// Generated rotation and write of the cache against the kernel written by hand, bit by bit: random shapes, slots and
// numbers of all kinds, whole and cut, in place, with code that is there and that appears in the middle of a launch.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <string>

#include "core/kv_layout.h"
#include "core/thread_team.h"
#include "kernels/cpu/rotary_kv_write.h"
#include "loop/rotary.h"
#include "tests/codegen/llvm/compiled.h"
#include "tests/codegen/llvm/elements.h"
#include "tests/loop/random_program.h"
#include "tests/loop/run_program.h"

namespace reprise::codegen {
namespace {

using kernels::cpu::RotaryKvWriteCode;
using kernels::cpu::RotaryKvWriteScalars;
using loop::Choices;
using loop::RotaryKvWrite;

constexpr int64_t kGuard = 64;  // elements behind what is written

// What a launch reads and writes. What is not written keeps its sevens.
struct Tokens {
  Tokens(const RotaryKvWrite& rotary, int64_t count, Choices& choices, bool special)
      : of(rotary),
        tokens(count),
        q(of.dtype, count * of.heads * of.head_dim + kGuard, 7),
        k(of.dtype, count * of.kv_heads * of.head_dim, 0),
        v(k),
        y(q),
        keys(of.dtype, 0, 0),
        values(of.dtype, 0, 0),
        q_norm(DType::f32, of.head_dim, 0),
        k_norm(q_norm),
        cos(DType::f32, (of.positions ? kRows : count) * of.rot_dim / 2, 0),
        sin(cos) {
    const auto fill = [&](Elements& elements, int64_t end) {
      for (int64_t i = 0; i < end; ++i)
        elements.set(i, special && choices.one_in(60) ? loop::random_number(choices, true)
                                                      : static_cast<float>(choices.below(4001)) / 1000 - 2);
    };
    fill(q, q.count() - kGuard);
    for (Elements* all : {&k, &v, &q_norm, &k_norm, &cos, &sin}) fill(*all, all->count());
    // Each token has a slot of its own, in any order; some are rows of padding.
    const int64_t blocks = 2 + count / of.block_size;
    keys = values = Elements(
        of.dtype, blocks * kv_block_elements(of.dtype, of.kv_heads, of.head_dim, of.block_size) + kGuard, 7);
    std::vector<int32_t> order(static_cast<size_t>((blocks - 1) * of.block_size));
    std::iota(order.begin(), order.end(), static_cast<int32_t>(of.block_size));
    if (choices.one_in(2)) std::shuffle(order.begin(), order.end(), std::mt19937(choices.below(1000)));
    for (int64_t t = 0; t < count; ++t) {
      slots.push_back(choices.one_in(9) ? static_cast<int32_t>(choices.below(16))
                                        : order[static_cast<size_t>(t)]);
      positions.push_back(static_cast<int32_t>(choices.below(kRows)));
    }
  }

  static constexpr int64_t kRows = 50;  // of tables of cosines and sines

  RotaryKvWrite of;
  int64_t tokens;
  Elements q, k, v, y, keys, values, q_norm, k_norm, cos, sin;
  std::vector<int32_t> slots, positions;
};

// `appears`: the code is there from that part on. By hand where there is no code.
Tokens run(Tokens step, RotaryKvWriteCode* code, KernelFunction function, Isa level, loop::Scratch& scratch,
           bool in_place = false, Choices* cuts = nullptr, size_t appears = 0) {
  const FlushDenormals flush;
  const RotaryKvWrite& of = step.of;
  std::byte* const buffers[] = {step.q.data(),
                                step.k.data(),
                                step.v.data(),
                                of.q_norm ? step.q_norm.data() : nullptr,
                                of.k_norm ? step.k_norm.data() : nullptr,
                                step.cos.data(),
                                step.sin.data(),
                                of.positions ? reinterpret_cast<std::byte*>(step.positions.data()) : nullptr,
                                reinterpret_cast<std::byte*>(step.slots.data()),
                                step.keys.data(),
                                step.values.data(),
                                in_place ? step.q.data() : step.y.data()};
  const RotaryKvWriteScalars scalars{.heads = of.heads,
                                     .kv_heads = of.kv_heads,
                                     .head_dim = of.head_dim,
                                     .rot_dim = of.rot_dim,
                                     .block_size = of.block_size,
                                     .interleaved = of.interleaved,
                                     .round_products = of.round_products,
                                     .eps = of.eps,
                                     .code = code};
  const KernelContext context{.sizes = {.tokens = step.tokens, .seqs = step.tokens},
                              .buffers = buffers,
                              .scalars = &scalars,
                              .scratch = scratch.begin(),
                              .worker = 0};
  const int64_t items = kernels::cpu::rotary_kv_write_dims(scalars).work_items(context.sizes);
  if (code == nullptr)
    kernels::cpu::rotary_kv_write_kernel(level, of.dtype).run(context, 0, items);
  else
    run_coded(kernels::cpu::coded_rotary_kv_write, *code, function, context, items, cuts, appears);
  if (in_place) step.y = step.q;
  return step;
}

std::string difference(const Tokens& expected, const Tokens& found) {
  for (const auto& [name, of] :
       {std::pair{"y", &Tokens::y}, {"keys", &Tokens::keys}, {"values", &Tokens::values}})
    if (const std::string how = difference(expected.*of, found.*of); !how.empty())
      return fmt::format("{}: {}", name, how);
  return "";
}

// "", or what is different.
std::string difference_of(const RotaryKvWrite& rotary, int64_t tokens, Isa level, Choices& choices,
                          loop::Scratch& scratch, bool special) {
  const ObjectCode object = compiled(loop::print(rotary), "chunks 1", level);
  const auto function = reinterpret_cast<KernelFunction>(object.function("kernel"));
  RotaryKvWriteCode code;
  code.sets = rotary.sets;
  code.by_hand = kernels::cpu::rotary_kv_write_kernel(level, rotary.dtype).run;
  const Tokens step(rotary, tokens, choices, special);
  const Tokens expected = run(step, nullptr, nullptr, level, scratch);
  const auto describe = [&](std::string_view what, const Tokens& found) {
    const std::string how = difference(expected, found);
    return how.empty() ? how
                       : fmt::format("{}: {}, {}, T {}, slots {}: {}", what, how, name_of(level), tokens,
                                     fmt::join(step.slots, " "), loop::print(rotary));
  };
  std::string found = describe("whole", run(step, &code, function, level, scratch));
  if (found.empty()) found = describe("in place", run(step, &code, function, level, scratch, true));
  if (found.empty()) found = describe("cut", run(step, &code, function, level, scratch, false, &choices));
  if (found.empty())
    found = describe("appears", run(step, &code, function, level, scratch, true, &choices, 2));
  if (found.empty()) found = describe("no code", run(step, &code, nullptr, level, scratch, false, &choices));
  return found;
}

RotaryKvWrite random_rotary(Choices& choices) {
  constexpr int64_t kHeadDims[] = {16, 8, 2, 5, 4, 12, 24, 33, 48, 64, 80, 96, 128, 200, 251, 256};
  constexpr int64_t kGroups[] = {1, 2, 3, 4, 7, 8};
  constexpr int64_t kKvHeads[] = {1, 2, 3, 4, 6, 8, 24};
  constexpr int64_t kBlocks[] = {64, 16, 48};
  RotaryKvWrite r;
  r.dtype = choices.one_in(2) ? DType::f32 : DType::bf16;
  r.head_dim = choices.one_of(kHeadDims);
  r.rot_dim = r.head_dim / 2 * 2;
  if (choices.one_in(3)) r.rot_dim = 2 + 2 * choices.below(static_cast<uint32_t>(r.head_dim / 2));
  r.kv_heads = choices.one_of(kKvHeads);
  r.heads = r.kv_heads * choices.one_of(kGroups);
  r.block_size = choices.one_of(kBlocks);
  r.interleaved = choices.one_in(3);
  r.round_products = r.dtype == DType::bf16 && choices.one_in(2);
  if (choices.one_in(3)) {
    r.q_norm = !choices.one_in(4);
    r.k_norm = !r.q_norm || !choices.one_in(4);
    r.eps = 1e-5f;
  }
  r.positions = choices.one_in(2);
  for (int64_t sets = 1; sets <= r.kv_heads; ++sets)
    if (r.kv_heads % sets == 0 && choices.one_in(2)) r.sets = sets;
  return r;
}

std::string difference_of_seed(uint64_t seed, loop::Scratch& scratch) {
  Choices choices(seed);
  const RotaryKvWrite rotary = random_rotary(choices);
  constexpr int64_t kTokens[] = {1, 2, 5, 17, 70};
  const int64_t tokens = choices.one_of(kTokens);
  const Isa level = levels()[seed % levels().size()];
  const std::string found = difference_of(rotary, tokens, level, choices, scratch, choices.one_in(2));
  return found.empty() ? found : fmt::format("seed {}: {}", seed, found);
}

constexpr int kParts = 4;
constexpr uint64_t kUsual = 400;

class RotaryCodeTest : public testing::TestWithParam<int> {};

TEST_P(RotaryCodeTest, RandomShapesHaveTheBitsOfTheKernelByHand) {
  expect_no_difference(GetParam(), kParts, kUsual, difference_of_seed);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RotaryCodeTest, testing::Range(0, kParts));

// Every size of a head that turns as a whole: pairs that fill vectors, and that don't.
TEST(RotaryCode, EverySizeOfAHead) {
  if (levels().empty()) GTEST_SKIP() << "no level that code is made for";
  loop::Scratch scratch;
  for (int64_t head_dim = 2; head_dim <= 70; ++head_dim) {
    Choices choices(static_cast<uint64_t>(head_dim));
    const bool is_bf16 = head_dim % 3 != 0, normed = head_dim % 5 == 0;
    const RotaryKvWrite rotary{.dtype = is_bf16 ? DType::bf16 : DType::f32,
                               .heads = 6,
                               .kv_heads = 3,
                               .head_dim = head_dim,
                               .rot_dim = head_dim / 2 * 2,
                               .block_size = 16,
                               .interleaved = head_dim % 7 < 2,
                               .round_products = is_bf16,
                               .q_norm = normed,
                               .k_norm = normed,
                               .positions = true,
                               .eps = normed ? 1e-6f : 0,
                               .sets = 3};
    const Isa level = levels()[static_cast<size_t>(head_dim) % levels().size()];
    ASSERT_EQ(difference_of(rotary, 3, level, choices, scratch, true), "");
  }
}

TEST(RotaryCode, EachSeededFaultIsFound) {
  expect_faults_found({Fault::emit_rotary_exchanges_pair, Fault::emit_rotary_misses_slot}, 10,
                      difference_of_seed);
}

}  // namespace
}  // namespace reprise::codegen
