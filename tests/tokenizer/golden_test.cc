// Encoding and decoding against what Python's `tokenizers` answered, for the three committed tokenizers; and
// the promise of safety for many threads (the TSan build runs this).
#include <gtest/gtest.h>

#include <thread>

#include "tests/tokenizer/byte_runs.h"
#include "tests/tokenizer/golden_cases.h"

namespace reprise::tokenizer {
namespace {

class GoldenTest : public testing::TestWithParam<const char*> {
 protected:
  Tokenizer tokenizer_ = Tokenizer::load(golden_folder(GetParam()));
  GoldenCases cases_ = read_golden_cases(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Tokenizers, GoldenTest, testing::Values("bpe", "sentencepiece", "unigram"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(GoldenTest, EncodesAsTheLibrary) {
  ASSERT_GT(cases_.texts.size(), 100u);
  for (const TextCase& text : cases_.texts) {
    EXPECT_EQ(tokenizer_.encode(text.bytes, true), text.ids) << text.bytes;
    EXPECT_EQ(tokenizer_.encode(text.bytes, false), text.ids_plain) << text.bytes;
  }
}

TEST_P(GoldenTest, DecodesAsTheLibraryWholeAndStreaming) {
  ASSERT_GT(cases_.decodes.size(), 100u);
  int valid = 0;
  for (const DecodeCase& decode : cases_.decodes) {
    EXPECT_EQ(tokenizer_.decode(decode.ids, false), decode.text);
    EXPECT_EQ(tokenizer_.decode(decode.ids, true), decode.text_skip);
    for (const bool skip : {false, true}) {
      const ByteRuns runs = repair_byte_runs(tokenizer_, decode.ids, skip);
      const std::string streamed = decode_streaming(tokenizer_, decode.ids, skip);
      EXPECT_EQ(streamed, tokenizer_.decode(runs.ids, skip));
      if (!runs.valid) continue;
      EXPECT_EQ(streamed, skip ? decode.text_skip : decode.text);
      ++valid;
    }
  }
  EXPECT_GT(valid, 100);
}

TEST_P(GoldenTest, ServesManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (size_t k = 0; k < cases_.texts.size(); ++k) {
        const TextCase& text = cases_.texts[(k + thread * 37) % cases_.texts.size()];
        wrong[thread] += tokenizer_.encode(text.bytes) != text.ids;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST_P(GoldenTest, KnowsEachTokenBothWays) {
  for (int32_t id = 0; id < tokenizer_.vocab_size(); ++id) {
    const auto text = tokenizer_.id_to_token(id);
    ASSERT_TRUE(text.has_value());
    EXPECT_EQ(tokenizer_.token_to_id(*text), id);
  }
  EXPECT_FALSE(tokenizer_.id_to_token(tokenizer_.vocab_size()).has_value());
  EXPECT_EQ(tokenizer_.decode(std::vector<int32_t>{tokenizer_.vocab_size()}), "");
}

}  // namespace
}  // namespace reprise::tokenizer
