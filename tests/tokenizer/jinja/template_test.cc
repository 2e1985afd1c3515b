// The interface: contexts, errors with their line, what is refused, threads.
#include "tokenizer/jinja/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "core/error.h"
#include "core/json.h"
#include "source_dir.h"
#include "tokenizer/jinja/attributes.h"
#include "tokenizer/jinja/filters.h"

namespace reprise::tokenizer {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string render(const std::string& source, const Json& context = Json::object()) {
  return ChatTemplate::parse(source).render(context);
}

std::string failure(const std::string& source, const Json& context = Json::object()) {
  try {
    return "no error: " + render(source, context);
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(ChatTemplate, RendersTheContext) {
  Json context =
      Json::parse(R"({"messages": [{"role": "user", "content": "Grüße"}], "z": 1, "a": 2.0, "tools": null})");
  EXPECT_EQ(render("{% for m in messages %}<{{ m.role }}>{{ m['content'] }}{% endfor %}", context),
            "<user>Grüße");
  EXPECT_EQ(render("{{ messages|tojson }} {{ a }} {{ tools is none }} {{ documents is defined }}", context),
            R"([{"role": "user", "content": "Grüße"}] 2.0 True False)");
}

TEST(ChatTemplate, AnEmptyTemplateIsATemplate) {
  EXPECT_EQ(render(""), "");
}

TEST(ChatTemplate, CallersVariablesHideGlobals) {
  EXPECT_EQ(render("{{ range }}{{ bos_token }}", {{"range", 5}, {"bos_token", "<s>"}}), "5<s>");
}

TEST(ChatTemplate, ErrorsNameTheLine) {
  EXPECT_THAT(failure("a\nb\n{{ x.y }}"), StartsWith("[chat template] line 3: 'x' is undefined"));
  EXPECT_THAT(failure("a\n\n{% if %}"), StartsWith("[chat template] line 3: Expected an expression"));
  EXPECT_THAT(failure("{%- set a = 1 -%}\n\n\n{{- raise_exception('no tools here') }}"),
              StartsWith("[chat template] line 4: no tools here"));
  EXPECT_THAT(failure("{% macro m(x) %}\n{{ x + 1 }}\n{% endmacro %}\n{{ m('a') }}"), HasSubstr("line 2: "));
  EXPECT_THAT(failure("{% macro m() %}\n\n{% endmacro %}\n{{ m() + 1 }}"), HasSubstr("line 4: "));
  EXPECT_THAT(failure("\n{{ 'abc"), HasSubstr("line 2: "));
  EXPECT_THAT(failure("\r\n\r{{ nope() }}"), HasSubstr("line 3: 'nope' is undefined"));
}

TEST(ChatTemplate, OtherFilesAreRefused) {
  for (std::string tag :
       {"extends 'x'", "include 'x'", "import 'x' as y", "from 'x' import y", "block x", "autoescape true"})
    EXPECT_THAT(failure("{% " + tag + " %}"), HasSubstr("is not available"));
  EXPECT_THAT(failure("{{ self.x() }}"), HasSubstr("'self' is undefined"));
}

// Parts of jinja2 that no chat template uses: each is an error that names what is not there.
TEST(ChatTemplate, WhatIsNotThereIsNamed) {
  const std::pair<std::string, std::string> cases[] = {
      {"{{ [1]|random }}", "No filter named 'random'"},
      {"{{ [1]|batch(2)|list }}", "No filter named 'batch'"},
      {"{{ 'x'|wordcount }}", "No filter named 'wordcount'"},
      {"{{ [1]|map('center')|list }}", "No filter named 'center'"},
      {"{{ 'x' is filter }}", "No test named 'filter'"},
      {"{{ 'x'.zfill(5) }}", "'str object' has no attribute 'zfill'"},
      {"{{ 'x'.encode() }}", "'str object' has no attribute 'encode'"},
      {"{{ 5 .bit_length() }}", "'int object' has no attribute 'bit_length'"},
      {"{{ 5 .real }}", "the attribute 'real' of int is not available"},
      {"{% macro m() %}{% endmacro %}{{ m.arguments }}",
       "the attribute 'arguments' of Macro is not available"},
      {"{{ range(3).stop }}", "the attribute 'stop' of range is not available"},
      {"{{ range(3)[1:] }}", "a range can't be sliced"},
      {"{{ 0x1F }}", "only decimal numbers are"},
      {"{{ {'a': 1}.keys() == {'a': 1}.keys() }}", "objects can't be compared"},
      {"{{ cycler(1) }}", "'cycler' is undefined"},
      {"{{ joiner() }}", "'joiner' is undefined"},
      {"{{ lipsum() }}", "'lipsum' is undefined"},
      {"{% for x in [1] %}{{ loop.changed(x) }}{% endfor %}",
       "'LoopContext object' has no attribute 'changed'"},
      {"{% for x in [1] recursive %}{% endfor %}", "recursive loops are not available"},
      {"{% print 1 %}", "unknown tag 'print'"},
      {"{{ '%e' % 1.5 }}", "unsupported format character 'e', chat templates know s, r, d"},
      {"{{ '%*d' % (1, 2) }}", "unsupported format character '*'"},
      {"{{ '{:,}'.format(1) }}", "the format ',' is not supported, chat templates know"},
      {"{{ '{:e}'.format(1.5) }}", "the format 'e' is not supported"},
      {"{{ '{:{}}'.format(1, 2) }}", "a field inside a field"},
      {"{{ '{0.x}'.format(1) }}", "the field '0.x' of a format is not a plain position or name"},
      {"{{ '{!a}'.format(1) }}", "Unknown conversion specifier in '!a'"},
      {"{{ '7'|int(base=8) }}", "unexpected keyword argument 'base'"},
      {"{{ 1234|round(-2) }}", "the precision is -2"},
  };
  for (const auto& [source, reason] : cases) EXPECT_THAT(failure(source), HasSubstr(reason)) << source;
}

TEST(ChatTemplate, TheSandboxHolds) {
  const Json context = {{"xs", {1}}, {"d", {{"a", 1}}}};
  for (std::string method :
       {"append(2)", "pop()", "clear()", "insert(0, 1)", "extend([1])", "remove(1)", "sort()", "reverse()"})
    EXPECT_THAT(failure("{{ xs." + method + " }}", context), HasSubstr("is unsafe"));
  for (std::string method : {"pop('a')", "update({})", "clear()", "popitem()", "setdefault('b', 1)"})
    EXPECT_THAT(failure("{{ d." + method + " }}", context), HasSubstr("is unsafe"));
  EXPECT_THAT(failure("{{ ''.__class__.__mro__ }}"), HasSubstr("is unsafe"));
  EXPECT_THAT(failure("{{ '{0.__class__.__mro__}'.format(1) }}"), HasSubstr("not a plain position or name"));
  EXPECT_THAT(failure("{% set n = namespace() %}{% set n.__class__ = 1 %}"), HasSubstr("underscore"));
}

TEST(ChatTemplate, IntegersAre64Bits) {
  EXPECT_THAT(failure("{{ 9223372036854775807 + 1 }}"), HasSubstr("64 bits"));
  EXPECT_THAT(failure("{{ 9223372036854775808 }}"), HasSubstr("64 bits"));
  EXPECT_THAT(failure("{{ 2 ** 63 }}"), HasSubstr("64 bits"));
  EXPECT_THAT(failure("{{ (-9223372036854775807 - 1) // -1 }}"), HasSubstr("64 bits"));
  EXPECT_THAT(failure("{{ -(-9223372036854775807 - 1) }}"), HasSubstr("64 bits"));
  EXPECT_THAT(failure("{{ (-9223372036854775807 - 1)|abs }}"), HasSubstr("64 bits"));
  EXPECT_EQ(render("{{ (-9223372036854775807 - 1) % -1 }}"), "0");
  EXPECT_EQ(render("{{ x }} {{ x|tojson }} {{ [x] }}", {{"x", UINT64_MAX}}),
            "18446744073709551615 18446744073709551615 [18446744073709551615]");
  EXPECT_THAT(failure("{{ x + 1 }}", {{"x", UINT64_MAX}}), HasSubstr("64 bits"));
  EXPECT_EQ(render("{{ x }}", {{"x", INT64_MIN}}), "-9223372036854775808");
}

TEST(ChatTemplate, NumbersOfAnySizeAndDelAreWrittenAsPythonDoes) {
  const Json context = {{"x", UINT64_MAX}, {"f", 1e22}, {"small", 5e-324}, {"del", "a\x7f"}};
  EXPECT_EQ(render("{{ [x, f, small, -0.0]|tojson }} {{ {x: 1}[x] }} {{ x == x }} {{ x > 5 }} {{ x is "
                   "integer }} {{ '%d' % x }}",
                   context),
            "[18446744073709551615, 1e+22, 5e-324, -0.0] 1 True True True 18446744073709551615");
  EXPECT_EQ(render("{{ del|tojson }}{{ del|tojson(ensure_ascii=true) }}", context), "\"a\x7f\"\"a\\u007f\"");
  const Json exact = parse_json(R"({"n": [123456789012345678901234567890, -9223372036854775809]})", "test",
                                {.exact_integers = true});
  EXPECT_EQ(render("{{ n|tojson }} {{ n[0] }} {{ n[1] < n[0] }} {{ n|sort|first }}", exact),
            "[123456789012345678901234567890, -9223372036854775809] 123456789012345678901234567890 True "
            "-9223372036854775809");
}

TEST(ChatTemplate, AnUnknownFilterIsNamedWithTheNearest) {
  EXPECT_THAT(failure("{{ 1|tojsn }}"), HasSubstr("No filter named 'tojsn'; the nearest is 'tojson'"));
  EXPECT_THAT(failure("{{ 1|urlencode }}"), HasSubstr("No filter named 'urlencode'"));
  EXPECT_THAT(failure("{{ 1 is strng }}"), HasSubstr("No test named 'strng'; the nearest is 'string'"));
}

TEST(ChatTemplate, TheDocumentationListsWhatIsKnown) {
  const std::string page = read_file(REPRISE_SOURCE_DIR "/docs/chat-templates.md");
  const auto row = [&](const std::string& part) {
    const size_t begin = page.find("| " + part + " | ");
    EXPECT_NE(begin, std::string::npos) << part;
    const std::string line = page.substr(begin, page.find('\n', begin) - begin);
    return line.substr(part.size() + 4);
  };
  const auto expect_names = [](const std::string& text, std::vector<std::string> names) {
    for (const std::string& name : names)
      EXPECT_THAT(text, testing::ContainsRegex("(^|[ (])" + name + "([,;. )]|$)"));
  };
  std::vector<std::string> methods, container_methods;
  for (const jinja::Method& method : jinja::string_methods()) methods.emplace_back(method.name);
  for (auto group : {jinja::sequence_methods(), jinja::dict_methods()})
    for (const jinja::Method& method : group) container_methods.emplace_back(method.name);
  expect_names(row("filters"), jinja::filter_names());
  expect_names(row("tests"), jinja::test_names());
  expect_names(row("methods of text"), methods);
  expect_names(row("methods of lists and dicts"), container_methods);
}

TEST(ChatTemplate, BadInputIsAnError) {
  EXPECT_THAT(failure("{{ x }}", Json::array()), HasSubstr("expected an object"));
  EXPECT_THAT(failure("\xff"), HasSubstr("not valid UTF-8"));
  EXPECT_THAT(failure("{{ x }}", {{"x", "\xff"}}), HasSubstr("not valid UTF-8"));
  EXPECT_THAT(failure("{{ '\\ud800' }}"), HasSubstr("not a character"));
  EXPECT_THAT(failure("{{ '\\N{DASH}' }}"), HasSubstr("not supported"));
}

TEST(ChatTemplate, TheClockCanBeFixed) {
  setenv("REPRISE_NOW", "2026-01-02T03:04:05", 1);
  EXPECT_EQ(render("{{ strftime_now('%d %b %Y %H:%M:%S %A %j') }}"), "02 Jan 2026 03:04:05 Friday 002");
  setenv("REPRISE_NOW", "yesterday", 1);
  EXPECT_THAT(failure("{{ strftime_now('%d') }}"), HasSubstr("REPRISE_NOW"));
  unsetenv("REPRISE_NOW");
  EXPECT_EQ(render("{{ strftime_now('%Y')|length }}"), "4");
}

TEST(ChatTemplate, OneObjectServesManyThreads) {
  ChatTemplate chat = ChatTemplate::parse(
      "{% macro m(x) %}[{{ x }}]{% endmacro %}{% set ns = namespace(n=0) %}"
      "{% for x in xs %}{% set ns.n = ns.n + x %}{{ m(x ~ 'é') }}{% endfor %}{{ ns.n }}");
  const Json context = {{"xs", {1, 2, 3}}};
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int round = 0; round < 200; ++round) wrong += chat.render(context) != "[1é][2é][3é]6";
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace reprise::tokenizer
