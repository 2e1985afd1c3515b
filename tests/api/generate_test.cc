// generate() among people: callbacks that throw or call back, prompts that come one by one, results as they
// come, cancelling, limits of one prompt that must not touch another.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <cmath>
#include <ctime>
#include <fstream>
#include <limits>
#include <new>
#include <stdexcept>

#include "api/chat_fields.h"
#include "api/prompt_line.h"
#include "api/result_json.h"
#include "api/text_model.h"
#include "core/json.h"
#include "reprise/reprise.h"
#include "source_dir.h"

namespace reprise {
namespace {

using testing::HasSubstr;

LanguageModel load(const std::string& graph = "") {
  return LanguageModel::load({.model = REPRISE_SOURCE_DIR "/models/tiny",
                              .max_num_seqs = 4,
                              .graph_optimization_config = graph,
                              .capture_before_ready = !graph.empty()});
}

LanguageModel& tiny() {
  static LanguageModel model = load();
  return model;
}

Prompt prompt_of(const std::string& text, int max_tokens, int n = 1) {
  Prompt prompt{.text = text};
  prompt.sampling.seed = 3;
  prompt.sampling.max_tokens = max_tokens;
  prompt.sampling.ignore_eos = true;
  prompt.sampling.n = n;
  return prompt;
}

std::vector<std::vector<int32_t>> ids_of(const std::vector<Result>& results) {
  std::vector<std::vector<int32_t>> ids;
  for (const Result& result : results) {
    EXPECT_EQ(result.error, "");
    for (const Output& output : result.outputs) ids.push_back(output.token_ids);
  }
  return ids;
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "nothing was thrown";
}

// Throws at event N for every N: what is thrown arrives, no callback is called after it, and the next call
// gives the right tokens.
void throw_at_every_event(LanguageModel& model) {
  const std::vector<Prompt> prompts = {prompt_of("It was a", 5, 2), prompt_of("She", 7),
                                       prompt_of("He said", 3), prompt_of("And", 4, 3)};
  int events = 0;
  const auto right = ids_of(model.generate(prompts, [&](const StreamEvent&) { return ++events > 0; }));
  ASSERT_GT(events, 25);
  for (int at = 1; at <= events; ++at) {
    int seen = 0;
    const auto callback = [&](const StreamEvent&) -> bool {
      if (++seen < at) return true;
      if (at % 3 == 0) throw std::bad_alloc();
      if (at % 3 == 1) throw 42;
      throw std::runtime_error("the callback's own");
    };
    try {
      model.generate(prompts, callback);
      FAIL() << "nothing was thrown at event " << at;
    } catch (const std::bad_alloc&) {
      EXPECT_EQ(at % 3, 0);
    } catch (int number) {
      EXPECT_EQ(number, 42);
      EXPECT_EQ(at % 3, 1);
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "the callback's own");
      EXPECT_EQ(at % 3, 2);
    }
    EXPECT_EQ(seen, at) << "called again after it threw";
    // The next call has other prompts, fewer and then more than the one that failed.
    ASSERT_EQ(ids_of(model.generate({prompts[1]})), (std::vector<std::vector<int32_t>>{right[2]}))
        << "event " << at;
    ASSERT_EQ(ids_of(model.generate(prompts)), right) << "event " << at;
  }
}

TEST(Generate, ACallbackMayThrowAtAnyEvent) {
  throw_at_every_event(tiny());
}

TEST(Generate, ACallbackMayThrowAtAnyEventOfAReplay) {
  LanguageModel model = load(R"({"graph_opt_level": 1, "use_cudagraph": true})");
  throw_at_every_event(model);
  EXPECT_GT(model.graph_report().steps_replayed, 0);
}

TEST(Generate, ASourceOrAResultCallbackMayThrow) {
  const auto right = ids_of(tiny().generate({prompt_of("She", 7)}));
  for (int at = 1; at <= 5; ++at) {
    int taken = 0;
    EXPECT_THROW(tiny().generate_from(
                     [&](Prompt& prompt, bool) {
                       if (++taken == at) throw 1;
                       prompt = prompt_of("It was a", 6);
                       return PromptFeed::prompt;
                     },
                     {}),
                 int);
    EXPECT_EQ(ids_of(tiny().generate({prompt_of("She", 7)})), right);
    int delivered = 0;
    EXPECT_THROW(tiny().generate(std::vector<Prompt>(6, prompt_of("It was a", 6)),
                                 GenerateOptions{.on_result = [&](size_t, const Prompt&, Result&&) -> bool {
                                   if (++delivered == at) throw 1;
                                   return true;
                                 }}),
                 int);
    EXPECT_EQ(delivered, at);
    EXPECT_EQ(ids_of(tiny().generate({prompt_of("She", 7)})), right);
  }
}

TEST(Generate, ACallbackMayNotCallBack) {
  const auto right = ids_of(tiny().generate({prompt_of("She", 7)}));
  std::string said;
  const auto again = [&](const StreamEvent&) {
    said = message_of([] { tiny().generate({prompt_of("He", 2)}); });
    EXPECT_THAT(message_of([] { tiny().start_trace(); }), HasSubstr("[start_trace()]"));
    EXPECT_THAT(message_of([] { tiny().stop_trace(); }), HasSubstr("[stop_trace()]"));
    EXPECT_EQ(tiny().decode(tiny().encode("x")), "x");  // these are allowed
    return true;
  };
  EXPECT_EQ(ids_of(tiny().generate({prompt_of("She", 7)}, again)), right);
  EXPECT_THAT(said, HasSubstr("while generate() is in progress"));
}

TEST(Generate, ResultsComeAsTheyAreComplete) {
  // 100 prompts of which the first takes longest: others are delivered before it, and taken one by one.
  size_t taken = 0, most_ahead = 0, delivered = 0, before_first = 0;
  bool first_done = false;
  tiny().generate_from(
      [&](Prompt& prompt, bool) {
        if (taken == 100) return PromptFeed::end;
        prompt = prompt_of("It was", taken == 0 ? 200 : 3);
        ++taken;
        most_ahead = std::max(most_ahead, taken - delivered);
        return PromptFeed::prompt;
      },
      {.on_result = [&](size_t index, const Prompt& prompt, Result&& result) {
        EXPECT_EQ(result.error, "");
        EXPECT_EQ(result.outputs[0].token_ids.size(), static_cast<size_t>(*prompt.sampling.max_tokens));
        if (index == 0) first_done = true;
        before_first += first_done ? 0 : 1;
        ++delivered;
        return true;
      }});
  EXPECT_EQ(delivered, 100u);
  EXPECT_EQ(before_first, 99u);
  EXPECT_LE(most_ahead, 4u * 4u + 1u);
}

TEST(Generate, ACallerWhoWritesInOrderHoldsABoundedNumber) {
  size_t taken = 0, done = 0, held = 0;
  bool first_done = false;
  tiny().generate_from(
      [&](Prompt& prompt, bool) {
        if (taken == 6000) return PromptFeed::end;
        prompt = taken == 0 ? prompt_of("It was", 400) : Prompt{};  // all others are refused at once
        ++taken;
        return PromptFeed::prompt;
      },
      {.on_result = [&](size_t index, const Prompt&, Result&&) {
        ++done;
        if (index == 0) first_done = true;
        if (!first_done) held = std::max(held, done);
        return true;
      }});
  EXPECT_EQ(done, 6000u);
  EXPECT_LE(held, 4096u);
}

TEST(Generate, CancelKeepsWhatIsThere) {
  std::atomic<bool> cancel{false};
  int events = 0;
  std::vector<Prompt> prompts = {prompt_of("It was", 1)};
  for (int i = 0; i < 30; ++i) prompts.push_back(prompt_of("She", 300));
  const std::vector<Result> results = tiny().generate(prompts, {.on_event =
                                                                    [&](const StreamEvent&) {
                                                                      if (++events == 40) cancel = true;
                                                                      return true;
                                                                    },
                                                                .cancel = &cancel});
  EXPECT_EQ(results[0].outputs[0].finish_reason, "length");
  EXPECT_EQ(results[1].outputs[0].finish_reason, "abort");
  EXPECT_GT(results[1].outputs[0].token_ids.size(), 3u);
  EXPECT_EQ(results[1].outputs[0].text, tiny().decode(results[1].outputs[0].token_ids));
  EXPECT_THAT(results[30].error, HasSubstr("cancelled before"));

  size_t delivered = 0;
  tiny().generate(prompts, {.on_result = [&](size_t, const Prompt&, Result&&) { return ++delivered < 2; }});
  EXPECT_LT(delivered, 20u);  // what ran ended, the rest was never taken
  EXPECT_EQ(ids_of(tiny().generate({prompt_of("He said", 3)})).size(), 1u);
}

TEST(Generate, APromptsNumbersDoNotDependOnErrorsOfOthers) {
  const auto unseeded = [](bool broken) {
    LanguageModel model = load();
    Prompt first = prompt_of("It was", 4);
    if (broken) first.sampling.n = 1000;
    Prompt second = prompt_of("It was", 12);
    second.sampling.seed.reset();
    return model.generate({first, second})[1].outputs[0].token_ids;
  };
  EXPECT_EQ(unseeded(true), unseeded(false));
}

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Each limit is checked before memory or time is spent, and the prompt beside it runs.
TEST(Generate, OnePromptsLimitsCostOthersNothing) {
#ifdef REPRISE_SANITIZED
  constexpr double kMostSeconds = 10;
#else
  constexpr double kMostSeconds = 1;
#endif
  const auto with = [](const std::function<void(Prompt&)>& change) {
    Prompt prompt = prompt_of("It was", 3);
    change(prompt);
    return prompt;
  };
  struct Case {
    const char* error;
    Prompt prompt;
  };
  const std::vector<Case> cases = {
      {"n is 20000000, expected 1 to 128", with([](Prompt& p) { p.sampling.n = 20'000'000; })},
      {"n is -1", with([](Prompt& p) { p.sampling.n = -1; })},
      {"bad_words has 20000 entries, at most 256",
       with([](Prompt& p) { p.sampling.bad_words.assign(20000, "some words that are bad"); })},
      {"bad_words has 10000000 bytes",
       with([](Prompt& p) { p.sampling.bad_words = {std::string(10'000'000, 'a')}; })},
      {"stop has 20000 entries, at most 128", with([](Prompt& p) { p.sampling.stop.assign(20000, "x"); })},
      {"stop has 10000000 bytes", with([](Prompt& p) { p.sampling.stop = {std::string(10'000'000, 'a')}; })},
      {"stop[0] is not valid UTF-8", with([](Prompt& p) { p.sampling.stop = {"\xA9"}; })},
      {"stop_token_ids has 300 entries", with([](Prompt& p) { p.sampling.stop_token_ids.assign(300, 1); })},
      {"logit_bias has 5000 entries", with([](Prompt& p) {
         p.sampling.logit_bias.assign(5000, {1, 1});
       })},
      {"bad_words_token_ids has 600 entries",
       with([](Prompt& p) { p.sampling.bad_words_token_ids.assign(600, {1}); })},
      {"bad_words_token_ids has 1000000 ids",
       with([](Prompt& p) { p.sampling.bad_words_token_ids = {std::vector<int32_t>(1'000'000, 1)}; })},
      {"logprobs is 21", with([](Prompt& p) { p.sampling.logprobs = 21; })},
      {"logprobs is -1", with([](Prompt& p) { p.sampling.logprobs = -1; })},
      {"temperature is nan", with([](Prompt& p) { p.sampling.temperature = std::nanf(""); })},
      {"min_tokens is 9, more than max_tokens 3", with([](Prompt& p) { p.sampling.min_tokens = 9; })},
      {"[prompt] has 20000000 bytes", with([](Prompt& p) { p.text = std::string(20'000'000, 'a'); })},
      {"the prompt has more than 511 tokens, at most 511 fit",
       with([](Prompt& p) { p.text = std::string(16'000'000, ' '); })},
      {"the prompt has 4000000 tokens, at most 511 fit", with([](Prompt& p) {
         p.text.reset();
         p.token_ids.assign(4'000'000, 5);
       })},
      {"[messages] has 10000 entries", with([](Prompt& p) {
         p.text.reset();
         p.messages.assign(10000, {"user", "x"});
       })},
      {"[messages]", with([](Prompt& p) {
         p.text.reset();
         p.messages_json = "{}";
       })},
      {"[tools]", with([](Prompt& p) {
         p.text.reset();
         p.messages = {{"user", "x"}};
         p.tools_json = "3";
       })},
  };
  const auto right = ids_of(tiny().generate({prompt_of("She", 7)}));
  for (const Case& each : cases) {
    const double start = cpu_seconds();
    const std::vector<Result> results = tiny().generate({each.prompt, prompt_of("She", 7)});
    EXPECT_LT(cpu_seconds() - start, kMostSeconds) << each.error;
    EXPECT_THAT(results[0].error, HasSubstr(each.error));
    EXPECT_TRUE(results[0].outputs.empty());
    EXPECT_EQ(ids_of({results[1]}), right);
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
#ifndef REPRISE_SANITIZED
  EXPECT_LT(usage.ru_maxrss, 1 << 20);  // KiB
#endif
}

TEST(Generate, StopStringsSeeSpecialTokensAndWaitForMinTokens) {
  Prompt prompt = prompt_of("It was", 40);
  prompt.sampling.logit_bias = {{2, 100}};  // says <|im_end|> and nothing else
  prompt.sampling.stop = {"<|im_end|>"};
  const auto first = tiny().generate({prompt})[0].outputs[0];
  EXPECT_EQ(first.token_ids.size(), 1u);
  EXPECT_EQ(first.text, "");
  EXPECT_EQ(first.finish_reason, "stop");
  prompt.sampling.min_tokens = 25;
  EXPECT_EQ(tiny().generate({prompt})[0].outputs[0].token_ids.size(), 26u);
}

TEST(Generate, TextWithAZeroByteIsWhole) {
  const std::string text("a\0b", 3);
  Prompt prompt = prompt_of(text, 2);
  prompt.sampling.echo = true;
  const Result result = tiny().generate({prompt})[0];
  ASSERT_EQ(result.error, "");
  EXPECT_EQ(result.prompt_token_ids, tiny().encode(text));
  EXPECT_TRUE(result.outputs[0].text.starts_with(text));
  const Json back = parse_json(to_json_text(api::result_json(0, result, prompt.sampling)), "result");
  EXPECT_EQ(back["outputs"][0]["text"].get<std::string>(), result.outputs[0].text);
  EXPECT_EQ(api::parse_prompt_line(R"({"prompt": "a\u0000b"})", {}).text, text);
}

// JSON has no infinity: a token that was impossible must not make the whole result unwritable.
TEST(Generate, AnImpossibleTokensLogprobIsANumberInJson) {
  TokenLogprob impossible;
  impossible.logprob = -std::numeric_limits<float>::infinity();
  Result result;
  result.outputs.emplace_back().logprobs = {impossible};
  const Json json = api::result_json(0, result, [] {
    Sampling sampling;
    sampling.logprobs = 0;
    return sampling;
  }());
  EXPECT_EQ(json["outputs"][0]["logprobs"][0]["logprob"], -9999.0);
  EXPECT_NO_THROW(parse_json(to_json_text(json), "result"));
}

TEST(Generate, TemplateArgumentsGiveTheIdsOfTheTokenizerCommand) {
  const std::string path = testing::TempDir() + "reprise_arguments.jinja";
  std::ofstream(path) << "{% if enable_thinking is defined and not enable_thinking %}No {% endif %}"
                         "{{ tools|length if tools else '' }}{{ documents|length if documents else '' }}"
                         "{{ messages[0].content }}{% if add_generation_prompt %}: {% endif %}";
  LanguageModel model =
      LanguageModel::load({.model = REPRISE_SOURCE_DIR "/models/tiny", .chat_template = path});
  const api::TextModel text = api::TextModel::load(REPRISE_SOURCE_DIR "/models/tiny", {}, path);
  const std::string begin =
      R"({"messages": [{"role": "user", "content": "Once"}], "add_generation_prompt": )";
  std::vector<std::vector<int32_t>> all;
  for (const std::string rest :
       {R"(true})", R"(false})", R"(true, "chat_template_kwargs": {"enable_thinking": false}})",
        R"(true, "tools": [{"type": "function", "function": {"name": "f"}}]})",
        R"(false, "documents": [{"text": "d"}, {"text": "e"}], "tools": null})"}) {
    Prompt prompt = api::parse_prompt_line(begin + rest, {});
    prompt.sampling.max_tokens = 1;
    const Result result = model.generate({prompt})[0];
    ASSERT_EQ(result.error, "");
    EXPECT_EQ(result.prompt_token_ids,
              api::answer_tokenizer_line(text, begin + rest)["token_ids"].get<std::vector<int32_t>>());
    for (const auto& other : all) EXPECT_NE(other, result.prompt_token_ids) << rest;
    all.push_back(result.prompt_token_ids);
  }
}

}  // namespace
}  // namespace reprise
