// Files of flags: what is read, and what is refused with its line.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "cli/command_line.h"
#include "cli/config_file.h"
#include "core/error.h"

namespace reprise::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string error_of(const std::string& text) {
  try {
    parse_config(text, "f.yaml");
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

TEST(ConfigFile, ReadsFlags) {
  const auto entries = parse_config(
      "# of a server\nmodel: /m\nmax_model_len: 4096\nenable-x: true\napi-key:\n  - a\n  - \"b: c\"\n"
      "graph-optimization-config:\n  graph_opt_level: 1\n  sizes: [1, 2]\n  names: {a: \"1\", b: 0.5, c: on, d: ~}\n",
      "f.yaml");
  ASSERT_EQ(entries.size(), 5U);
  EXPECT_EQ(entries[0].flag, "--model");
  EXPECT_EQ(entries[0].line, 2);
  EXPECT_THAT(entries[0].values, ElementsAre("/m"));
  EXPECT_EQ(entries[1].flag, "--max-model-len");
  EXPECT_THAT(entries[1].values, ElementsAre("4096"));
  EXPECT_THAT(entries[2].values, ElementsAre("true"));
  EXPECT_TRUE(entries[3].is_list);
  EXPECT_THAT(entries[3].values, ElementsAre("a", "b: c"));
  EXPECT_EQ(entries[4].line, 8);
  EXPECT_THAT(
      entries[4].values,
      ElementsAre(R"({"graph_opt_level":1,"sizes":[1,2],"names":{"a":"1","b":0.5,"c":"on","d":null}})"));
}

TEST(ConfigFile, TakesAnEmptyFile) {
  for (const char* text : {"", "\n\n", "# nothing\n", "---\n", "{}"})
    EXPECT_EQ(error_of(text), "none") << text;
  EXPECT_TRUE(parse_config("# nothing", "f").empty());
}

TEST(ConfigFile, SaysWhereItIsWrong) {
  EXPECT_THAT(error_of("a: 1\nb: [1\n"), HasSubstr("f.yaml line "));
  EXPECT_THAT(error_of("a: 1\na: 2\n"), HasSubstr("f.yaml line 2: 'a' is there twice"));
  EXPECT_THAT(error_of("a_b: 1\na-b: 2\n"), HasSubstr("line 2: 'a-b' is there twice"));
  EXPECT_THAT(error_of("a:\n"), HasSubstr("'a' has no value"));
  EXPECT_THAT(error_of("a: ~\n"), HasSubstr("'a' has no value"));
  EXPECT_THAT(error_of("- a\n"), HasSubstr("line 1: expected `flag: value`"));
  EXPECT_THAT(error_of("text"), HasSubstr("expected `flag: value`"));
  EXPECT_THAT(error_of("a: {b: 1, b: 2}"), HasSubstr("'b' is there twice"));
  EXPECT_THAT(error_of("a: [[1]]"), HasSubstr("a list of flags' values"));
  EXPECT_THAT(error_of("a: 1\n---\nb: 2\n"), HasSubstr("second document"));
  EXPECT_THAT(error_of("? [a]\n: 1\n"), HasSubstr("a key is no text"));
  EXPECT_THAT(error_of("a: &x 1\nb: *x\n"), HasSubstr("line 1: anchors are not read"));
  EXPECT_THAT(error_of(std::string("a: \"\xff\xfe\"")), testing::Not(HasSubstr("terminate")));
}

TEST(ConfigFile, BoundsWhatItReads) {
  std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c < 'k'; ++c)
    bomb += std::string(1, c) + ": &" + c + " [*" + static_cast<char>(c - 1) + ",*" +
            static_cast<char>(c - 1) + "]\n";
  EXPECT_THAT(error_of(bomb), HasSubstr("anchors are not read"));
  EXPECT_THAT(error_of("a: " + std::string(15, '{') + "b: 1"), HasSubstr("f.yaml line 1"));
  std::string deep = "x";
  for (int i = 0; i < 20; ++i) deep = "{k: " + deep + "}";
  EXPECT_THAT(error_of("a: " + deep), HasSubstr("nested more than 16 deep"));
  EXPECT_NE(error_of("a: " + std::string(100'000, '[')), "none");
  EXPECT_NE(error_of(std::string(100'000, '{')), "none");
  EXPECT_THAT(error_of(std::string(kMostConfigBytes + 1, '#')), HasSubstr("at most"));
}

class ConfigFlag : public testing::Test {
 protected:
  ConfigFlag() : path_(fmt::format("{}reprise_config_{}.yaml", testing::TempDir(), getpid())) {}
  ~ConfigFlag() override { std::filesystem::remove(path_); }

  // The flags after the command line ran; what was wrong in `error`.
  void run(const std::string& file, std::vector<const char*> arguments) {
    std::ofstream(path_) << file;
    CommandLine line("prog", "help", "1");
    Command& command = line.program().add_command("go", "help");
    std::string config;
    add_config_flag(command, config);
    command.integer("--max-len", max_len, 1, 100, "help");
    command.texts("--key", keys, "help");
    command.on_off("--fast", fast, "help");
    command.check([&] { seen_by_checks = max_len; });
    command.action([] { return 0; });
    std::vector<const char*> all = {"prog", "go", "--config", path_.c_str()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    error.clear();
    try {
      line.run(static_cast<int>(all.size()), all.data());
    } catch (const UsageError& wrong) {
      error = wrong.what();
    }
  }

  const std::string path_;
  int max_len = 5, seen_by_checks = 0;
  std::vector<std::string> keys;
  bool fast = false;
  std::string error;
};

TEST_F(ConfigFlag, SetsWhatTheCommandLineDoesNot) {
  run("max_len: 7\nkey: [a, b]\nfast: true\n", {});
  EXPECT_EQ(error, "");
  EXPECT_EQ(max_len, 7);
  EXPECT_EQ(seen_by_checks, 7);
  EXPECT_THAT(keys, ElementsAre("a", "b"));
  EXPECT_TRUE(fast);
}

TEST_F(ConfigFlag, LosesToTheCommandLine) {
  run("max_len: 7\nkey: [a, b]\nfast: true\n", {"--max-len", "9", "--key", "c", "--fast=false"});
  EXPECT_EQ(error, "");
  EXPECT_EQ(max_len, 9);
  EXPECT_THAT(keys, ElementsAre("c"));
  EXPECT_FALSE(fast);
}

TEST_F(ConfigFlag, NamesFileLineAndFlag) {
  run("key: a\nmax_lem: 7\n", {});
  EXPECT_THAT(error, HasSubstr(path_ + " line 2: there is no flag --max-lem; did you mean --max-len?"));
  run("max_len: 700\n", {});
  EXPECT_THAT(error, HasSubstr("line 1: [--max-len] is '700', expected"));
  run("max_len: [7, 8]\n", {});
  EXPECT_THAT(error, HasSubstr("[--max-len] takes one value, and found a list"));
  run("fast: yes\n", {});
  EXPECT_THAT(error, HasSubstr("[--fast] is 'yes', expected"));
  run("config: other.yaml\n", {});
  EXPECT_THAT(error, HasSubstr("'config' can't stand in the file itself"));
}

}  // namespace
}  // namespace reprise::cli
