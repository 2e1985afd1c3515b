// The engine's events of many requests on their way to a thread that makes text of them, a step at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/engine.h"

namespace reprise::api {

// One for each thread that takes events. Held by those who drain it and by the requests that feed it.
class EventQueue : public std::enable_shared_from_this<EventQueue> {
 public:
  // The events of one request since it was last called, in their order, never none. Called by drain(); the
  // request is over when each of its outputs has had its last event; the function is destroyed then, on the
  // same thread. May not throw: what it throws leaves drain(), and the events of that call are lost.
  using Take = std::function<void(std::vector<engine::OutputEvent>&& events)>;

  // `wake` is called on the engine's thread at the end of a step that brought something, once until drain()
  // is called. It must not block; where it throws, it is called again soon.
  explicit EventQueue(std::function<void()> wake) : wake_(std::move(wake)) {}
  ~EventQueue();
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;

  // Hands each request its events. One thread at a time. Where it throws, call it again: nobody else's events
  // are lost.
  void drain();

  // When it returns, `wake` is not being called and never will be: for an owner who goes away before the
  // model. Events may still be drained. Not from within `wake`.
  void close();

  // A request's sink, which fills the queue; `outputs`: how many the request has. An event for which there is
  // no memory aborts the request, and the rest of its outputs end with an error event. Out of range,
  // `outputs` counts as the nearest number that the engine answers.
  engine::EventSink sink(int outputs, Take take);
  // At the end of a step, on the engine's thread. Throws what `wake` throws.
  void end_step();

 private:
  struct Client {
    explicit Client(Take take_events) : take(std::move(take_events)) {}
    Take take;
    std::vector<engine::OutputEvent> events;
    std::vector<bool> finished;  // by output
    engine::RequestId id = 0;
    bool lost = false;               // an event was
    bool queued = false;             // in the list below
    std::shared_ptr<Client> next{};  // there
  };

  void push(const std::shared_ptr<Client>& client, const engine::OutputEvent& event);
  static void end_lost(Client& client);

  std::mutex waking_;  // held while wake_ is called; taken before mutex_
  const std::function<void()> wake_;
  bool closed_ = false;  // guarded by waking_

  std::mutex mutex_;                      // guards all below, and clients but for `take`
  std::shared_ptr<Client> first_, last_;  // clients with events
  bool woken_ = false;                    // since the last drain()
};

}  // namespace reprise::api
