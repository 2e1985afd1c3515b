#include "kernels/cpu/attention.h"

#include <gtest/gtest.h>

#include <map>

#include "core/error.h"
#include "tests/kernels/attention_cases.h"

namespace reprise::kernels::cpu::testing {
namespace {

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void expect_close(DType dtype, const AttentionShape& shape, const Sequence& sequence,
                  const std::vector<float>& out, bool rounds_weights) {
  const Exact exact = exact_attention(shape, sequence);
  for (size_t i = 0; i < exact.out.size(); ++i) {
    // Weights that are each rounded and add up to one.
    const double moved = rounds_weights ? exact.spread[i] * rounding(dtype) : 0;
    ASSERT_NEAR(out[i], exact.out[i], (std::abs(exact.out[i]) + moved) * rounding(dtype) + moved + 1e-5)
        << "element " << i;
  }
}

TEST(AttentionTest, MatchesDoublePrecisionAtEveryLevel) {
  struct Heads {
    int64_t heads, kv_heads;
  };
  for (DType dtype : kActivations) {
    for (int64_t head_dim : {5, 8, 16, 48, 64, 80, 81, 128, 250}) {
      for (const Heads heads : {Heads{2, 2}, Heads{6, 2}, Heads{7, 1}, Heads{8, 1}}) {
        for (int64_t window : heads.heads == 6 ? std::vector<int64_t>{0, 21} : std::vector<int64_t>{0}) {
          const AttentionShape shape{
              .heads = heads.heads, .kv_heads = heads.kv_heads, .head_dim = head_dim, .window = window};
          SCOPED_TRACE(::testing::Message() << name_of(dtype) << " head_dim " << head_dim << " heads "
                                            << heads.heads << "/" << heads.kv_heads << " window " << window);
          const Sequence sequences[] = {Sequence(shape, dtype, 85, 1)};
          const Step steps[] = {whole(0, sequences[0])};
          std::map<const VecTable*, std::vector<float>> outputs;
          for (const AttentionLevel& level : attention_levels(dtype)) {
            SCOPED_TRACE(level.name);
            auto& out = outputs[level.table] = attend(*level.table, dtype, shape, sequences, steps, 0)[0];
            if (level.table == level.same_as)
              expect_close(dtype, shape, sequences[0], out, level.rounds_weights);
            EXPECT_TRUE(same_bits(out, outputs[level.same_as]));
          }
        }
      }
    }
  }
}

// Steps that take the sequence in chunks of so many tokens.
std::vector<Step> chunks(int seq, int64_t length, int64_t chunk) {
  std::vector<Step> steps;
  for (int64_t start = 0; start < length; start += chunk)
    steps.push_back({{seq, start, std::min(chunk, length - start)}});
  return steps;
}

class AttentionInvariance : public ::testing::TestWithParam<AttentionShape> {};

// The contract: a token's bits depend on nothing but its own sequence, the window and the partition size.
TEST_P(AttentionInvariance, BitsDependOnTheSequenceAlone) {
  for (DType dtype : kActivations) {
    AttentionShape shape = GetParam();
    const Sequence sequences[] = {Sequence(shape, dtype, 199, 1), Sequence(shape, dtype, 70, 2),
                                  Sequence(shape, dtype, 3, 3), Sequence(shape, dtype, 130, 4)};
    std::map<const VecTable*, std::vector<std::vector<float>>> alone_by;
    for (const AttentionLevel& level : attention_levels(dtype)) {
      SCOPED_TRACE(::testing::Message() << level.name << " " << name_of(dtype));
      auto& alone = alone_by[level.same_as];
      if (alone.empty()) {
        for (int s = 0; s < 4; ++s) {
          const Step steps[] = {whole(s, sequences[s])};
          alone.push_back(attend(*level.same_as, dtype, shape, sequences, steps, 0)[static_cast<size_t>(s)]);
          expect_close(dtype, shape, sequences[s], alone.back(), level.rounds_weights);
        }
      }
      const auto expect_alone = [&](std::span<const Step> steps, uint32_t cut, const char* what) {
        const auto out = attend(*level.table, dtype, shape, sequences, steps, cut);
        for (size_t s = 0; s < 4; ++s) {
          if (std::isnan(out[s][0])) continue;  // not in these steps
          EXPECT_TRUE(same_bits(out[s], alone[s])) << what << " sequence " << s;
        }
      };
      for (uint32_t cut : {0u, 1u, 2u, 3u}) expect_alone(chunks(0, 199, 199), cut, "cut");
      for (int64_t chunk : {64, 16, 7, 1}) expect_alone(chunks(0, 199, chunk), 1, "chunked");
      const Step batch[] = {{{2, 0, 3}, {0, 0, 199}, {-1, 0, 5}, {3, 0, 130}, {1, 0, 70}}};
      for (uint32_t cut : {0u, 1u}) expect_alone(batch, cut, "batch");
      std::vector<Step> mixed = {{{0, 0, 150}, {1, 0, 60}}};  // prefill, then decode beside another's prefill
      for (int64_t t = 0; t < 10; ++t)
        mixed.push_back({{1, 60 + t, 1}, {0, 150 + t, 1}, {3, 13 * t, 13}, {-1, 0, t % 3}});
      mixed.push_back({{0, 160, 39}, {2, 0, 3}});
      expect_alone(mixed, 1, "mixed");
      for (int64_t block_size : {16, 48, 128}) {
        shape.block_size = block_size;
        expect_alone(chunks(0, 199, 199), 0, "block size, prefill");
        expect_alone(chunks(0, 199, 5), 0, "block size, steps");
      }
      shape.block_size = GetParam().block_size;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, AttentionInvariance,
    ::testing::Values(AttentionShape{.heads = 6, .kv_heads = 2, .head_dim = 16},
                      AttentionShape{.heads = 2, .kv_heads = 1, .head_dim = 41},
                      AttentionShape{.heads = 7, .kv_heads = 1, .head_dim = 16, .window = 37},
                      AttentionShape{
                          .heads = 4, .kv_heads = 2, .head_dim = 32, .partition_size = 64, .partitions = 4},
                      AttentionShape{.heads = 3,
                                     .kv_heads = 1,
                                     .head_dim = 24,
                                     .window = 90,
                                     .partition_size = 128,
                                     .partitions = 2}));

// Steps of as many tokens as sequences: kv heads of a token go together, as far as a cut lets them.
TEST(AttentionTest, KvHeadsThatGoTogetherHaveTheBitsOfOne) {
  const AttentionShape shapes[] = {
      {.heads = 4, .kv_heads = 4, .head_dim = 8},
      {.heads = 6, .kv_heads = 3, .head_dim = 16},
      {.heads = 4, .kv_heads = 2, .head_dim = 24, .window = 35},
      {.heads = 3, .kv_heads = 3, .head_dim = 40, .partition_size = 64, .partitions = 2}};
  for (const AttentionShape& shape : shapes) {
    for (DType dtype : kActivations) {
      const Sequence sequences[] = {Sequence(shape, dtype, 80, 1), Sequence(shape, dtype, 25, 2),
                                    Sequence(shape, dtype, 50, 3)};
      for (const AttentionLevel& level : attention_levels(dtype)) {
        SCOPED_TRACE(::testing::Message()
                     << level.name << " " << name_of(dtype) << " head " << shape.head_dim);
        std::vector<Step> steps = {{{0, 0, 70}, {1, 0, 15}, {2, 0, 40}}};
        for (int64_t t = 0; t < 10; ++t) steps.push_back({{1, 15 + t, 1}, {0, 70 + t, 1}, {2, 40 + t, 1}});
        AttentionShape unsplit = shape;
        unsplit.split_tokens = 0;
        for (const uint32_t cut : {0u, 2u}) {
          const auto out = attend(*level.table, dtype, unsplit, sequences, steps, cut);
          for (int s = 0; s < 3; ++s) {
            const Step alone[] = {whole(s, sequences[s])};
            const auto i = static_cast<size_t>(s);
            EXPECT_TRUE(same_bits(out[i], attend(*level.same_as, dtype, unsplit, sequences, alone, 0)[i]))
                << s;
          }
        }
      }
    }
  }
}

TEST(AttentionTest, OnePartitionHasTheBitsOfNone) {
  const DType dtype = DType::bf16;
  const AttentionShape none{.heads = 4, .kv_heads = 2, .head_dim = 64};
  AttentionShape shape = none;
  shape.partition_size = 128;
  shape.partitions = 3;
  const Sequence sequences[] = {Sequence(shape, dtype, 128, 1)};
  const Step all[] = {whole(0, sequences[0])};
  for (const AttentionLevel& level : attention_levels(dtype)) {
    const auto plain = attend(*level.table, dtype, none, sequences, all, 0)[0];
    EXPECT_TRUE(same_bits(attend(*level.table, dtype, shape, sequences, all, 1)[0], plain)) << level.name;
    EXPECT_TRUE(same_bits(attend(*level.table, dtype, shape, sequences, chunks(0, 128, 4), 1)[0], plain))
        << level.name;
  }
}

// Whether partitions are spread over workers depends on how many there are, so the bits may not.
TEST(AttentionTest, SplitStepsHaveTheBitsOfOthers) {
  for (const DType dtype : kActivations) {
    const AttentionShape split{
        .heads = 4, .kv_heads = 2, .head_dim = 32, .partition_size = 64, .partitions = 4};
    AttentionShape whole_steps = split, few = split;
    whole_steps.split_tokens = 0;
    few.split_tokens = 3;
    const Sequence sequences[] = {Sequence(split, dtype, 250, 1)};
    for (const AttentionLevel& level : attention_levels(dtype))
      for (const int64_t chunk : {1, 4, 40}) {
        const auto steps = chunks(0, 250, chunk);
        const auto expected = attend(*level.table, dtype, whole_steps, sequences, steps, 1)[0];
        EXPECT_TRUE(same_bits(attend(*level.table, dtype, split, sequences, steps, 1)[0], expected));
        EXPECT_TRUE(same_bits(attend(*level.table, dtype, few, sequences, steps, 1)[0], expected));
      }
  }
}

TEST(AttentionTest, StepsAreSplitWhereTokensAloneAreTooFew) {
  const AttentionScalars scalars{.kv_heads = 8, .partitions = 16};
  EXPECT_EQ(attention_split_tokens(scalars, 1), 0);
  EXPECT_EQ(attention_split_tokens(scalars, 2), 0) << "eight items of a token keep two workers busy";
  EXPECT_EQ(attention_split_tokens(scalars, 8), 3);
  EXPECT_EQ(attention_split_tokens(scalars, 64), kAttentionMostSplitTokens);
  EXPECT_EQ(attention_split_tokens({.kv_heads = 8, .partitions = 1}, 64), 0);
}

// Not even NaN in the keys after a token's own, or before its window, reaches it.
TEST(AttentionTest, KeysThatARowDoesNotSeeMayBeAnything) {
  constexpr int64_t kLength = 70, kFirst = 21, kLast = 50, kWindow = 9;
  for (DType dtype : kActivations)
    for (const AttentionShape& shape : {AttentionShape{.heads = 6, .head_dim = 33, .window = kWindow},
                                        AttentionShape{.heads = 2, .head_dim = 16, .window = kWindow}})
      for (const AttentionLevel& level : attention_levels(dtype)) {
        SCOPED_TRACE(::testing::Message() << level.name << " " << name_of(dtype));
        const Sequence clean(shape, dtype, kLength, 1);
        Sequence holed = clean;
        const int64_t row = shape.kv_heads * shape.head_dim, q_row = shape.heads * shape.head_dim;
        for (std::vector<float>* values : {&holed.k, &holed.v})
          for (int64_t i = 0; i < kLength * row; ++i)
            if (i / row < kFirst || i / row >= kLast) (*values)[static_cast<size_t>(i)] = NAN;
        for (int64_t chunk : {kLength, int64_t{7}, int64_t{1}}) {
          const auto steps = chunks(0, kLength, chunk);
          const auto expected = attend(*level.table, dtype, shape, {&clean, 1}, steps, 0)[0];
          const auto out = attend(*level.table, dtype, shape, {&holed, 1}, steps, 0)[0];
          const auto from = static_cast<size_t>((kFirst + kWindow - 1) * q_row);
          const auto bytes = static_cast<size_t>((kLast - kFirst - kWindow + 1) * q_row) * sizeof(float);
          EXPECT_EQ(std::memcmp(out.data() + from, expected.data() + from, bytes), 0) << chunk;
        }
      }
}

TEST(AttentionTest, MoreHeadsThanRowsOfScratch) {
  const AttentionShape shape{.heads = 100, .kv_heads = 1, .head_dim = 16};
  for (DType dtype : kActivations) {
    const Sequence sequences[] = {Sequence(shape, dtype, 20, 1)};
    const Step all[] = {whole(0, sequences[0])};
    for (const AttentionLevel& level : attention_levels(dtype))
      expect_close(dtype, shape, sequences[0], attend(*level.table, dtype, shape, sequences, all, 1)[0],
                   level.rounds_weights);
  }
}

TEST(AttentionTest, LargeScoresDoNotOverflow) {
  const AttentionShape shape{.heads = 2, .kv_heads = 1, .head_dim = 16};
  for (DType dtype : kActivations) {
    Sequence sequence(shape, dtype, 100, 1);
    for (float& x : sequence.q) x *= 1024;
    const Sequence sequences[] = {sequence};
    const Step all[] = {whole(0, sequences[0])};
    const Exact exact = exact_attention(shape, sequence);
    for (const AttentionLevel& level : attention_levels(dtype)) {
      const auto out = attend(*level.table, dtype, shape, sequences, all, 0)[0];
      for (size_t i = 0; i < exact.out.size(); ++i)
        ASSERT_NEAR(out[i], exact.out[i], 2e-3 + std::abs(exact.out[i]) * rounding(dtype))
            << level.name << " " << i;
    }
  }
}

}  // namespace
}  // namespace reprise::kernels::cpu::testing
