#include "cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/text_output.h"

namespace reprise::cli {
namespace {

struct Values {
  std::string text, format = "html";
  std::vector<std::string> texts;
  std::vector<int64_t> list;
  int64_t count = 7;
  size_t bytes = 0;
  bool json = false, chunked = true;
};

// A program with one command of each kind of flag. Returns the exit code, 5 where the command ran.
int run(std::vector<const char*> arguments, Values& values) {
  CommandLine line("program", "", "1.2");
  Command& command = line.program().add_command("walk", "");
  command.text("--text", values.text, "");
  command.texts("--item", values.texts, "");
  command.integers("--list", values.list, 0, 9, "");
  command.integer("--count", values.count, -1, 100, "");
  command.size("--memory", values.bytes, "");
  command.choice("--format", values.format, {"text", "html"}, "");
  command.on_off("--json", values.json, "");
  command.on_off(
      "--chunked", [&values](bool on) { values.chunked = on; }, "", /*negated=*/true);
  command.check([&values] {
    if (values.text == "forbidden") throw Error("[--text] is forbidden");
  });
  command.action([] { return 5; });
  Command& bench = line.program().add_command("bench", "");
  bench.add_command("latency", "").action([] { return 6; });
  arguments.insert(arguments.begin(), "program");
  return line.run(static_cast<int>(arguments.size()), arguments.data());
}

std::string error_of(const std::vector<const char*>& arguments) {
  Values values;
  try {
    run(arguments, values);
  } catch (const UsageError& e) {
    return e.what();
  }
  return "no error";
}

TEST(CommandLine, GivesEveryFlagItsValue) {
  Values values;
  EXPECT_EQ(
      run({"walk", "--text", "--json", "--item", "a", "--item=b", "--item", "[c,d]", "--item=", "--list",
           "1,2,3", "--count", "-1", "--memory", "2KiB", "--format", "text", "--json", "--no-chunked"},
          values),
      5);
  EXPECT_EQ(values.text, "--json");  // a value may look like a flag
  EXPECT_THAT(values.texts, testing::ElementsAre("a", "b", "[c,d]", ""));
  EXPECT_THAT(values.list, testing::ElementsAre(1, 2, 3));
  EXPECT_EQ(values.count, -1);
  EXPECT_EQ(values.bytes, 2048u);
  EXPECT_EQ(values.format, "text");
  EXPECT_TRUE(values.json);
  EXPECT_FALSE(values.chunked);
  EXPECT_EQ(run({"bench", "latency"}, values), 6);
}

TEST(CommandLine, WrongUsageNamesFlagValueAndWhatIsExpected) {
  const struct {
    std::vector<const char*> arguments;
    std::string expected;
  } cases[] = {
      {{}, "[program] needs a command: walk, bench"},
      {{"waalk"}, "[program] has no command 'waalk'; did you mean walk?"},
      {{"bench"}, "[program bench] needs a command: latency"},
      {{"walk", "--cuont", "5"}, "[program walk] has no flag --cuont; did you mean --count?"},
      {{"walk", "--xyz=5"}, "[program walk] has no flag --xyz; program walk --help lists its flags"},
      {{"walk", "5"}, "[program walk] does not expect '5'"},
      {{"walk", "--count"}, "[--count] has no value"},
      {{"walk", "--count", "many"}, "[--count] is 'many', expected an integer from -1 to 100"},
      {{"walk", "--count", "1e1"}, "[--count] is '1e1'"},
      {{"walk", "--count", "101"}, "[--count] is '101', expected an integer from -1 to 100"},
      {{"walk", "--count", "99999999999999999999"}, "expected an integer from -1 to 100"},
      {{"walk", "--count="}, "[--count] is '', expected an integer"},
      {{"walk", "--count", "1", "--count", "2"}, "[--count] is given 2 times; keep one"},
      {{"walk", "--list", "1,,2"}, "[--list] is '1,,2', expected integers from 0 to 9 between commas"},
      {{"walk", "--list", ","}, "[--list] is ','"},
      {{"walk", "--list", "1,10"}, "'10' is none"},
      {{"walk", "--list", "-1"}, "'-1' is none"},
      {{"walk", "--list", "1, 2"}, "' 2' is none"},
      {{"walk", "--memory", "16gb"}, "[--memory] "},
      {{"walk", "--memory", "-1"}, "[--memory] "},
      {{"walk", "--format", "htm"}, "[--format] is 'htm', expected one of text, html; did you mean html?"},
      {{"walk", "--json=maybe"}, "[--json] is 'maybe', expected one of true, false"},
      {{"walk", "--text", "forbidden"}, "[--text] is forbidden"}};
  for (const auto& c : cases) EXPECT_THAT(error_of(c.arguments), testing::HasSubstr(c.expected));
}

TEST(CommandLine, ACommandThatIsAbsentSaysWhyWhateverFollows) {
  for (const std::vector<const char*>& arguments : {std::vector<const char*>{"program", "serve"},
                                                    {"program", "serve", "--model", "x", "--port=1"},
                                                    {"program", "serve", "x"}}) {
    CommandLine line("program", "", "1.2");
    line.program().add_command("serve", "").absent("[serve] was left out {}");
    try {
      line.run(static_cast<int>(arguments.size()), arguments.data());
      FAIL() << "ran";
    } catch (const UsageError& e) {
      FAIL() << e.what();
    } catch (const Error& e) {
      EXPECT_STREQ(e.what(), "[serve] was left out {}");
    }
  }
}

}  // namespace
}  // namespace reprise::cli
