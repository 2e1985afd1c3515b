// Every model family against what Hugging Face transformers says of the same tiny checkpoints, at every ISA
// level of this machine: float32 log-probabilities and greedy tokens, and the error in bfloat16.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/models/golden_models.h"

namespace reprise::golden {
namespace {

constexpr double kTolerance = 1e-4;       // of max(1, |log-probability|)
constexpr double kWrittenDigits = 1e-6;   // expected.json rounds
constexpr double kAllowedRmsRatio = 1.1;  // of our bfloat16 error to that of transformers

class GoldenTest : public testing::TestWithParam<std::string> {
 protected:
  Golden golden_ = load_golden(GetParam());
};

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
}

TEST_P(GoldenTest, Float32LogProbabilitiesAreThoseOfTransformers) {
  for (const std::string& isa : runnable_isas()) {
    SCOPED_TRACE(isa);
    LanguageModel model = LanguageModel::load(golden_options(golden_, "float32", isa));
    std::vector<Prompt> prompts;
    for (const Case& c : golden_.cases)
      prompts.push_back(greedy_prompt(c.prompt, static_cast<int>(c.tokens.size())));
    const std::vector<Result> results = model.generate(prompts);
    ASSERT_EQ(results.size(), golden_.cases.size());
    for (size_t i = 0; i < results.size(); ++i) {
      SCOPED_TRACE("prompt of " + std::to_string(golden_.cases[i].prompt.size()));
      const Case& expected = golden_.cases[i];
      ASSERT_EQ(results[i].error, "");
      EXPECT_EQ(results[i].outputs.at(0).token_ids, expected.tokens);
      const auto rows = rows_of(results[i], expected.rows[0].size());
      ASSERT_EQ(rows.size(), expected.rows.size());
      for (size_t row = 0; row < rows.size(); ++row) {
        for (size_t token = 0; token < rows[row].size(); ++token) {
          const double want = expected.rows[row][token];
          ASSERT_NEAR(rows[row][token], want, kTolerance * std::max(1.0, std::abs(want)) + kWrittenDigits)
              << "row " << row << ", token " << token;
        }
      }
    }
  }
}

class RoundedGoldenTest : public GoldenTest {};

TEST_P(RoundedGoldenTest, Bfloat16ErrorIsThatOfTransformersOrLess) {
  for (const std::string& isa : runnable_isas()) {
    SCOPED_TRACE(isa);
    LanguageModel model = LanguageModel::load(golden_options(golden_, "bfloat16", isa));
    double sum = 0;
    int64_t count = 0;
    for (const Case& c : golden_.cases) {
      const std::vector<Result> results = model.generate({greedy_prompt(c.prompt, 1)});
      ASSERT_EQ(results.at(0).error, "");
      const auto rows = rows_of(results[0], c.rows[0].size());
      ASSERT_EQ(rows.size(), c.prompt.size());
      for (size_t row = 0; row < rows.size(); ++row) {
        for (size_t token = 0; token < rows[row].size(); ++token) {
          const double error = rows[row][token] - c.rows[row][token];
          sum += error * error;
          ++count;
        }
      }
    }
    const double rms = std::sqrt(sum / static_cast<double>(count));
    EXPECT_LE(rms, kAllowedRmsRatio * golden_.bfloat16_rms);  // false for NaN too
    EXPECT_GT(rms, 0) << "bfloat16 was asked for";
  }
}

// Those whose weights are stored in bfloat16.
std::vector<std::string> rounded_names() {
  std::vector<std::string> names = golden_names();
  std::erase_if(names, [](const std::string& name) { return load_golden(name).bfloat16_rms == 0; });
  return names;
}

INSTANTIATE_TEST_SUITE_P(Models, RoundedGoldenTest, testing::ValuesIn(rounded_names()), test_name);
INSTANTIATE_TEST_SUITE_P(Models, GoldenTest, testing::ValuesIn(golden_names()), test_name);

}  // namespace
}  // namespace reprise::golden
