// An engine on a thread of its own, for callers on many threads (a server): they submit, abort and finish
// through a queue and get their events through a callback of the request.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

#include "engine/engine.h"

namespace reprise::engine {

// Every public function may be called from any thread, also from within an event callback.
class EngineThread {
 public:
  using MakeEngine = std::function<std::unique_ptr<Engine>(EventSink)>;

  // Builds the engine on the new thread; throws Error here when that fails.
  explicit EngineThread(MakeEngine make);
  // Aborts what is unfinished (its last events are delivered) and joins.
  ~EngineThread();
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  // `sink` is called on the engine's thread, must not block and must not throw; it is destroyed after the
  // request's last event.
  RequestId submit(Request request, EventSink sink);
  void abort(RequestId request);
  void finish(RequestId request, int32_t output, FinishReason reason, int64_t keep_tokens);

  // As of the end of the last step.
  EngineStats stats() const;

 private:
  struct Submit {
    RequestId id;
    Request request;
    EventSink sink;
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
  struct Receiver {
    EventSink sink;
    int32_t unfinished;  // outputs
  };

  void loop(const MakeEngine& make);
  void push(Command command);
  void execute(Engine& engine, Command& command);
  void deliver(const OutputEvent& event);
  void fail_all(const std::string& why);

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Command> commands_;  // guarded by mutex_
  RequestId next_id_ = 0;          // guarded by mutex_
  bool stopping_ = false;          // guarded by mutex_
  bool started_ = false;           // guarded by mutex_
  std::string start_error_;        // guarded by mutex_
  EngineStats stats_;              // guarded by mutex_

  std::unordered_map<RequestId, Receiver> receivers_;  // engine thread only
  std::string broken_;                                 // engine thread only: why the engine stopped for good
  std::thread thread_;
};

}  // namespace reprise::engine
