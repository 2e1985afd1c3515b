#include "engine/engine_thread.h"

#include <algorithm>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/failure.h"

namespace reprise::engine {

EngineThread::EngineThread(MakeEngine make) {
  if (!make) throw Error("[engine] the function that makes the engine is empty; pass one");
  try {
    thread_ = std::thread([this, make = std::move(make)] { loop(make); });
  } catch (const std::system_error& error) {
    throw Error(
        "[engine] cannot start the engine's thread: {}; end other processes or raise the limit of threads",
        error.what());
  }
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return started_; });
  if (start_failure_ == nullptr) return;
  lock.unlock();
  thread_.join();
  std::rethrow_exception(start_failure_);
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
  if (!sink) throw Error("[submit] the request has no sink; pass a function that takes its events");
  auto receiver = std::make_unique<Receiver>();
  receiver->sink = std::move(sink);
  const int32_t outputs = std::clamp(request.sampling.n, 1, SamplingParams::kMaxOutputs);
  receiver->unfinished = ~Outputs() >> static_cast<size_t>(SamplingParams::kMaxOutputs - outputs);
  RequestId id;
  {
    // Under one lock, so that the engine gets the numbers in their order.
    const std::lock_guard lock(mutex_);
    if (stopping_) throw Error("[submit] the engine is shutting down; it takes no more requests");
    id = next_id_;
    commands_.emplace_back(Submit{id, std::move(request), std::move(receiver)});
    ++next_id_;
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
  check_finish(output, reason, keep_tokens);
  push(Finish{request, output, reason, keep_tokens});
}

EngineStats EngineThread::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void EngineThread::loop(const MakeEngine& make) noexcept {
  std::unique_ptr<Engine> engine;
  std::exception_ptr failure;
  try {
    engine = make([this](const OutputEvent& event) { deliver(event); });
    if (engine == nullptr) throw Error("[engine] no engine was made");
  } catch (...) {
    failure = std::current_exception();
  }
  {
    const std::lock_guard lock(mutex_);
    start_failure_ = std::move(failure);
    started_ = true;
  }
  wake_.notify_all();
  if (engine == nullptr) return;

  std::vector<Command> commands;
  for (bool busy = false, stopping = false;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return busy || stopping_ || !commands_.empty(); });
      std::swap(commands, commands_);
      stopping = stopping_;
    }
    busy = turn(*engine, commands, stopping);
    commands.clear();
    {
      const std::lock_guard lock(mutex_);
      stats_ = engine->stats();
      // Checked under the lock that submit() takes: nothing can be queued after it.
      if (stopping && receivers_.empty() && commands_.empty()) return;
    }
  }
}

// Carries out `commands` and one step. Whether there is more to do at once.
bool EngineThread::turn(Engine& engine, std::vector<Command>& commands, bool stopping) noexcept {
  for (Command& command : commands) {
    try {
      execute(engine, command);
    } catch (...) {  // memory: only this command is lost, and its request knows
      if (auto* submitted = std::get_if<Submit>(&command);
          submitted != nullptr && submitted->receiver != nullptr)
        fail(submitted->id, *submitted->receiver, current_failure("engine"));
    }
  }
  try {
    if (stopping)
      for (const auto& [id, receiver] : receivers_) engine.abort(id);
    // With nothing to serve it captures what is still to be captured.
    return engine.step() || (!stopping && engine.capture_next());
  } catch (...) {
    // A sink that threw has lost its receiver in deliver(), and the engine has aborted its request.
    if (std::exchange(sink_threw_, false)) return true;
    engine.abort_all();
    fail_all(current_failure("engine"));
    return false;
  }
}

void EngineThread::execute(Engine& engine, Command& command) {
  if (auto* submitted = std::get_if<Submit>(&command)) {
    // In this order, so that where something throws the command still holds its receiver.
    const auto place = receivers_.try_emplace(submitted->id).first;
    try {
      engine.submit_as(submitted->id, std::move(submitted->request));
    } catch (...) {
      receivers_.erase(place);
      throw;
    }
    place->second = std::move(submitted->receiver);
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
  Receiver& receiver = *found->second;
  try {
    receiver.sink(event);
  } catch (...) {
    sink_threw_ = true;
    receivers_.erase(found);
    throw;  // so that the engine aborts the request
  }
  if (!event.finished()) return;
  receiver.unfinished.reset(static_cast<size_t>(event.output));
  if (receiver.unfinished.none()) receivers_.erase(found);
}

// An error event for each output that has had no last event.
void EngineThread::fail(RequestId id, Receiver& receiver, std::string_view why) noexcept {
  OutputEvent event;
  event.request = id;
  event.finish_reason = FinishReason::error;
  try {
    event.error.assign(why);
  } catch (const std::bad_alloc&) {
    event.error.assign(kShortNoMemory);
  }
  try {
    for (; event.output < SamplingParams::kMaxOutputs; ++event.output)
      if (receiver.unfinished[static_cast<size_t>(event.output)]) receiver.sink(event);
  } catch (...) {  // it hears no more, as where it throws at any other event
  }
}

void EngineThread::fail_all(std::string_view why) noexcept {
  // Sinks may submit meanwhile: that goes to the queue, not to this map.
  for (const auto& [id, receiver] : receivers_) fail(id, *receiver, why);
  receivers_.clear();
}

}  // namespace reprise::engine
