// Whatever a template does with whatever text, it ends soon: every filter, method, test and operator of the
// engine over 10 MB in a loop, and sources of 1 MB. Times are processor time of the thread.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "core/error.h"
#include "core/json.h"
#include "tests/tokenizer/cpu_time.h"
#include "tokenizer/jinja/attributes.h"
#include "tokenizer/jinja/chat_template.h"
#include "tokenizer/jinja/filters.h"

namespace reprise::tokenizer {
namespace {

constexpr size_t kTextBytes = kSlowBuild > 1 ? 1'000'000 : 10'000'000;

std::string outcome(const std::string& source, const Json& context, const TemplateLimits& limits = {}) {
  try {
    return "rendered " + std::to_string(ChatTemplate::parse(source, limits).render(context).size());
  } catch (const Error& error) {
    return error.what();
  }
}

std::string repeated(const std::string& text, size_t bytes) {
  std::string out;
  while (out.size() + text.size() <= bytes) out += text;
  return out;
}

// What the table runs on: one big value each, called x in the template.
struct Subject {
  std::string name;
  Json value;
};
std::vector<Subject> subjects() {
  Json list = Json::array(), dict = Json::object();
  for (size_t i = 0; i < kTextBytes / 1000; ++i) list.push_back("item " + std::to_string(i * 7919 % 10007));
  for (int i = 0; i < 1000; ++i) dict[repeated("key ", 60) + std::to_string(i)] = i;
  return {{"blanks and letters", repeated("aB é\n", kTextBytes)},
          {"list", std::move(list)},
          {"dict", std::move(dict)}};
}

std::vector<std::string> operations() {
  std::vector<std::string> calls;
  const std::string arguments[] = {"", "x", "'a'", "9999999"};
  for (const std::string& argument : arguments) {
    const std::string tail = argument.empty() ? "" : "(" + argument + ")";
    for (const std::string& name : jinja::filter_names()) {
      calls.push_back("x|" + name + tail);
      if (argument.empty()) calls.push_back("x|" + name + "|list");
    }
    for (const std::string& name : jinja::test_names())
      if (name.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == name.npos)
        calls.push_back("x is " + name + tail);
    for (auto methods : {jinja::string_methods(), jinja::sequence_methods(), jinja::dict_methods()})
      for (const jinja::Method& method : methods)
        calls.push_back("x." + std::string(method.name) + "(" + argument + ")");
  }
  for (const std::string op : {"+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">",
                               ">=", "in", "not in", "and", "or"})
    for (const std::string other : {"x", "'a'", "3"}) {
      calls.push_back("x " + op + " " + other);
      if (other != "x") calls.push_back(other + " " + op + " x");
    }
  for (const std::string call : {"x[0]",
                                 "x[-1]",
                                 "x[1:]",
                                 "x[::-1]",
                                 "x[::3]",
                                 "x[i]",
                                 "-x",
                                 "not x",
                                 "[x, x]",
                                 "(x, x)",
                                 "{'k': x}",
                                 "dict(x)",
                                 "namespace(k=x).k",
                                 "x.missing",
                                 "x[x]",
                                 "missing[x]",
                                 "'%s%s' % (x, x)",
                                 "'%r' % x",
                                 "'%-99999s' % i",
                                 "'{}{}'.format(x, x)",
                                 "'{!r}'.format(x)",
                                 "'{:>99999}'.format(i)",
                                 "'%.999999f' % 0.1",
                                 "'{:.999999f}'.format(0.1)",
                                 "x if x else x",
                                 "x.format(**{'a': 1})",
                                 "strftime_now(x)",
                                 "range(99999)|list",
                                 "range(99999)|sum",
                                 "range(99999)|sort|first",
                                 "x.split('a', i)|length",
                                 "'a'.join(x)",
                                 "x.startswith((x, x, x))",
                                 "x|map('upper')|list",
                                 "x|select('eq', x)|list",
                                 "x|sort(attribute=x)"})
    calls.push_back(call);
  return calls;
}

std::string looped(const std::string& call) {
  return "{% for i in range(99999) %}{% set y = " + call + " %}{% endfor %}";
}

TEST(TemplateWork, EveryOperationOver10MegabytesEndsWithinOneSecond) {
  // A short limit shows how long the longest stretch without a look at the clock is; the default adds half a
  // second.
  TemplateLimits limits;
  limits.max_cpu_seconds = 0.01;
  size_t stopped = 0, tried = 0;
  for (const Subject& subject : subjects()) {
    const Json context = {{"x", subject.value}};
    const double base = cpu_seconds([&] { outcome("", context); });
    limits.max_cpu_seconds = 0.01 + base;
    for (const std::string& call : operations()) {
      SCOPED_TRACE(subject.name + ": " + call);
      std::string result;
      const double spent = cpu_seconds([&] { result = outcome(looped(call), context, limits); });
      ++tried;
      stopped +=
          result.find("processor time") != std::string::npos || result.find("steps") != std::string::npos;
      EXPECT_LT(spent, 0.5 * kSlowBuild) << result.substr(0, 200);
      EXPECT_LT(result.size(), 3000u);
    }
  }
  EXPECT_GT(stopped, 200u);
  EXPECT_GT(tried, 1500u);
}

TEST(TemplateWork, TheDefaultLimitIsUnderOneSecond) {
  const Json context = {{"x", std::string(kTextBytes, ' ')}, {"names", Json::object()}};
  for (const std::string call : {"x.strip()", "x.removeprefix(' ')", "x|indent", "x|replace(' ', '')",
                                 "'%s' % x", "x ~ i", "x.split()", "x|title", "x[::-1]", "x == x ~ ''"}) {
    SCOPED_TRACE(call);
    std::string result;
    EXPECT_LT(cpu_seconds([&] { result = outcome(looped(call), context); }), 1.0 * kSlowBuild);
    EXPECT_THAT(result, testing::HasSubstr("the template took more than"));
  }
}

TEST(TemplateWork, ScopesOfManyNamesCostWhatTheyHold) {
  std::string source = "{% for i in range(99999) %}";
  for (int i = 0; i < 20000; ++i) source += "{% set a" + std::to_string(i) + " = 1 %}";
  // Names that the scope only enters and leaves.
  std::string unused = "{% for i in range(99999) %}{% if false %}";
  for (int i = 0; i < 20000; ++i) unused += "{% set a" + std::to_string(i) + " = 1 %}";
  for (const std::string& loop : {source + "{% endfor %}", unused + "{% endif %}{% endfor %}"}) {
    std::string result;
    EXPECT_LT(cpu_seconds([&] { result = outcome(loop, Json::object()); }), 1.0 * kSlowBuild);
    EXPECT_THAT(result, testing::HasSubstr("more than"));
  }
}

TEST(TemplateWork, SourcesOfOneMegabyteParseInTime) {
  std::string keywords = "{{ f(", parameters = "{% macro m(", nested_loops, nested_macros;
  for (int i = 0; keywords.size() < 1'000'000; ++i) keywords += fmt::format("k{}=1,", i);
  for (int i = 0; parameters.size() < 1'000'000; ++i) parameters += fmt::format("k{},", i);
  for (int i = 0; i < 19; ++i) nested_loops += "{% for a in b %}";
  for (int i = 0; i < 24; ++i) nested_macros += "{% macro m() %}{% for a in b %}";
  const std::pair<std::string, std::string> sources[] = {
      {"keyword arguments", keywords + "k=1) }}"},
      {"parameters", parameters + "k) %}{% endmacro %}"},
      {"prints", repeated("{{a}}", 1'000'000)},
      {"list", "{{ [" + repeated("a,", 999'000) + "] }}"},
      {"dict", "{{ {" + repeated("1:1,", 999'000) + "} }}"},
      {"ifs", repeated("{%if a%}{%endif%}", 1'000'000)},
      {"elifs", "{% if a %}" + repeated("{%elif a%}", 999'000) + "{% endif %}"},
      {"sets", repeated("{%set a=a%}", 1'000'000)},
      {"loops", repeated("{%for a in b%}{%endfor%}", 1'000'000)},
      {"prints in loops", nested_loops + repeated("{{a}}", 990'000) + repeated("{% endfor %}", 19 * 12)},
      {"prints in macros",
       nested_macros + repeated("{{a}}", 990'000) + repeated("{% endfor %}{% endmacro %}", 24 * 26)},
      {"openings", repeated("{% raw %}", 1'000'000)},
      {"raw", "{% raw %}" + repeated("{%endraw ", 999'000)},
      {"braces", repeated("{", 1'000'000)},
      {"comments", repeated("{#", 1'000'000)},
      {"blanks", repeated("{{ a -}}                                 ", 1'000'000)},
      {"spaces", "{% raw" + std::string(999'000, ' ')},
      {"string", "{{ '" + repeated("\\u00e9", 999'000) + "' }}"},
      {"name", "{{ " + std::string(999'000, 'a') + " }}"},
      {"digits", "{{ " + std::string(999'000, '1') + " }}"},
      {"strings", "{{ " + repeated("'a' ", 999'000) + " }}"},
  };
  for (const auto& [name, source] : sources) {
    SCOPED_TRACE(name);
    ASSERT_LE(source.size(), size_t{1} << 20);
    std::string result;
    EXPECT_LT(cpu_seconds([&] { result = outcome(source, Json::object()); }), 1.0 * kSlowBuild);
    EXPECT_LT(result.size(), 3000u);
  }
}

TEST(TemplateWork, ARenderCanBeCancelled) {
  const ChatTemplate chat =
      ChatTemplate::parse("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
                          {.max_steps = UINT64_MAX, .max_cpu_seconds = 60 * kSlowBuild});
  std::atomic<bool> cancel = false;
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    cancel = true;
  });
  std::string reason;
  try {
    chat.render_chat(Json::object(), &cancel);
  } catch (const Error& error) {
    reason = error.what();
  }
  canceller.join();
  EXPECT_THAT(reason, testing::HasSubstr("cancelled"));
}

}  // namespace
}  // namespace reprise::tokenizer
