// What a step computes, and the path by which it runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

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

// What a step computes. A sequence that computes one token counts as decoding, whatever the token is.
struct StepShape {
  int64_t decode_tokens = 0;
  int64_t prefill_tokens = 0;
  bool scores_prompt = false;  // log-probabilities of prompt tokens are asked for

  int64_t tokens() const { return decode_tokens + prefill_tokens; }
  bool operator==(const StepShape&) const = default;
};

struct StepPath {
  RunMode mode = RunMode::eager;
  size_t recording = 0;       // place in the list of decode (or prefill) sizes, when replayed
  int64_t captured_size = 0;  // tokens that the replay computes; 0: not replayed
  int64_t padding = 0;        // of them, rows that nobody reads
  NotReplayed reason = NotReplayed::cudagraph_off;  // when not replayed

  bool replayed() const { return captured_size > 0; }
  bool operator==(const StepPath&) const = default;
};

}  // namespace reprise::engine
