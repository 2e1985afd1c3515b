// Requests that are held: they run in no step, nobody waits for them, and they go on with the same bits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "tests/engine/small_model.h"

namespace reprise::engine {
namespace {

Request request_of(uint32_t number, int n = 1, int32_t priority = 0) {
  return {.prompt_token_ids = small_prompt(10 + number % 7, number),
          .sampling =
              {.temperature = 1, .seed = number, .ignore_eos = true, .max_tokens = 40, .n = n, .logprobs = 1},
          .priority = priority};
}

EngineConfig config_of(int64_t max_num_seqs, std::optional<int64_t> blocks = {}) {
  EngineConfig config = small_engine_config();
  config.max_num_seqs = max_num_seqs;
  config.num_gpu_blocks_override = blocks;
  return config;
}

void expect_same(const Collected& got, const Collected& want) {
  EXPECT_EQ(got.finish_reason, want.finish_reason);
  EXPECT_EQ(got.token_ids, want.token_ids);
  ASSERT_EQ(got.scores.size(), want.scores.size());
  for (size_t i = 0; i < want.scores.size(); ++i)
    EXPECT_EQ(got.scores[i].logprob, want.scores[i].logprob) << i;
}

void steps(SmallEngine& small, int count) {
  for (int i = 0; i < count; ++i) small.engine.step();
}

TEST(Hold, ItKeepsItsBlocksAndRunsInNoStep) {
  SmallEngine small(config_of(8)), alone;
  alone.run({request_of(0), request_of(1)});
  small.engine.submit(request_of(0));
  small.engine.submit(request_of(1));
  steps(small, 10);
  const int64_t free = small.engine.stats().free_blocks;
  small.engine.hold(0);
  small.engine.hold(0);
  steps(small, 1);
  const size_t tokens = small.results[{0, 0}].token_ids.size();
  EXPECT_EQ(small.engine.stats().running, 1);
  EXPECT_EQ(small.engine.stats().waiting, 1);
  small.engine.run();
  EXPECT_FALSE(small.engine.idle());
  EXPECT_EQ((small.results[{0, 0}].token_ids.size()), tokens);
  EXPECT_GE(small.engine.stats().free_blocks, free) << "only the other's came back";
  EXPECT_LT(small.engine.stats().free_blocks, small.engine.memory().num_kv_blocks);
  small.engine.let_go(0);
  small.engine.let_go(0);
  small.engine.run();
  EXPECT_TRUE(small.engine.idle());
  for (RequestId id : {0, 1}) expect_same(small.results[{id, 0}], alone.results[{id, 0}]);
  EXPECT_EQ(small.engine.stats().preemptions, 0);
}

TEST(Hold, OthersTakeItsPlaceAndItsBlocks) {
  constexpr uint32_t kOthers = 6;
  SmallEngine alone, small(config_of(2, 8));
  alone.run({request_of(0), request_of(1), request_of(2), request_of(3), request_of(4), request_of(5)});
  small.engine.submit(request_of(0));
  small.engine.submit(request_of(1));
  steps(small, 8);
  small.engine.hold(0);
  small.engine.hold(1);
  for (uint32_t i = 2; i < kOthers; ++i) small.engine.submit(request_of(i));
  small.engine.run();
  for (RequestId id = 2; id < kOthers; ++id) {
    expect_same(small.results[{id, 0}], alone.results[{id, 0}]);
    EXPECT_EQ((small.results[{id, 0}].metrics.preemptions), 0) << "those that are held go first";
  }
  EXPECT_GT(small.engine.stats().preemptions, 0);
  small.engine.let_go(1);
  small.engine.let_go(0);
  small.engine.run();
  for (RequestId id : {0, 1}) expect_same(small.results[{id, 0}], alone.results[{id, 0}]);
  EXPECT_EQ(small.engine.stats().free_blocks, 8);
}

TEST(Hold, LetGoWhereThereIsNoPlaceItWaits) {
  SmallEngine alone, small(config_of(1));
  alone.run({request_of(0), request_of(1)});
  small.engine.submit(request_of(0));
  small.engine.submit(request_of(1));
  steps(small, 5);
  small.engine.hold(0);
  steps(small, 5);
  EXPECT_GT((small.results[{1, 0}].token_ids.size()), 0u);
  small.engine.let_go(0);
  steps(small, 1);
  EXPECT_EQ(small.engine.stats().running, 1);
  EXPECT_EQ(small.engine.stats().waiting, 1);
  small.engine.run();
  for (RequestId id : {0, 1}) expect_same(small.results[{id, 0}], alone.results[{id, 0}]);
}

TEST(Hold, EndsAsAllOthersDo) {
  SmallEngine small(config_of(2));
  for (uint32_t i = 0; i < 4; ++i) small.engine.submit(request_of(i));
  steps(small, 5);
  for (RequestId id = 0; id < 4; ++id) small.engine.hold(id);  // two run, two wait
  small.engine.run();
  small.engine.abort(0);
  small.engine.abort(2);
  small.engine.finish(1, 0, FinishReason::stop, 2);
  steps(small, 1);
  EXPECT_EQ((small.results[{0, 0}].finish_reason), FinishReason::abort);
  EXPECT_EQ((small.results[{1, 0}].finish_reason), FinishReason::stop);
  EXPECT_EQ((small.results[{2, 0}].finish_reason), FinishReason::abort);
  EXPECT_EQ(small.engine.stats().waiting, 1);
  EXPECT_EQ(small.engine.stats().free_blocks, small.engine.memory().num_kv_blocks);
  small.engine.abort_all();
  EXPECT_TRUE(small.engine.idle());
  EXPECT_EQ(small.engine.stats().waiting, 0);
}

// Any order of holding, letting go, aborting and giving memory back, where blocks and places are few.
TEST(Hold, AtAnyMomentWithTheSameBits) {
  constexpr uint32_t kRequests = 8;
  SmallEngine alone(config_of(64));
  std::vector<Request> requests;
  for (uint32_t i = 0; i < kRequests; ++i) {
    requests.push_back(request_of(i, 1 + static_cast<int>(i % 3), static_cast<int32_t>(i % 2)));
    requests.back().sampling.max_tokens = 24;  // 3 blocks
  }
  alone.run(requests);
  for (uint32_t seed = 0; seed < 8; ++seed) {
    std::mt19937 random(seed);
    SmallEngine small(config_of(1 + seed % 4, 4 + seed));
    for (const Request& request : requests) small.engine.submit(request);
    std::vector<bool> held(kRequests);
    for (int step = 0; step < 150; ++step) {
      const auto id = static_cast<RequestId>(random() % kRequests);
      switch (random() % 6) {
        case 0:
        case 1:
          small.engine.hold(id);
          break;
        case 2:
        case 3:
          small.engine.let_go(id);
          break;
        case 4:
          if (random() % 30 == 0) small.engine.release_memory();
          break;
        default:
          if (id == 3) small.engine.abort(id);
      }
      small.engine.step();
    }
    for (RequestId id = 0; id < kRequests; ++id) small.engine.let_go(id);
    small.engine.run();
    EXPECT_TRUE(small.engine.idle());
    EXPECT_EQ(small.engine.stats().free_blocks, 4 + seed);
    EXPECT_EQ(small.engine.stats().waiting, 0);
    for (const auto& [key, want] : alone.results)
      if (key.first != 3) expect_same(small.results[key], want);
  }
}

}  // namespace
}  // namespace reprise::engine
