// Files that are wrong on purpose: each is one clear Error, and none is a crash.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/tokenizer/golden_cases.h"
#include "tokenizer/tokenizer.h"

namespace reprise::tokenizer {
namespace {

struct HostileFile {
  const char* name;
  const char* json;
  const char* message;  // a part of the error
};

void PrintTo(const HostileFile& file, std::ostream* out) {
  *out << file.name;
}

#define BPE_MODEL R"("model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]})"

const HostileFile kFiles[] = {
    {"Empty", "", "not valid JSON"},
    {"Truncated", R"({"model":{"type":"BPE","vocab":{"a":0)", "not valid JSON"},
    {"InvalidUtf8", "{\"model\":\"\xFF\"}", "not valid JSON"},
    {"TrailingGarbage", "{" BPE_MODEL "} x", "not valid JSON"},
    {"NotAnObject", "[1]", "expected an object"},
    {"NoModel", R"({"version":"1.0"})", "'model' is missing"},
    {"WordPiece", R"({"model":{"type":"WordPiece","vocab":{"a":0},"unk_token":"a"}})", "not supported"},
    {"WordLevel", R"({"model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"}})", "not supported"},
    {"HoleInVocab", R"({"model":{"type":"BPE","vocab":{"a":0,"b":2},"merges":[]}})", "hole"},
    {"DuplicateId", R"({"model":{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}})", "both have id 0"},
    {"DuplicateToken", R"({"model":{"type":"BPE","vocab":{"a":0,"a":1},"merges":[]}})", "twice"},
    {"NegativeId", R"({"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}})", "no whole number from 0"},
    {"HugeId", R"({"model":{"type":"BPE","vocab":{"a":99999999999},"merges":[]}})", "hole"},
    {"IdOfWrongType", R"({"model":{"type":"BPE","vocab":{"a":"0"},"merges":[]}})", "no whole number from 0"},
    {"VocabOfWrongType", R"({"model":{"type":"BPE","vocab":[1],"merges":[]}})", "expected an object"},
    {"UnknownTokenInMerge", R"({"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":["a b"]}})",
     "names \"ab\""},
    {"MergeWithoutSpace", R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a"]}})", "one space"},
    {"MergeOfWrongType", R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[["a"]]}})", "pair of texts"},
    {"UnkOutsideOfVocab", R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[],"unk_token":"?"}})",
     "unknown token"},
    {"Dropout", R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[],"dropout":0.1}})", "dropout"},
    {"UnigramWithoutTokens", R"({"model":{"type":"Unigram","vocab":[],"unk_id":null}})", "empty"},
    {"UnigramUnkOutside", R"({"model":{"type":"Unigram","vocab":[["a",-1]],"unk_id":1}})",
     "'model.unk_id' is 1, expected an integer from 0 to 0"},
    {"UnigramEntry", R"({"model":{"type":"Unigram","vocab":[["a"]],"unk_id":0}})", "entry 0"},
    {"FlagOfWrongType", R"({"model":{"type":"BPE","vocab":{},"merges":[],"byte_fallback":1}})",
     "true or false"},
    {"AddedTokenHole", R"({"added_tokens":[{"id":4,"content":"<x>"}],)" BPE_MODEL "}", "hole"},
    {"AddedTokenTwice", R"({"added_tokens":[{"id":3,"content":"x"},{"id":3,"content":"y"}],)" BPE_MODEL "}",
     "both have id 3"},
    {"AddedTextTwice", R"({"added_tokens":[{"id":3,"content":"x"},{"id":4,"content":"x"}],)" BPE_MODEL "}",
     "twice"},
    {"AddedTokenTakesAnId", R"({"added_tokens":[{"id":1,"content":"x"}],)" BPE_MODEL "}",
     "\"b\" in the vocabulary"},
    {"AddedTokenOtherId", R"({"added_tokens":[{"id":3,"content":"a"}],)" BPE_MODEL "}",
     "but 0 in the vocabulary"},
    {"AddedTokenEmpty", R"({"added_tokens":[{"id":3,"content":""}],)" BPE_MODEL "}",
     "'added_tokens'[0].content is \"\", expected a text"},
    {"AddedTokenNegative", R"({"added_tokens":[{"id":-3,"content":"x"}],)" BPE_MODEL "}",
     "'added_tokens'[0].id is -3, expected an integer"},
    {"UnknownNormalizer", R"({"normalizer":{"type":"Magic"},)" BPE_MODEL "}",
     "'normalizer.type' is \"Magic\", expected one of NFC"},
    {"UnknownPreTokenizer", R"({"pre_tokenizer":{"type":"UnicodeScripts"},)" BPE_MODEL "}", "not supported"},
    {"UnknownDecoder", R"({"decoder":{"type":"CTC"},)" BPE_MODEL "}", "not supported"},
    {"UnknownPostProcessor", R"({"post_processor":{"type":"X"},)" BPE_MODEL "}", "not supported"},
    {"InvalidRegex",
     R"({"pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated"},)" BPE_MODEL "}",
     "not a valid regular expression"},
    {"RegexSetOperation",
     R"({"pre_tokenizer":{"type":"Split","pattern":{"Regex":"[a&&b]"},"behavior":"Isolated"},)" BPE_MODEL "}",
     "set operation"},
    {"UnknownBehavior",
     R"({"pre_tokenizer":{"type":"Split","pattern":{"String":"a"},"behavior":"Sideways"},)" BPE_MODEL "}",
     "Sideways"},
    {"PatternWithoutKind",
     R"({"pre_tokenizer":{"type":"Split","pattern":{},"behavior":"Isolated"},)" BPE_MODEL "}",
     "\"String\" or"},
    {"MetaspaceContradiction",
     R"({"pre_tokenizer":{"type":"Metaspace","replacement":"_","add_prefix_space":false,"prepend_scheme":"first"},)" BPE_MODEL
     "}",
     "'pre_tokenizer.prepend_scheme' is \"first\", expected \"never\""},
    {"MetaspaceTwoCharacters", R"({"pre_tokenizer":{"type":"Metaspace","replacement":"__"},)" BPE_MODEL "}",
     "one character"},
    {"BadBase64", R"({"normalizer":{"type":"Precompiled","precompiled_charsmap":"AA*A"},)" BPE_MODEL "}",
     "not base64"},
    {"ShortBase64", R"({"normalizer":{"type":"Precompiled","precompiled_charsmap":"AAA"},)" BPE_MODEL "}",
     "multiple of 4"},
    {"CharsmapClaimsTooMuch",
     R"({"normalizer":{"type":"Precompiled","precompiled_charsmap":"/P///wAAAAA="},)" BPE_MODEL "}",
     "claims"},
    {"CharsmapTooShort", R"({"normalizer":{"type":"Precompiled","precompiled_charsmap":""},)" BPE_MODEL "}",
     "expected at least 4"},
    {"TemplateNamesNothing",
     R"({"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}}],)"
     R"("special_tokens":{}},)" BPE_MODEL "}",
     "'post_processor.single'[0].SpecialToken.id is \"<s>\", expected a token that is listed"},
    {"TemplateIdTooLarge",
     R"({"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}}],)"
     R"("special_tokens":{"<s>":{"id":"<s>","ids":[77],"tokens":["<s>"]}}},)" BPE_MODEL "}",
     "token 77"},
    {"StripNegative", R"({"decoder":{"type":"Strip","content":" ","start":-1,"stop":0},)" BPE_MODEL "}",
     "'decoder.start' is -1, expected an integer of at least 0"},
};

class HostileFileTest : public testing::TestWithParam<HostileFile> {};
INSTANTIATE_TEST_SUITE_P(Files, HostileFileTest, testing::ValuesIn(kFiles),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(HostileFileTest, IsOneClearError) {
  try {
    Tokenizer::from_json(GetParam().json, "tokenizer.json");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr(GetParam().message));
    EXPECT_THAT(error.what(), testing::HasSubstr("tokenizer.json"));
  }
}

TEST(HostileFile, TheSameFileWithoutTheFaultLoads) {
  EXPECT_EQ(Tokenizer::from_json("{" BPE_MODEL "}", "x").encode("abba"), (std::vector<int32_t>{2, 1, 0}));
}

TEST(HostileFile, DeepNestingIsRefused) {
  std::string json = R"({"normalizer":)";
  for (int k = 0; k < 100000; ++k) json += R"({"type":"Sequence","normalizers":[)";
  EXPECT_THROW(Tokenizer::from_json(json, "x"), Error);
}

TEST(HostileFile, ManyStepsAreRefused) {
  std::string json = R"({"pre_tokenizer":{"type":"Sequence","pretokenizers":[)";
  for (int k = 0; k < 10000; ++k) json += R"({"type":"WhitespaceSplit"},)";
  json += R"({"type":"WhitespaceSplit"}]},)" BPE_MODEL "}";
  EXPECT_THROW(Tokenizer::from_json(json, "x"), Error);
}

TEST(HostileFile, ExplodingRegexGivesUp) {
  const Tokenizer tokenizer = Tokenizer::from_json(
      R"({"pre_tokenizer":{"type":"Split","pattern":{"Regex":"^(a+)+$"},"behavior":"Isolated"},)" BPE_MODEL
      "}",
      "x");
  EXPECT_THROW(tokenizer.encode(std::string(60, 'a') + "b"), Error);
}

TEST(HostileFile, ExplodingReplacementGivesUp) {
  std::string json = R"({"normalizer":{"type":"Sequence","normalizers":[)";
  for (int k = 0; k < 60; ++k) json += R"({"type":"Replace","pattern":{"String":"a"},"content":"aaaaaaaa"},)";
  json += R"({"type":"NFC"}]},)" BPE_MODEL "}";
  EXPECT_THROW(Tokenizer::from_json(json, "x").encode("a"), Error);
}

TEST(HostileFile, UnigramWithoutUnknownTokenSaysSo) {
  const Tokenizer tokenizer =
      Tokenizer::from_json(R"({"model":{"type":"Unigram","vocab":[["a",-1]],"unk_id":null}})", "x");
  EXPECT_EQ(tokenizer.encode("aa"), (std::vector<int32_t>{0, 0}));
  EXPECT_THROW(tokenizer.encode("ab"), Error);
}

TEST(HostileFile, NegativeIdsAreRefused) {
  const Tokenizer tokenizer = Tokenizer::from_json("{" BPE_MODEL "}", "x");
  EXPECT_THROW(tokenizer.decode(std::vector<int32_t>{-1}), Error);
}

TEST(HostileGguf, EachFaultIsAnError) {
  GgufVocab good;
  good.model = "gpt2";
  good.tokens = {"a", "b", "ab"};
  good.merges = {"a b"};
  EXPECT_EQ(Tokenizer::from_gguf(good).encode("ab"), std::vector<int32_t>{2});
  const auto broken = [&](auto change) {
    GgufVocab vocab = good;
    change(vocab);
    EXPECT_THROW(Tokenizer::from_gguf(vocab), Error);
  };
  broken([](GgufVocab& vocab) { vocab.tokens.clear(); });
  broken([](GgufVocab& vocab) { vocab.model = "bert"; });
  broken([](GgufVocab& vocab) { vocab.pre = "unheard-of"; });
  broken([](GgufVocab& vocab) { vocab.merges = {"a c"}; });
  broken([](GgufVocab& vocab) { vocab.merges = {"ab"}; });
  broken([](GgufVocab& vocab) { vocab.bos_id = 3; });
  broken([](GgufVocab& vocab) { vocab.types = token_types({1}); });
  broken([](GgufVocab& vocab) { vocab.model = "llama"; });
  broken([](GgufVocab& vocab) {
    vocab.model = "llama";
    vocab.scores = {0, 0, std::numeric_limits<float>::quiet_NaN()};
  });
}

}  // namespace
}  // namespace reprise::tokenizer
