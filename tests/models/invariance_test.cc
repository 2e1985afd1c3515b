// The promise of the README: a request's tokens and log-probabilities are the same bit for bit alone, among
// 64 others, in chunks, after preemption, with any number of threads; at every ISA level, in both dtypes,
// greedy and seeded. Here on tiny models with the features that could break it (rotary that depends on the
// length, windows, groups of heads); tools/oracle/invariance_check.py does it on SmolLM2.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <random>

#include "tests/models/golden_models.h"

namespace reprise::golden {
namespace {

constexpr int kRequests = 64;

// Prompts of 1 to 60 ids and up to 10 tokens; every other one drawn with a seed and penalties.
std::vector<Prompt> mixed_requests(int32_t vocab) {
  std::mt19937 random(7);  // NOLINT: the same requests in every run
  std::vector<Prompt> prompts;
  for (int i = 0; i < kRequests; ++i) {
    std::vector<int32_t> ids(i == 0 ? 1 : 1 + random() % 60);
    for (int32_t& id : ids) id = static_cast<int32_t>(random() % static_cast<uint32_t>(vocab));
    Prompt prompt = greedy_prompt(ids, 1 + static_cast<int>(random() % 10));
    prompt.sampling.logprobs = 4;
    prompt.sampling.prompt_logprobs = i % 5 == 0 ? std::optional<int>(2) : std::nullopt;
    if (i % 2 == 1) {
      prompt.sampling.temperature = 0.9f;
      prompt.sampling.top_p = 0.95f;
      prompt.sampling.top_k = i % 4 == 1 ? 20 : 0;
      prompt.sampling.repetition_penalty = i % 4 == 3 ? 1.2f : 1.0f;
      prompt.sampling.seed = static_cast<uint64_t>(i);
    }
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

// Everything that must not change, floats as their bits.
struct Bits {
  std::vector<int32_t> token_ids;
  std::vector<uint32_t> floats;
  bool operator==(const Bits&) const = default;
};

Bits bits_of(const Result& result) {
  EXPECT_EQ(result.error, "");
  Bits bits;
  if (result.outputs.empty()) return bits;
  bits.token_ids = result.outputs[0].token_ids;
  const auto add = [&](const TokenLogprob& position) {
    bits.floats.push_back(std::bit_cast<uint32_t>(position.logprob));
    for (const RankedToken& ranked : position.top) {
      bits.token_ids.push_back(ranked.token_id);
      bits.floats.push_back(std::bit_cast<uint32_t>(ranked.logprob));
    }
  };
  for (const TokenLogprob& position : result.prompt_logprobs) add(position);
  for (const TokenLogprob& position : result.outputs[0].logprobs) add(position);
  return bits;
}

struct Way {
  const char* name;
  void (*set)(LoadOptions&);
  bool preempts = false;
};

const Way kWays[] = {
    {"batch of 64", [](LoadOptions& o) { o.max_num_seqs = 64; }},
    {"chunks of 16", [](LoadOptions& o) { o.max_num_seqs = 8, o.max_num_batched_tokens = 16; }},
    {"chunks beside decoding", [](LoadOptions& o) { o.max_num_seqs = 64, o.max_num_batched_tokens = 80; }},
    {"two threads", [](LoadOptions& o) { o.max_num_seqs = 64, o.threads = 2; }},
    {"preempted", [](LoadOptions& o) { o.max_num_seqs = 64, o.num_gpu_blocks_override = 20; }, true},
    {"preempted, chunked, two threads",
     [](LoadOptions& o) {
       o.max_num_seqs = 16, o.num_gpu_blocks_override = 12, o.max_num_batched_tokens = 32, o.threads = 2;
     },
     true},
};

void expect_invariant(const Golden& golden, const std::string& dtype, const std::string& isa) {
  SCOPED_TRACE(golden.name + ", " + dtype + ", " + isa);
  const LoadOptions options = golden_options(golden, dtype, isa);
  const std::vector<Prompt> prompts = mixed_requests(static_cast<int32_t>(golden.cases[0].rows[0].size()));
  std::vector<Bits> alone;
  {
    LanguageModel model = LanguageModel::load(options);
    for (const Prompt& prompt : prompts) alone.push_back(bits_of(model.generate({prompt}).at(0)));
  }
  for (const Way& way : kWays) {
    SCOPED_TRACE(way.name);
    LoadOptions changed = options;
    way.set(changed);
    LanguageModel model = LanguageModel::load(changed);
    const std::vector<Result> results = model.generate(prompts);
    ASSERT_EQ(results.size(), prompts.size());
    int64_t preemptions = 0;
    for (size_t i = 0; i < results.size(); ++i) {
      preemptions += results[i].metrics.preemptions;
      EXPECT_EQ(bits_of(results[i]), alone[i]) << "request " << i;
    }
    if (way.preempts) {
      EXPECT_GT(preemptions, 0) << "the case was made for it";
    }
  }
}

using ModelAndDtype = std::tuple<const char*, const char*>;
class InvarianceTest : public testing::TestWithParam<ModelAndDtype> {};

TEST_P(InvarianceTest, EveryWayGivesTheSameBits) {
  const auto& [name, dtype] = GetParam();
  for (const std::string& isa : runnable_isas()) expect_invariant(load_golden(name), dtype, isa);
}

std::string test_name(const testing::TestParamInfo<ModelAndDtype>& info) {
  std::string name = std::string(std::get<0>(info.param)) + "_" + std::get<1>(info.param);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Models, InvarianceTest,
                         testing::Combine(testing::Values("llama-dynamic", "mistral-window-yarn"),
                                          testing::Values("float32", "bfloat16")),
                         test_name);

}  // namespace
}  // namespace reprise::golden
