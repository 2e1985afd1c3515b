// The files beside tokenizer.json: tokens and flags declared there, templates and how one is chosen; the
// names of GGUF vocabularies; tokens that end a turn.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "core/error.h"
#include "core/json.h"
#include "tests/tokenizer/golden_cases.h"
#include "tokenizer/gguf_pre.h"
#include "tokenizer/tokenizer.h"

namespace reprise::tokenizer {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

// A folder of this test, removed with it.
class ConfigFilesTest : public testing::Test {
 protected:
  ConfigFilesTest() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(testing::TempDir()) / ("config_files_" + std::string(info->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "additional_chat_templates");
    write("tokenizer.json",
          R"({"added_tokens":[{"id":7,"content":"<s>","special":true}],"model":{"type":"BPE",)"
          R"("vocab":{"a":0,"b":1," ":2,"<":3,"x":4,">":5,"s":6},"merges":[]}})");
  }
  ~ConfigFilesTest() override { fs::remove_all(folder_); }
  void write(const std::string& name, std::string_view text) { std::ofstream(folder_ / name) << text; }
  std::vector<int32_t> encode(std::string_view text) const { return Tokenizer::load(folder_).encode(text); }

  fs::path folder_;
};

TEST_F(ConfigFilesTest, WithoutThemTokenizerJsonDecides) {
  EXPECT_THAT(encode("a <s> <x>"), ElementsAre(0, 2, 7, 2, 3, 4, 5));
}

TEST_F(ConfigFilesTest, AddedTokensDecoderAddsTokensAndReplacesFlags) {
  write("tokenizer_config.json", R"({"added_tokens_decoder":{
    "8":{"content":"<x>","special":true},"7":{"content":"<s>","lstrip":true,"rstrip":true,"special":true}}})");
  EXPECT_THAT(encode("a <s> <x>"), ElementsAre(0, 7, 8));
  EXPECT_TRUE(Tokenizer::load(folder_).is_special(8));
}

TEST_F(ConfigFilesTest, ATokenOfTheVocabularyKeepsItsId) {
  write("tokenizer_config.json",
        R"({"added_tokens_decoder":{"1":{"content":"b","special":true}},"pad_token":"x"})");
  const Tokenizer tokenizer = Tokenizer::load(folder_);
  EXPECT_THAT(tokenizer.encode("ab"), ElementsAre(0, 1));
  EXPECT_TRUE(tokenizer.is_special(1));
  EXPECT_TRUE(tokenizer.is_special(4));
  EXPECT_EQ(tokenizer.vocab_size(), 8);
}

TEST_F(ConfigFilesTest, EveryWayToNameASpecialTokenAddsIt) {
  for (const char* config :
       {R"({"additional_special_tokens":["<x>"]})", R"({"extra_special_tokens":["<x>"]})",
        R"({"extra_special_tokens":{"image_token":"<x>"}})", R"({"image_token":"<x>"})",
        R"({"mask_token":{"content":"<x>"}})"}) {
    write("tokenizer_config.json", config);
    EXPECT_THAT(encode("a<x>"), ElementsAre(0, 8)) << config;
  }
  write("tokenizer_config.json", "{}");
  write("special_tokens_map.json", R"({"pad_token":"<x>"})");
  EXPECT_THAT(encode("a<x>"), ElementsAre(0, 8));
  write("special_tokens_map.json", "{}");
  write("added_tokens.json", R"({"<x>":8})");
  EXPECT_THAT(encode("a<x>"), ElementsAre(0, 8));
  EXPECT_FALSE(Tokenizer::load(folder_).is_special(8));
  write("tokenizer_config.json", R"({"additional_special_tokens":["<x>"]})");
  EXPECT_TRUE(Tokenizer::load(folder_).is_special(8));
}

TEST_F(ConfigFilesTest, TheLegacyFilesCountWithoutAddedTokensDecoderOnly) {
  write("tokenizer_config.json", R"({"eos_token":"a","added_tokens_decoder":{}})");
  write("special_tokens_map.json", R"({"eos_token":"b"})");
  write("added_tokens.json", "no JSON at all");
  EXPECT_EQ(Tokenizer::load(folder_).eos_id(), 0);
  write("tokenizer_config.json", R"({"eos_token":"a"})");
  write("added_tokens.json", "{}");
  EXPECT_EQ(Tokenizer::load(folder_).eos_id(), 1);
}

TEST_F(ConfigFilesTest, OddTypesOfWhatAPlainPromptDoesNotNeedLoad) {
  write("tokenizer_config.json",
        R"({"eos_token":5,"chat_template":7,"additional_special_tokens":"x","extra_special_tokens":3,
            "add_bos_token":"yes","model_max_length":1e30,"clean_up_tokenization_spaces":[],"tokenizer_class":{}})");
  const Tokenizer tokenizer = Tokenizer::load(folder_);
  EXPECT_THAT(tokenizer.encode("ab"), ElementsAre(0, 1));
  EXPECT_THAT(tokenizer.config().role_problem, HasSubstr("eos_token is number"));
  EXPECT_THAT(tokenizer.config().template_problem, HasSubstr("chat_template is number"));
  // What says ids must be right.
  write("tokenizer_config.json", R"({"added_tokens_decoder":{"7":5}})");
  EXPECT_THROW(Tokenizer::load(folder_), Error);
  write("tokenizer_config.json", R"({"bos_token":5,"add_bos_token":true})");
  EXPECT_THROW(Tokenizer::load(folder_), Error);
}

TEST_F(ConfigFilesTest, ChoosesTheTemplateThatTransformersWould) {
  const auto chosen = [&](bool tools) {
    const TokenizerConfig config = load_tokenizer_config(folder_);
    const std::string* text = config.choose_chat_template(tools);
    return text == nullptr ? std::string("none") : *text;
  };
  EXPECT_EQ(chosen(false), "none");
  write("tokenizer_config.json", R"({"chat_template":"one"})");
  EXPECT_EQ(chosen(true), "one");
  write("tokenizer_config.json", R"({"chat_template":[{"name":"default","template":"D"},
                                     {"name":"tool_use","template":"T"},{"name":"rag","template":"R"}]})");
  EXPECT_EQ(chosen(false), "D");
  EXPECT_EQ(chosen(true), "T");
  // Files replace all of that.
  write("chat_template.jinja", "file");
  EXPECT_EQ(chosen(true), "file");
  write("additional_chat_templates/tool_use.jinja", "tool file");
  EXPECT_EQ(chosen(false), "file");
  EXPECT_EQ(chosen(true), "tool file");
  fs::remove(folder_ / "chat_template.jinja");
  EXPECT_EQ(chosen(true), "tool file");
  EXPECT_THROW(chosen(false), Error);
}

TEST(SharedBesideTest, TokensBesideTokenizerJson) {
  const fs::path cases = shared_folder() / "cases/tokens-beside-tokenizer-json";
  const fs::path model = shared_folder() / "models/stories260k";
  if (!fs::exists(cases) || !fs::exists(model)) GTEST_SKIP() << cases << " or " << model << " is absent";
  const fs::path folder = fs::path(testing::TempDir()) / "tokens_beside";
  for (const std::string name : {"addedjson", "additional", "decoder", "extra", "flags"}) {
    fs::remove_all(folder);
    fs::create_directories(folder);
    std::ofstream(folder / "tokenizer.json") << read_file(model / "tokenizer.json");
    Json config = read_json_file(model / "tokenizer_config.json");
    if (const fs::path patch = cases / (name + ".tokenizer_config.patch.json"); fs::exists(patch))
      config.update(read_json_file(patch));
    std::ofstream(folder / "tokenizer_config.json") << config;
    if (const fs::path added = cases / (name + ".added_tokens.json"); fs::exists(added))
      std::ofstream(folder / "added_tokens.json") << read_file(added);
    const Tokenizer tokenizer = Tokenizer::load(folder);
    for (const Json& one : read_json_file(cases / (name + ".expect.json")))
      EXPECT_EQ(tokenizer.encode(one[0].get<std::string>()), one[1].get<std::vector<int32_t>>()) << name;
  }
  fs::remove_all(folder);
}

GgufVocab make_gguf(std::string pre) {
  GgufVocab vocab;
  vocab.model = "gpt2";
  vocab.pre = std::move(pre);
  for (char c = '!'; c <= '~'; ++c) vocab.tokens.emplace_back(1, c);
  vocab.tokens.emplace_back("Ġ");
  const auto token = [&](const std::string& left, const std::string& right) {
    vocab.merges.push_back(left + " " + right);
    vocab.tokens.push_back(left + right);
  };
  token("1", "2");
  token("12", "3");
  token("Ġ", "a");
  token("a", "B");
  token("b", "'");
  return vocab;
}

std::vector<std::string> pieces(const std::string& pre, std::string_view text) {
  const Tokenizer tokenizer = Tokenizer::from_gguf(make_gguf(pre));
  std::vector<std::string> out;
  for (const int32_t id : tokenizer.encode(text)) out.emplace_back(*tokenizer.id_to_token(id));
  return out;
}

TEST(GgufPre, EachNameCutsAsItsMakersDo) {
  EXPECT_THAT(pieces("qwen2", "1234"), ElementsAre("1", "2", "3", "4"));
  EXPECT_THAT(pieces("qwen35", "1234"), ElementsAre("1", "2", "3", "4"));
  EXPECT_THAT(pieces("llama-bpe", "1234"), ElementsAre("123", "4"));
  EXPECT_THAT(pieces("gpt-4o", "1234"), ElementsAre("123", "4"));
  EXPECT_THAT(pieces("gpt-2", "1234"), ElementsAre("123", "4"));
  EXPECT_THAT(pieces("tekken", "1234 a"), ElementsAre("1", "2", "3", "4", "Ġa"));
  EXPECT_THAT(pieces("tekken", "aB"), ElementsAre("a", "B"));  // a word begins where a capital follows
  EXPECT_THAT(pieces("llama-bpe", "aB"), ElementsAre("aB"));
  for (const char* alias : {"llama3", "llama-v3", "falcon3", "pixtral"})
    EXPECT_EQ(pieces(alias, "1234 aB"), pieces("llama-bpe", "1234 aB"));
  EXPECT_EQ(pieces("", "12"), pieces("default", "12"));
  try {
    find_gguf_pre("unheard-of");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                testing::AllOf(HasSubstr("\"unheard-of\""), HasSubstr("tekken"), HasSubstr("qwen2")));
  }
}

TEST(EndOfTurn, IsTheUnionOfTheTokenizersSources) {
  const auto ends = [](const std::string& tokens, TokenizerConfig config = {}) {
    return Tokenizer::from_json(R"({"added_tokens":[)" + tokens +
                                    R"(],"model":{"type":"BPE","vocab":{"a":0,"<|im_end|>":1},)" +
                                    R"("merges":[]}})",
                                "test", std::move(config))
        .end_of_turn_ids();
  };
  EXPECT_THAT(ends(""), ElementsAre());  // a text of the vocabulary alone is no control token
  EXPECT_THAT(
      ends(R"({"id":1,"content":"<|im_end|>","special":true},{"id":2,"content":"</s>","special":true})"),
      ElementsAre(1, 2));
  TokenizerConfig config;
  config.special_tokens = {{"eos_token", "a"}};
  EXPECT_THAT(ends(R"({"id":2,"content":"<end_of_turn>"})", config), ElementsAre(0, 2));
  // In the harmony format <|end|> ends a message, not the turn.
  EXPECT_THAT(ends(R"({"id":2,"content":"<|end|>"})"), ElementsAre(2));
  EXPECT_THAT(
      ends(R"({"id":2,"content":"<|end|>"},{"id":3,"content":"<|return|>"},{"id":4,"content":"<|call|>"})"),
      ElementsAre(3, 4));
}

TEST(EndOfTurn, GgufKeysAndTheDefaultOfLlamaCount) {
  GgufVocab vocab = make_gguf("gpt-2");
  vocab.eos_id = 3;
  vocab.eot_id = 5;
  vocab.eom_id = 4;
  EXPECT_THAT(Tokenizer::from_gguf(vocab).end_of_turn_ids(), ElementsAre(3, 4, 5));
  GgufVocab llama;
  llama.model = "llama";
  llama.tokens = {"<unk>", "<s>", "</s>", "▁"};
  llama.scores = {0, 0, 0, -1};
  llama.types = token_types({2, 3, 3, 1});
  EXPECT_THAT(Tokenizer::from_gguf(llama).end_of_turn_ids(), ElementsAre(2));
  llama.types.clear();
  EXPECT_THAT(Tokenizer::from_gguf(llama).end_of_turn_ids(), ElementsAre(2));
}

}  // namespace
}  // namespace reprise::tokenizer
