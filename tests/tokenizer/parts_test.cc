// The parts of the tokenizer one by one: UTF-8, patterns and splits, added tokens, configuration,
// GGUF kinds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/json.h"
#include "tests/tokenizer/golden_cases.h"
#include "tokenizer/merge.h"
#include "tokenizer/pattern.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode_form.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer {
namespace {

using testing::ElementsAre;

TEST(Utf8, EachMaximalInvalidSubpartBecomesOneReplacement) {
  const std::pair<const char*, const char*> cases[] = {
      {"abc", "abc"},
      {"\xFF", "\uFFFD"},
      {"\xC3", "\uFFFD"},
      {"a\xE2\x82z", "a\uFFFDz"},
      {"\xE2\x82\xE2\x82\xAC", "\uFFFD€"},
      {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},            // a surrogate
      {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},  // above U+10FFFF
      {"\xC0\xAF", "\uFFFD\uFFFD"},                      // overlong
      {"\xF0\x9F\x98", "\uFFFD"},
  };
  for (const auto& [bytes, text] : cases) {
    EXPECT_EQ(replace_invalid_utf8(bytes), text);
    EXPECT_EQ(is_valid_utf8(bytes), replace_invalid_utf8(bytes) == bytes);
  }
}

std::vector<std::string> split(std::string_view text, const Pattern& pattern, SplitBehavior behavior,
                               bool invert = false) {
  std::vector<std::string> pieces;
  split_text(text, pattern, behavior, invert,
             [&](size_t begin, size_t end) { pieces.emplace_back(text.substr(begin, end - begin)); });
  return pieces;
}

TEST(Split, EachBehavior) {
  const Pattern dash = Pattern::literal("-", "test");
  const char* text = "the-final--countdown";  // the example of the library's manual
  EXPECT_THAT(split(text, dash, SplitBehavior::kRemoved), ElementsAre("the", "final", "countdown"));
  EXPECT_THAT(split(text, dash, SplitBehavior::kIsolated),
              ElementsAre("the", "-", "final", "-", "-", "countdown"));
  EXPECT_THAT(split(text, dash, SplitBehavior::kMergedWithPrevious),
              ElementsAre("the-", "final-", "-", "countdown"));
  EXPECT_THAT(split(text, dash, SplitBehavior::kMergedWithNext),
              ElementsAre("the", "-final", "-", "-countdown"));
  EXPECT_THAT(split(text, dash, SplitBehavior::kContiguous),
              ElementsAre("the", "-", "final", "--", "countdown"));
  EXPECT_THAT(split(text, dash, SplitBehavior::kRemoved, true), ElementsAre("-", "-", "-"));
}

TEST(Split, EmptyMatchesAdvance) {
  EXPECT_THAT(split("aéb", Pattern::regex("x*", "test"), SplitBehavior::kIsolated),
              ElementsAre("a", "é", "b"));
  EXPECT_THAT(split("ab", Pattern::literal("", "test"), SplitBehavior::kRemoved), ElementsAre("a", "b"));
}

TEST(Regex, SpeaksOnigurumasDialect) {
  const auto matches = [](const char* pattern, const char* text) {
    RegexBudget budget(16);
    return Regex(pattern, "test").find(text, 0, budget).has_value();
  };
  EXPECT_TRUE(matches(R"(\h)", "f"));
  EXPECT_FALSE(matches(R"(\h)", " "));
  EXPECT_TRUE(matches(R"(\u00e9)", "é"));
  EXPECT_TRUE(matches(R"(\w)", "\u0301"));   // marks are part of words
  EXPECT_FALSE(matches(R"(\s)", "\u180e"));  // no blank since Unicode 6.3
  EXPECT_TRUE(matches(R"(^b)", "a\nb"));
  EXPECT_TRUE(matches(R"([[:punct:]])", "€"));
  EXPECT_TRUE(matches(R"(\p{Letter}\p{Han})", "a世"));
  EXPECT_THROW(Regex("(*ACCEPT)a", "test"), Error);
  EXPECT_THROW(Regex("[a[b]]", "test"), Error);
  EXPECT_THROW(Regex(std::string(1 << 17, 'a'), "test"), Error);
}

TEST(UnicodeForm, ComposesAndOrdersMarks) {
  EXPECT_EQ(to_unicode_form("e\u0301", UnicodeForm::kNfc), "é");
  EXPECT_EQ(to_unicode_form("é", UnicodeForm::kNfd), "e\u0301");
  EXPECT_EQ(to_unicode_form("ﬁ", UnicodeForm::kNfkc), "fi");
  EXPECT_EQ(to_unicode_form("q\u0307\u0323", UnicodeForm::kNfc), "q\u0323\u0307");
  // A mark that is newer than the library's data stays where it is and parts what stands around it.
  EXPECT_EQ(to_unicode_form("a\u09fe\u0323", UnicodeForm::kNfc), "a\u09fe\u0323");
  EXPECT_EQ(to_unicode_form("a\u0323\u09fe", UnicodeForm::kNfc), "\u1ea1\u09fe");
  EXPECT_EQ(to_unicode_form("a\u0899\u0301", UnicodeForm::kNfc), "a\u0899\u0301");
  // Half a million marks: quadratic sorting would take minutes.
  std::string marks = "a";
  for (int k = 0; k < 250000; ++k) marks += "\u0301\u0323";
  EXPECT_EQ(to_unicode_form(marks, UnicodeForm::kNfd).size(), marks.size());
}

TEST(Merge, ScanAndHeapAgree) {
  // A made-up rule over small ids, with equal ranks, so that the order among equals counts.
  const auto lookup = [](const Symbol& left, const Symbol& right) {
    const int32_t sum = left.id * 3 + right.id;
    return sum % 4 == 0 ? MergeResult{kNoRank, -1}
                        : MergeResult{static_cast<uint32_t>(sum % 5), (left.id * 7 + right.id * 5) % 23};
  };
  uint32_t state = 1;
  for (int round = 0; round < 300; ++round) {
    std::vector<Symbol> scan;
    for (size_t k = 0; k < 2 + static_cast<size_t>(round) % 39; ++k) {
      state = state * 1664525 + 1013904223;
      scan.push_back({static_cast<int32_t>(state >> 28), static_cast<uint32_t>(k), 1});
    }
    std::vector<Symbol> heap = scan;
    detail::merge_by_scan(scan, lookup);
    detail::merge_by_heap(heap, lookup);
    ASSERT_EQ(scan.size(), heap.size());
    for (size_t k = 0; k < scan.size(); ++k) EXPECT_EQ(scan[k].id, heap[k].id);
  }
}

#define ABC R"("model":{"type":"BPE","vocab":{"a":0,"b":1,"c":2," ":3},"merges":[]})"

TEST(AddedTokens, FlagsCutAsTheLibrary) {
  const Tokenizer tokenizer = Tokenizer::from_json(
      R"({"added_tokens":[{"id":4,"content":"<l>","lstrip":true},{"id":5,"content":"<r>","rstrip":true},)"
      R"({"id":6,"content":"ca","single_word":true},{"id":7,"content":"<l><"}],)" ABC "}",
      "test");
  EXPECT_THAT(tokenizer.encode("a  <l>  b"), ElementsAre(0, 4, 3, 3, 1));
  EXPECT_THAT(tokenizer.encode("a  <r>  b"), ElementsAre(0, 3, 3, 5, 1));
  EXPECT_THAT(tokenizer.encode("ca cab"), ElementsAre(6, 3, 2, 0, 1));
  EXPECT_THAT(tokenizer.encode("<l><"), ElementsAre(7));  // the longest
}

TEST(Tokenizer, TokenBytesAreWhatATokenAddsToAText) {
  const Tokenizer bpe = Tokenizer::load(golden_folder("bpe"));
  EXPECT_EQ(bpe.token_bytes(*bpe.token_to_id("Ġthe")), " the");
  EXPECT_EQ(bpe.token_bytes(*bpe.token_to_id("ð")), "\xF0");
  EXPECT_EQ(bpe.token_bytes(*bpe.token_to_id("<|im_start|>")), "<|im_start|>");
  const Tokenizer spm = Tokenizer::load(golden_folder("sentencepiece"));
  EXPECT_EQ(spm.token_bytes(*spm.token_to_id("<0xE2>")), "\xE2");
  EXPECT_EQ(spm.token_bytes(*spm.token_to_id("▁the")), " the");
  const Tokenizer unigram = Tokenizer::load(golden_folder("unigram"));
  EXPECT_EQ(unigram.token_bytes(*unigram.token_to_id("▁the")), " the");
  EXPECT_EQ(unigram.token_bytes(unigram.vocab_size()), "");
}

TEST(TokenizerConfig, ReadsTokensAndTemplatesInAllForms) {
  const TokenizerConfig config = parse_tokenizer_config(
      parse_json(R"({"bos_token":"<s>","eos_token":{"content":"</s>","lstrip":false},"pad_token":null,
                     "add_bos_token":true,"additional_special_tokens":["<x>",{"content":"<y>"}],
                     "chat_template":[{"name":"default","template":"A"},{"name":"tool_use","template":"B"}]})",
                 "test"),
      "test");
  EXPECT_EQ(config.special_token("bos_token"), "<s>");
  EXPECT_EQ(config.special_token("eos_token"), "</s>");
  EXPECT_EQ(config.special_token("pad_token"), "");
  EXPECT_TRUE(config.add_bos_token);
  EXPECT_FALSE(config.add_eos_token);
  std::vector<std::string> declared;
  for (const DeclaredToken& token : config.declared_tokens) declared.push_back(token.content);
  EXPECT_THAT(declared, ElementsAre("<s>", "</s>", "<x>", "<y>"));
  EXPECT_EQ(*config.chat_template(), "A");
  EXPECT_EQ(*config.chat_template("tool_use"), "B");
  EXPECT_EQ(config.chat_template("other"), nullptr);
  EXPECT_EQ(*config.choose_chat_template(true), "B");
  EXPECT_EQ(*config.choose_chat_template(false), "A");
  EXPECT_THROW(parse_tokenizer_config(parse_json("[]", "t"), "t"), Error);
}

TEST(TokenizerConfig, FramesATextWhereNoPostProcessorDoes) {
  TokenizerConfig config;
  config.special_tokens = {{"bos_token", "a"}, {"eos_token", "b"}};
  config.add_bos_token = true;
  const Tokenizer plain = Tokenizer::from_json("{" ABC "}", "test", config);
  EXPECT_THAT(plain.encode("c"), ElementsAre(0, 2));
  EXPECT_THAT(plain.encode("c", false), ElementsAre(2));
  const Tokenizer decided =
      Tokenizer::from_json(R"({"post_processor":{"type":"ByteLevel"},)" ABC "}", "test", config);
  EXPECT_THAT(decided.encode("c"), ElementsAre(2));
}

TEST(Gguf, SmollmSplitsDigitsOneByOne) {
  GgufVocab vocab;
  vocab.model = "gpt2";
  vocab.tokens = {"1", "2", "12", "Ġ", "a", "Ġa", "<|im_start|>"};
  vocab.merges = {"1 2", "Ġ a"};
  vocab.types = token_types({1, 1, 1, 1, 1, 1, 3});
  vocab.bos_id = 6;
  vocab.pre = "smollm";
  EXPECT_THAT(Tokenizer::from_gguf(vocab).encode("12 a<|im_start|>"), ElementsAre(0, 1, 5, 6));
  vocab.pre = "gpt-2";
  EXPECT_THAT(Tokenizer::from_gguf(vocab).encode("12 a"), ElementsAre(2, 5));
  vocab.add_bos = true;
  EXPECT_THAT(Tokenizer::from_gguf(vocab).encode("12"), ElementsAre(6, 2));
}

TEST(Gguf, SentencePieceJoinsTheBestScoreFirst) {
  GgufVocab vocab;
  vocab.model = "llama";
  vocab.tokens = {"<unk>", "<s>", "</s>", "▁", "a", "b", "ab", "▁a", "<0xC3>", "<0xA9>"};
  vocab.scores = {0, 0, 0, -9, -9, -9, -1, -2, 0, 0};
  vocab.types = token_types({2, 3, 3, 1, 1, 1, 1, 1, 6, 6});
  const Tokenizer tokenizer = Tokenizer::from_gguf(vocab);
  EXPECT_THAT(tokenizer.encode("ab"), ElementsAre(1, 3, 6));
  EXPECT_THAT(tokenizer.encode("aé", false), ElementsAre(7, 8, 9));
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{1, 7, 8, 9}), "aé");
  vocab.add_space_prefix = false;
  EXPECT_THAT(Tokenizer::from_gguf(vocab).encode("ab", false), ElementsAre(6));
}

TEST(Gguf, UnigramFramesWithItsEnd) {
  GgufVocab vocab;
  vocab.model = "t5";
  vocab.tokens = {"<pad>", "</s>", "<unk>", "▁", "a", "▁a"};
  vocab.scores = {0, 0, 0, -3, -3, -1};
  vocab.types = token_types({3, 3, 2, 1, 1, 1});
  const Tokenizer tokenizer = Tokenizer::from_gguf(vocab);
  EXPECT_THAT(tokenizer.encode("  a   a"), ElementsAre(5, 5, 1));
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{5, 5, 1}), "a a");
}

}  // namespace
}  // namespace reprise::tokenizer
