#include "api/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "core/error.h"
#include "tests/api/tiny_text.h"

namespace reprise::api {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr PrepareLimits kLimits{.max_model_len = 64, .vocab_size = 1024, .max_logprobs = 20};

PreparedRequest prepared(const std::function<void(Prompt&)>& change) {
  Prompt prompt;
  change(prompt);
  return prepare(tiny_text(), prompt, kLimits);
}

std::string error_of(const std::function<void(Prompt&)>& change) {
  try {
    prepared(change);
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Prepare, GivesTheEnginesRequestAndWhatItsTextIsMadeOf) {
  const PreparedRequest request = prepared([](Prompt& p) {
    p.text = "Once upon a time";
    p.sampling.n = 3;
    p.sampling.seed = 7;
    p.sampling.max_tokens = 5;
    p.sampling.min_tokens = 2;
    p.sampling.stop = {"END"};
    p.sampling.include_stop_str_in_output = true;
    p.sampling.skip_special_tokens = false;
    p.sampling.echo = true;
    p.sampling.bad_words = {"cat"};
  });
  EXPECT_EQ(request.request.prompt_token_ids, tiny_text().tokenizer().encode("Once upon a time"));
  EXPECT_EQ(request.request.sampling.n, 3);
  EXPECT_EQ(request.request.sampling.seed, 7u);
  EXPECT_EQ(request.request.sampling.max_tokens, 5);
  EXPECT_EQ(request.request.sampling.bad_words_token_ids.size(), 2u) << "at a text's begin and after a blank";
  EXPECT_EQ(request.form.outputs, 3);
  EXPECT_EQ(request.form.min_tokens, 2);
  EXPECT_FALSE(request.form.stop->empty());
  EXPECT_TRUE(request.form.include_stop);
  EXPECT_FALSE(request.form.skip_special_tokens);
  EXPECT_EQ(request.form.tokenizer, &tiny_text().tokenizer());
  EXPECT_EQ(request.echo, tiny_text().tokenizer().decode(request.request.prompt_token_ids, false));
  EXPECT_EQ(prepared([](Prompt& p) { p.text = "Once"; }).echo, "");
}

TEST(Prepare, FieldsAreCheckedBeforeAnyTextIs) {
  EXPECT_THAT(error_of([](Prompt& p) {
                p.text = std::string(15'000'000, 'a');
                p.sampling.n = 129;
              }),
              HasSubstr("n is 129, expected 1 to 128"));
  EXPECT_THAT(error_of([](Prompt& p) { p.sampling.logprobs = 21; }), HasSubstr("logprobs is 21"));
  EXPECT_THAT(error_of([](Prompt& p) { p.messages_json = "{}"; }), HasSubstr("[messages]"));
  EXPECT_TRUE(prepared([](Prompt&) {}).request.prompt_token_ids.empty()) << "for the engine to refuse";
}

TEST(Prepare, ATooLongPromptIsAnErrorOfItsOwnWithBothNumbers) {
  const auto thrown = [](const std::function<void(Prompt&)>& change) {
    try {
      prepared(change);
    } catch (const PromptTooLong& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr(error.found), HasSubstr(std::to_string(error.most))));
      EXPECT_EQ(error.max_model_len, 64);
      return error.found + " of " + std::to_string(error.most);
    }
    return std::string("nothing was thrown");
  };
  EXPECT_EQ(thrown([](Prompt& p) { p.token_ids.assign(100, 5); }), "100 of 63");
  EXPECT_EQ(thrown([](Prompt& p) { p.text = std::string(1000, '.'); }), "more than 63 of 63");
  EXPECT_EQ(thrown([](Prompt& p) { p.messages = {{"user", std::string(1000, '.')}}; }), "more than 63 of 63");
  EXPECT_EQ(thrown([](Prompt& p) {
              p.token_ids.assign(65, 5);
              p.sampling.max_tokens = 0;
            }),
            "65 of 64");
  EXPECT_EQ(thrown([](Prompt& p) {
              p.token_ids.assign(64, 5);
              p.sampling.max_tokens = 0;
            }),
            "nothing was thrown");
}

TEST(Prepare, AVanishedClientsTemplateStops) {
  const std::atomic<bool> gone{true};
  Prompt prompt{.messages = {{"user", "Hello"}}};
  EXPECT_THROW(prepare(tiny_text(), prompt, kLimits, &gone), Error);
  prompt.messages.clear();
  prompt.text = "Hello";
  EXPECT_NO_THROW(prepare(tiny_text(), prompt, kLimits, &gone));
}

TEST(Prepare, ManyThreadsAtOnce) {
  const Prompt prompt{.messages = {{"system", "Be kind."}, {"user", "Tell me a story."}}};
  const TextModel fresh = TextModel::load(REPRISE_SOURCE_DIR "/models/tiny");  // nothing parsed yet
  std::vector<std::vector<int32_t>> ids(4);
  std::vector<std::thread> threads;
  for (std::vector<int32_t>& mine : ids)
    threads.emplace_back([&] {
      for (int i = 0; i < 10; ++i) mine = prepare(fresh, prompt, kLimits).request.prompt_token_ids;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(ids[0].empty());
  for (const std::vector<int32_t>& mine : ids) EXPECT_EQ(mine, ids[0]);
}

}  // namespace
}  // namespace reprise::api
