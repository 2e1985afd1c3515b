// The engine: takes requests of token ids and gives events with token ids, one `step()` at a time on the
// caller's thread. Its promises, the phases of a step and who may use what: docs/engine_contract.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/config/engine_config.h"
#include "engine/engine_services.h"
#include "engine/runner/memory_report.h"
#include "engine/scheduling/request.h"

namespace reprise {
class Profiler;
}  // namespace reprise
namespace reprise::models {
class Model;
}

namespace reprise::engine {

class GraphBackend;
struct VerifyStats;

// Called within step(), on its thread. The event is reused: copy what must last. May call submit(), abort(),
// abort_all() and finish() of the engine, which take effect with the next step, but not step() or run()
// (Error).
//
// It may throw, at any event. The request of that event is then aborted by the engine and none of its outputs
// gets another event. Everyone else's events of the step are still delivered, each once. When the step is
// complete, step() and run() throw the first exception of that step (further ones of the step are dropped);
// the engine is consistent and the next step() goes on.
using EventSink = std::function<void(const OutputEvent&)>;

struct EngineStats {
  StepCounts steps;
  int64_t prompt_tokens = 0;     // prefilled, recomputation after preemption included
  int64_t generated_tokens = 0;  // sampled
  int64_t preemptions = 0;
  int64_t running = 0;        // sequences
  int64_t waiting = 0;        // held ones too
  int64_t free_blocks = 0;    // those of the prefix cache that nobody uses included
  int64_t cached_blocks = 0;  // in the prefix cache, used or not
  // Of outputs that were admitted, each once; those that bypass the prefix cache aside.
  int64_t prefix_requests = 0;
  int64_t prefix_hits = 0;        // of these, found at least one block
  int64_t prefix_tokens = 0;      // of their prompts
  int64_t prefix_hit_tokens = 0;  // of these, found
  // Steps in a row, up to the last one, that met a broken invariant (InternalError).
  int64_t broken_steps = 0;
};

// What finish() accepts: an output number of [0, SamplingParams::kMaxOutputs), tokens >= 0, and as reason
// stop, length or abort. Throws Error otherwise.
void check_finish(int32_t output, FinishReason reason, int64_t keep_tokens);

// Not thread-safe: one thread calls everything (EngineThread gives it a thread of its own).
class Engine {
 public:
  // Throws Error on a bad config, an empty sink or where a large range of
  // memory is refused, std::bad_alloc for all other memory.
  Engine(std::unique_ptr<const models::Model> model, const EngineServices& services,
         const EngineConfig& config, EventSink sink);
  ~Engine();

  // A request that can't run (empty, too long, bad field) is answered by an event with its error: never
  // throws for what a request holds. std::bad_alloc: nothing was submitted. Numbers count from 0.
  RequestId submit(Request request);
  // The same with the caller's own number, which must be above all numbers before it (Error).
  void submit_as(RequestId id, Request request);
  // Ends every output of the request with finish reason `abort`. Unknown or finished ids are ignored.
  void abort(RequestId request);
  // Forgets every request that was submitted so far, without an event, and frees its blocks: for a caller
  // that leaves by an exception. From within a sink it takes effect at once for events, at the end of the
  // step for the rest. Requests submitted later are served.
  void abort_all() noexcept;
  // The text layer found the end (a stop string) of an output after `keep_tokens` of its tokens: its last
  // event comes with `reason`, no new tokens, and metrics for the tokens kept. Unknown or finished requests
  // and outputs are ignored. Throws Error, here, for arguments that no output can have (check_finish).
  void finish(RequestId request, int32_t output, FinishReason reason, int64_t keep_tokens);

  // A held request is in no step until it is let go; it keeps its KV blocks until others need them, and then it is
  // computed again, with the same bits. Nobody waits for it: run() returns while held ones are unfinished. Unknown
  // and finished ids are ignored.
  void hold(RequestId request);
  void let_go(RequestId request);

  // One step of the batch. False when there was nothing to do. Throws only what a sink threw (see EventSink).
  // A failure of the step is an error event of the outputs that took part; one that leaves the engine's state
  // in doubt fails every request, and the engine starts afresh.
  bool step();
  // Only carries out what was asked for since the last step (submit, abort, finish), with the events of that: for a
  // caller that is paused. Throws as step() does.
  void settle();
  // Gives the memory of the KV cache and of the steps' intermediates back to the system; it comes back as steps
  // use it. Outputs that run are preempted: computed again later, with the same bits. Weights stay, and so does
  // the memory of other ranks. Throws Error from within a sink.
  void release_memory();
  // Steps until every request has finished. Throws as step() does; a later run() goes on.
  void run();
  bool idle() const;

  const EngineConfig& config() const;  // resolved
  const models::Model& model() const;
  MemoryReport planned_memory() const;  // before anything was allocated
  MemoryReport memory() const;          // what the allocators hold
  const GraphBackend& graph() const;
  EngineStats stats() const;
  // --graph-verify: captures that differed at start and are not used, and what the checks while serving
  // found.
  const std::vector<std::string>& problems() const;
  const VerifyStats& verified() const;
  // Does one piece of the captures that are still to be made (step() does one each), for a thread that
  // has nothing else to do. False where none is left. Throws nothing.
  bool capture_next();
  // A request of which no output was admitted within that time of its submission ends with an error, "[queue] ..".
  // Holds for requests submitted from then on. It is looked at by step() and settle(); nothing: no limit.
  void set_max_waiting(std::optional<std::chrono::milliseconds> time);
  // When the next one is due, for a caller who would otherwise call neither; nothing: none is. Perhaps too early.
  std::optional<std::chrono::steady_clock::time_point> next_due() const;
  // Times phases and launches of the steps that follow; null switches off.
  void set_profiler(Profiler* profiler);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise::engine
