// The public model for many threads: results of each, streams, cancels, errors with a code, an end in the middle.
#include "reprise/async_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "reprise/version.h"
#include "source_dir.h"

namespace reprise {
namespace {

using testing::HasSubstr;

LoadOptions tiny(const std::string& graph = "") {
  return {.model = REPRISE_SOURCE_DIR "/models/tiny", .max_num_seqs = 4, .graph_optimization_config = graph};
}

Prompt seeded(int i) {
  Prompt prompt{.text = i % 2 == 0 ? "It was" : "Mr. Darcy said that it was"};
  prompt.sampling.seed = 7 + static_cast<uint64_t>(i);
  prompt.sampling.max_tokens = 5 + i % 20;
  prompt.sampling.n = 1 + i % 2;
  prompt.sampling.logprobs = 1;
  if (i % 3 == 0) prompt.sampling.stop = {" the"};
  return prompt;
}

TEST(AsyncModel, SaysThatTheModelDoesNotFitInACode) {
  LoadOptions options = tiny();
  options.gpu_memory_utilization = 1e-6;
  try {
    AsyncModel::load(options);
    ADD_FAILURE() << "it fits";
  } catch (const Exception& error) {
    EXPECT_EQ(error.code(), ErrorCode::does_not_fit);
    EXPECT_THAT(error.what(), HasSubstr("to make it fit"));
  }
}

TEST(AsyncModel, GivesEachThreadWhatGenerateGives) {
  constexpr int kThreads = 4, kEach = 12;
  std::vector<Prompt> prompts;
  for (int i = 0; i < kThreads * kEach; ++i) prompts.push_back(seeded(i));
  const std::vector<Result> expected = LanguageModel::load(tiny()).generate(prompts);
  AsyncModel model = AsyncModel::load(tiny(R"({"graph_opt_level": 1, "use_cudagraph": true})"));
  std::vector<Result> found(prompts.size());
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      std::vector<std::future<Result>> futures;
      for (int i = 0; i < kEach; ++i)
        futures.push_back(model.submit(prompts[static_cast<size_t>(t * kEach + i)]));
      for (int i = 0; i < kEach; ++i)
        found[static_cast<size_t>(t * kEach + i)] = futures[static_cast<size_t>(i)].get();
    });
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < prompts.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(found[i].error, "");
    EXPECT_EQ(found[i].prompt_token_ids, expected[i].prompt_token_ids);
    ASSERT_EQ(found[i].outputs.size(), expected[i].outputs.size());
    for (size_t k = 0; k < found[i].outputs.size(); ++k) {
      const Output &got = found[i].outputs[k], &want = expected[i].outputs[k];
      EXPECT_EQ(got.text, want.text);
      EXPECT_EQ(got.token_ids, want.token_ids);
      EXPECT_EQ(got.finish_reason, want.finish_reason);
      for (size_t j = 0; j < want.logprobs.size(); ++j)
        EXPECT_EQ(got.logprobs.at(j).logprob, want.logprobs[j].logprob);
    }
  }
  // Counts are published at the end of the step whose events they follow.
  while (model.state().open_requests > 0) std::this_thread::yield();
  EXPECT_EQ(
      model.graph_report().steps, model.graph_report().steps_replayed + [&] {
        int64_t sum = 0;
        for (const auto& [why, count] : model.graph_report().steps_not_replayed) sum += count;
        return sum;
      }());
}

TEST(AsyncModel, StreamsInOrderAndEndsAnOutputWhenTheCallbackSaysSo) {
  AsyncModel model = AsyncModel::load(tiny());
  std::promise<Result> done;
  std::vector<std::string> streamed(64);
  Prompt prompt = seeded(0);
  prompt.sampling.stop.clear();
  prompt.sampling.n = 64;  // 4 at a time, so that most are told to end long before they would
  prompt.sampling.max_tokens = 400;
  prompt.sampling.ignore_eos = true;
  model.submit(prompt, {.on_event =
                            [&](const StreamEvent& event) {
                              streamed[static_cast<size_t>(event.output)] += event.text;
                              return false;
                            },
                        .on_result = [&](Result&& result) { done.set_value(std::move(result)); }});
  const Result result = done.get_future().get();
  int ended = 0;
  for (size_t i = 0; i < streamed.size(); ++i) {
    EXPECT_EQ(result.outputs.at(i).text, streamed[i]);
    ended += result.outputs[i].finish_reason == "abort" && result.outputs[i].token_ids.size() < 400 ? 1 : 0;
  }
  EXPECT_GT(ended, 32);
}

TEST(AsyncModel, CancelsAndRefusesWithACode) {
  AsyncModel model = AsyncModel::load(tiny(), {.max_open_requests = 2});
  Prompt endless = seeded(1);
  endless.sampling = Sampling{};
  endless.sampling.max_tokens = 2000;
  endless.sampling.n = 128;
  endless.sampling.ignore_eos = true;
  std::future<Result> first = model.submit(endless);
  std::promise<Result> second;
  const RequestNumber id =
      model.submit(endless, {.on_result = [&](Result&& result) { second.set_value(std::move(result)); }});
  const auto code_of = [&](const Prompt& prompt) {
    try {
      model.submit(prompt);
    } catch (const Exception& error) {
      EXPECT_STRNE(error.what(), "");
      return static_cast<int>(error.code());
    }
    return -1;
  };
  using Code = ErrorCode;
  EXPECT_EQ(code_of(seeded(0)), static_cast<int>(Code::queue_full));
  model.cancel(id);
  model.cancel(12345);
  EXPECT_EQ(second.get_future().get().outputs.at(0).finish_reason, "abort");
  // An event may be told before the end of its step, at which its place is free.
  while (model.state().open_requests == 2) std::this_thread::yield();
  Prompt wrong = seeded(0);
  wrong.sampling.top_p = 2;
  EXPECT_EQ(code_of(wrong), static_cast<int>(Code::invalid));
  EXPECT_EQ(code_of({.token_ids = std::vector<int32_t>(100'000, 1)}),
            static_cast<int>(Code::context_too_long));
  EXPECT_THROW(model.submit(seeded(0), AsyncCallbacks{}), Exception);
  EXPECT_THAT(model.submit({.token_ids = {-1}}).get().error, HasSubstr("-1"));
  model.close();
  EXPECT_EQ(first.get().outputs.at(0).finish_reason, "abort");
  EXPECT_EQ(code_of(seeded(0)), static_cast<int>(Code::closed));
  EXPECT_FALSE(model.state().ok);
  model.close();
}

TEST(AsyncModel, ACallbackThatThrowsLosesItsOwnRequestAlone) {
  AsyncModel model = AsyncModel::load(tiny());
  std::atomic<int> results = 0;
  for (int i = 0; i < 20; ++i)
    model.submit(seeded(i), {.on_event =
                                 [i](const StreamEvent&) {
                                   if (i % 2 == 0) throw std::runtime_error("no");
                                   return true;
                                 },
                             .on_result =
                                 [&, i](Result&&) {
                                   ++results;
                                   if (i % 5 == 0) throw 1;
                                 }});
  const Result alone = model.submit(seeded(3)).get();
  EXPECT_EQ(alone.error, "");
  model.close();
  EXPECT_EQ(results, 10);
}

TEST(AsyncModel, SubmitsFromWithinACallback) {
  AsyncModel model = AsyncModel::load(tiny());
  std::promise<Result> second;
  model.submit(seeded(2), {.on_result = [&](Result&&) {
                 model.submit(seeded(4),
                              {.on_result = [&](Result&& result) { second.set_value(std::move(result)); }});
               }});
  EXPECT_EQ(second.get_future().get().error, "");
}

TEST(Version, OfTheHeadersIsTheLibrarys) {
  const std::string expected = std::to_string(REPRISE_VERSION_MAJOR) + "." +
                               std::to_string(REPRISE_VERSION_MINOR) + "." +
                               std::to_string(REPRISE_VERSION_PATCH);
  EXPECT_EQ(version(), expected);
  EXPECT_EQ(REPRISE_VERSION,
            10000 * REPRISE_VERSION_MAJOR + 100 * REPRISE_VERSION_MINOR + REPRISE_VERSION_PATCH);
}

}  // namespace
}  // namespace reprise
