// A step may read several tokens of a sequence, as one that guesses ahead does: R beside T and S.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/runner/runner.h"
#include "tests/engine/ways_to_run.h"

namespace reprise::engine {
namespace {

constexpr int64_t kLength =
    9;  // tokens of a sequence; the first six are computed by one step, the others by the next

// Log-probabilities of the tokens that follow, by a step that reads all of its tokens.
std::vector<float> scores_of(Runner& runner, bool replayed) {
  std::vector<float> found;
  StepPlan step;
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 6}, {6, kLength}}) {
    step.clear();
    for (int32_t seq = 0; seq < 2; ++seq) {
      const std::vector<int32_t> all = small_prompt(kLength + 1, static_cast<uint32_t>(seq));
      const BlockId block = 1 + seq;
      step.add_sequence(std::span(all).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)),
                        begin, kLength, {&block, 1});
      for (int64_t back = end - begin - 1; back >= 0; --back)
        step.add_row(
            {.mode = SampleMode::score, .given_token = all[static_cast<size_t>(end - back)], .top = 0}, back);
    }
    // Guesses ahead are a decode step.
    const auto tokens = static_cast<int64_t>(step.token_ids.size());
    (begin == 0 ? step.shape.prefill_tokens : step.shape.decode_tokens) = tokens;
    step.path = runner.graph().choose(step.shape);
    if (begin > 0) {
      EXPECT_EQ(step.path.replayed(), replayed);
    }
    runner.run(step);
    for (int64_t row = 0; row < step.sizes().rows; ++row)
      found.push_back(runner.samples().score(row).logprob);
  }
  return found;
}

TEST(Rows, SeveralTokensOfASequenceAreReadByEveryWayToRun) {
  ThreadTeam team(2);
  TestDevice device(team, Isa::scalar);
  const auto model = small_model(team, device);
  graph::DecomposingCompiler compiler(device);
  std::vector<float> expected;
  // One token a row, as prompt log-probabilities have always been computed.
  {
    SmallEngine engine;
    for (uint32_t seq = 0; seq < 2; ++seq) {
      const Results results =
          engine.run({{small_prompt(kLength + 1, seq), {.max_tokens = 0, .prompt_logprobs = 0}}});
      for (const TokenScore& score : results.at({seq, 0}).prompt_scores) expected.push_back(score.logprob);
    }
    ASSERT_EQ(expected.size(), 2 * static_cast<size_t>(kLength));
    // In the order of the steps: six of each sequence, then three of each.
    std::vector<float> by_step;
    for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 6}, {6, kLength}})
      for (int64_t seq = 0; seq < 2; ++seq)
        for (int64_t i = begin; i < end; ++i)
          by_step.push_back(expected[static_cast<size_t>(seq * kLength + i)]);
    expected = by_step;
  }
  for (const Way& way : ways_to_run()) {
    SCOPED_TRACE(way.name);
    EngineConfig config = small_engine_config();
    config.graph = way.graph;
    Runner runner(*model, {device, &compiler}, config.resolved(), size_t{1} << 30);
    while (runner.graph().capture_next()) {
    }
    EXPECT_EQ(scores_of(runner, way.decode_is_replayed), expected);
  }
}

}  // namespace
}  // namespace reprise::engine
