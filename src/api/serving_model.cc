#include "api/serving_model.h"

#include <exception>
#include <utility>

#include "core/error.h"

namespace reprise::api {

ServingModel::ServingModel(const LoadOptions& options, const ServingOptions& serving)
    : options_(serving),
      thread_(
          [this, &options](engine::EventSink sink) {
            loaded_ = load_parts(options, std::move(sink));
            loaded_.engine->set_max_waiting(options_.max_waiting);
            return std::move(loaded_.engine);
          },
          {.max_open_requests = serving.max_open_requests, .on_step_end = [this] { end_step(); }}) {}

ServingModel::~ServingModel() = default;

std::shared_ptr<EventQueue> ServingModel::make_queue(std::function<void()> wake) {
  if (!wake) throw Error("[serving] the queue's wake function is empty; pass one");
  auto queue = std::make_shared<EventQueue>(std::move(wake));
  const std::lock_guard lock(mutex_);
  std::erase_if(queues_, [](const std::weak_ptr<EventQueue>& gone) { return gone.expired(); });
  queues_.push_back(queue);
  return queue;
}

engine::RequestId ServingModel::submit(engine::Request request, EventQueue& queue, EventQueue::Take take) {
  engine::EventSink sink = queue.sink(request.sampling.n, std::move(take));
  return thread_.submit(std::move(request), std::move(sink));
}

engine::RequestId ServingModel::submit(engine::Request request, engine::EventSink sink) {
  return thread_.submit(std::move(request), std::move(sink));
}

// Where one of them throws, all are asked again soon; those that were woken already do nothing.
void ServingModel::end_step() {
  std::exception_ptr failure;
  const std::lock_guard lock(mutex_);
  for (const std::weak_ptr<EventQueue>& each : queues_) {
    try {
      if (const std::shared_ptr<EventQueue> queue = each.lock()) queue->end_step();
    } catch (...) {
      failure = std::current_exception();
    }
  }
  if (failure != nullptr) std::rethrow_exception(failure);
}

void ServingModel::pause() {
  thread_.pause();
  thread_.call([](engine::Engine&) {});
}

Health ServingModel::health() const {
  const engine::EngineState state = thread_.state();
  Health health{.reason = {},
                .paused = state.held_up(),
                .asleep = state.asleep && !state.stopping,
                .gave_up = state.gave_up,
                .last_step = state.last_step,
                .running = state.stats.running,
                .waiting = state.stats.waiting + static_cast<int64_t>(state.queued_requests),
                .open_requests = state.open_requests};
  if (state.stopping) {
    health.reason =
        state.gave_up ? "the engine has stopped for good, after internal errors" : "the engine has stopped";
  } else if (state.step_began) {
    const auto now = std::chrono::steady_clock::now();
    const auto running = std::chrono::duration_cast<std::chrono::seconds>(now - *state.step_began);
    if (running >= options_.stall_limit)
      health.reason = fmt::format("no step has finished for {} s", running.count());
  }
  health.ok = health.reason.empty();
  return health;
}

GraphReport ServingModel::graph_report() {
  GraphReport report;
  thread_.call([&](engine::Engine& engine) { report = report_of(loaded_, engine); });
  return report;
}

}  // namespace reprise::api
