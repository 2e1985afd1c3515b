// An engine on a thread of its own, for callers on many threads (a server): they submit, abort and finish
// through a queue and get their events through a callback of the request.
#pragma once

#include <bitset>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

#include "engine/engine.h"

namespace reprise::engine {

// Every public function may be called from any thread, also from within an event callback; the destructor
// only from outside of one. Each throws to its caller what is wrong with the call itself, and std::bad_alloc,
// in which case nothing was queued.
//
// Every output of a submitted request gets exactly one last event, whatever fails: its own, or an error. The
// one exception is a request whose callback throws: it is aborted, its callback is destroyed and hears no
// more; nobody else is touched. An internal error fails the requests that it met, and later ones are served
// again.
class EngineThread {
 public:
  using MakeEngine = std::function<std::unique_ptr<Engine>(EventSink)>;

  // Builds the engine on the new thread. Throws here what `make` threw, and Error where it made nothing or
  // where no thread can be started.
  explicit EngineThread(MakeEngine make);
  // Aborts what is unfinished (its last events are delivered) and joins.
  ~EngineThread();
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  // `sink` is called on the engine's thread and must not block; it is destroyed after the request's last
  // event. Numbers count from 0. Throws Error for an empty sink, and once the destructor has begun (a
  // callback may try).
  RequestId submit(Request request, EventSink sink);
  // Unknown and finished requests are ignored. finish() throws Error as Engine::finish() does.
  void abort(RequestId request);
  void finish(RequestId request, int32_t output, FinishReason reason, int64_t keep_tokens);

  // As of the end of the last step.
  EngineStats stats() const;

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
  using Command = std::variant<Submit, Abort, Finish>;

  void loop(const MakeEngine& make) noexcept;
  void push(Command command);
  bool turn(Engine& engine, std::vector<Command>& commands, bool stopping) noexcept;
  void execute(Engine& engine, Command& command);
  void deliver(const OutputEvent& event);
  static void fail(RequestId id, Receiver& receiver, std::string_view why) noexcept;
  void fail_all(std::string_view why) noexcept;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Command> commands_;  // guarded by mutex_
  RequestId next_id_ = 0;          // guarded by mutex_
  bool stopping_ = false;          // guarded by mutex_
  bool started_ = false;           // guarded by mutex_: the engine was made, or start_failure_ says why not
  std::exception_ptr start_failure_;  // guarded by mutex_
  EngineStats stats_;                 // guarded by mutex_

  std::unordered_map<RequestId, std::unique_ptr<Receiver>> receivers_;  // engine thread only
  bool sink_threw_ = false;                                             // engine thread only: in this step
  std::thread thread_;
};

}  // namespace reprise::engine
