// A served model from many threads: the right tokens for each, aborts, clients that throw, an end in the middle
// of it all.
#include "api/serving_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <map>
#include <semaphore>
#include <thread>
#include <vector>

#include "api/output_assembler.h"
#include "core/error.h"
#include "source_dir.h"

namespace reprise::api {
namespace {

using engine::OutputEvent;
using engine::RequestId;
using testing::HasSubstr;

LoadOptions options(const std::string& graph = "") {
  return {.model = REPRISE_SOURCE_DIR "/models/tiny", .max_num_seqs = 4, .graph_optimization_config = graph};
}

// What a server's I/O thread is: it drains its queue when it is woken.
class IoThread {
 public:
  explicit IoThread(ServingModel& model)
      : queue(model.make_queue([this] {
          {
            const std::lock_guard lock(mutex_);
            woken_ = true;
          }
          changed_.notify_one();
        })),
        thread_([this] { loop(); }) {}
  ~IoThread() {
    queue->close();
    join();
  }
  void join() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
  }
  const std::shared_ptr<EventQueue> queue;

 private:
  void loop() {
    for (bool ending = false; !ending;) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return woken_ || ending_; });
        woken_ = false;
        ending = ending_;
      }
      queue->drain();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false, ending_ = false;
  std::thread thread_;
};

// One request as a server answers it: prepared here, its text made on the queue's thread.
class Answer {
 public:
  Answer(ServingModel& model, EventQueue& queue, const Prompt& prompt) : model_(model) {
    PreparedRequest prepared = prepare(model.text(), prompt, model.limits());
    result_.outputs.resize(static_cast<size_t>(prepared.form.outputs));
    for (Output& output : result_.outputs) output.text = prepared.echo;
    assembler_.emplace(prepared);
    id = model.submit(std::move(prepared.request), queue,
                      [this](std::vector<OutputEvent>&& events) { take(events); });
  }
  Result wait() { return done_.get_future().get(); }

  RequestId id = 0;

 private:
  void take(const std::vector<OutputEvent>& events) {
    for (const OutputEvent& event : events) {
      OutputDelta& delta = assembler_->take(event);
      Output& output = result_.outputs[static_cast<size_t>(delta.output)];
      output.text += delta.text;
      output.token_ids.insert(output.token_ids.end(), delta.token_ids.begin(), delta.token_ids.end());
      for (TokenLogprob& logprob : delta.logprobs) output.logprobs.push_back(std::move(logprob));
      if (!delta.error.empty()) result_.error = delta.error;
      if (delta.complete) output.finish_reason = delta.finish_reason;
      if (delta.ask == OutputDelta::Ask::finish)
        model_.finish(event.request, delta.output, engine::FinishReason::stop, delta.keep_tokens);
    }
    if (assembler_->finished()) done_.set_value(result_);
  }

  ServingModel& model_;
  std::optional<OutputAssembler> assembler_;
  Result result_;
  std::promise<Result> done_;
};

std::vector<Prompt> prompts() {
  std::vector<Prompt> all;
  for (int i = 0; i < 8; ++i) {
    Prompt prompt{.text = i % 2 == 0 ? "Once upon a time" : "She said"};
    prompt.sampling.seed = static_cast<uint64_t>(i);
    prompt.sampling.max_tokens = 12 + i;
    prompt.sampling.n = i == 3 ? 3 : 1;
    if (i == 4) prompt.sampling.stop = {"e"};
    if (i == 5) prompt.sampling.echo = true;
    if (i == 6) prompt.sampling.logprobs = 2;
    if (i == 7) {
      prompt.text.reset();
      prompt.messages = {{"user", "Tell me a story."}};
    }
    all.push_back(std::move(prompt));
  }
  return all;
}

void expect_same(const Result& got, const Result& right) {
  EXPECT_EQ(got.error, right.error);
  ASSERT_EQ(got.outputs.size(), right.outputs.size());
  for (size_t i = 0; i < got.outputs.size(); ++i) {
    EXPECT_EQ(got.outputs[i].text, right.outputs[i].text);
    EXPECT_EQ(got.outputs[i].token_ids, right.outputs[i].token_ids);
    EXPECT_EQ(got.outputs[i].finish_reason, right.outputs[i].finish_reason);
    ASSERT_EQ(got.outputs[i].logprobs.size(), right.outputs[i].logprobs.size());
    for (size_t t = 0; t < got.outputs[i].logprobs.size(); ++t)
      EXPECT_EQ(got.outputs[i].logprobs[t].logprob, right.outputs[i].logprobs[t].logprob);
  }
}

TEST(ServingModel, ManyThreadsGetWhatGenerateGives) {
  const std::vector<Prompt> all = prompts();
  const std::vector<Result> right = LanguageModel::load(options()).generate(all);
  ServingModel model(options());
  IoThread first(model), second(model);
  std::vector<std::thread> callers;
  for (size_t caller = 0; caller < 4; ++caller)
    callers.emplace_back([&, caller] {
      EventQueue& queue = caller % 2 == 0 ? *first.queue : *second.queue;
      for (size_t i = 0; i < all.size(); ++i) {
        const size_t at = (i + caller) % all.size();
        expect_same(Answer(model, queue, all[at]).wait(), right[at]);
        EXPECT_TRUE(model.health().ok);
      }
    });
  for (std::thread& caller : callers) caller.join();
  while (model.health().open_requests > 0) std::this_thread::yield();
  EXPECT_GT(model.stats().generated_tokens, 0);
  EXPECT_EQ(model.stats().running, 0);
}

TEST(ServingModel, AbortsInFlightEndTheirRequestAlone) {
  ServingModel model(options());
  IoThread io(model);
  Prompt longest{.text = "Once upon a time"};
  longest.sampling.ignore_eos = true;
  const Prompt other = prompts()[0];
  const Result right = Answer(model, *io.queue, other).wait();
  std::atomic<int> aborted{0};  // the others were faster than their abort
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller)
    callers.emplace_back([&] {
      for (int i = 0; i < 5; ++i) {
        Answer answer(model, *io.queue, longest);
        model.abort(answer.id);
        model.abort(answer.id + 1000);
        aborted += answer.wait().outputs[0].finish_reason == "abort";
        model.abort(answer.id);
        expect_same(Answer(model, *io.queue, other).wait(), right);
      }
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_GT(aborted, 0);
}

TEST(ServingModel, ACallbackThatThrowsPoisonsNobody) {
  ServingModel model(options());
  IoThread io(model);
  const Prompt prompt = prompts()[3];
  const Result right = Answer(model, *io.queue, prompt).wait();
  for (int at = 0; at < 6; ++at) {
    PreparedRequest bad = prepare(model.text(), prompt, model.limits());
    int heard = 0;
    model.submit(std::move(bad.request), [&, at](const OutputEvent&) {
      if (heard++ == at) throw 7;
    });
    expect_same(Answer(model, *io.queue, prompt).wait(), right);
  }
  while (model.health().open_requests > 0) std::this_thread::yield();
}

TEST(ServingModel, AnEndInTheMiddleTellsEveryone) {
  std::atomic<int> finished{0};
  const auto count = [&](std::vector<OutputEvent>&& events) {
    for (const OutputEvent& event : events) finished += event.finished();
  };
  Prompt prompt{.text = "Once upon a time"};
  prompt.sampling.ignore_eos = true;
  prompt.sampling.n = 2;
  {
    ServingModel model(options());
    IoThread io(model);
    for (int i = 0; i < 10; ++i)
      model.submit(prepare(model.text(), prompt, model.limits()).request, *io.queue, count);
    model.stop();
    EXPECT_FALSE(model.health().ok);
    EXPECT_THAT(model.health().reason, HasSubstr("stopped"));
    EXPECT_THROW(model.submit(prepare(model.text(), prompt, model.limits()).request, *io.queue, count),
                 Error);
    model.abort(0);
    model.stop();
    io.join();
    EXPECT_EQ(finished, 20);
    EXPECT_EQ(model.text().tokenizer().encode("x").size(), 1u) << "the text is still there";
  }
  {
    ServingModel model(options());
    for (int i = 0; i < 3; ++i)
      model.submit(prepare(model.text(), prompt, model.limits()).request,
                   [&](const OutputEvent& event) { finished += event.finished(); });
  }
  EXPECT_EQ(finished, 26) << "the destructor does the same";
}

TEST(ServingModel, APauseIsNoHang) {
  ServingModel model(options(), {.stall_limit = std::chrono::seconds(0)});
  Prompt prompt{.text = "Once"};
  prompt.sampling.max_tokens = 400;
  prompt.sampling.ignore_eos = true;
  std::binary_semaphore begun{0};
  std::atomic<bool> first{true}, finished{false};
  model.submit(prepare(model.text(), prompt, model.limits()).request, [&](const OutputEvent& event) {
    if (first.exchange(false)) begun.release();
    finished = event.finished();
  });
  begun.acquire();
  model.pause();
  Health health = model.health();
  EXPECT_TRUE(health.paused);
  EXPECT_FALSE(finished) << "it was faster than the pause";
  // The turn that carried the pause out may still be ending.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!model.health().ok && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  EXPECT_TRUE(model.health().ok) << model.health().reason;
  EXPECT_EQ(model.health().running, 1);
  model.sleep();
  health = model.health();
  EXPECT_TRUE(health.asleep && health.paused);
  model.wake();
  EXPECT_TRUE(model.health().paused);
  model.resume();
  while (!finished) std::this_thread::yield();
  model.stop();
  EXPECT_THROW(model.pause(), Error);
  EXPECT_FALSE(model.health().paused);
}

// The engine's thread is held within a step: whoever asks is answered at once.
TEST(ServingModel, HealthNeverWaitsForAStep) {
  ServingModel model(options(), {.max_open_requests = 2, .stall_limit = std::chrono::seconds(0)});
  EXPECT_TRUE(model.health().ok);
  std::binary_semaphore reached{0}, go{0};
  bool first = true;
  Prompt prompt{.text = "Once"};
  prompt.sampling.max_tokens = 2;
  const auto request = [&] { return prepare(model.text(), prompt, model.limits()).request; };
  model.submit(request(), [&](const OutputEvent&) {
    if (!std::exchange(first, false)) return;
    reached.release();
    go.acquire();
  });
  reached.acquire();
  model.submit(request(), [](const OutputEvent&) {});
  const Health health = model.health();
  EXPECT_FALSE(health.ok);
  EXPECT_THAT(health.reason, HasSubstr("no step has finished for 0 s"));
  EXPECT_EQ(health.waiting, 1);
  EXPECT_EQ(health.open_requests, 2u);
  EXPECT_THROW(model.submit(request(), [](const OutputEvent&) {}), Error) << "the queue is full";
  go.release();
  while (model.health().open_requests > 0) std::this_thread::yield();
  while (!model.health().ok) std::this_thread::yield();
  EXPECT_GT(model.health().last_step, health.last_step);
}

TEST(ServingModel, WakesOnceAStep) {
  ServingModel model(options());
  std::atomic<int> woken{0};
  std::shared_ptr<EventQueue> queue;
  std::promise<void> done;
  int events_taken = 0, left = 4;
  // Drained right where it is woken, so that each step is one wake.
  queue = model.make_queue([&] {
    ++woken;
    queue->drain();
  });
  Prompt prompt{.text = "Once"};
  prompt.sampling.max_tokens = 10;
  prompt.sampling.ignore_eos = true;
  prompt.sampling.n = 4;
  model.submit(prepare(model.text(), prompt, model.limits()).request, *queue,
               [&](std::vector<OutputEvent>&& events) {
                 events_taken += static_cast<int>(events.size());
                 for (const OutputEvent& event : events) left -= event.finished();
                 if (left == 0) done.set_value();
               });
  done.get_future().wait();
  model.stop();
  EXPECT_EQ(events_taken, 40);
  EXPECT_EQ(woken, 10);
}

TEST(ServingModel, TellsOfItsGraph) {
  ServingModel model(options(R"({"graph_opt_level": 1, "use_cudagraph": true})"));
  IoThread io(model);
  Answer(model, *io.queue, prompts()[0]).wait();
  EXPECT_GT(model.graph_report().steps, 0);
  EXPECT_EQ(model.info().architecture, "LlamaForCausalLM");
  EXPECT_THROW(ServingModel({.model = "/nowhere"}), Error);
}

}  // namespace
}  // namespace reprise::api
