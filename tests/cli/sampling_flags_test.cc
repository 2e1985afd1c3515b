#include "cli/sampling_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace reprise::cli {
namespace {

TEST(SamplingFlags, GoOverDefaults) {
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
