// Settings and sampling parameters: what is refused, and that the message names field, value and fix.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "core/error.h"
#include "engine/config/engine_config.h"
#include "engine/scheduling/sampling_params.h"

namespace reprise::engine {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::string refused(const std::function<void(SamplingParams&)>& change) {
  SamplingParams params;
  change(params);
  return error_of([&] { params.validate(1000, 20); });
}

TEST(SamplingParams, AcceptsTheWholeRange) {
  SamplingParams params{.temperature = 0,
                        .top_k = -1,
                        .top_p = 0,
                        .min_p = 1,
                        .repetition_penalty = 0.1f,
                        .presence_penalty = -2,
                        .frequency_penalty = 2,
                        .logit_bias = {{999, -100.0f}},
                        .seed = 5,
                        .stop_token_ids = {0, 999},
                        .min_tokens = 3,
                        .max_tokens = 3,
                        .bad_words_token_ids = {{1, 2}},
                        .n = 4,
                        .logprobs = 20,
                        .prompt_logprobs = 0};
  EXPECT_NO_THROW(params.validate(1000, 20));
  params.logprobs = -1;
  EXPECT_NO_THROW(params.validate(1000, -1));
}

TEST(SamplingParams, NamesFieldValueAndRange) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(refused([](auto& p) { p.temperature = -0.5f; }),
              AllOf(HasSubstr("temperature"), HasSubstr("-0.5")));
  EXPECT_THAT(refused([&](auto& p) { p.temperature = nan; }), HasSubstr("temperature"));
  EXPECT_THAT(refused([](auto& p) { p.top_k = -2; }), HasSubstr("top_k"));
  EXPECT_THAT(refused([](auto& p) { p.top_p = 1.5f; }), AllOf(HasSubstr("top_p"), HasSubstr("0 to 1")));
  EXPECT_THAT(refused([&](auto& p) { p.min_p = nan; }), HasSubstr("min_p"));
  EXPECT_THAT(refused([](auto& p) { p.repetition_penalty = 0; }), HasSubstr("more than 0"));
  EXPECT_THAT(refused([](auto& p) { p.presence_penalty = 2.5f; }), HasSubstr("presence_penalty"));
  EXPECT_THAT(refused([](auto& p) { p.frequency_penalty = -3; }), HasSubstr("frequency_penalty"));
  EXPECT_THAT(refused([](auto& p) {
                p.logit_bias = {{1000, 1.0f}};
              }),
              AllOf(HasSubstr("1000"), HasSubstr("999")));
  EXPECT_THAT(refused([](auto& p) { p.logit_bias = {{1, 101.0f}}; }), HasSubstr("logit_bias of token 1"));
  EXPECT_THAT(refused([](auto& p) { p.stop_token_ids = {-1}; }), HasSubstr("stop_token_ids"));
  EXPECT_THAT(refused([](auto& p) { p.stop_token_ids.assign(1000, 1); }), HasSubstr("256"));
  EXPECT_THAT(refused([](auto& p) { p.bad_words_token_ids = {{}}; }), HasSubstr("bad_words"));
  EXPECT_THAT(refused([](auto& p) { p.n = 0; }), HasSubstr("n is 0"));
  EXPECT_THAT(refused([](auto& p) { p.max_tokens = -1; }), HasSubstr("max_tokens"));
  EXPECT_THAT(refused([](auto& p) {
                p.min_tokens = 9;
                p.max_tokens = 8;
              }),
              HasSubstr("min_tokens is 9"));
  EXPECT_THAT(refused([](auto& p) { p.logprobs = 21; }), AllOf(HasSubstr("21"), HasSubstr("--max-logprobs")));
  EXPECT_THAT(refused([](auto& p) { p.prompt_logprobs = -1; }), HasSubstr("prompt_logprobs"));
}

TEST(EngineConfig, FillsInTheDefaults) {
  const EngineConfig config = EngineConfig{.max_model_len = 4096, .max_num_seqs = 8}.resolved();
  EXPECT_EQ(config.max_num_batched_tokens, 512);
  EXPECT_EQ(config.long_prefill_token_threshold, 163);
  const EngineConfig whole = EngineConfig{.max_model_len = 20000, .enable_chunked_prefill = false}.resolved();
  EXPECT_EQ(whole.max_num_batched_tokens, 20000);
  EXPECT_EQ(EngineConfig{.max_num_seqs = 600}.resolved().max_num_batched_tokens, 600) << "a token a sequence";
  const EngineConfig small = EngineConfig{.max_model_len = 100, .max_num_seqs = 2}.resolved();
  EXPECT_EQ(small.max_num_batched_tokens, 200)
      << "more tokens than all sequences have would only cost memory";
}

TEST(EngineConfig, RefusesWhatCannotWork) {
  const auto refused = [](EngineConfig config) { return error_of([&] { config.resolved(); }); };
  EXPECT_THAT(refused({.max_model_len = 0}), HasSubstr("--max-model-len is 0"));
  EXPECT_THAT(refused({.max_num_seqs = 0}), HasSubstr("--max-num-seqs"));
  EXPECT_THAT(refused({.block_size = 24}), HasSubstr("multiple of 16"));
  EXPECT_THAT(refused({.max_num_seqs = 32, .max_num_batched_tokens = 16}),
              HasSubstr("--max-num-batched-tokens"));
  EXPECT_THAT(
      refused({.max_model_len = 4096, .max_num_batched_tokens = 1024, .enable_chunked_prefill = false}),
      HasSubstr("not chunked"));
  EXPECT_THAT(refused({.max_num_partial_prefills = 1, .max_long_partial_prefills = 2}),
              HasSubstr("--max-long-partial-prefills"));
  EXPECT_THAT(refused({.num_gpu_blocks_override = 0}), HasSubstr("--num-gpu-blocks-override"));
  EXPECT_THAT(refused({.memory_utilization = 0}), HasSubstr("--gpu-memory-utilization"));
  EXPECT_THAT(refused({.max_partition_size = 100}), HasSubstr("--max-partition-size"));
}

}  // namespace
}  // namespace reprise::engine
