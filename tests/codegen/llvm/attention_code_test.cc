// Generated attention against the kernel written by hand, bit by bit: random shapes, sequences and numbers of all kinds,
// whole and cut, with code that is there and that appears in the middle of a launch.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <numeric>
#include <random>
#include <string>

#include "core/error.h"
#include "core/kv_layout.h"
#include "kernels/cpu/attention.h"
#include "loop/attention.h"
#include "tests/codegen/llvm/compiled.h"
#include "tests/codegen/llvm/elements.h"
#include "tests/loop/random_program.h"
#include "tests/loop/run_program.h"

namespace reprise::codegen {
namespace {

using kernels::cpu::AttentionCode;
using kernels::cpu::AttentionScalars;
using loop::Choices;

struct Shape {
  loop::Attention attention;
  int64_t chunks = 1;
  int64_t partition_size = 64, partitions = 1, split_tokens = 0;
};

// A decode step: caches in which only keys that were written are no NaN.
struct DecodeStep {
  static constexpr int64_t kGuard = 64;  // elements behind the output

  DecodeStep(const Shape& shape, std::span<const int64_t> lengths, Choices& choices, bool special)
      : of(shape.attention),
        tokens(static_cast<int64_t>(lengths.size())),
        q(of.dtype, tokens * of.heads * of.head_dim, 0),
        out(of.dtype, tokens * of.heads * of.head_dim + kGuard, 7),
        keys(of.dtype, 0, 0),
        values(of.dtype, 0, 0) {
    const int64_t block = of.block_size, n = of.dtype == DType::f32 ? 1 : 2;
    max_blocks = 1;
    int64_t blocks = 1;
    for (const int64_t length : lengths) {
      max_blocks = std::max(max_blocks, (length + block - 1) / block);
      blocks += (std::max<int64_t>(length, 0) + block - 1) / block;
    }
    std::vector<int32_t> order(static_cast<size_t>(blocks - 1));
    std::iota(order.begin(), order.end(), 1);
    std::shuffle(order.begin(), order.end(), std::mt19937(choices.below(1000)));
    keys = values = Elements(of.dtype, blocks * kv_block_elements(of.dtype, of.kv_heads, of.head_dim, block),
                             std::numeric_limits<float>::quiet_NaN());
    tables.assign(static_cast<size_t>(tokens * max_blocks), 0x3fffffff);
    const auto number = [&] {
      if (special && choices.one_in(300)) return loop::random_number(choices, true);
      return static_cast<float>(choices.below(4001)) / 1000 - 2;
    };
    for (int64_t i = 0; i < q.count(); ++i) q.set(i, number() * (special && i % 7 == 0 ? 20 : 1));
    const int64_t words = (of.head_dim + n - 1) / n;
    size_t next = 0;
    for (int64_t t = 0; t < tokens; ++t) {
      const int64_t length = lengths[static_cast<size_t>(t)];
      seqs.push_back(length > 0 ? static_cast<int32_t>(t) : -1);
      positions.push_back(static_cast<int32_t>(std::max<int64_t>(length, 1) - 1));
      for (int64_t key = 0; key < length; ++key) {
        int32_t& own = tables[static_cast<size_t>(t * max_blocks + key / block)];
        if (key % block == 0) own = order[next++];
        for (int64_t head = 0; head < of.kv_heads; ++head) {
          const int64_t first = (own * of.kv_heads + head) * words * n * block, at = key % block;
          for (int64_t d = 0; d < words * n; ++d)
            keys.set(first + (d / n * block + at) * n + d % n, d < of.head_dim ? number() : 0.0f);
          for (int64_t d = 0; d < of.head_dim; ++d)
            values.set(first + (at / n * of.head_dim + d) * n + at % n, number());
        }
      }
    }
  }

  AttentionScalars scalars(const Shape& shape, const AttentionCode* code) const {
    return {.heads = of.heads,
            .kv_heads = of.kv_heads,
            .head_dim = of.head_dim,
            .block_size = of.block_size,
            .max_blocks = max_blocks,
            .window = of.window,
            .partition_size = shape.partition_size,
            .partitions = shape.partitions,
            .split_tokens = shape.split_tokens,
            .q_stride = of.heads * of.head_dim,
            .out_stride = of.heads * of.head_dim,
            .scale = 0.3f,
            .code = code};
  }

  loop::Attention of;
  int64_t tokens, max_blocks = 1;
  Elements q, out, keys, values;
  std::vector<int32_t> tables, seqs, positions;
};

// The output. `appears`: the code is there from that part on.
Elements run(DecodeStep& step, const Shape& shape, AttentionCode* code, KernelFunction function, Isa level,
             loop::Scratch& scratch, Choices* cuts = nullptr, size_t appears = 0) {
  const FlushDenormals flush;
  Elements out = step.out;
  std::byte* const buffers[] = {step.q.data(),
                                step.keys.data(),
                                step.values.data(),
                                reinterpret_cast<std::byte*>(step.tables.data()),
                                reinterpret_cast<std::byte*>(step.seqs.data()),
                                reinterpret_cast<std::byte*>(step.positions.data()),
                                out.data(),
                                nullptr};
  const AttentionScalars scalars = step.scalars(shape, code);
  const KernelContext context{.sizes = {.tokens = step.tokens, .seqs = step.tokens},
                              .buffers = buffers,
                              .scalars = &scalars,
                              .scratch = scratch.begin(),
                              .worker = 0};
  const int64_t items = kernels::cpu::attention_dims(scalars).work_items(context.sizes);
  if (code == nullptr)
    kernels::cpu::paged_attention_kernel(level, step.of.dtype).run(context, 0, items);
  else
    run_coded(kernels::cpu::coded_attention, *code, function, context, items, cuts, appears);
  return out;
}

// "", or what is different with these lengths of sequences (0: a row of padding).
std::string difference_of(const Shape& shape, std::span<const int64_t> lengths, Isa level, Choices& choices,
                          loop::Scratch& scratch, bool special) {
  const ObjectCode object =
      compiled(loop::print(shape.attention), fmt::format("chunks {}", shape.chunks), level);
  const auto function = reinterpret_cast<KernelFunction>(object.function("kernel"));
  AttentionCode code;
  code.sets = shape.attention.sets;
  code.by_hand = kernels::cpu::paged_attention_kernel(level, shape.attention.dtype).run;
  DecodeStep step(shape, lengths, choices, special);
  const Elements expected = run(step, shape, nullptr, nullptr, level, scratch);
  const auto describe = [&](std::string_view what, const std::string& how) {
    return how.empty() ? how
                       : fmt::format("{}: {}, {}, chunks {}, lengths {}: {}", what, how, name_of(level),
                                     shape.chunks, fmt::join(lengths, " "), loop::print(shape.attention));
  };
  std::string found =
      describe("whole", difference(expected, run(step, shape, &code, function, level, scratch)));
  if (found.empty())
    found =
        describe("cut", difference(expected, run(step, shape, &code, function, level, scratch, &choices)));
  if (found.empty())
    found = describe("appears",
                     difference(expected, run(step, shape, &code, function, level, scratch, &choices, 2)));
  return found;
}

Shape random_shape(Choices& choices) {
  constexpr int64_t kHeadDims[] = {16, 8, 1, 5, 24, 33, 48, 64, 80, 96, 128, 200, 251, 256};
  constexpr int64_t kGroups[] = {1, 2, 3, 4, 7, 8, 16};
  constexpr int64_t kKvHeads[] = {1, 2, 3, 4, 6, 8};
  constexpr int64_t kBlocks[] = {64, 16, 48, 128};
  constexpr int64_t kWindows[] = {0, 0, 0, 1, 21, 64, 100};
  constexpr int64_t kChunks[] = {1, 2, 4};
  Shape shape;
  loop::Attention& a = shape.attention;
  a.dtype = choices.one_in(2) ? DType::f32 : DType::bf16;
  a.head_dim = choices.one_of(kHeadDims);
  a.kv_heads = choices.one_of(kKvHeads);
  const int64_t group = choices.one_of(kGroups);
  a.heads = a.kv_heads * group;
  a.block_size = choices.one_of(kBlocks);
  a.window = choices.one_of(kWindows);
  for (int64_t sets = 1; sets <= a.kv_heads; ++sets)
    if (a.kv_heads % sets == 0 && sets * group <= loop::Attention::kMostGroup && choices.one_in(2))
      a.sets = sets;
  shape.chunks = choices.one_of(kChunks);
  if (choices.one_in(2)) {
    shape.partitions = 5;
    shape.partition_size = choices.one_in(2) ? 64 : 128;
  }
  if (shape.partitions > 1 && choices.one_in(3)) shape.split_tokens = 1;  // items of several partitions
  return shape;
}

std::string difference_of_seed(uint64_t seed, loop::Scratch& scratch) {
  Choices choices(seed);
  Shape shape = random_shape(choices);
  constexpr int64_t kMost[] = {20, 70, 300};
  std::vector<int64_t> lengths = {2};
  if (shape.split_tokens > 0) lengths.push_back(1);  // one token alone would be split
  for (int i = 0; i < 4 && choices.below(3) > 0; ++i)
    lengths.push_back(choices.one_in(6) ? 0
                                        : 1 + choices.below(static_cast<uint32_t>(choices.one_of(kMost))));
  lengths[0] = 1 + choices.below(static_cast<uint32_t>(choices.one_of(kMost)));
  const Isa level = levels()[seed % levels().size()];
  const std::string found = difference_of(shape, lengths, level, choices, scratch, choices.one_in(3));
  return found.empty() ? found : fmt::format("seed {}: {}", seed, found);
}

constexpr int kParts = 4;
constexpr uint64_t kUsual = 240;

class AttentionCodeTest : public testing::TestWithParam<int> {};

TEST_P(AttentionCodeTest, RandomShapesHaveTheBitsOfTheKernelByHand) {
  expect_no_difference(GetParam(), kParts, kUsual, difference_of_seed);
}

INSTANTIATE_TEST_SUITE_P(Seeds, AttentionCodeTest, testing::Range(0, kParts));

TEST(AttentionCode, EveryLengthAcrossPartitionsOf64) {
  if (levels().empty()) GTEST_SKIP() << "no level that code is made for";
  loop::Scratch scratch;
  for (const Isa level : levels())
    for (const DType dtype : {DType::f32, DType::bf16})
      for (const int64_t window : {0, 70}) {
        const Shape shape{.attention = {.dtype = dtype,
                                        .heads = 8,
                                        .kv_heads = 4,
                                        .head_dim = 8,
                                        .block_size = 64,
                                        .window = window,
                                        .sets = 4},
                          .partition_size = 64,
                          .partitions = 5};
        std::vector<int64_t> lengths(300);
        std::iota(lengths.begin(), lengths.end(), 1);
        Choices choices(1);
        ASSERT_EQ(difference_of(shape, lengths, level, choices, scratch, false), "");
      }
}

TEST(AttentionCode, EachSeededFaultIsFound) {
  expect_faults_found({Fault::emit_attention_misses_key, Fault::emit_attention_forgets_scale}, 30,
                      difference_of_seed);
}

}  // namespace
}  // namespace reprise::codegen
