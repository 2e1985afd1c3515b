// The engine: requests of token ids in, events with token ids out, one `step()` at a time on the caller's
// thread. Phases of a step and who may touch what: docs/engine_contract.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/isa.h"
#include "engine/engine_config.h"
#include "engine/memory_report.h"
#include "engine/request.h"

namespace reprise {
class Profiler;
class ThreadTeam;
}  // namespace reprise
namespace reprise::models {
class Model;
}

namespace reprise::engine {

class GraphBackend;
struct VerifyStats;

// Called within step(), on its thread. The event is reused: copy what must last. Must not throw; may call
// submit(), abort() and finish() of the engine, which take effect with the next step.
using EventSink = std::function<void(const OutputEvent&)>;

struct EngineStats {
  StepCounts steps;
  int64_t prompt_tokens = 0;     // prefilled, recomputation after preemption included
  int64_t generated_tokens = 0;  // sampled
  int64_t preemptions = 0;
  int64_t running = 0;  // sequences
  int64_t waiting = 0;
  int64_t free_blocks = 0;
};

// Not thread-safe: one thread calls everything (EngineThread gives it a thread of its own).
class Engine {
 public:
  // `team` outlives the engine. Throws Error on a bad config or where memory runs out.
  Engine(std::unique_ptr<const models::Model> model, ThreadTeam& team, Isa isa, const EngineConfig& config,
         EventSink sink);
  ~Engine();

  // A request that can't run (empty, too long, bad field) is answered by an event with its error.
  RequestId submit(Request request);
  // Ends every output of the request with finish reason `abort`. Unknown or finished ids are ignored.
  void abort(RequestId request);
  // The text layer found the end (a stop string) of an output after `keep_tokens` of its tokens: its last
  // event comes with `reason`, no new tokens, and metrics for the tokens kept.
  void finish(RequestId request, int32_t output, FinishReason reason, int64_t keep_tokens);

  // One step of the batch. False when there was nothing to do.
  bool step();
  // Steps until every request has finished.
  void run();
  bool idle() const;

  const EngineConfig& config() const;  // resolved
  const models::Model& model() const;
  MemoryReport planned_memory() const;  // before anything was allocated
  MemoryReport memory() const;          // what the allocators hold
  const GraphBackend& graph() const;
  EngineStats stats() const;
  // --graph-verify: captures that differed at start and were given up, and steps sampled since.
  const std::vector<std::string>& problems() const;
  const VerifyStats& verified() const;
  // One piece of pending graph captures, for a thread that has nothing else to do. False where none is left.
  bool capture_next();
  // Times phases and launches of the steps that follow; null switches off.
  void set_profiler(Profiler* profiler);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise::engine
