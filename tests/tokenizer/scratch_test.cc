// Memory that a thread keeps between calls: a very long text must not leave any behind.
#include "tokenizer/scratch.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include "core/error.h"
#include "tests/tokenizer/golden_cases.h"
#include "tokenizer/regex.h"

namespace reprise::tokenizer {
namespace {

TEST(ScratchScope, FreesWhatGrewBeyondItsLimit) {
  std::vector<int> list = {1, 2, 3};
  {
    const ScratchScope scope(list);
    EXPECT_TRUE(list.empty());
    list.resize(1000);
  }
  EXPECT_GE(list.capacity(), 1000u);  // kept for the next call
  {
    const ScratchScope scope(list);
    list.resize((size_t{1} << 20) / sizeof(int) + 1);
  }
  EXPECT_EQ(list.capacity(), 0u);
}

// Bytes in use, of all threads. Sanitizers have an allocator of their own, and this is 0: the test above is
// for them.
size_t bytes_in_use() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

void expect_no_memory_left(const char* name, const Tokenizer& tokenizer, const std::string& unit) {
  tokenizer.encode("a word");  // the word cache, which has a fixed size
  const size_t before = bytes_in_use();
  size_t count = 0;
  {
    std::string text;
    while (text.size() < 3'000'000) text += unit;
    count = tokenizer.encode(text).size();
  }
  EXPECT_GT(count, 100'000u) << name;
  EXPECT_LT(bytes_in_use(), before + 3'000'000) << name;
}

TEST(Scratch, OfAVeryLongWordIsGivenBack) {
  const Tokenizer bpe = Tokenizer::load(golden_folder("bpe"));
  expect_no_memory_left("bpe", bpe, "qz");
  expect_no_memory_left("bpe", bpe, "1 ");
  expect_no_memory_left("sentencepiece", Tokenizer::load(golden_folder("sentencepiece")), "qz");
  expect_no_memory_left("unigram", Tokenizer::load(golden_folder("unigram")), "qz");
  GgufVocab vocab;
  vocab.model = "llama";
  vocab.tokens = {"<unk>", "<s>", "</s>", "▁", "a", "b", "ab"};
  vocab.scores = {0, 0, 0, -9, -9, -9, -1};
  vocab.types = token_types({2, 3, 3, 1, 1, 1, 1});
  expect_no_memory_left("gguf llama", Tokenizer::from_gguf(vocab), "aab");
}

// PCRE2 keeps the memory of its interpreter, which serves where the stack of its JIT is too small.
TEST(Scratch, OfAMatchThatBacktracksIsGivenBack) {
  const Regex regex("(?:(a)|b)*c", "test");
  const std::string text(100'000, 'a');
  RegexBudget warm(16);
  regex.find("ac", 0, warm);
  const size_t before = bytes_in_use();
  for (const bool fails : {false, true}) {
    RegexBudget budget(size_t{1} << 40);
    if (fails) {
      EXPECT_THROW(regex.find(text + text + text + "c", 0, budget), Error);
    } else {
      EXPECT_TRUE(regex.find(text.substr(0, 20'000) + "c", 0, budget).has_value());
    }
    EXPECT_LT(bytes_in_use(), before + 1'000'000) << fails;
  }
}

}  // namespace
}  // namespace reprise::tokenizer
