// EncodeOptions: ranges in which special tokens are text, and the limit on tokens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "core/error.h"
#include "tests/tokenizer/cpu_time.h"
#include "tests/tokenizer/golden_cases.h"
#include "tokenizer/tokenizer.h"

namespace reprise::tokenizer {
namespace {

using testing::ElementsAre;

// Letters and brackets are 0 to 4, "<a>" is special (5), "<b>" an added token that is not (6).
Tokenizer make_small(const std::string& stages = "", const std::string& special_flags = "") {
  return Tokenizer::from_json("{" + stages + R"("added_tokens":[{"id":5,"content":"<a>","special":true)" +
                                  special_flags + R"(},{"id":6,"content":"<b>","normalized":false}],)" +
                                  R"("model":{"type":"BPE","vocab":{"a":0,"b":1,"<":2,">":3,"b<":4},)" +
                                  R"("merges":["b <"]}})",
                              "test");
}

std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view text, std::vector<TextSpan> plain) {
  return tokenizer.encode(text, {.plain = plain});
}

TEST(EncodePlain, SpecialTokensAreTextInTheRangesAlone) {
  const Tokenizer tokenizer = make_small();
  EXPECT_THAT(encode(tokenizer, "<a><a><a>", {}), ElementsAre(5, 5, 5));
  EXPECT_THAT(encode(tokenizer, "<a><a><a>", {{3, 6}}), ElementsAre(5, 2, 0, 3, 5));
  EXPECT_THAT(encode(tokenizer, "<a><a><a>", {{6, 99}, {0, 3}}), ElementsAre(2, 0, 3, 5, 2, 0, 3));
  EXPECT_THAT(encode(tokenizer, "<a>", {{1, 1}}), ElementsAre(5));  // an empty range
}

TEST(EncodePlain, AMatchAcrossAnEdgeIsNoSpecialToken) {
  const Tokenizer tokenizer = make_small();
  for (const TextSpan span : {TextSpan{0, 1}, TextSpan{1, 2}, TextSpan{2, 3}, TextSpan{2, 9}}) {
    EXPECT_THAT(encode(tokenizer, "<a>b", {span}), ElementsAre(2, 0, 3, 1));
  }
  // Two ranges that meet inside of the token.
  EXPECT_THAT(encode(tokenizer, "<a>", {{0, 2}, {2, 3}}), ElementsAre(2, 0, 3));
}

TEST(EncodePlain, OtherAddedTokensStayAndMergesCrossEdges) {
  const Tokenizer tokenizer = make_small();
  EXPECT_THAT(encode(tokenizer, "<b><a><b>", {{0, 9}}), ElementsAre(6, 2, 0, 3, 6));
  EXPECT_THAT(encode(tokenizer, "ab<a>", {{0, 3}}), ElementsAre(0, 4, 0, 3));  // "b" and "<" merge
  EXPECT_THAT(encode(tokenizer, "ab<a>", {{0, 2}}), ElementsAre(0, 1, 5));
}

TEST(EncodePlain, AShorterTokenThatIsNotSpecialTakesThePlace) {
  const Tokenizer tokenizer = Tokenizer::from_json(
      R"({"added_tokens":[{"id":2,"content":"ab","normalized":false},{"id":3,"content":"aba","special":true}],)"
      R"("model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]}})",
      "test");
  EXPECT_THAT(encode(tokenizer, "aba", {}), ElementsAre(3));
  EXPECT_THAT(encode(tokenizer, "aba", {{2, 3}}), ElementsAre(2, 0));
}

// Vocabularies that hold the special tokens beside the others: the model could find them by their text.
TEST(EncodePlain, TheModelItselfFindsNoSpecialToken) {
  const Tokenizer unigram = Tokenizer::from_json(
      R"({"added_tokens":[{"id":0,"content":"<u>","special":true},{"id":1,"content":"<a>","special":true}],)"
      R"("model":{"type":"Unigram","unk_id":0,"vocab":[["<u>",0],["<a>",0],["<",-5],["a",-5],[">",-5]]}})",
      "test");
  EXPECT_THAT(encode(unigram, "a<a>", {{0, 4}}), ElementsAre(3, 2, 3, 4));
  EXPECT_THAT(encode(unigram, "a<u>", {{0, 4}}), ElementsAre(3, 2, 0, 4));  // "u" is unknown
  EXPECT_THAT(encode(unigram, "a<a>", {{0, 1}}), ElementsAre(3, 1));
  GgufVocab vocab;
  vocab.model = "llama";
  vocab.tokens = {"<u>", "<", "a", ">", "a>", "<a>"};
  vocab.scores = {0, -5, -5, -5, -1, 0};
  vocab.types = token_types({2, 1, 1, 1, 1, 3});
  vocab.add_bos = vocab.add_space_prefix = false;
  const Tokenizer sentencepiece = Tokenizer::from_gguf(vocab);
  EXPECT_THAT(encode(sentencepiece, "<a>", {}), ElementsAre(5));
  EXPECT_THAT(encode(sentencepiece, "<a>", {{0, 3}}), ElementsAre(1, 2, 3));
  vocab.model = "gpt2";
  vocab.pre = "llama-bpe";
  vocab.tokens = {"!", "#", "!#"};
  vocab.types = token_types({1, 1, 3});
  vocab.scores.clear();
  EXPECT_THAT(encode(Tokenizer::from_gguf(vocab), "!#", {{0, 2}}), ElementsAre(0, 1));
}

TEST(EncodePlain, RangesFollowTheNormalizedText) {
  const std::string normalized = R"(,"normalized":true)";
  const char* const kStages[] = {
      "",
      R"("normalizer":{"type":"NFC"},)",
      R"("normalizer":{"type":"NFKD"},)",
      R"("normalizer":{"type":"Lowercase"},)",
      R"("normalizer":{"type":"StripAccents"},)",
      R"("normalizer":{"type":"Strip"},)",
      R"("normalizer":{"type":"Replace","pattern":{"String":"b"},"content":"bb"},)",
      R"("normalizer":{"type":"Replace","pattern":{"Regex":"b+"},"content":""},)",
      R"("normalizer":{"type":"Prepend","prepend":"b"},)",
      R"("normalizer":{"type":"ByteLevel"},)",
      R"("normalizer":{"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"StripAccents"},{"type":"Nmt"}]},)",
  };
  const std::string front = " é\u0301ﬁb ";  // grows or shrinks by each of them
  for (const char* stages : kStages) {
    const Tokenizer tokenizer = make_small(stages, normalized);
    const std::string text = front + "<a>" + front + "<a>" + front;
    // The prefix "b" is a part of the token then, so it is not in this text.
    if (std::string_view(stages).find("Prepend") != std::string_view::npos) continue;
    const auto count = [&](const std::vector<int32_t>& ids) { return std::count(ids.begin(), ids.end(), 5); };
    const size_t first = front.size(), second = 2 * front.size() + 3;
    EXPECT_EQ(count(encode(tokenizer, text, {})), 2) << stages;
    EXPECT_EQ(count(encode(tokenizer, text, {{0, first}, {first + 3, second}})), 2) << stages;
    EXPECT_EQ(count(encode(tokenizer, text, {{first, first + 3}})), 1) << stages;
    EXPECT_EQ(count(encode(tokenizer, text, {{second + 1, second + 2}})), 1) << stages;
    EXPECT_EQ(count(encode(tokenizer, text, {{0, text.size()}})), 0) << stages;
  }
}

TEST(EncodePlain, RangesFollowRepairedText) {
  const Tokenizer tokenizer = make_small();
  const std::string text = "\xFF\xFF\xC3<a>\xFF<a>";
  EXPECT_THAT(encode(tokenizer, text, {{0, 3}, {6, 7}}), ElementsAre(5, 5));
  EXPECT_THAT(encode(tokenizer, text, {{7, 10}}), ElementsAre(5, 2, 0, 3));
  EXPECT_THAT(encode(tokenizer, text, {{3, 6}}), ElementsAre(2, 0, 3, 5));
}

TEST(EncodePlain, NoGoldenTextGivesASpecialToken) {
  for (const char* name : {"bpe", "sentencepiece", "unigram"}) {
    const Tokenizer tokenizer = Tokenizer::load(golden_folder(name));
    const std::optional<int32_t> unk = tokenizer.token_to_id("<unk>");
    for (const TextCase& text : read_golden_cases(name).texts) {
      const std::vector<int32_t> plain = tokenizer.encode(
          text.bytes, {.add_special_tokens = false, .plain = std::vector<TextSpan>{{0, text.bytes.size()}}});
      for (const int32_t id : plain) {
        // The unknown token is special, and what characters without any other token become.
        EXPECT_FALSE(tokenizer.is_special(id) && id != unk) << name << ": " << text.bytes;
      }
      if (std::none_of(text.ids_plain.begin(), text.ids_plain.end(),
                       [&](int32_t id) { return tokenizer.is_special(id); })) {
        EXPECT_EQ(plain, text.ids_plain) << text.bytes;
      }
    }
  }
}

TEST(EncodeLimit, CountsEveryIdThatComesOut) {
  for (const char* name : {"bpe", "sentencepiece", "unigram"}) {
    const Tokenizer tokenizer = Tokenizer::load(golden_folder(name));
    for (const TextCase& text : read_golden_cases(name).texts) {
      for (const bool special : {false, true}) {
        const std::vector<int32_t>& ids = special ? text.ids : text.ids_plain;
        EncodeOptions options{.add_special_tokens = special, .max_tokens = ids.size()};
        EXPECT_EQ(tokenizer.encode(text.bytes, options), ids);
        if (ids.empty()) continue;
        options.max_tokens = ids.size() - 1;
        EXPECT_THROW(tokenizer.encode(text.bytes, options), TooManyTokens) << text.bytes;
      }
    }
  }
  try {
    make_small().encode("ab", {.max_tokens = 1});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("more than 1 tokens"));
  }
}

TEST(EncodeLimit, BoundsTheWorkOnAHugeText) {
  constexpr size_t kBytes = 100'000'000;
  std::string words;
  for (int k = 0; words.size() < kBytes; ++k) words += "word" + std::to_string(k % 1000) + " <b> é ";
  const std::string blanks(kBytes, ' '), letters(kBytes, 'a'), invalid(kBytes, '\xFF');
  for (const char* name : {"bpe", "sentencepiece"}) {
    const Tokenizer tokenizer = Tokenizer::load(golden_folder(name));
    for (const std::string* text : std::vector<const std::string*>{&words, &blanks, &letters, &invalid}) {
      const double seconds =
          cpu_seconds([&] { EXPECT_THROW(tokenizer.encode(*text, {.max_tokens = 2048}), TooManyTokens); });
      EXPECT_LT(seconds, 0.1 * kSlowBuild) << name << " " << text->substr(0, 8);
    }
  }
}

}  // namespace
}  // namespace reprise::tokenizer
