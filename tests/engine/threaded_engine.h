// A small model's engine on a thread of its own, and a way to hold that thread.
#pragma once

#include <future>
#include <memory>
#include <semaphore>
#include <utility>

#include "engine/engine_thread.h"
#include "tests/engine/small_model.h"

namespace reprise::engine {

struct Threaded {
  explicit Threaded(EngineThreadOptions options = {})
      : thread(
            [this](EventSink sink) {
              return std::make_unique<Engine>(small_model(team, device), EngineServices(device),
                                              small_engine_config(), std::move(sink));
            },
            std::move(options)) {}

  ThreadTeam team{2};
  TestDevice device{team, Isa::scalar};
  EngineThread thread;

  // Submits and waits for the last event of output 0.
  Collected run(Request request) {
    Collected collected;
    std::promise<void> done;
    thread.submit(std::move(request), [&](const OutputEvent& event) {
      collected.take(event);
      if (event.finished()) done.set_value();
    });
    done.get_future().wait();
    return collected;
  }
};

// A sink that lets the engine's thread go on only when the test says so.
struct Gate {
  std::binary_semaphore reached{0}, go{0};
  void pass() {
    reached.release();
    go.acquire();
  }
  void hold() { reached.acquire(); }
  void open() { go.release(); }
};

}  // namespace reprise::engine
