// What a load is made of and what is made of its times: values alone.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "client/load/dataset.h"
#include "client/load/lengths.h"
#include "client/load/load_report.h"
#include "client/load/random_numbers.h"
#include "core/error.h"
#include "core/json.h"

namespace reprise::client {
namespace {

using testing::HasSubstr;

TEST(RandomNumbers, AreTheSameEverywhere) {
  RandomNumbers random(7);
  // By hand from the standard's generator: its first output with seed 7, to 53 bits.
  std::mt19937_64 engine(7);
  EXPECT_EQ(random.uniform(), (static_cast<double>(engine() >> 11) + 0.5) * 0x1p-53);
  double sum = 0, squares = 0, waits = 0;
  constexpr int kMany = 200'000;
  for (int i = 0; i < kMany; ++i) {
    const double value = random.normal();
    sum += value;
    squares += value * value;
    waits += random.exponential();
  }
  EXPECT_NEAR(sum / kMany, 0, 0.01);
  EXPECT_NEAR(squares / kMany, 1, 0.02);
  EXPECT_NEAR(waits / kMany, 1, 0.02);
}

TEST(Lengths, AreLikeSharedConversations) {
  const auto lengths = conversation_lengths(20'000, 1, 0);
  double input = 0, output = 0;
  for (const RequestLengths& each : lengths) {
    ASSERT_TRUE(each.input >= 4 && each.input <= 1024 && each.output >= 4 && each.output <= 1024);
    input += static_cast<double>(each.input);
    output += static_cast<double>(each.output);
  }
  EXPECT_NEAR(input / 20'000, 180, 20);  // the tail above 1024 is cut
  EXPECT_NEAR(output / 20'000, 185, 20);
  for (const int64_t most : {50, 700}) {
    const auto some = uniform_lengths(5'000, 3, 50, most, 64);
    const auto [least, longest] = std::ranges::minmax(some, {}, &RequestLengths::input);
    EXPECT_EQ(least.input, 50);
    EXPECT_EQ(longest.input, most);
    EXPECT_EQ(some[7].output, 64);
  }
  const auto again = conversation_lengths(10, 1, 0);
  for (size_t i = 0; i < again.size(); ++i) EXPECT_EQ(again[i].input, lengths[i].input);
  EXPECT_NE(conversation_lengths(1, 2, 0)[0].input, lengths[0].input);
  for (const RequestLengths& each : conversation_lengths(1000, 1, 256)) {
    EXPECT_LE(each.input + each.output, 256);
    EXPECT_GE(each.output, 1);
  }
}

TEST(Report, HasThePercentilesOfNumpy) {
  // numpy.percentile([5, 1, 4, 2, 3], [50, 90, 95, 99])
  const Times times = times_of({5, 1, 4, 2, 3});
  EXPECT_EQ(times.count, 5U);
  EXPECT_DOUBLE_EQ(times.mean, 3);
  EXPECT_DOUBLE_EQ(times.p50, 3);
  EXPECT_DOUBLE_EQ(times.p90, 4.6);
  EXPECT_DOUBLE_EQ(times.p95, 4.8);
  EXPECT_DOUBLE_EQ(times.p99, 4.96);
  EXPECT_DOUBLE_EQ(times.most, 5);
  EXPECT_DOUBLE_EQ(times_of({7}).p99, 7);
  EXPECT_EQ(times_of({}).count, 0U);
}

LoadResult sample_load() {
  LoadResult result{.duration_s = 2, .client_cpu_s = 0.5, .chunks = 6, .most_open = 2};
  result.requests.push_back({.first_s = 0.1,
                             .total_s = 0.5,
                             .gaps_s = {0.1F, 0.3F},
                             .prompt_tokens = 10,
                             .output_tokens = 5,
                             .cached_tokens = 4,
                             .has_usage = true});
  result.requests.push_back({.first_s = 0.3, .total_s = 0.3, .prompt_tokens = 10, .output_tokens = 1});
  result.requests.push_back({.error = "http_429", .what = "too many", .total_s = 9});
  return result;
}

TEST(Report, CountsWhatWasComplete) {
  const LoadReport report = report_of(sample_load(), {});
  EXPECT_EQ(report.completed, 2);
  EXPECT_EQ(report.failed, 1);
  EXPECT_EQ(report.errors.at("http_429"), 1);
  EXPECT_EQ(report.without_usage, 1);
  EXPECT_EQ(report.output_tokens, 6);
  EXPECT_DOUBLE_EQ(report.per_second(report.output_tokens), 3);
  EXPECT_DOUBLE_EQ(report.ttft.mean, 200);
  EXPECT_EQ(report.tpot.count, 1U);
  EXPECT_NEAR(report.tpot.mean, 100, 1e-9);
  EXPECT_NEAR(report.itl.mean, 200, 1e-4);
  EXPECT_DOUBLE_EQ(report.e2e.most, 500);
  EXPECT_THAT(report_table(report), HasSubstr("1 x http_429: too many"));
  EXPECT_EQ(report_json(report)["ttft_ms"]["mean"], 200);
  EXPECT_FALSE(report_json(report).contains("goodput"));
}

TEST(Report, CountsGoodRequests) {
  const auto good = [](const char* limits) {
    return report_of(sample_load(), parse_goodput("--goodput", limits)).good;
  };
  EXPECT_EQ(good("ttft:1000"), 2);
  EXPECT_EQ(good("ttft:200"), 1);
  EXPECT_EQ(good("ttft:200,tpot:99"), 0);
  EXPECT_EQ(good("itl:299"), 1);
  EXPECT_EQ(good("e2e:400.5"), 1);
  for (const char* wrong :
       {"", "ttft", "ttft:", "ttft:x", "ttft:-1", "ttft:1,", "ttf:5", "ttft:nan", "ttft:1e99"})
    EXPECT_THROW(parse_goodput("--goodput", wrong), Error) << wrong;
  try {
    parse_goodput("--goodput", "tpop:5");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean tpot?"));
  }
}

class Dataset : public testing::Test {
 protected:
  Dataset() : path_(fmt::format("{}reprise_dataset_{}.json", testing::TempDir(), getpid())) {}
  ~Dataset() override { std::filesystem::remove(path_); }
  std::vector<DatasetPair> read(const std::string& text, size_t count = 100, uint64_t seed = 0) {
    std::ofstream(path_) << text;
    return read_dataset(path_, count, seed);
  }
  const std::string path_;
};

std::string conversation(const std::string& question, const std::string& answer) {
  return to_json_text(Json{
      {"id", "x"},
      {"conversations", {{{"from", "human"}, {"value", question}}, {{"from", "gpt"}, {"value", answer}}}}});
}

TEST_F(Dataset, TakesPairsAndLeavesTheRest) {
  const std::string file =
      "[" + conversation("q\n\"1\"", "a1") +
      R"(,{"id":"empty","conversations":[]},{"id":"none"},)"
      R"({"conversations":[{"from":"gpt","value":"first"},{"from":"human","value":"x"}]},)"
      R"({"conversations":[{"from":"human","value":"alone"}]},)"
      R"({"conversations":[{"from":"human","value":5},{"from":"gpt","value":"x"}]},)" +
      conversation("q2", "a2") + "]";
  auto pairs = read(file);
  ASSERT_EQ(pairs.size(), 2U);
  std::ranges::sort(pairs, {}, &DatasetPair::prompt);
  EXPECT_EQ(pairs[0].prompt, "q\n\"1\"");
  EXPECT_EQ(pairs[0].answer, "a1");
  EXPECT_EQ(pairs[1].answer, "a2");
}

TEST_F(Dataset, DrawsBySeed) {
  std::string file = "[";
  for (int i = 0; i < 200; ++i) file += (i > 0 ? "," : "") + conversation("q" + std::to_string(i), "a");
  file += "]";
  const auto prompts = [&](uint64_t seed) {
    std::vector<std::string> list;
    for (const DatasetPair& pair : read(file, 20, seed)) list.push_back(pair.prompt);
    return list;
  };
  EXPECT_EQ(prompts(1).size(), 20U);
  EXPECT_EQ(prompts(1), prompts(1));
  EXPECT_NE(prompts(1), prompts(2));
}

TEST_F(Dataset, RefusesWhatIsNone) {
  for (const char* wrong :
       {"", "{}", "[", "[]", "[1,2]", "\"text\"", "[{\"conversations\": 5}]", "[{\"conversations\":"})
    EXPECT_THROW(read(wrong), Error) << wrong;
  EXPECT_THROW(read_dataset("/nonexistent/file", 1, 0), Error);
}

}  // namespace
}  // namespace reprise::client
