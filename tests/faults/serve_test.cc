// Every call for memory of serving may be refused: every output that was submitted ends exactly once, nothing
// is lost of the engine, and the next request gets its right bits.
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "device/cpu/isa_select.h"
#include "engine/engine_thread.h"
#include "tests/engine/small_model.h"
#include "tests/faults/sweep.h"

namespace reprise::engine {
namespace {

EngineConfig config_with_captures() {
  EngineConfig config = small_engine_config();
  config.max_model_len = 64;
  config.max_num_seqs = 4;
  config.max_num_batched_tokens = 32;
  config.num_gpu_blocks_override = 7;  // too few for all at once: somebody is preempted
  config.graph = {.graph_opt_level = 1, .use_cudagraph = true};
  config.graph.cudagraph_capture_sizes = std::vector<int64_t>{1, 2, 4};
  config.graph.cudagraph_num_of_warmups = 1;
  config.graph.verify.sample = 3;
  return config;
}

std::vector<Request> requests() {
  std::vector<Request> all;
  for (uint32_t i = 0; i < 5; ++i) {
    Request request{small_prompt(7 + 9 * i, i), {.temperature = 1, .seed = i, .max_tokens = 12}};
    if (i == 0) request.sampling.logprobs = 3;
    if (i == 1) request.sampling.n = 3;
    if (i == 2) request.sampling.prompt_logprobs = 2;
    if (i == 3) request.sampling.repetition_penalty = 1.2f;
    if (i == 4) request.sampling.logit_bias = {{3, 1.0f}};
    all.push_back(std::move(request));
  }
  all.push_back({{}, {}});                                        // refused
  all.push_back({small_prompt(4), {.temperature = -1, .n = 2}});  // refused
  return all;
}

// Takes events of any thread; nothing of its own is refused.
class Ledger {
 public:
  void take(const OutputEvent& event) {
    const CallsAllowed allowed;
    const std::lock_guard lock(mutex_);
    Entry& entry = entries_[{event.request, event.output}];
    EXPECT_EQ(entry.last_events, 0) << "an event behind the last";
    entry.collected.take(event);
    if (event.finished()) ++entry.last_events, ++finished_;
    if (event.finish_reason == FinishReason::error) {
      EXPECT_TRUE(says_memory(event.error) || event.error.find("no tokens") != std::string::npos ||
                  event.error.find("temperature") != std::string::npos)
          << event.error;
    }
    changed_.notify_all();
  }
  // Waits until each of the outputs that were submitted has had its last event.
  void expect_all(const std::vector<std::pair<RequestId, int32_t>>& outputs) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(60), [&] { return finished_ >= outputs.size(); }))
        << finished_ << " last events for " << outputs.size() << " outputs";
    for (const auto& key : outputs) EXPECT_EQ(entries_[key].last_events, 1) << key.first << '.' << key.second;
    EXPECT_EQ(finished_, outputs.size());
  }
  const Collected& of(RequestId id) { return entries_[{id, 0}].collected; }

 private:
  struct Entry {
    Collected collected;
    int last_events = 0;
  };
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::pair<RequestId, int32_t>, Entry> entries_;
  size_t finished_ = 0;
};

using Outputs = std::vector<std::pair<RequestId, int32_t>>;

void note_outputs(Outputs& outputs, RequestId id, int32_t n) {
  const CallsAllowed allowed;
  for (int32_t output = 0; output < n; ++output) outputs.emplace_back(id, output);
}

const Request& reference() {
  static const Request request{small_prompt(11),
                               {.temperature = 1, .seed = 9, .max_tokens = 8, .logprobs = 1}};
  return request;
}

TEST(Faults, ServingAndItsCaptures) {
  std::vector<int32_t> expected;
  // `fresh`: with the first steps of an engine, between which its captures are made.
  for (const bool fresh : {true, false}) {
    ThreadTeam team(2);
    TestDevice device(team, cpu::available_isas().back());
    Ledger* ledger = nullptr;
    std::unique_ptr<Engine> engine;
    const auto body = [&](int64_t at, bool all_after) {
      Ledger mine;
      ledger = &mine;
      if (fresh || engine == nullptr)
        engine = std::make_unique<Engine>(small_model(team, device), EngineServices(device),
                                          config_with_captures(),
                                          [&](const OutputEvent& event) { ledger->take(event); });
      Outputs outputs;
      std::vector<Request> all = requests();
      const RequestId abort_me = 3;
      int64_t seen = 0;
      {
        const RefusedCalls refused(at, all_after);
        RequestId first = 0;
        for (Request& request : all) {
          const int32_t n = request.sampling.n;
          ends_well([&] {
            const RequestId id = engine->submit(std::move(request));
            if (outputs.empty()) first = id;
            note_outputs(outputs, id, n);
          });
        }
        for (int step = 0;; ++step) {
          if (step == 4) ends_well([&] { engine->abort(first + abort_me); });
          if (!engine->step()) break;  // throws nothing: no sink does
        }
        seen = refused.seen();
      }
      mine.expect_all(outputs);
      EXPECT_TRUE(engine->idle());
      EXPECT_EQ(engine->stats().free_blocks, 7);
      Ledger after;
      ledger = &after;
      const RequestId id = engine->submit(reference());
      engine->run();
      EXPECT_EQ(after.of(id).error, "");
      if (expected.empty()) expected = after.of(id).token_ids;
      EXPECT_EQ(after.of(id).token_ids, expected);
      return seen;
    };
    if (!fresh) body(-1, false);  // so that the captures are made
    sweep(fresh ? "first steps and captures" : "serving", 150, body);
  }
}

TEST(Faults, AnEngineOnItsThread) {
  ThreadTeam team(2);
  TestDevice device(team, cpu::available_isas().back());
  std::vector<int32_t> expected;
  sweep("engine thread", 150, [&](int64_t at, bool all_after) {
    Ledger ledger;
    const auto sink = [&](const OutputEvent& event) { ledger.take(event); };
    std::unique_ptr<const models::Model> model = small_model(team, device);
    std::vector<Request> all = requests();
    Outputs outputs;
    std::unique_ptr<EngineThread> thread;
    int64_t seen = 0;
    {
      const RefusedCalls refused(at, all_after);
      ends_well([&] {
        thread = std::make_unique<EngineThread>([&](EventSink events) {
          return std::make_unique<Engine>(std::move(model), EngineServices(device), config_with_captures(),
                                          std::move(events));
        });
      });
      if (thread == nullptr) return refused.seen();
      for (Request& request : all) {
        const int32_t n = request.sampling.n;
        ends_well([&] { note_outputs(outputs, thread->submit(std::move(request), sink), n); });
      }
      ends_well([&] { thread->finish(1, 2, FinishReason::stop, 1); });
      {
        const CallsAllowed allowed;
        ledger.expect_all(outputs);
      }
      seen = refused.seen();
    }
    const RequestId id = thread->submit(reference(), sink);
    note_outputs(outputs, id, 1);
    ledger.expect_all(outputs);
    EXPECT_EQ(ledger.of(id).error, "");
    if (expected.empty()) expected = ledger.of(id).token_ids;
    EXPECT_EQ(ledger.of(id).token_ids, expected);
    return seen;
  });
}

}  // namespace
}  // namespace reprise::engine
