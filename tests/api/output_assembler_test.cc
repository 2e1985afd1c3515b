// Events made by hand: what each adds to what a client is told.
#include "api/output_assembler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/api/tiny_text.h"

namespace reprise::api {
namespace {

using engine::FinishReason;
using engine::OutputEvent;

PreparedRequest prepared(const std::function<void(Sampling&)>& change) {
  Sampling sampling;
  change(sampling);
  return prepare(tiny_text(), {.text = "Once", .sampling = sampling},
                 {.max_model_len = 256, .vocab_size = 1024, .max_logprobs = 20});
}

OutputEvent event_of(std::vector<int32_t> ids, FinishReason reason = FinishReason::none, int32_t output = 0) {
  OutputEvent event;
  event.output = output;
  event.token_ids = std::move(ids);
  event.finish_reason = reason;
  return event;
}

const std::string& story() {
  static const std::string text = "Once upon a time there was a little dog who liked to run.";
  return text;
}

// For a stop string at every place of the text, and for events of one to several tokens: the text ends just
// before it, no delta shows a part of it, and the engine is asked to stop, once, with the right count.
TEST(OutputAssembler, AStopStringAtEveryPlaceIsNeitherLeakedNorLost) {
  const std::vector<int32_t> ids = tiny_text().tokenizer().encode(story(), false);
  const std::string whole = tiny_text().tokenizer().decode(ids);
  ASSERT_EQ(whole, story());
  for (size_t begin = 0; begin < whole.size(); ++begin)
    for (const size_t length : {1u, 3u, 9u})
      for (const size_t tokens_an_event : {1u, 3u}) {
        const std::string stop = whole.substr(begin, length);
        const std::string right = whole.substr(0, whole.find(stop));
        OutputAssembler assembler(prepared([&](Sampling& s) { s.stop = {stop}; }));
        std::string text;
        std::vector<int32_t> got;
        int asked = 0, completed = 0;
        for (size_t i = 0; i < ids.size(); i += tokens_an_event) {
          const size_t end = std::min(ids.size(), i + tokens_an_event);
          const OutputDelta& delta = assembler.take(
              event_of({ids.begin() + static_cast<ptrdiff_t>(i), ids.begin() + static_cast<ptrdiff_t>(end)}));
          text += delta.text;
          got.insert(got.end(), delta.token_ids.begin(), delta.token_ids.end());
          EXPECT_TRUE(right.starts_with(text)) << "leaked: " << text;
          completed += delta.complete;
          EXPECT_EQ(delta.stop_string, delta.complete ? stop : "");
          if (delta.ask == OutputDelta::Ask::finish) {
            ++asked;
            EXPECT_EQ(delta.keep_tokens, static_cast<int64_t>(got.size()));
            EXPECT_EQ(text, right) << "all that may be shown is there when it stops";
          }
          EXPECT_EQ(delta.finish_reason, completed > 0 ? "stop" : "");
        }
        const OutputDelta& last = assembler.take(event_of({}, FinishReason::stop));
        EXPECT_TRUE(last.finished);
        EXPECT_EQ(text + last.text, right);
        EXPECT_EQ(last.finish_reason, "stop");
        EXPECT_EQ(asked, 1);
        EXPECT_EQ(completed + last.complete, 1);
        EXPECT_EQ(assembler.usage().output_tokens, static_cast<int64_t>(got.size()));
        EXPECT_NE(tiny_text().tokenizer().decode(got).find(stop), std::string::npos)
            << "the tokens are those up to the one that completed it";
      }
}

TEST(OutputAssembler, WhatMightBeAStopStringIsHeldBackAndGivenAtTheEnd) {
  const std::vector<int32_t> ids = tiny_text().tokenizer().encode("a dog", false);
  OutputAssembler assembler(prepared([](Sampling& s) { s.stop = {" dog!"}; }));
  std::string text;
  for (const int32_t id : ids) text += assembler.take(event_of({id})).text;
  EXPECT_EQ(text, "a");
  const OutputDelta& last = assembler.take(event_of({}, FinishReason::length));
  EXPECT_EQ(last.text, " dog");
  EXPECT_EQ(last.finish_reason, "length");
  EXPECT_TRUE(last.complete);
  EXPECT_TRUE(assembler.finished());
}

TEST(OutputAssembler, OutputsAreToldApartAndCounted) {
  OutputAssembler assembler(prepared([](Sampling& s) { s.n = 2; }));
  const std::vector<int32_t> ids = tiny_text().tokenizer().encode("the cat", false);
  EXPECT_EQ(assembler.take(event_of({ids[0]}, FinishReason::none, 1)).output, 1);
  EXPECT_EQ(assembler.take(event_of({ids[0]}, FinishReason::length, 0)).output, 0);
  EXPECT_FALSE(assembler.finished());
  OutputEvent last = event_of({}, FinishReason::abort, 1);
  last.metrics.preemptions = 3;
  const OutputDelta& delta = assembler.take(last);
  EXPECT_EQ(delta.finish_reason, "abort");
  EXPECT_EQ(delta.metrics.preemptions, 3);
  EXPECT_TRUE(assembler.finished());
  EXPECT_EQ(assembler.usage().output_tokens, 2);
  EXPECT_EQ(assembler.usage().prompt_tokens,
            static_cast<int64_t>(tiny_text().tokenizer().encode("Once").size()));
}

TEST(OutputAssembler, LogprobsComeWithTheirTokens) {
  OutputAssembler assembler(prepared([](Sampling& s) { s.logprobs = 1; }));
  OutputEvent event = event_of({5});
  event.scores = {{.token_id = 5, .logprob = -0.5f, .top = {{9, -0.25f}}}};
  event.prompt_scores = {{.token_id = 7, .logprob = -2}};
  const OutputDelta& delta = assembler.take(event);
  ASSERT_EQ(delta.logprobs.size(), 1u);
  EXPECT_EQ(delta.logprobs[0].token_id, 5);
  EXPECT_EQ(delta.logprobs[0].logprob, -0.5f);
  EXPECT_EQ(delta.logprobs[0].top[0].token_id, 9);
  ASSERT_EQ(delta.prompt_logprobs.size(), 1u);
  EXPECT_EQ(delta.prompt_logprobs[0].logprob, -2);
  EXPECT_TRUE(assembler.take(event_of({6})).logprobs.empty()) << "a delta keeps nothing of the one before";
}

TEST(OutputAssembler, TheEndingIdIsNoTextUnlessAskedFor) {
  const int32_t id = tiny_text().tokenizer().encode("dog", false)[0];
  const auto text_of = [&](bool include) {
    OutputAssembler assembler(prepared([&](Sampling& s) { s.include_stop_str_in_output = include; }));
    OutputDelta& delta = assembler.take(event_of({id}, FinishReason::stop));
    EXPECT_EQ(delta.token_ids, std::vector<int32_t>{id});
    return delta.text;
  };
  EXPECT_EQ(text_of(false), "");
  EXPECT_NE(text_of(true), "");
}

TEST(OutputAssembler, ErrorsOfTheEngineAndOfTheTextEndIt) {
  OutputAssembler refused(prepared([](Sampling&) {}));
  OutputEvent error = event_of({}, FinishReason::error);
  error.error = "[request] no";
  EXPECT_EQ(refused.take(error).error, "[request] no");
  EXPECT_TRUE(refused.finished());

  OutputAssembler broken(prepared([](Sampling& s) { s.n = 2; }));
  const OutputDelta& delta = broken.take(event_of({-1}));  // no token has it: the decoder throws
  EXPECT_NE(delta.error, "");
  EXPECT_EQ(delta.ask, OutputDelta::Ask::abort);
  EXPECT_FALSE(delta.complete);
  EXPECT_EQ(broken.take(event_of({5}, FinishReason::none, 1)).token_ids.size(), 0u);
  for (const int32_t output : {0, 1}) {
    const OutputDelta& last = broken.take(event_of({}, FinishReason::abort, output));
    EXPECT_EQ(last.finish_reason, "abort");
    EXPECT_TRUE(last.complete);
  }
  EXPECT_TRUE(broken.finished());
}

}  // namespace
}  // namespace reprise::api
