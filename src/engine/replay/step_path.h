// By which path a step runs, and why: one pure function, asked by the runner at every step and by
// `reprise explain`, so that what is explained is what happens. Allocates nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "engine/config/graph_config.h"
#include "engine/scheduling/request.h"

namespace reprise::engine {

enum class RunMode : uint8_t {
  replay,        // a recording of the whole step
  static_graph,  // the traced graph, launch by launch
  compiled,      // the same with generated kernels
  eager,         // the model's code, launch by launch
  split,         // recorded parts replayed, the ops between them run launch by launch
};
std::string_view name_of(RunMode mode);  // "replay", "static", "compiled", "eager", "split"

// How far a recording is.
enum class CaptureState : uint8_t {
  pending,   // not made yet
  captured,  // whole
  in_parts,  // an op could not be captured: the recording is cut there
  failed,    // given up: capture failed, or verification found a difference
};

// By place in ResolvedGraph's lists.
struct CaptureStates {
  std::span<const CaptureState> decode = {};
  std::span<const CaptureState> prefill = {};
};

// What a step computes. A sequence that computes one token counts as decoding, whatever the token is.
struct StepShape {
  int64_t decode_tokens = 0;
  int64_t prefill_tokens = 0;
  bool scores_prompt = false;  // log-probabilities of prompt tokens are asked for

  int64_t tokens() const { return decode_tokens + prefill_tokens; }
};

struct StepPath {
  RunMode mode = RunMode::eager;
  size_t recording = 0;       // place in the list of decode (or prefill) sizes, when replayed
  int64_t captured_size = 0;  // tokens that the replay computes; 0: not replayed
  int64_t padding = 0;        // of them, rows that nobody reads
  NotReplayed reason = NotReplayed::cudagraph_off;  // when not replayed

  bool replayed() const { return captured_size > 0; }
};

StepPath choose_path(const ResolvedGraph& graph, const CaptureStates& states, const StepShape& step);

void count(const StepPath& path, StepCounts& counts);

// One line for people: what the step is, how it runs and why.
std::string explain(const ResolvedGraph& graph, const StepShape& step, const StepPath& path);

}  // namespace reprise::engine
