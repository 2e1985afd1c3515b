// An engine on a thread of its own, for callers on many threads (a server): they submit, abort and finish
// through a queue and get their events through a callback of the request.
#pragma once

#include <bitset>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <variant>

#include "core/error.h"
#include "engine/engine.h"

namespace reprise::engine {

struct EngineThreadOptions {
  // Requests without their last event, queued ones included; bounds what callers can pile up.
  size_t max_open_requests = SIZE_MAX;
  // Called on the engine's thread after each step that gave events, when all of them are delivered: for sinks
  // that only collect, so that a step costs one wake-up and not one a token. Must not block. Where it throws
  // (memory), it is called again soon.
  std::function<void()> on_step_end = {};
};

struct EngineState {
  EngineStats stats;           // as of the end of the last step
  size_t open_requests = 0;    // submitted, without their last event
  size_t queued_requests = 0;  // of these, not yet seen by the engine: it takes them between steps
  std::chrono::steady_clock::time_point last_step;  // end of the last one; where none was: of the start
  // When the step in progress began; nothing while none is.
  std::optional<std::chrono::steady_clock::time_point> step_began;
  bool paused = false;    // pause() without resume()
  bool asleep = false;    // sleep() without wake()
  bool stopping = false;  // stop() has begun, or the engine gave up
  bool gave_up = false;   // it stopped by itself, after kMostBrokenSteps

  bool held_up() const { return (paused || asleep) && !stopping; }  // no step begins
};

// Every public function may be called from any thread, also from within an event callback, but for stop() and
// the destructor. Each throws to its caller what is wrong with the call itself, and std::bad_alloc,
// in which case nothing was queued.
//
// Every output of a submitted request gets exactly one last event, whatever fails: its own, or an error. The
// one exception is a request whose callback throws: it is aborted, its callback is destroyed and hears no
// more; nobody else is touched. A command that finds no memory hurts no other: a submission is answered by
// an error, an abort or a finish is tried again. An internal error fails the requests that it met, and later
// ones are served again; but after kMostBrokenSteps in a row the engine gives up, as if stop() had been called: what
// is open gets an error.
class EngineThread {
 public:
  static constexpr int64_t kMostBrokenSteps = 8;  // EngineStats::broken_steps

  using MakeEngine = std::function<std::unique_ptr<Engine>(EventSink)>;

  // Builds the engine on the new thread. Throws here what `make` threw, and Error where it made nothing or
  // where no thread can be started.
  explicit EngineThread(MakeEngine make, EngineThreadOptions options = {});
  ~EngineThread();  // stops
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  // `sink` is called on the engine's thread and must not block; it is destroyed after the request's last
  // event. Numbers count from 0. Throws QueueFull, Error for an empty sink, and Error once stop() has
  // begun (a callback may try).
  RequestId submit(Request request, EventSink sink);
  // Unknown and finished requests are ignored. finish() throws Error as Engine::finish() does.
  void abort(RequestId request);
  void finish(RequestId request, int32_t output, FinishReason reason, int64_t keep_tokens);

  // Engine::hold() and let_go().
  void hold(RequestId request);
  void let_go(RequestId request);

  // Runs `action` on the engine's thread between two steps and waits for it; throws what it throws, and Error
  // from within a callback, which would wait for itself, and once stop() has begun.
  void call(const std::function<void(Engine&)>& action);

  // From when it returns no step begins until resume(). What runs keeps its KV blocks and goes on from where it is,
  // with the same bits. Submissions are taken and wait; aborts, finishes and calls are carried out at once. A step
  // in progress is not waited for: an empty call() does that. resume() while it isn't paused does nothing.
  void pause();
  void resume();
  // The same, and gives memory back (Engine::release_memory()), for which it waits as call() does, and throws what
  // that throws. Apart from pause(): steps begin when both are over.
  void sleep();
  void wake();

  // Never waits for a step.
  EngineState state() const;

  // Aborts what is unfinished, delivers the last events and ends the thread; waits for that. Afterwards
  // abort() and finish() do nothing. Not from within a callback.
  void stop();

 private:
  using Outputs = std::bitset<SamplingParams::kMaxOutputs>;
  // Who hears of a request, and which of its outputs are unfinished.
  struct Receiver {
    EventSink sink;
    Outputs unfinished;
  };
  struct Submit {
    RequestId id;
    Request request;
    std::unique_ptr<Receiver> receiver;
  };
  struct Abort {
    RequestId id;
  };
  struct Finish {
    RequestId id;
    int32_t output;
    FinishReason reason;
    int64_t keep_tokens;
  };
  struct Hold {
    RequestId id;
    bool held;
  };
  // The caller waits until `done`, which is guarded by mutex_.
  struct Call {
    const std::function<void(Engine&)>& action;
    std::exception_ptr failure = nullptr;
    bool done = false;
  };
  using Command = std::variant<Submit, Abort, Finish, Hold, Call*>;
  // A list: queueing allocates outside of the lock, and taking a command over can't fail.
  using Commands = std::list<Command>;

  std::string_view why_stopped() const;  // mutex_ is held
  void loop(const MakeEngine& make) noexcept;
  void push(Command command);
  bool turn(Engine& engine, Commands& commands, const EngineState& now) noexcept;
  void set_state(bool EngineState::*flag, bool value);
  void carry_out(Engine& engine, Commands& commands) noexcept;
  void execute(Engine& engine, Command& command);
  void execute(Engine& engine, Call& call) noexcept;
  void deliver(const OutputEvent& event);
  void end_step() noexcept;
  void fail(RequestId id, Receiver& receiver, std::string_view why) noexcept;
  void fail_all(std::string_view why) noexcept;

  const EngineThreadOptions options_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;       // of the engine's thread
  std::condition_variable call_done_;  // of those who wait for the start or for a call
  Commands commands_;                  // guarded by mutex_
  RequestId next_id_ = 0;              // guarded by mutex_
  bool started_ = false;  // guarded by mutex_: the engine was made, or start_failure_ says why not
  std::exception_ptr start_failure_;  // guarded by mutex_
  EngineState state_;                 // guarded by mutex_

  // Engine's thread only.
  std::unordered_map<RequestId, std::unique_ptr<Receiver>> receivers_;
  size_t ended_ = 0;          // requests since state_ was last written
  bool sink_threw_ = false;   // in this step
  bool gave_events_ = false;  // since on_step_end was last called

  std::mutex joining_;
  std::thread thread_;
  std::thread::id id_;
};

}  // namespace reprise::engine
