// The public AsyncModel over ServingModel, with one thread that makes text of the engine's events.
#include "reprise/async_model.h"

#include <pthread.h>

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "api/result_builder.h"
#include "api/serving_model.h"
#include "core/error.h"

namespace reprise {

struct AsyncModel::Impl {
  Impl(const LoadOptions& options, const AsyncOptions& async)
      : model(options, {.max_open_requests = async.max_open_requests}),
        queue(model.make_queue([this] { wake(); })),
        thread([this] { loop(); }) {}
  ~Impl() { close(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // On the thread of the callbacks, all but its making.
  struct Request {
    Request(const api::PreparedRequest& prepared, AsyncCallbacks called)
        : builder(prepared), callbacks(std::move(called)) {}
    api::ResultBuilder builder;
    AsyncCallbacks callbacks;
    bool failed = false;  // a callback threw
  };

  void wake() {
    {
      const std::lock_guard lock(mutex);
      woken = true;
    }
    changed.notify_one();
  }

  void loop() {
    pthread_setname_np(pthread_self(), "reprise-events");
    for (bool last = false; !last;) {
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return woken || ending; });
        woken = false;
        last = ending;
      }
      // What a request's function throws for lack of memory is that request's loss.
      for (bool drained = false; !drained;) try {
          queue->drain();
          drained = true;
        } catch (...) {
        }
    }
  }

  void take(Request& request, const std::vector<engine::OutputEvent>& events) {
    for (const engine::OutputEvent& event : events) {
      const api::OutputDelta& delta = request.builder.take(event);
      if (request.failed) continue;
      try {
        if (delta.ask == api::OutputDelta::Ask::finish)
          model.finish(event.request, delta.output, engine::FinishReason::stop, delta.keep_tokens);
        else if (delta.ask == api::OutputDelta::Ask::abort)
          model.abort(event.request);
        tell(request, event, delta);
      } catch (...) {
        request.failed = true;
        if (!request.builder.finished()) model.abort(event.request);
      }
    }
  }

  void tell(Request& request, const engine::OutputEvent& event, const api::OutputDelta& delta) {
    if (request.callbacks.on_event) {
      const bool go_on = request.callbacks.on_event({.output = delta.output,
                                                     .text = delta.text,
                                                     .token_ids = delta.token_ids,
                                                     .finished = delta.finished});
      if (!go_on && !delta.complete && !delta.finished)
        model.finish(event.request, event.output, engine::FinishReason::abort,
                     static_cast<int64_t>(request.builder.output(delta.output).token_ids.size()));
    }
    if (request.builder.finished()) request.callbacks.on_result(request.builder.finish());
  }

  // Its last events are in the queue when the engine has stopped, and are told before the thread ends.
  void close() {
    const std::lock_guard closing_lock(closing);
    if (!thread.joinable()) return;
    model.stop();
    {
      const std::lock_guard lock(mutex);
      ending = true;
    }
    changed.notify_one();
    thread.join();
    queue->close();
  }

  api::ServingModel model;
  std::mutex mutex;
  std::condition_variable changed;
  bool woken = false, ending = false;  // guarded by mutex
  const std::shared_ptr<api::EventQueue> queue;
  std::mutex closing;
  std::thread thread;
};

AsyncModel::AsyncModel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AsyncModel::AsyncModel(AsyncModel&&) noexcept = default;
AsyncModel& AsyncModel::operator=(AsyncModel&&) noexcept = default;
AsyncModel::~AsyncModel() = default;

AsyncModel AsyncModel::load(const LoadOptions& options, const AsyncOptions& async) {
  return AsyncModel(std::make_unique<Impl>(options, async));
}

RequestNumber AsyncModel::submit(const Prompt& prompt, AsyncCallbacks callbacks) {
  if (!callbacks.on_result) throw Error("[submit] on_result is empty; pass a function");
  api::PreparedRequest prepared = api::prepare(impl_->model.text(), prompt, impl_->model.limits());
  const auto request = std::make_shared<Impl::Request>(prepared, std::move(callbacks));
  return impl_->model.submit(std::move(prepared.request), *impl_->queue,
                             [impl = impl_.get(), request](std::vector<engine::OutputEvent>&& events) {
                               impl->take(*request, events);
                             });
}

std::future<Result> AsyncModel::submit(const Prompt& prompt) {
  const auto promise = std::make_shared<std::promise<Result>>();
  submit(prompt, {.on_result = [promise](Result&& result) { promise->set_value(std::move(result)); }});
  return promise->get_future();
}

void AsyncModel::cancel(RequestNumber request) {
  impl_->model.abort(request);
}
void AsyncModel::close() {
  impl_->close();
}

AsyncState AsyncModel::state() const {
  api::Health health = impl_->model.health();
  return {.ok = health.ok,
          .reason = std::move(health.reason),
          .running = health.running,
          .waiting = health.waiting,
          .open_requests = health.open_requests};
}

std::vector<int32_t> AsyncModel::encode(const std::string& text, bool add_special_tokens) const {
  return impl_->model.text().tokenizer().encode(text, add_special_tokens);
}
std::string AsyncModel::decode(const std::vector<int32_t>& token_ids, bool skip_special_tokens) const {
  return impl_->model.text().tokenizer().decode(token_ids, skip_special_tokens);
}
bool AsyncModel::has_tokenizer() const {
  return impl_->model.text().has_tokenizer();
}
Sampling AsyncModel::default_sampling() const {
  return impl_->model.default_sampling();
}
const ModelInfo& AsyncModel::info() const {
  return impl_->model.info();
}
GraphReport AsyncModel::graph_report() {
  return impl_->model.graph_report();
}

}  // namespace reprise
