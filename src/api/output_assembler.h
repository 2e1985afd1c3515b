// From the engine's events of one request to what its client is told: text that is certain, token ids,
// log-probabilities, why an output ended.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api/output_text.h"
#include "api/prepare.h"
#include "engine/scheduling/request.h"
#include "reprise/reprise.h"

namespace reprise::api {

// What one event adds to one output.
struct OutputDelta {
  // What the engine must be told, so that it doesn't work for nothing.
  enum class Ask { nothing, finish, abort };

  int output = 0;                             // 0 .. n-1
  std::string text;                           // whole UTF-8 characters; never what a stop string cuts off
  std::vector<int32_t> token_ids;             // those that belong to the output: none behind a stop string
  std::vector<TokenLogprob> logprobs;         // one for each of token_ids, where asked for
  std::vector<TokenLogprob> prompt_logprobs;  // once, in a delta of output 0, where asked for
  // The output is complete with this delta: later ones add nothing. A stop string completes it a step or more
  // before the engine's last event.
  bool complete = false;
  std::string stop_string;         // with `complete`, where a stop string is the reason: which
  std::string finish_reason;       // from then on: "stop", "length", "abort", "error"
  bool finished = false;           // the engine's last event of this output
  std::string error;               // not empty: what went wrong with it
  engine::RequestMetrics metrics;  // where finished
  Ask ask =
      Ask::nothing;  // finish: EngineThread::finish(request, output, stop, keep_tokens); abort: the request
  int64_t keep_tokens = 0;
};

struct OutputUsage {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of these, that output 0 found in the prefix cache; known with its first event
  int64_t output_tokens = 0;  // of all outputs together, so far
};

// One request with all its outputs; one thread at a time.
class OutputAssembler {
 public:
  explicit OutputAssembler(const PreparedRequest& prepared);

  // The next event of the request; events of one output in their order. The delta is valid until the next
  // call, and may be moved from. Throws nothing: where the text can't be made, the delta's error says why and
  // asks for an abort, and later ones add nothing.
  OutputDelta& take(const engine::OutputEvent& event) noexcept;
  // From now on deltas add nothing: the client can't use them.
  void give_up() noexcept { broken_ = true; }

  bool finished() const { return unfinished_ == 0; }  // every output had its last event
  OutputUsage usage() const { return usage_; }

 private:
  struct State {
    OutputText text;
    int64_t tokens = 0;
    bool complete = false;
    std::string finish_reason = {};
  };

  void append(State& state, const engine::OutputEvent& event);
  void complete(State& state, std::string_view reason);

  bool include_stop_;
  std::vector<State> states_;
  size_t unfinished_;  // outputs
  bool broken_ = false;
  OutputUsage usage_;
  OutputDelta delta_;
};

}  // namespace reprise::api
