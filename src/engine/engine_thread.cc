#include "engine/engine_thread.h"

#include <algorithm>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/failure.h"

namespace reprise::engine {
namespace {

constexpr std::string_view kGaveUp =
    "the engine has stopped for good: too many steps in a row met an internal error";

}  // namespace

EngineThread::EngineThread(MakeEngine make, EngineThreadOptions options) : options_(std::move(options)) {
  if (!make) throw Error("[engine] the function that makes the engine is empty; pass one");
  try {
    thread_ = std::thread([this, make = std::move(make)] { loop(make); });
  } catch (const std::system_error& error) {
    throw Error(
        "[engine] cannot start the engine's thread: {}; end other processes or raise the limit of threads",
        error.what());
  }
  id_ = thread_.get_id();
  std::unique_lock lock(mutex_);
  call_done_.wait(lock, [this] { return started_; });
  if (start_failure_ == nullptr) return;
  lock.unlock();
  thread_.join();
  std::rethrow_exception(start_failure_);
}

EngineThread::~EngineThread() {
  stop();
}

void EngineThread::stop() {
  {
    const std::lock_guard lock(mutex_);
    state_.stopping = true;
  }
  wake_.notify_one();
  const std::lock_guard lock(joining_);
  if (thread_.joinable()) thread_.join();
}

RequestId EngineThread::submit(Request request, EventSink sink) {
  if (!sink) throw Error("[submit] the request has no sink; pass a function that takes its events");
  auto receiver = std::make_unique<Receiver>();
  receiver->sink = std::move(sink);
  const int32_t outputs = std::clamp(request.sampling.n, 1, SamplingParams::kMaxOutputs);
  receiver->unfinished = ~Outputs() >> static_cast<size_t>(SamplingParams::kMaxOutputs - outputs);
  Commands queued;
  RequestId& number =
      std::get<Submit>(queued.emplace_back(Submit{0, std::move(request), std::move(receiver)})).id;
  RequestId id;
  {
    // Under one lock, so that the engine gets the numbers in their order.
    const std::lock_guard lock(mutex_);
    if (state_.stopping)
      throw Error(ErrorCode::closed, "[submit] {}; it takes no more requests", why_stopped());
    if (state_.open_requests >= options_.max_open_requests)
      throw Error(ErrorCode::queue_full,
                  "[submit] {} requests are queued or running, at most {} are taken; try again later",
                  state_.open_requests, options_.max_open_requests);
    id = number = next_id_++;
    ++state_.open_requests;
    ++state_.queued_requests;
    commands_.splice(commands_.end(), queued);
  }
  wake_.notify_one();
  return id;
}

void EngineThread::push(Command command) {
  Commands queued;
  queued.push_back(std::move(command));
  {
    const std::lock_guard lock(mutex_);
    if (state_.stopping) return;  // all that runs is being aborted
    commands_.splice(commands_.end(), queued);
  }
  wake_.notify_one();
}
void EngineThread::abort(RequestId request) {
  push(Abort{request});
}
void EngineThread::finish(RequestId request, int32_t output, FinishReason reason, int64_t keep_tokens) {
  check_finish(output, reason, keep_tokens);
  push(Finish{request, output, reason, keep_tokens});
}

void EngineThread::hold(RequestId request) {
  push(Hold{request, true});
}
void EngineThread::let_go(RequestId request) {
  push(Hold{request, false});
}

void EngineThread::call(const std::function<void(Engine&)>& action) {
  if (std::this_thread::get_id() == id_)
    throw Error("[engine] call() from within a callback would wait for itself; call from another thread");
  Call call{.action = action};
  Commands queued;
  queued.emplace_back(&call);
  std::unique_lock lock(mutex_);
  if (state_.stopping) throw Error("[engine] {}; it runs no more calls", why_stopped());
  commands_.splice(commands_.end(), queued);
  wake_.notify_one();
  call_done_.wait(lock, [&] { return call.done; });
  if (call.failure != nullptr) std::rethrow_exception(call.failure);
}

void EngineThread::set_state(bool EngineState::*flag, bool value) {
  {
    const std::lock_guard lock(mutex_);
    state_.*flag = value;
  }
  wake_.notify_one();
}
void EngineThread::pause() {
  set_state(&EngineState::paused, true);
}
void EngineThread::resume() {
  set_state(&EngineState::paused, false);
}
void EngineThread::sleep() {
  set_state(&EngineState::asleep, true);
  call([](Engine& engine) { engine.release_memory(); });
}
void EngineThread::wake() {
  set_state(&EngineState::asleep, false);
}

std::string_view EngineThread::why_stopped() const {
  return state_.gave_up ? kGaveUp : std::string_view("the engine is shutting down");
}

EngineState EngineThread::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void EngineThread::loop(const MakeEngine& make) noexcept {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kTryAgain(10);
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
    state_.last_step = Clock::now();
    if (engine != nullptr) state_.stats = engine->stats();
  }
  call_done_.notify_all();
  if (engine == nullptr) return;

  Commands commands;
  EngineState now;
  for (bool busy = false;;) {
    {
      const auto due = engine->next_due();
      std::unique_lock lock(mutex_);
      const auto awake = [&] { return (busy && !state_.held_up()) || state_.stopping || !commands_.empty(); };
      // Something is left to be tried again.
      if (gave_events_ || !commands.empty())
        wake_.wait_for(lock, kTryAgain, awake);
      else if (due)
        wake_.wait_until(lock, *due, awake);
      else
        wake_.wait(lock, awake);
      commands.splice(commands.end(), commands_);
      state_.queued_requests = 0;
      state_.step_began = Clock::now();
      now = state_;
    }
    busy = turn(*engine, commands, now);
    bool last = false;
    {
      // Before anybody is woken: who hears of its last event finds its place free.
      const std::lock_guard lock(mutex_);
      state_.stats = engine->stats();
      state_.open_requests -= std::exchange(ended_, 0);
      state_.last_step = Clock::now();
      state_.step_began.reset();
      if (state_.stats.broken_steps >= kMostBrokenSteps && !state_.stopping)
        state_.stopping = state_.gave_up = true;
      // Checked under the lock that submit() takes: nothing can be queued after it.
      last = now.stopping && receivers_.empty() && commands_.empty();
    }
    if (gave_events_) end_step();
    if (last) return;
  }
}

// Carries out `commands` and, unless it is held up, one step. Whether there is more to do when steps may begin.
bool EngineThread::turn(Engine& engine, Commands& commands, const EngineState& now) noexcept {
  carry_out(engine, commands);
  if (now.gave_up) {
    engine.abort_all();
    fail_all(kGaveUp);
    return false;
  }
  try {
    if (now.held_up()) {
      engine.settle();
      return true;
    }
    if (now.stopping)
      for (const auto& [id, receiver] : receivers_) engine.abort(id);
    // With nothing to serve it captures what is still to be captured.
    return engine.step() || (!now.stopping && engine.capture_next());
  } catch (...) {
    // A sink that threw has lost its receiver in deliver(), and the engine has aborted its request.
    if (std::exchange(sink_threw_, false)) return true;
    engine.abort_all();
    fail_all(current_failure("engine"));
    return false;
  }
}

// One that throws, for memory, hurts nobody else: a request is told, all others stay for the next turn.
void EngineThread::carry_out(Engine& engine, Commands& commands) noexcept {
  for (auto command = commands.begin(); command != commands.end();) {
    try {
      execute(engine, *command);
    } catch (...) {
      auto* submitted = std::get_if<Submit>(&*command);
      if (submitted == nullptr) {
        ++command;
        continue;
      }
      fail(submitted->id, *submitted->receiver, current_failure("engine"));
      ++ended_;
    }
    command = commands.erase(command);
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
  } else if (const auto* finished = std::get_if<Finish>(&command)) {
    engine.finish(finished->id, finished->output, finished->reason, finished->keep_tokens);
  } else if (const auto* hold = std::get_if<Hold>(&command)) {
    hold->held ? engine.hold(hold->id) : engine.let_go(hold->id);
  } else {
    execute(engine, *std::get<Call*>(command));
  }
}

void EngineThread::execute(Engine& engine, Call& call) noexcept {
  std::exception_ptr failure;
  try {
    call.action(engine);
  } catch (...) {
    failure = std::current_exception();
  }
  {
    const std::lock_guard lock(mutex_);
    call.failure = std::move(failure);
    call.done = true;
  }
  call_done_.notify_all();
}

void EngineThread::end_step() noexcept {
  try {
    if (options_.on_step_end) options_.on_step_end();
    gave_events_ = false;
  } catch (...) {  // again at the end of the next turn, which comes soon
  }
}

void EngineThread::deliver(const OutputEvent& event) {
  const auto found = receivers_.find(event.request);
  if (found == receivers_.end()) return;
  Receiver& receiver = *found->second;
  gave_events_ = true;
  try {
    receiver.sink(event);
  } catch (...) {
    sink_threw_ = true;
    receivers_.erase(found);
    ++ended_;
    throw;  // so that the engine aborts the request
  }
  if (!event.finished()) return;
  receiver.unfinished.reset(static_cast<size_t>(event.output));
  if (!receiver.unfinished.none()) return;
  receivers_.erase(found);
  ++ended_;
}

// An error event for each output that has had no last event.
void EngineThread::fail(RequestId id, Receiver& receiver, std::string_view why) noexcept {
  OutputEvent event;
  event.request = id;
  event.finish_reason = FinishReason::error;
  gave_events_ = true;
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
  ended_ += receivers_.size();
  receivers_.clear();
}

}  // namespace reprise::engine
