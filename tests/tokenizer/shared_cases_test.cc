// The real vocabularies of ../shared and the cases of llama.cpp that come with them (ids without special
// tokens): as tokenizer.json, and again as the GGUF metadata that a conversion would carry.
#include <gtest/gtest.h>

#include <sstream>
#include <unordered_map>

#include "core/json.h"
#include "tests/tokenizer/cpu_time.h"
#include "tests/tokenizer/golden_cases.h"

namespace reprise::tokenizer {
namespace {

struct SharedCase {
  std::string text;
  std::vector<int32_t> ids;
};

std::vector<SharedCase> read_cases(const std::filesystem::path& folder) {
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  std::vector<SharedCase> cases;
  const std::string texts = read_file(folder / "cases.inp");
  std::istringstream answers(read_file(folder / "cases.out"));
  size_t begin = 0;
  for (std::string line; std::getline(answers, line);) {
    const size_t end = std::min(texts.find(kSeparator, begin), texts.size());
    SharedCase one{texts.substr(begin, end - begin), {}};
    std::istringstream ids(line);
    for (int32_t id; ids >> id;) one.ids.push_back(id);
    cases.push_back(std::move(one));
    begin = std::min(end + kSeparator.size(), texts.size());
  }
  return cases;
}

class SharedCasesTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    folder_ = shared_folder() / "data/tokenizers" / GetParam();
    if (!std::filesystem::exists(folder_)) GTEST_SKIP() << folder_ << " is absent";
    cases_ = read_cases(folder_);
    ASSERT_GT(cases_.size(), 20u);
  }
  std::filesystem::path folder_;
  std::vector<SharedCase> cases_;
};
INSTANTIATE_TEST_SUITE_P(Vocabularies, SharedCasesTest,
                         testing::Values("gpt-2", "llama-bpe", "llama-spm", "qwen2"), [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(SharedCasesTest, FromTokenizerJson) {
  const Tokenizer tokenizer = Tokenizer::load(folder_);
  for (const SharedCase& one : cases_) {
    EXPECT_EQ(tokenizer.encode(one.text, false), one.ids) << one.text;
    EXPECT_EQ(decode_streaming(tokenizer, one.ids, false), tokenizer.decode(one.ids, false));
  }
  EXPECT_TRUE(tokenizer.eos_id().has_value());
}

TEST_P(SharedCasesTest, FromGgufMetadata) {
  // Not Json: its objects keep their order at the price of a linear search a key.
  const auto json = nlohmann::json::parse(read_file(folder_ / "tokenizer.json"));
  const nlohmann::json& model = json["model"];
  GgufVocab vocab;
  const std::string name = GetParam();
  const bool sentencepiece = name == "llama-spm";
  vocab.model = sentencepiece ? "llama" : "gpt2";
  vocab.pre = sentencepiece ? "" : name;
  vocab.tokens.resize(model["vocab"].size());
  for (const auto& [token, id] : model["vocab"].items()) vocab.tokens.at(id.get<size_t>()) = token;
  vocab.types.assign(vocab.tokens.size(), GgufTokenType::normal);
  for (const nlohmann::json& token : json["added_tokens"]) {
    const auto id = token["id"].get<size_t>();
    if (id >= vocab.tokens.size()) {
      vocab.tokens.resize(id + 1);
      vocab.types.resize(id + 1, GgufTokenType::normal);
    }
    vocab.tokens[id] = token["content"].get<std::string>();
    vocab.types[id] = token["special"].get<bool>() ? GgufTokenType::control : GgufTokenType::user_defined;
  }
  if (sentencepiece) {
    // The merges of tokenizer.json were derived from the scores, best first: the order brings them back.
    vocab.scores.assign(vocab.tokens.size(), -1e9f);
    std::unordered_map<std::string, size_t> ids;
    for (size_t id = 0; id < vocab.tokens.size(); ++id) ids[vocab.tokens[id]] = id;
    float score = 0;
    for (const nlohmann::json& merge : model["merges"]) {
      std::string joined = merge.get<std::string>();
      joined.erase(joined.find(' '), 1);
      float& known = vocab.scores[ids.at(joined)];
      if (known == -1e9f) known = score;
      score -= 1;
    }
  } else {
    for (const nlohmann::json& merge : model["merges"]) vocab.merges.push_back(merge.get<std::string>());
  }
  const Tokenizer tokenizer = Tokenizer::from_gguf(vocab);
  for (const SharedCase& one : cases_) {
    EXPECT_EQ(tokenizer.encode(one.text, false), one.ids) << one.text;
  }
}

// Valid text of any length encodes, in time that grows with it: a megabyte of one character, or two.
TEST_P(SharedCasesTest, LongRunsEncodeInLinearTime) {
  constexpr size_t kBytes = kSlowBuild > 1 ? 200'000 : 1'000'000;
  const std::string_view ends[] = {"", "a", "\n"};
  const Tokenizer tokenizer = Tokenizer::load(folder_);
  size_t round = 0;
  for (const std::string_view unit : {" ", "\t", "\n", " \n", "\r\n", "a", "A", "aB", "1", "!", "'", "/",
                                      "\u00a0", "\u3000", "你", "\u0301", "😀", " a"}) {
    std::string text;
    while (text.size() < kBytes) text += unit;
    text += ends[round++ % std::size(ends)];
    std::vector<int32_t> ids;
    const double seconds = cpu_seconds([&] { ids = tokenizer.encode(text, false); });
    EXPECT_LT(seconds, 1.0 * kSlowBuild) << "\"" << unit << "\"";
    EXPECT_EQ(tokenizer.decode(ids, false).size(), text.size()) << "\"" << unit << "\"";
  }
}

TEST(SharedModelTest, TheStoriesModelLoads) {
  const auto folder = shared_folder() / "models/stories260k";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is absent";
  const Tokenizer tokenizer = Tokenizer::load(folder);
  EXPECT_EQ(tokenizer.vocab_size(), 512);
  const std::vector<int32_t> ids = tokenizer.encode("Once upon a time");
  EXPECT_EQ(ids.front(), tokenizer.bos_id());
  EXPECT_EQ(tokenizer.decode(ids), "Once upon a time");
}

}  // namespace
}  // namespace reprise::tokenizer
