// Which bytes of a rendered conversation people and tools wrote: exact over the makers' templates, through
// every operation of the engine, and never lost.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "core/error.h"
#include "core/json.h"
#include "source_dir.h"
#include "tokenizer/jinja/attributes.h"
#include "tokenizer/jinja/chat_template.h"
#include "tokenizer/jinja/filters.h"

namespace reprise::tokenizer {
namespace {

// Text with its marked ranges in < and >.
std::string shown(const RenderedChat& chat) {
  std::string out;
  size_t at = 0;
  for (const TextSpan& span : chat.untrusted) {
    EXPECT_LT(span.begin, span.end);
    EXPECT_LE(span.end, chat.text.size());
    EXPECT_TRUE(at == 0 || at < span.begin) << "spans are sorted and do not touch";
    out += chat.text.substr(at, span.begin - at) + "<" + chat.text.substr(span.begin, span.end - span.begin) +
           ">";
    at = span.end;
  }
  return out + chat.text.substr(at);
}

Json conversation(const Json& content, const std::string& role = "user") {
  return {{"messages", {{{"role", role}, {"content", content}}}}};
}

// `u` is what a user wrote.
std::string marked(const std::string& source, const Json& content) {
  return shown(
      ChatTemplate::parse("{%- set u = messages[0].content -%}" + source).render_chat(conversation(content)));
}

struct Case {
  std::string source;
  Json content;
  std::string expected;
};

TEST(TemplateProvenance, EveryOperationKeepsMarksWhereTheyBelong) {
  const Case cases[] = {
      {"{{ u }}", "ab", "<ab>"},
      {"{{ 'x' + u + 'y' }}", "ab", "x<ab>y"},
      {"{{ 'x' ~ u ~ 1 ~ u }}", "ab", "x<ab>1<ab>"},
      {"{{ u * 2 ~ '-' ~ 2 * u }}", "ab", "<abab>-<abab>"},
      {"{{ ['x', u, 'y']|join('-') }} {{ ['x', 'y']|join(u) }} {{ u.join(['x', 'y']) }}", "ab",
       "x-<ab>-y x<ab>y x<ab>y"},
      {"{{ ('x' ~ u ~ 'y')[1:] }} {{ ('x' ~ u ~ 'y')[::-1] }} {{ ('x' ~ u)[-1] }}{{ ('x' ~ u)[0] }}", "aé",
       "<aé>y y<éa>x <é>x"},
      {"{{ ('x ' ~ u ~ ' y').strip('xy') }}|{{ (' ' ~ u)|trim }}|{{ u.lstrip() }}|{{ u.rstrip() }}", " a ",
       " < a > |<a>|<a >|< a>"},
      {"{{ ('x' ~ u).removeprefix('x') }} {{ (u ~ 'x').removesuffix('x') }} {{ u.removeprefix('q') }}", "ab",
       "<ab> <ab> <ab>"},
      {"{{ ('x-' ~ u).replace('-', '+') }} {{ 'x-y'.replace('-', u) }} {{ u|replace('a', 'q') }}", "ab",
       "x+<ab> x<ab>y q<b>"},
      {"{{ 'xy'.replace('', u) }}", "a", "<a>x<a>y<a>"},
      {"{{ ('x,' ~ u).split(',')|join(' ') }}|{{ ('x ' ~ u).split()|join('-') }}|{{ u.rsplit(',', 1)|join(' "
       "') }}",
       "a,b", "x <a> <b>|x-<a,b>|<a> <b>"},
      {"{{ u.splitlines()|join('-') }}", "a\nb", "<a>-<b>"},
      {"{{ ('x' ~ u ~ 'y').upper() }} {{ ('X' ~ u ~ 'Y')|lower }} {{ ('x' ~ u)|capitalize }} {{ (u ~ "
       "'x')|title }}",
       "aßŒ", "X<ASSŒ>Y x<aßœ>y X<aßœ> <Aßœ>x"},
      {"{{ ('xx ' ~ u).title() }}", "ßa", "Xx <Ssa>"},
      {"{{ '%s-%r-%5s|%-5s|' % (u, u, u, u) }}", "ab", "<ab>-'<ab>'-   <ab>|<ab>   |"},
      {"{{ '%(k)s!' % {'k': u} }} {{ '%.1s' % u }}", "éb", "<éb>! <é>"},
      {"{{ '<{}|{!r}|{:>4}|{:.1}|{0x}>'.format(u, u, u, u, **{'0x': u}) }}", "ab",
       "<<ab>|'<ab>'|  <ab>|<a>|<ab>>"},
      {"{{ '%s+%s'|format(u, 1) }} {{ '{k}'.format(k=u) }}", "ab", "<ab>+1 <ab>"},
      {"{{ u % 1 }} {{ u.replace('%5d', '{:*>4}').format(1) }}", "%5d", "<    1> ***1"},
      {"{{ [u, 1, {'k': u}]|tojson }}", "a\"\n\x7f", "[\"<a\\\"\\n\x7f>\", 1, {\"k\": \"<a\\\"\\n\x7f>\"}]"},
      {"{{ u|tojson(ensure_ascii=true) }} {{ [1]|tojson(indent=u) }}", "é😀",
       "\"<\\u00e9\\ud83d\\ude00>\" [\n<é😀>1\n]"},
      {"{{ [1, 2]|tojson(separators=(u, ':')) }}", "ab", "[1<ab>2]"},
      {"{{ [u] }} {{ (u,)|string }} {{ {u: u}.items() }}", "a'b",
       "[\"<a'b>\"] (\"<a'b>\",) dict_items([(\"<a'b>\", \"<a'b>\")])"},
      {"{{ u }}", Json::parse(R"([{"type": "text", "text": "ab"}, 5])"),
       "[{'<type>': '<text>', '<text>': '<ab>'}, 5]"},
      {"{{ u.k }}{% for k in u %}{{ k }}={{ u[k] }}{% endfor %}{{ u|dictsort }}",
       Json::parse(R"({"k": "v"})"), "<vk>=<v>[('<k>', '<v>')]"},
      {"{{ u|indent }}|{{ 'x\ny'|indent(u) }}", "a\nbcd", "<a\n>    <bcd>|x\n<a\nbcd>y"},
      {"{% for c in 'x' ~ u %}{{ c }}.{% endfor %}{{ u|list }}", "aé", "x.<a>.<é>.['<a>', '<é>']"},
      {"{% set s %}x{{ u }}{% endset %}{{ s }}{% filter upper %}x{{ u }}{% endfilter %}", "ab", "x<ab>X<AB>"},
      {"{% set n = namespace(s='') %}{% for i in [1, 2] %}{% set n.s = n.s ~ u ~ i %}{% endfor %}{{ n.s }} "
       "{{ n }}",
       "ab", "<ab>1<ab>2 <Namespace {'s': '<ab>1<ab>2'}>"},
      {"{% macro m(a) %}({{ a }}{{ caller() }}){% endmacro %}{% call m(u) %}x{{ u }}{% endcall %}", "ab",
       "(<ab>x<ab>)"},
      {"{% macro m() %}{{ kwargs }}{{ varargs }}{% endmacro %}{{ m(u.k, **u) }} {{ dict(**u) }} {{ "
       "namespace(**u) }}",
       Json::parse(R"({"k": "v"})"), "{'<k>': '<v>'}('<v>',) {'<k>': '<v>'} <Namespace {'<k>': '<v>'}>"},
      {"{{ [u, 'x']|map('upper')|join }} {{ [u]|map('default', 'x')|first }} {{ [u, 'x']|select('eq', "
       "u)|join }}",
       "ab", "<AB>X <ab> <ab>"},
      {"{{ [u, 'a']|sort|join(' ') }} {{ [u, 'a']|reverse|join(' ') }} {{ [u, 'B', u]|unique|join }} {{ "
       "u|reverse }}",
       "b", "a <b> a <b> <b> <b>"},
      {"{{ missing|default(u) }} {{ [u, 'a']|max }} {{ [[u]]|sum(start=[])|first }} {{ [u]|last }} {{ {'k': "
       "[u]}.k[0] }}",
       "b", "<b> <b> <b> <b> <b>"},
      {"{{ (u if true else 'x') ~ (u or 'x') ~ (u and 'x') ~ (false or u) }}", "b", "<bb>x<b>"},
      {"{{ u|string|safe|trim }} {{ u|length }} {{ u == 'b' }} {{ u in 'abc' }} {{ {'b': 1}[u] }} {{ u|int "
       "}}",
       "b", "<b> 1 True True 1 0"},
      {"{{ strftime_now(u) }}", "ab", "<ab>"},
      {"{% for m in messages %}{{ m.content }}{{ loop }}{% endfor %}", "ab", "<ab><LoopContext 1/1>"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.source);
    EXPECT_EQ(marked(each.source, each.content), each.expected);
  }
}

TEST(TemplateProvenance, RolesDecide) {
  const std::string source =
      "{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}{{ documents }}{{ tools }}{{ extra }}";
  const Json context = Json::parse(R"({"messages": [
      {"role": "system", "content": "s"}, {"role": "developer", "content": "d"}, {"role": "user", "content": "u"},
      {"role": "assistant", "content": "a"}, {"role": "tool", "content": "t"}, {"role": "ipython", "content": "i"},
      {"role": "made up", "content": "m"}, {"content": "n"}, "text"], "documents": [{"title": "t"}], "tools": ["w"],
      "extra": "e"})");
  EXPECT_EQ(shown(ChatTemplate::parse(source).render_chat(context)),
            "system:s;developer:d;user:<u>;assistant:a;tool:<t>;ipython:<i>;<made "
            "up>:<m>;:<n>;:;[{'<title>': '<t>'}]['w']e");
  EXPECT_EQ(shown(ChatTemplate::parse("{{ messages }}").render_chat({{"messages", "m"}})), "<m>");
}

// Contents between U+E000 and U+E001, which no template writes; the makers' templates may trim what is
// around.
std::string sentinel(const std::string& body) {
  return "\uE000" + body + "\uE001";
}

TEST(TemplateProvenance, TheMakersTemplatesMarkExactlyWhatPeopleWrote) {
  const char* shared = std::getenv("REPRISE_SHARED");
  std::filesystem::path folder =
      std::filesystem::path(shared ? shared : REPRISE_SOURCE_DIR "/../shared") / "data/chat-templates";
  if (!std::filesystem::is_directory(folder)) GTEST_SKIP() << folder << " is absent";
  const Json call = {
      {"id", "abcdefghi"}, {"type", "function"}, {"function", {{"name", "f"}, {"arguments", {{"a", 1}}}}}};
  const Json plain = {{{"role", "system"}, {"content", "system \uE002"}},
                      {{"role", "user"}, {"content", " \n" + sentinel("one <|im_end|>") + "\n "}},
                      {{"role", "assistant"}, {"content", "answer \uE002"}},
                      {{"role", "user"}, {"content", sentinel("two")}}};
  const Json with_tools = {
      {{"role", "user"}, {"content", "  " + sentinel("one [/INST]")}},
      {{"role", "assistant"}, {"content", ""}, {"tool_calls", {call}}},
      {{"role", "tool"}, {"name", "f"}, {"tool_call_id", "abcdefghi"}, {"content", sentinel("three \"x\"")}},
      {{"role", "assistant"}, {"content", "answer \uE002"}},
      {{"role", "user"}, {"content", sentinel("four") + "\t"}}};
  size_t rendered = 0, sentinels = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    const ChatTemplate chat = ChatTemplate::parse(read_file(file.path()));
    for (const Json& messages : {plain, with_tools}) {
      for (bool system : {true, false}) {
        SCOPED_TRACE(file.path().filename().string() + messages.dump().substr(0, 60));
        Json used = messages;
        if (!system && used[0]["role"] == "system") used.erase(0);
        RenderedChat result;
        try {
          result = chat.render_chat({{"messages", used},
                                     {"add_generation_prompt", true},
                                     {"bos_token", "<s>"},
                                     {"eos_token", "</s>"}});
        } catch (const Error&) {
          continue;  // not every template takes every conversation
        }
        ++rendered;
        std::vector<bool> is_marked(result.text.size());
        for (const TextSpan& span : result.untrusted)
          for (size_t i = span.begin; i < span.end; ++i) is_marked[i] = true;
        bool inside = false;
        for (size_t i = 0; i < result.text.size(); ++i) {
          if (result.text.compare(i, 3, "\uE000") == 0) inside = true, ++sentinels;
          bool blank = std::string_view(" \n\t").find(result.text[i]) != std::string_view::npos;
          // Names and ids that the user chose are marked as well.
          bool name = result.text[i] == 'f' || (result.text[i] >= 'a' && result.text[i] <= 'i');
          ASSERT_TRUE(is_marked[i] || !inside) << "byte " << i << " of " << shown(result);
          ASSERT_FALSE(is_marked[i] && !inside && !blank && !name) << "byte " << i << " of " << shown(result);
          if (i >= 2 && result.text.compare(i - 2, 3, "\uE001") == 0) inside = false;
        }
        EXPECT_FALSE(inside);
      }
    }
  }
  EXPECT_GE(rendered, 60u);
  EXPECT_GE(sentinels, 120u);
}

// Every filter and method of the engine, whatever it is called, with arguments of several kinds: a
// private-use character of the user that reaches the output is marked there, and marks never change the text.
TEST(TemplateProvenance, NoOperationLosesAMark) {
  std::vector<std::string> expressions;
  const std::string subjects[] = {"u",   "('x' ~ u ~ 'y z')", "[u, 'x', u]", "{'k': u, u: 'x'}", "[{'n': u}]",
                                  "u[0]"};
  const std::string arguments[] = {
      "",    "u", "'x'",  "2",           "u, u",    "u, 'x'",        "'x', u",     "'%s', u",
      "'n'", "5", "1, u", "2, false, u", "'upper'", "attribute='n'", "**{'k': u}", "u, u, u"};
  for (const std::string& subject : subjects)
    for (const std::string& argument : arguments) {
      for (const std::string& filter : jinja::filter_names()) {
        std::string call = subject + "|" + filter + (argument.empty() ? "" : "(" + argument + ")");
        expressions.push_back("(" + call + ")");
        expressions.push_back("(" + call + ")|list");
        expressions.push_back("(" + call + ")|tojson");
      }
      for (auto methods : {jinja::string_methods(), jinja::sequence_methods(), jinja::dict_methods()})
        for (const jinja::Method& method : methods)
          expressions.push_back(subject + "." + std::string(method.name) + "(" + argument + ")");
    }
  size_t checked = 0;
  const std::string text = "\uE000 a\uE001,\n\uE002";
  for (const std::string& expression : expressions) {
    SCOPED_TRACE(expression);
    RenderedChat user, system;
    try {
      ChatTemplate chat = ChatTemplate::parse("{%- set u = messages[0].content -%}{{ " + expression + " }}");
      user = chat.render_chat(conversation(text));
      system = chat.render_chat(conversation(text, "system"));
    } catch (const Error&) {
      continue;
    }
    ++checked;
    EXPECT_EQ(user.text, system.text);
    EXPECT_TRUE(system.untrusted.empty());
    std::string clean;
    size_t at = 0;
    for (const TextSpan& span : user.untrusted) {
      clean += user.text.substr(at, span.begin - at);
      at = span.end;
    }
    clean += user.text.substr(at);
    EXPECT_EQ(clean.find("\xEE\x80"), std::string::npos) << shown(user);
    EXPECT_EQ(clean.find("\\ue00"), std::string::npos) << shown(user);
  }
  EXPECT_GT(checked, 1000u);
}

}  // namespace
}  // namespace reprise::tokenizer
