// A step as a value: what is planned for a batch, and that plans survive as bytes, or are refused.
#include "engine/step/step_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "core/error.h"
#include "engine/step/plan_bytes.h"
#include "engine/step/plan_step.h"
#include "tests/engine/small_model.h"

namespace reprise::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Planned {
  RequestState request;
  std::unique_ptr<engine::Sequence> sequence;

  Planned(std::vector<int32_t> prompt, SamplingParams params, std::vector<BlockId> blocks,
          int64_t computed = 0) {
    request.request = {std::move(prompt), std::move(params)};
    sequence = make_sequence(request, 0, 256, 7);
    sequence->blocks = std::move(blocks);
    sequence->computed = computed;
  }
};

TEST(PlanStep, HoldsSequencesTokensBlocksAndRows) {
  Planned decode({11, 12, 13}, {.temperature = 0, .max_tokens = 5}, {4}, 2);
  SamplingParams biased{.max_tokens = 5};
  biased.logit_bias = {{9, 1.5f}};
  biased.logprobs = -1;
  Planned whole({21, 22, 23, 24}, biased, {7, 8});
  Planned chunk({31, 32, 33, 34, 35}, {.max_tokens = 2, .prompt_logprobs = 3}, {5});
  const std::vector<BatchItem> items = {
      {decode.sequence.get(), 1}, {whole.sequence.get(), 4}, {chunk.sequence.get(), 3}};
  StepPlan plan;
  plan_step(items, {}, kSmallVocab, plan);
  EXPECT_EQ(plan.sizes(), (StepSizes{.tokens = 8, .seqs = 3, .rows = 3}));
  EXPECT_EQ(plan.shape, (StepShape{.decode_tokens = 1, .prefill_tokens = 7, .scores_prompt = true}));
  EXPECT_THAT(plan.sequences, ElementsAre(StepPlan::Sequence{2, 1, 3, 1}, StepPlan::Sequence{0, 4, 4, 2},
                                          StepPlan::Sequence{0, 3, 5, 1}));
  EXPECT_THAT(plan.token_ids, ElementsAre(13, 21, 22, 23, 24, 31, 32, 33));
  EXPECT_THAT(plan.blocks, ElementsAre(4, 7, 8, 5));
  EXPECT_THAT(plan.logit_rows, ElementsAre(0, 4, 7));
  EXPECT_EQ(plan.samples[0].mode, SampleMode::choose);
  EXPECT_EQ(plan.samples[1].bias_count, 1);
  EXPECT_EQ(plan.samples[1].top, StepPlan::kAllTop);
  EXPECT_EQ(plan.samples[2].mode, SampleMode::skip) << "its prompt goes on";
  EXPECT_THAT(plan.biases, ElementsAre(TokenBias{9, 1.5f}));
  EXPECT_THAT(plan.scores,
              ElementsAre(StepPlan::Score{5, 32, 3}, StepPlan::Score{6, 33, 3}, StepPlan::Score{7, 34, 3}));
}

TEST(PlanStep, ScoresEachPromptTokenOnce) {
  Planned p({1, 2, 3, 4, 5, 6}, {.max_tokens = 2, .prompt_logprobs = 0}, {5});
  std::vector<int32_t> scored;
  for (const int64_t tokens : {2, 3, 1}) {
    const BatchItem item{p.sequence.get(), tokens};
    StepPlan plan;
    plan_step({&item, 1}, {}, kSmallVocab, plan);
    for (const StepPlan::Score& score : plan.scores) scored.push_back(score.token);
    p.sequence->prompt_scored = scored_positions(item).end;
    p.sequence->computed += tokens;
  }
  EXPECT_THAT(scored, ElementsAre(2, 3, 4, 5, 6));
}

// --- bytes

constexpr PlanLimits kLimits{.step = {.tokens = 32, .seqs = 8, .rows = 16},
                             .block_size = 16,
                             .max_model_len = 64,
                             .num_kv_blocks = 20,
                             .vocab_size = 100};

StepPlan random_plan(std::mt19937& random) {
  const auto below = [&](int bound) { return static_cast<int>(random() % static_cast<uint32_t>(bound)); };
  StepPlan plan;
  const int seqs = 1 + below(6);
  for (int s = 0; s < seqs; ++s) {
    const int begin = below(40), tokens = 1 + below(5);
    std::vector<int32_t> ids(static_cast<size_t>(tokens));
    for (int32_t& id : ids) id = below(100);
    std::vector<BlockId> blocks(static_cast<size_t>((begin + tokens + 15) / 16));
    for (BlockId& block : blocks) block = 1 + below(20);
    plan.add_sequence(ids, begin, below(60), blocks);
    (tokens == 1 ? plan.shape.decode_tokens : plan.shape.prefill_tokens) += tokens;
    SampleRow row{.seed = random(), .mode = static_cast<SampleMode>(below(2)), .bias_count = below(3)};
    row.count_count = below(3);
    row.masked = static_cast<int16_t>(below(2));
    for (int i = 0; i < row.bias_count; ++i) plan.biases.push_back({below(100), 0.5f});
    for (int64_t i = 0; i < row.masked * mask_words(kLimits.vocab_size); ++i)
      plan.masks.push_back(static_cast<uint32_t>(random()));
    for (int i = 0; i < row.count_count; ++i) plan.counts.push_back({below(100), below(4)});
    plan.add_row(row, below(tokens));
    if (below(4) == 0) plan.scores.push_back({below(static_cast<int>(plan.token_ids.size())), below(100), 2});
  }
  plan.path = {.mode = RunMode::replay, .recording = 3, .captured_size = 7, .padding = 2};
  plan.captures = below(2) == 1;
  return plan;
}

TEST(PlanBytes, ComeBackAsTheyWere) {
  std::mt19937 random(1);
  std::vector<std::byte> bytes;
  StepPlan back;  // its storage is used again
  for (int i = 0; i < 200; ++i) {
    const StepPlan plan = random_plan(random);
    write_bytes(plan, bytes);
    read_bytes(bytes, kLimits, back);
    ASSERT_EQ(back, plan) << i;
  }
}

TEST(PlanBytes, AnEmptyPlanIsAPlan) {
  StepPlan plan, back;
  plan.captures = true;
  std::vector<std::byte> bytes;
  write_bytes(plan, bytes);
  read_bytes(bytes, kLimits, back);
  EXPECT_EQ(back, plan);
}

TEST(PlanBytes, CutOrLongerOnesAreRefused) {
  std::mt19937 random(2);
  std::vector<std::byte> bytes;
  write_bytes(random_plan(random), bytes);
  StepPlan back;
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_THROW(read_bytes(std::span(bytes).first(size), kLimits, back), Error) << size;
  bytes.push_back(std::byte{});
  EXPECT_THROW(read_bytes(bytes, kLimits, back), Error);
}

// Any other bytes are refused, or are a plan within the limits.
TEST(PlanBytes, DamagedOnesAreRefusedOrWithinTheLimits) {
  std::mt19937 random(3);
  std::vector<std::byte> bytes;
  int refused = 0;
  for (int i = 0; i < 4000; ++i) {
    write_bytes(random_plan(random), bytes);
    for (uint32_t flips = 1 + random() % 3; flips > 0; --flips)
      bytes[random() % bytes.size()] ^= static_cast<std::byte>(1u << (random() % 8));
    StepPlan plan;
    try {
      read_bytes(bytes, kLimits, plan);
    } catch (const Error&) {
      ++refused;
      continue;
    }
    ASSERT_LE(plan.sizes().tokens, 32);
    for (const BlockId block : plan.blocks) ASSERT_TRUE(block >= 1 && block <= 20);
    for (const int32_t id : plan.token_ids) ASSERT_TRUE(id >= 0 && id < 100);
    for (const int32_t row : plan.logit_rows) ASSERT_TRUE(row >= 0 && row < plan.sizes().tokens);
  }
  EXPECT_GT(refused, 1000);
}

TEST(PlanBytes, SayWhatIsWrong) {
  const auto message = [](const std::function<void(StepPlan&)>& damage) {
    StepPlan plan;
    const std::vector<int32_t> tokens = {5, 6};
    const std::vector<BlockId> blocks = {3};
    plan.add_sequence(tokens, 4, 6, blocks);
    plan.add_row({});
    plan.shape.prefill_tokens = 2;
    damage(plan);
    std::vector<std::byte> bytes;
    write_bytes(plan, bytes);
    try {
      read_bytes(bytes, kLimits, plan);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  EXPECT_EQ(message([](StepPlan&) {}), "nothing");
  EXPECT_THAT(message([](StepPlan& p) { p.blocks[0] = 21; }), HasSubstr("a KV block that is not there"));
  EXPECT_THAT(message([](StepPlan& p) { p.blocks[0] = 0; }), HasSubstr("a KV block that is not there"));
  EXPECT_THAT(message([](StepPlan& p) { p.token_ids[1] = 100; }), HasSubstr("out of the vocabulary"));
  EXPECT_THAT(message([](StepPlan& p) { p.sequences[0].begin = 15; }),
              HasSubstr("do not cover its positions"));
  EXPECT_THAT(message([](StepPlan& p) { p.logit_rows[0] = 2; }), HasSubstr("not in the step"));
  EXPECT_THAT(message([](StepPlan& p) { p.samples[0].bias_count = 1; }), HasSubstr("other biases"));
  EXPECT_THAT(message([](StepPlan& p) { p.samples[0].masked = 1; }), HasSubstr("or masks than it lists"));
  EXPECT_THAT(message([](StepPlan& p) { p.masks.resize(4); }), HasSubstr("or masks than it lists"));
  EXPECT_THAT(message([](StepPlan& p) { p.samples[0].masked = 2; }), HasSubstr("makes no sense"));
  EXPECT_THAT(message([](StepPlan& p) { p.path.captured_size = 33; }), HasSubstr("captured size is 33"));
  EXPECT_THAT(message([](StepPlan& p) { p.shape.decode_tokens = 1; }), HasSubstr("or says so of itself"));
}

}  // namespace
}  // namespace reprise::engine
