#include "api/event_queue.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/failure.h"

namespace reprise::api {

// One by one: a long list that destroys itself would need as deep a stack.
EventQueue::~EventQueue() {
  while (first_ != nullptr) first_ = std::exchange(first_->next, nullptr);
}

engine::EventSink EventQueue::sink(int outputs, Take take) {
  if (!take) throw Error("[submit] the function that takes the request's events is empty; pass one");
  auto client = std::make_shared<Client>(std::move(take));
  client->finished.resize(static_cast<size_t>(std::clamp(outputs, 1, engine::SamplingParams::kMaxOutputs)));
  return [queue = shared_from_this(), client = std::move(client)](const engine::OutputEvent& event) {
    queue->push(client, event);
  };
}

void EventQueue::push(const std::shared_ptr<Client>& client, const engine::OutputEvent& event) {
  const std::lock_guard lock(mutex_);
  if (!client->queued) {
    client->queued = true;
    (last_ == nullptr ? first_ : last_->next) = client;
    last_ = client;
  }
  client->id = event.request;
  try {
    client->events.push_back(event);
  } catch (...) {
    client->lost = true;
    throw;  // the engine aborts the request, and this client hears no more
  }
  if (event.finished()) client->finished[static_cast<size_t>(event.output)] = true;
}

// The last events of a request that lost one.
void EventQueue::end_lost(Client& client) {
  for (size_t output = 0; output < client.finished.size(); ++output) {
    if (client.finished[output]) continue;
    engine::OutputEvent& event = client.events.emplace_back();
    event.request = client.id;
    event.output = static_cast<int32_t>(output);
    event.finish_reason = engine::FinishReason::error;
    event.error = kShortNoMemory;
    client.finished[output] = true;
  }
}

void EventQueue::close() {
  const std::lock_guard lock(waking_);
  closed_ = true;
}

void EventQueue::end_step() {
  const std::lock_guard waking(waking_);
  if (closed_) return;
  {
    const std::lock_guard lock(mutex_);
    if (first_ == nullptr || woken_) return;
    woken_ = true;
  }
  try {
    wake_();
  } catch (...) {
    const std::lock_guard lock(mutex_);
    woken_ = false;
    throw;
  }
}

void EventQueue::drain() {
  {
    const std::lock_guard lock(mutex_);
    woken_ = false;
  }
  for (;;) {
    std::shared_ptr<Client> client;
    std::vector<engine::OutputEvent> events;
    bool over = false;
    {
      const std::lock_guard lock(mutex_);
      if (first_ == nullptr) return;
      if (first_->lost) end_lost(*first_);
      client = std::move(first_);
      first_ = std::move(client->next);
      if (first_ == nullptr) last_ = nullptr;
      client->queued = false;
      std::swap(events, client->events);
      over = std::find(client->finished.begin(), client->finished.end(), false) == client->finished.end();
    }
    client->take(std::move(events));
    if (over) client->take = nullptr;  // the engine's thread may still hold the client
  }
}

}  // namespace reprise::api
