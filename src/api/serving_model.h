// A model for many callers at once: an engine on a thread of its own, with the text side beside it. What a
// server is made of: prepare() and OutputAssembler on its own threads, this in between.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "api/event_queue.h"
#include "api/loaded_model.h"
#include "api/prepare.h"
#include "engine/engine_thread.h"
#include "reprise/reprise.h"

namespace reprise::api {

struct ServingOptions {
  size_t max_open_requests = 16384;  // submitted, without their last event
  // A step that takes longer than this means that the engine hangs.
  std::chrono::seconds stall_limit{60};
  // Engine::set_max_waiting().
  std::optional<std::chrono::milliseconds> max_waiting = {};
};

struct Health {
  bool ok = true;
  std::string reason;   // where not ok
  bool paused = false;  // by pause(), or as asleep: nothing steps
  bool asleep = false;
  bool gave_up = false;  // it stopped for good, by itself (EngineThread::kMostBrokenSteps)
  std::chrono::steady_clock::time_point last_step;  // end of the last one; where none was: of the load
  int64_t running = 0;                              // outputs
  int64_t waiting = 0;       // outputs in the engine, and requests that it has not seen yet
  size_t open_requests = 0;  // without their last event
};

// Every function may be called from any thread, also from within a callback, but for stop() and the
// destructor. None waits for a step but pause(), sleep() and graph_report().
class ServingModel {
 public:
  // Loads as LanguageModel::load() does, and throws what that throws.
  explicit ServingModel(const LoadOptions& options, const ServingOptions& serving = {});
  ~ServingModel();  // stops
  ServingModel(const ServingModel&) = delete;
  ServingModel& operator=(const ServingModel&) = delete;

  // What prepare() is called with; valid as long as this.
  const TextModel& text() const { return loaded_.text; }
  const PrepareLimits& limits() const { return loaded_.limits; }
  const ModelInfo& info() const { return loaded_.info; }
  Sampling default_sampling() const { return sampling_of(loaded_.defaults); }

  // A queue whose `wake` is called at most once a step (event_queue.h); may not be called from within a
  // `wake`.
  std::shared_ptr<EventQueue> make_queue(std::function<void()> wake);

  // Its events come to `take`, on the thread that drains `queue`, perhaps before this returns. Throws
  // engine::QueueFull at max_open_requests, and Error once stop() has begun.
  engine::RequestId submit(engine::Request request, EventQueue& queue, EventQueue::Take take);
  // The same with a callback on the engine's thread, which must not block; where it throws, the request is
  // aborted and it hears no more.
  engine::RequestId submit(engine::Request request, engine::EventSink sink);
  // Unknown and finished requests are ignored. finish(): one output ends after `keep_tokens` of its tokens,
  // as OutputDelta asks for.
  void abort(engine::RequestId request) { thread_.abort(request); }
  // Nothing is computed for it, and nobody waits for it, until it is let go.
  void hold(engine::RequestId request) { thread_.hold(request); }
  void let_go(engine::RequestId request) { thread_.let_go(request); }
  void finish(engine::RequestId request, int32_t output, engine::FinishReason reason, int64_t keep_tokens) {
    thread_.finish(request, output, reason, keep_tokens);
  }

  // EngineThread's, which wait for the step in progress, so that nothing is computed when they return. What waits or
  // runs goes on later; it costs no health. Throw Error from within a callback on the engine's thread, and once
  // stop() has begun.
  void pause();
  void sleep() { thread_.sleep(); }
  void resume() { thread_.resume(); }
  void wake() { thread_.wake(); }

  // As of the end of the last step.
  engine::EngineStats stats() const { return thread_.state().stats; }
  Health health() const;
  // Asks the engine's thread, between two steps. Throws Error from within a callback on that thread, and once
  // stop() has begun.
  GraphReport graph_report();

  // Aborts what is unfinished, delivers the last events into their queues, which may be drained afterwards,
  // and ends the engine's thread. From when it begins, submit() throws. text() stays.
  void stop() { thread_.stop(); }

 private:
  void end_step();

  const ServingOptions options_;
  std::mutex mutex_;
  std::vector<std::weak_ptr<EventQueue>> queues_;  // guarded by mutex_
  LoadedModel loaded_;                             // its engine lives on the engine's thread
  engine::EngineThread thread_;
};

}  // namespace reprise::api
