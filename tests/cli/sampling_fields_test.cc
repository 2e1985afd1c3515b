#include "cli/sampling_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cli/sampling_flags.h"
#include "core/error.h"

namespace reprise::cli {
namespace {

std::string error_of(const std::string& name, const Json& value) {
  Sampling sampling;
  try {
    set_sampling_field(sampling, name, value);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(SamplingFields, JsonFieldsAreTyped) {
  Sampling sampling;
  EXPECT_TRUE(set_sampling_field(sampling, "top_p", 0.5));
  EXPECT_TRUE(set_sampling_field(sampling, "stop", "END"));
  EXPECT_TRUE(set_sampling_field(sampling, "logit_bias", Json{{"5", 2.5}}));
  EXPECT_TRUE(set_sampling_field(sampling, "seed", nullptr));
  EXPECT_FALSE(set_sampling_field(sampling, "top_q", 1));
  EXPECT_EQ(sampling.top_p, 0.5f);
  EXPECT_THAT(sampling.stop, testing::ElementsAre("END"));
  EXPECT_THAT(sampling.logit_bias, testing::ElementsAre(testing::Pair(5, 2.5f)));
  EXPECT_FALSE(sampling.seed);
  EXPECT_THAT(error_of("top_k", "many"),
              testing::AllOf(testing::HasSubstr("top_k"), testing::HasSubstr("integer")));
  EXPECT_THAT(error_of("top_k", 1e300), testing::HasSubstr("top_k"));
  EXPECT_THAT(error_of("max_tokens", int64_t{1} << 40), testing::HasSubstr("max_tokens"));
  EXPECT_THAT(error_of("stop", Json::array({1})), testing::HasSubstr("stop"));
  EXPECT_THAT(error_of("ignore_eos", 1), testing::HasSubstr("true or false"));
}

TEST(SamplingFields, FlagsGoOverDefaults) {
  CLI::App app;
  const SamplingFlags flags(app);
  std::vector<std::string> arguments = {
      "--temperature", "0.25",       "--stop",           "A",    "--stop", "B C", "--ignore-eos",
      "--logit-bias",  "{\"3\":-1}", "--stop-token-ids", "[4,5]"};
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes a vector from its back
  app.parse(arguments);
  Sampling base;
  base.top_k = 9;
  const Sampling sampling = flags.over(base);
  EXPECT_EQ(sampling.temperature, 0.25f);
  EXPECT_EQ(sampling.top_k, 9);
  EXPECT_TRUE(sampling.ignore_eos);
  EXPECT_THAT(sampling.stop, testing::ElementsAre("A", "B C"));
  EXPECT_THAT(sampling.stop_token_ids, testing::ElementsAre(4, 5));
  EXPECT_THAT(sampling.logit_bias, testing::ElementsAre(testing::Pair(3, -1.0f)));
}

}  // namespace
}  // namespace reprise::cli
