#include "engine/engine_thread.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "core/error.h"

namespace reprise::engine {

EngineThread::EngineThread(MakeEngine make) {
  thread_ = std::thread([this, make = std::move(make)] { loop(make); });
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return started_ || !start_error_.empty(); });
  if (started_) return;
  lock.unlock();
  thread_.join();
  throw Error("{}", start_error_);
}

EngineThread::~EngineThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

RequestId EngineThread::submit(Request request, EventSink sink) {
  RequestId id;
  {
    // Under one lock, so that the engine, which counts too, arrives at the same number.
    const std::lock_guard lock(mutex_);
    id = next_id_++;
    commands_.emplace_back(Submit{id, std::move(request), std::move(sink)});
  }
  wake_.notify_all();
  return id;
}

void EngineThread::push(Command command) {
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back(std::move(command));
  }
  wake_.notify_all();
}
void EngineThread::abort(RequestId request) {
  push(Abort{request});
}
void EngineThread::finish(RequestId request, int32_t output, FinishReason reason, int64_t keep_tokens) {
  push(Finish{request, output, reason, keep_tokens});
}

EngineStats EngineThread::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void EngineThread::loop(const MakeEngine& make) {
  std::unique_ptr<Engine> engine;
  std::string error;
  try {
    engine = make([this](const OutputEvent& event) { deliver(event); });
  } catch (const std::exception& e) {
    error = e.what();
  }
  {
    const std::lock_guard lock(mutex_);
    started_ = engine != nullptr;
    if (!started_) start_error_ = error.empty() ? "[engine] no engine was made" : error;
  }
  wake_.notify_all();
  if (engine == nullptr) return;

  std::vector<Command> commands;
  bool stopping = false;
  for (bool busy = false;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return busy || stopping_ || !commands_.empty(); });
      std::swap(commands, commands_);
      stopping = stopping_;
    }
    try {
      for (Command& command : commands) execute(*engine, command);
      if (stopping)
        for (const auto& [id, receiver] : receivers_) engine->abort(id);
      // With nothing to serve it captures what is still to be captured.
      busy = broken_.empty() && (engine->step() || (!stopping && engine->capture_next()));
    } catch (const std::exception& e) {
      broken_ = fmt::format("[engine] stopped by an internal error: {}", e.what());
      busy = false;
    }
    commands.clear();
    if (!broken_.empty()) fail_all(broken_);
    {
      const std::lock_guard lock(mutex_);
      stats_ = engine->stats();
    }
    if (stopping && receivers_.empty()) return;
  }
}

void EngineThread::execute(Engine& engine, Command& command) {
  if (auto* submitted = std::get_if<Submit>(&command)) {
    const int32_t outputs = std::clamp(submitted->request.sampling.n, 1, SamplingParams::kMaxOutputs);
    receivers_.emplace(submitted->id, Receiver{std::move(submitted->sink), outputs});
    if (!broken_.empty()) return;
    const RequestId id = engine.submit(std::move(submitted->request));
    REPRISE_CHECK(id == submitted->id, "request {} got number {}", submitted->id, id);
  } else if (const auto* aborted = std::get_if<Abort>(&command)) {
    engine.abort(aborted->id);
  } else {
    const auto& finished = std::get<Finish>(command);
    engine.finish(finished.id, finished.output, finished.reason, finished.keep_tokens);
  }
}

void EngineThread::deliver(const OutputEvent& event) {
  const auto found = receivers_.find(event.request);
  if (found == receivers_.end()) return;
  found->second.sink(event);
  if (event.finished() && --found->second.unfinished == 0) receivers_.erase(event.request);
}

void EngineThread::fail_all(const std::string& why) {
  for (auto& [id, receiver] : receivers_) {
    OutputEvent event;
    event.request = id;
    event.finish_reason = FinishReason::error;
    event.error = why;
    for (; receiver.unfinished > 0; --receiver.unfinished, ++event.output) receiver.sink(event);
  }
  receivers_.clear();
}

}  // namespace reprise::engine
