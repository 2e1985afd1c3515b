#include "cli/sampling_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cli/command_line.h"

namespace reprise::cli {
namespace {

// What a command with sampling flags makes of `arguments`, over `base`.
Sampling parsed(std::vector<const char*> arguments, const Sampling& base = {}) {
  CommandLine line("program", "", "1");
  Command& command = line.program().add_command("run", "");
  const SamplingFlags flags(command);
  command.action([] { return 0; });
  arguments.insert(arguments.begin(), {"program", "run"});
  line.run(static_cast<int>(arguments.size()), arguments.data());
  return flags.over(base);
}

std::string error_of(const std::vector<const char*>& arguments) {
  try {
    parsed(arguments);
  } catch (const UsageError& e) {
    return e.what();
  }
  return "";
}

TEST(SamplingFlags, GoOverDefaults) {
  Sampling base;
  base.top_k = 9;
  const Sampling sampling =
      parsed({"--temperature", ".25", "--stop", "A", "--stop", "B C", "--ignore-eos", "--logit-bias",
              "{\"3\":-1}", "--stop-token-ids", "[4,5]", "--logprobs", "-1", "--stop="},
             base);
  EXPECT_EQ(sampling.temperature, 0.25f);
  EXPECT_EQ(sampling.top_k, 9);
  EXPECT_TRUE(sampling.ignore_eos);
  EXPECT_THAT(sampling.stop, testing::ElementsAre("A", "B C", ""));
  EXPECT_THAT(sampling.stop_token_ids, testing::ElementsAre(4, 5));
  EXPECT_THAT(sampling.logit_bias, testing::ElementsAre(testing::Pair(3, -1.0f)));
  EXPECT_EQ(sampling.logprobs, -1);
}

TEST(SamplingFlags, WrongValuesNameFlagValueAndWhatIsExpected) {
  const struct {
    std::vector<const char*> arguments;
    std::string expected;
  } cases[] = {{{"--temperature", "abc"}, "[--temperature] is 'abc', expected a number"},
               {{"--temperature", ""}, "[--temperature] is '', expected a number"},
               {{"--temperature", "nan"}, "expected a number"},
               {{"--temperature", "1e999"}, "expected a number"},
               {{"--n", "x"}, "[--n] is 'x', expected a number"},
               {{"--n", "1.5"}, "expected an integer"},
               {{"--logit-bias", "5:2"}, "[--logit-bias] is '5:2', expected {\"token id\": bias, ...}"},
               {{"--logit-bias", "{\"x\":1}"}, "[--logit-bias]"},
               {{"--logit-bias", "[]"}, "[--logit-bias] is [], expected an object"},
               {{"--stop-token-ids", "1,2"}, "[--stop-token-ids] is '1,2', expected [id, ...]"},
               {{"--skip-special-tokens", "yes"}, "[--skip-special-tokens] is 'yes', expected true or false"},
               {{"--ignore-eos=maybe"}, "[--ignore-eos] is 'maybe', expected one of true, false"},
               {{"--seed", "1", "--seed", "2"}, "[--seed] is given 2 times; keep one"},
               {{"--seed"}, "[--seed] has no value"}};
  for (const auto& c : cases) {
    const std::string error = error_of(c.arguments);
    EXPECT_THAT(error, testing::HasSubstr(c.expected));
    EXPECT_THAT(error, testing::Not(testing::HasSubstr("malformed JSON")));
  }
}

}  // namespace
}  // namespace reprise::cli
